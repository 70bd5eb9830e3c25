"""Scaling of inputs and targets as a part of the network."""

import copy
import pickle
import re

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from fastmlp import MLP, ModelFileError, Scaling, Trainer, losses, register_loss, scaling
from fastmlp._kernels import bfloat16_refusal
from fastmlp.checks import unscaled
from fastmlp.cli.text import network
from fastmlp.export.c_source import write_c
from fastmlp.moments import Moments, merged
from fastmlp.objective import Objective
from tests.fastmlp.test_c_source import ANY_COMPILER, build, needs_compiler, outputs_in_c
from tests.trained import trained

DTYPES = "float32", "float64"
ROWS, FAR, SPREAD = 120, 2e9, 1e3
UNUSUAL = {
    "mean of many digits": lambda rng: FAR + SPREAD * rng.normal(size=ROWS),
    "an outlier first": lambda rng: np.append(1e12, rng.normal(size=ROWS - 1)),
    "constant": lambda rng: np.full(ROWS, 0.1),
    "zeros": lambda rng: np.zeros(ROWS),
    "large": lambda rng: 1e300 * rng.normal(size=ROWS),
    "small": lambda rng: 1e-300 * rng.normal(size=ROWS),
    "growing": lambda rng: np.ldexp(1.0, np.arange(ROWS) * 8 - 500),
    "mostly 0": lambda rng: rng.normal(size=ROWS) * (np.arange(ROWS) == 77),
}


def samples(seed=0, outputs=1):
    """Inputs and targets in units far from standard ones."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(ROWS, 3))
    y = np.sin(z[:, :1]) + z[:, 1:2] * np.arange(1, outputs + 1)
    return np.c_[FAR + SPREAD * z[:, 0], 1e-4 * z[:, 1], 1990 + 15 * z[:, 2]], 3e5 + 1e5 * y


def by_hand(X, dtype="float32"):
    """Columns with mean 0 and standard deviation 1."""
    return ((X - X.mean(axis=0)) / X.std(axis=0)).astype(dtype)


def fitted(X, y, dtype="float32", epochs=2, sizes=None, loss="auto", **options):
    """A network, made with `scale=True` unless `options` say more, and its trainer after a fit."""
    layers = {name: options.pop(name) for name in ("scale", "output_activation", "bias") if name in options}
    net = MLP(sizes or [X.shape[1], 5, y.shape[1]], "tanh", dtype=dtype, **{"scale": True} | layers)
    trainer = Trainer(net, loss, batch_size=16)
    trainer.fit(X, y, epochs, progress=False, **options)
    return net, trainer


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == float
        np.testing.assert_array_equal(one, other)


def sparse(X):
    return pytest.importorskip("scipy.sparse").csr_array(X)


@pytest.mark.parametrize("blocks", [1, 7])
@pytest.mark.parametrize("name", UNUSUAL)
def test_moments_are_those_of_exact_arithmetic(name, blocks):
    mpmath = pytest.importorskip("mpmath")
    x = UNUSUAL[name](np.random.default_rng(0))
    with mpmath.workprec(3000):
        exact = [mpmath.mpf(number) for number in x]
        mean = mpmath.fsum(exact) / ROWS
        scale = mpmath.sqrt(mpmath.fsum((number - mean) ** 2 for number in exact) / ROWS)
        mean, scale = float(mean), float(scale) or 1.0
    dense, rows = Moments(1), Moments(1)
    for block in np.array_split(x[:, None], blocks):
        dense.add(block)
        rows.add(unscaled("X", sparse(block), 1))
    parts = [Moments(1) for _ in range(blocks + 1)]  # the last of no rows
    for part, block in zip(parts, np.array_split(x[:, None], blocks), strict=False):
        part.add(block)
    for moments in dense, rows, merged(parts):
        found = np.ravel(moments.learned())
        np.testing.assert_allclose(found, [mean, scale], rtol=1e-13, atol=1e-13 * scale * (name != "constant"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_training_is_that_of_samples_scaled_by_hand(dtype):
    X, y = samples(outputs=2)
    net, trainer = fitted(X, y, dtype, validation_data=(X[:50], y[:50]))
    scaled = by_hand(X, dtype), by_hand(y, dtype)
    bare, other = fitted(*scaled, dtype, scale=False, validation_data=(scaled[0][:50], scaled[1][:50]))
    np.testing.assert_allclose(net.params, bare.params, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(trainer.history.val_loss, other.history.val_loss, rtol=1e-4)
    expected = (y.mean(axis=0) + y.std(axis=0) * bare.predict(scaled[0])).astype(dtype)
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-4)
    assert net.predict(X).dtype == dtype
    assert trainer.history.val_loss[-1] == net.evaluate(X[:50], y[:50])
    assert net.gradient(X, y)[0] == net.evaluate(X, y)
    np.testing.assert_allclose(Objective(net, X, y)(net.params)[0], net.evaluate(X, y), rtol=1e-5)


def test_numbers_are_scaled_before_they_are_rounded():
    X, y = samples()
    y = y / 1e2 + FAR
    net, _ = fitted(X, y)
    data, _ = net.data(X, y, "auto")
    np.testing.assert_allclose(data.x, by_hand(X), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(data.y, by_hand(y), rtol=1e-4, atol=1e-7)


def test_a_resumed_training_takes_the_scaling_of_the_file(tmp_path):
    X, y = samples()
    given = Scaling([FAR, 0, 2e3], [SPREAD, 1e-4, 10], 3e5, 1e5)
    nets = [MLP([3, 5, 1], "tanh") for _ in range(3)]
    nets[0].scaling = nets[1].scaling = given
    Trainer(nets[0]).fit(X, y, epochs=3, progress=False)
    trainer = Trainer(nets[1])
    trainer.fit(X, y, epochs=2, progress=False)
    trainer.save(tmp_path / "state")
    Trainer(nets[2]).fit(X, y, epochs=1, progress=False, resume=tmp_path / "state")
    assert_same(nets[2].scaling, nets[0].scaling)
    np.testing.assert_array_equal(nets[2].params, nets[0].params)


def test_samples_held_out_are_not_learned_from():
    X, y = samples()
    net, trainer = fitted(X, y, validation_fraction=0.3)
    order, held = trainer._position.order, trainer._position.held
    for found, values in zip((net.scaling[:2], net.scaling[2:]), (X, y), strict=True):
        np.testing.assert_allclose(found, [values[order].mean(axis=0), values[order].std(axis=0)], rtol=1e-12)
    X[held], y[held] = 0, 0
    other, _ = fitted(X, y, validation_fraction=0.3)
    assert_same(other.scaling, net.scaling)


def test_blocks_of_rows_make_no_difference_but_rounding(monkeypatch):
    X, y = samples()
    net, _ = fitted(X, y, validation_fraction=0.3)
    monkeypatch.setattr(scaling, "BLOCK_NUMBERS", 20)
    other, _ = fitted(X, y, validation_fraction=0.3)
    np.testing.assert_allclose(np.concatenate(other.scaling), np.concatenate(net.scaling), rtol=1e-12)


def test_sparse_inputs_are_divided_only():
    X, y = samples()
    X = X * (np.random.default_rng(1).uniform(size=X.shape) < 0.4)
    rows = sparse(X)
    net, trainer = fitted(rows, y, validation_fraction=0.2)
    kept = trainer._position.order
    assert not net.scaling.input_mean.any()
    np.testing.assert_allclose(net.scaling.input_scale, X[kept].std(axis=0), rtol=1e-12)
    np.testing.assert_allclose(net.predict(rows), net.predict(X), rtol=1e-5)
    dense, _ = fitted(X, y)
    with pytest.raises(ValueError, match=r"X is a sparse matrix, and net.scaling has means to subtract; accepted: an"):
        dense.predict(rows)


@pytest.mark.parametrize(
    "convert", [lambda X: X.tolist(), lambda X: X.astype(object), np.asfortranarray, lambda X: X.astype("longdouble")]
)
def test_inputs_may_have_any_type(convert):
    X, y = samples()
    net, _ = fitted(X, y)
    other, _ = fitted(convert(X), y, sizes=net.sizes)
    np.testing.assert_array_equal(net.params, other.params)
    np.testing.assert_array_equal(net.predict(convert(X)), net.predict(X))
    whole = np.int64(X)
    np.testing.assert_array_equal(net.predict(whole), net.predict(whole.astype(float)))


def test_the_first_training_learns_and_later_ones_keep_it():
    X, y = samples()
    net = MLP([3, 5, 1], "tanh", scale=True)
    np.testing.assert_array_equal(net.predict(X), MLP([3, 5, 1], "tanh").predict(X))
    trainer = Trainer(net)
    trainer.step(X[:10], y[:10])
    learned = net.scaling
    np.testing.assert_allclose(learned.input_mean, X[:10].mean(axis=0))
    trainer.step(X, y)
    trainer.fit(X, y, epochs=1, progress=False)
    Trainer(net).fit(2 * X, y, epochs=1, progress=False)
    assert net.scaling is learned
    net.scaling = None
    Trainer(net).fit(X, y, epochs=1, progress=False)
    np.testing.assert_allclose(net.scaling.input_mean, X.mean(axis=0))
    net = MLP([3, 5, 1], scale=True)
    Objective(net, X, y)
    np.testing.assert_allclose(net.scaling.output_scale, y.std(axis=0))


def test_networks_without_scaling_use_inputs_without_a_copy():
    X = np.zeros((4, 3), np.float32)
    assert MLP([3, 1], scale=True).inputs("X", X) is X
    net, _ = fitted(*samples())
    assert net.inputs("X", X).dtype == np.float32


def test_means_and_variances_are_in_the_units_of_the_target():
    X, y = samples()
    net, _ = fitted(X, y, sizes=[3, 5, 2], loss="gaussian_nll", epochs=30)
    bare, _ = fitted(by_hand(X), by_hand(y), scale=False, sizes=[3, 5, 2], loss="gaussian_nll", epochs=30)
    mean, log_variance = bare.predict(by_hand(X)).T
    found = net.predict(X)
    np.testing.assert_allclose(found[:, 0], y.mean() + y.std() * mean, rtol=1e-3)
    np.testing.assert_allclose(np.exp(found[:, 1] / 2), y.std() * np.exp(log_variance / 2), rtol=1e-2)


def test_a_quantile_is_in_the_units_of_the_target():
    X, y = samples()
    net, _ = fitted(X, y, loss=losses.Quantile(0.9), epochs=200)
    assert 0.8 < np.mean(y <= net.predict(X)) < 0.97


def test_a_scaling_of_two_targets_is_refused_for_a_mean_and_a_variance():
    X, y = samples(outputs=2)
    net, _ = fitted(X, y)
    with pytest.raises(ValueError, match=r"loss is gaussian_nll, and net.scaling is not one for it; accepted: for the"):
        net.evaluate(X, y[:, :1], "gaussian_nll")


def test_targets_that_are_no_quantities_stay_as_they_are():
    X, y = samples()
    labels = (y[:, 0] > y.mean()).astype(int)
    register_loss("cubed", value=lambda a, y: abs(a - y) ** 3, derivative=lambda a, y: 3 * (a - y) * abs(a - y))
    shares = labels[:, None].astype(float)
    cases = [
        fitted(X, labels, sizes=[3, 5, 2], output_activation="softmax", class_weight="balanced"),
        fitted(X, shares, output_activation="sigmoid"),
        fitted(X, shares, output_activation="exp"),
        fitted(X, shares, loss="cubed"),
    ]
    for net, _ in cases:
        assert not net.scaling.has_targets
        np.testing.assert_allclose(net.scaling.input_mean, X.mean(axis=0))
    np.testing.assert_allclose(cases[0][0].predict(X).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.skipif(bool(bfloat16_refusal()), reason="no engine for bfloat16 on this CPU")
def test_scaled_networks_predict_in_bfloat16():
    rng = np.random.default_rng(0)
    X, y = FAR + SPREAD * rng.normal(size=(200, 32)), 3e5 + rng.normal(size=(200, 1))
    net, _ = fitted(X, y, sizes=[32, 32, 1])
    np.testing.assert_allclose(net.predict(X, precision="bf16-mixed"), net.predict(X), atol=0.1)


def test_gradients_by_inputs_are_in_their_units():
    X, y = samples()
    X[:, 0] -= FAR  # so that differences have digits
    net, _ = fitted(X, y, "float64")
    found, X = net.input_gradient(X[:4], y[:4], reduction="sum"), X[:4]
    for column, step in enumerate(1e-5 * net.scaling.input_scale):
        move = step * (np.arange(3) == column)
        above, below = (net.evaluate(X + sign * move, y[:4], reduction="sum") for sign in (1, -1))
        np.testing.assert_allclose(found[:, column].sum() * step, (above - below) / 2, rtol=1e-6)


def test_a_scaling_is_assigned():
    X, y = samples()
    net = MLP([3, 5, 1], "tanh")
    net.scaling = Scaling(X.mean(axis=0), X.std(axis=0), y.mean(), y.std())
    expected = y.mean() + y.std() * MLP([3, 5, 1], "tanh").predict(by_hand(X))
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-6)
    Trainer(net).fit(X, y, epochs=1, progress=False)
    assert_same(net.scaling, [X.mean(axis=0), X.std(axis=0), [y.mean()], [y.std()]])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((0, 1), TypeError, "scaling is tuple; accepted: a fastmlp.Scaling, or None"),
        (Scaling(np.zeros(2), 1), ValueError, r"scaling.input_mean has shape \(2,\); accepted: \(3,\) numbers"),
        (Scaling(0, None), TypeError, "scaling.input_scale has dtype object; accepted:"),
        (Scaling("a", 1), TypeError, "scaling.input_mean has dtype <U1; accepted:"),
        (Scaling(0, [1, 0, 2]), ValueError, "scaling.input_scale is 0.0 at position 1; accepted: finite numbers above"),
        (Scaling(0, 1, 0, -1), ValueError, "scaling.output_scale is -1.0 at position 0; accepted: finite numbers abo"),
        (Scaling(0, 1, np.nan), ValueError, "scaling.output_mean is nan at position 0; accepted: finite numbers$"),
    ],
)
def test_what_is_no_scaling_is_refused(given, error, message):
    net = MLP([3, 1])
    with pytest.raises(error, match=message):
        net.scaling = given
    assert net.scaling is None


def test_scaled_targets_need_identity_outputs():
    with pytest.raises(ValueError, match="scaling has output_mean and output_scale for tanh outputs; accepted: 0 and"):
        MLP([3, 1], output_activation="tanh").scaling = Scaling(0, 1, 2.0, 3.0)


def test_an_error_leaves_a_network_without_scaling():
    X, y = samples()
    net = MLP([3, 1], scale=True)
    trainer = Trainer(net)
    wrong = X.copy()
    wrong[77, 1] = np.nan
    for arguments, options, message in [
        ((wrong, y), {}, "X is nan at row 77, column 1"),
        ((X, y[1:]), {}, "y has shape"),
        ((X, y), {"sample_weight": np.zeros(ROWS)}, "sample_weight is 0 everywhere"),
        ((X, y), {"validation_data": (X[:, :2], y)}, r"validation_data\[0\] has shape"),
        ((X, y), {"class_weight": "balanced"}, "class_weight"),
    ]:
        with pytest.raises(ValueError, match=message):
            trainer.fit(*arguments, progress=False, **options)
        assert net.scaling is None
        if not options.keys() & {"validation_data", "class_weight"}:
            with pytest.raises(ValueError, match=message):
                trainer.step(*arguments, **options)
            assert net.scaling is None


@pytest.mark.parametrize("kept", ["file", "pickle", "copy", "astype", "trainer"])
def test_a_scaling_is_kept(kept, tmp_path):
    X, y = samples()
    net, trainer = fitted(X, y)
    net.save(tmp_path / "net")
    trainer.save(tmp_path / "trainer")
    other = {
        "file": lambda: MLP.load(tmp_path / "net"),
        "pickle": lambda: pickle.loads(pickle.dumps(net)),
        "copy": lambda: copy.deepcopy(net),
        "astype": lambda: net.astype("float64").astype("float32"),
        "trainer": lambda: Trainer.load(tmp_path / "trainer").net,
    }[kept]()
    assert_same(other.scaling, net.scaling)
    assert other.scale
    assert other.config() == net.config()
    np.testing.assert_array_equal(other.predict(X), net.predict(X))


def test_networks_say_that_they_scale():
    net = MLP([3, 1], scale=True)
    assert "scale=True" in repr(net)
    net.scaling = Scaling(0, 1)
    assert "scaled" in repr(net)
    assert "(inputs, scaled)" in net.summary()
    assert network(net).endswith("float32, scaled")
    assert "scale" not in MLP([3, 1]).config()


def test_files_of_networks_without_scaling_are_those_of_earlier_versions(tmp_path):
    MLP([3, 1]).save(tmp_path / "net")
    with safetensors.safe_open(tmp_path / "net", "numpy") as file:
        assert file.metadata()["version"] == "1"
        assert set(file.keys()) == {"weights.0", "biases.0"}


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("scaling.output_mean"),
        lambda tensors: tensors.pop("scaling.input_mean"),
        lambda tensors: tensors.update({"scaling.more": np.zeros(3)}),
        lambda tensors: tensors.update({"scaling.input_mean": np.zeros(4)}),
        lambda tensors: tensors.update({"scaling.input_mean": np.zeros(3, np.float32)}),
        lambda tensors: tensors["scaling.input_mean"].fill(np.inf),
        lambda tensors: tensors["scaling.output_scale"].fill(0),
        lambda tensors: tensors["scaling.input_scale"].fill(-1),
    ],
)
def test_forged_scalings_are_refused(change, tmp_path):
    net = MLP([3, 1])
    net.scaling = Scaling(1, 2, 3, 4)
    net.save(tmp_path / "net")
    tensors = safetensors.numpy.load_file(tmp_path / "net")
    with safetensors.safe_open(tmp_path / "net", "numpy") as file:
        header = file.metadata()
    del header["checksum"]
    safetensors.numpy.save_file(tensors, tmp_path / "net", header)
    assert_same(MLP.load(tmp_path / "net").scaling, net.scaling)
    change(tensors)
    safetensors.numpy.save_file(tensors, tmp_path / "net", header)
    with pytest.raises(ModelFileError, match="scaling"):
        MLP.load(tmp_path / "net")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sizes", [[3, 5, 4, 2], [3, 2]])
def test_folded_layers_contain_the_scaling(sizes, bias):
    X, y = samples(outputs=2)
    net, _ = fitted(X, y, "float64", sizes=sizes, bias=bias)
    net.metadata = {"a": [1]}
    folded = net.folded()
    assert folded.scaling is None
    assert not folded.scale
    assert folded.metadata == net.metadata
    np.testing.assert_allclose(folded.predict(X), net.predict(X), rtol=1e-8)
    bare = MLP(sizes, bias=bias).folded()
    np.testing.assert_array_equal(bare.params, MLP(sizes, bias=bias).params)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Scaling([0, FAR, 0], SPREAD), "input 1 has a mean of 2e[+]06 standard deviations, too many for the digits of"),
        (Scaling(0, 1e-39), "net.scaling makes weights beyond float32; accepted: net.astype"),
    ],
)
def test_float32_layers_with_too_few_digits_are_refused(given, message, tmp_path):
    net = MLP([3, 4, 1])
    net.scaling = given
    for fold in net.folded, lambda: net.save_torch(tmp_path / "net"):
        with pytest.raises(ValueError, match=message):
            fold()
    assert net.astype("float64").folded().scaling is None


def test_networks_of_the_kernels_are_of_folded_ones():
    X, y = samples()
    net, _ = fitted(X, y, "float64")
    folded = net.folded()
    with pytest.raises(ValueError, match=re.escape("accepted: that of net.folded()")):
        _ = net.network
    with pytest.raises(ValueError, match=re.escape("accepted: that of net.folded()")):
        net.network = folded.network
    folded.network = folded.network


def exported():
    """Pairs of a scaled network and inputs: with targets and without, with another scaling before, in both dtypes."""
    X, y = samples()
    for dtype in DTYPES:
        yield fitted(X, y, dtype, bias=dtype == "float32")[0], X.astype(dtype)
    yield fitted(X, (y[:, 0] > y.mean()).astype(int), sizes=[3, 4, 2], output_activation="softmax")[0], X.astype("f4")


def assert_near(found, expected, scale=1.0):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * scale)


@needs_compiler
def test_c_has_the_scaling(tmp_path):
    cases = [*exported()]
    library = build(tmp_path, [net for net, _ in cases], ANY_COMPILER)
    for i, (net, X) in enumerate(cases):
        assert_near(outputs_in_c(library, i, X, net.sizes[-1]), net.predict(X), 1e5)


@needs_compiler
def test_c_has_the_scaling_after_the_preparation_of_columns(tmp_path):
    _, learned, net = trained({"size": [1.0, 2.5, 4.0]}, [50.0, 60.0, 40.0])
    net.scaling = Scaling(0.5, 2.0, 3.0, 4.0)
    library = build(tmp_path, [net])
    x = np.array([[3.0], [-1.0]], np.float32)
    inputs = (x - learned.columns["size"]["mean"]) / learned.columns["size"]["scale"]
    assert_near(outputs_in_c(library, 0, x, 1)[:, 0], learned.decode_prediction(net.predict(inputs)))


def test_fortran_comes_with_the_c_source_of_the_scaling(tmp_path):
    net, _ = next(exported())
    write_c(net, tmp_path / "net.h")
    net.to_fortran(tmp_path / "net.f90")
    assert (tmp_path / "net_c.c").read_text().startswith((tmp_path / "net.h").read_text())


def test_onnx_has_the_scaling(tmp_path):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    for net, _ in exported():
        net.to_onnx(tmp_path / "net.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
        assert session.get_inputs()[0].type == "tensor(double)"  # as one column's mean has too many digits
        X, _ = samples(1)
        (found,) = session.run(None, {"X": X})
        assert found.dtype == net.dtype
        assert_near(found, net.predict(X), 1e5)
        with pytest.raises(ModelFileError, match=r"Div|Add"):  # layers are read only
            MLP.from_onnx(tmp_path / "net.onnx")


def test_onnx_has_the_scaling_after_the_preparation_of_columns(tmp_path):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    _, learned, net = trained({"size": [1.0, 2.5, 4.0]}, [50.0, 60.0, 40.0])
    net.scaling = Scaling(0.5, 2.0, 3.0, 4.0)
    net.to_onnx(tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    x = np.array([[3.0], [-1.0]], np.float32)
    inputs = (x - learned.columns["size"]["mean"]) / learned.columns["size"]["scale"]
    (found,) = session.run(None, {"size": x})
    assert_near(found[:, 0], learned.decode_prediction(net.predict(inputs)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_parameters_for_pytorch_contain_the_scaling(dtype, tmp_path):
    X, y = samples()
    columns = slice(None) if dtype == "float64" else slice(1, None)  # float32 has too few digits for the first one
    net, _ = fitted(X[:, columns], y, dtype)
    net.save_torch(tmp_path / "net")
    read = MLP.from_torch(tmp_path / "net", activation="tanh", output_activation="identity")
    limit = {"float32": 10, "float64": 1e-3}[dtype]  # of numbers around 3e5
    np.testing.assert_allclose(read.predict(X[:, columns]), net.predict(X[:, columns]), rtol=0, atol=limit)
    torch = pytest.importorskip("torch")
    found = net.to_torch()(torch.from_numpy(X[:, columns].astype(dtype))).detach().numpy()
    np.testing.assert_allclose(found, net.predict(X[:, columns]), rtol=0, atol=limit)
