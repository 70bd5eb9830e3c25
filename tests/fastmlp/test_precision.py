"""Training and prediction with bfloat16 operands, through the public interface; without an engine, the refusal."""

import pickle

import numpy as np
import pytest
import scipy.sparse
from fastmlp_kernels.tile.engines import engine_of

from fastmlp import MLP, Trainer, losses, optimizers
from fastmlp.cli import main
from fastmlp.objective import Objective
from fastmlp.sklearn import MLPClassifier, MLPRegressor
from tests.builds import python
from tests.fastmlp.test_guarantees import run_python

MIXED = "bf16-mixed"
here = engine_of("uint16") is not None
with_engine = pytest.mark.skipif(not here, reason="no engine for bfloat16 on this CPU")
pytestmark = pytest.mark.shapes


def data(rows=600, n_in=20, n_out=3):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, n_in)).astype(np.float32)
    return x, np.sin(x @ rng.standard_normal((n_in, n_out)).astype(np.float32) / 2)


@pytest.mark.skipif(here, reason="this CPU has an engine for bfloat16")
@pytest.mark.parametrize("call", ["Trainer", "predict", "evaluate", "Objective", "fit"])
def test_without_an_engine_the_error_says_so_and_names_the_emulation(call):
    (x, y), net = data(), MLP([20, 8, 3])
    calls = {
        "Trainer": lambda: Trainer(net, precision=MIXED),
        "predict": lambda: net.predict(x, precision=MIXED),
        "evaluate": lambda: net.evaluate(x, y, precision=MIXED),
        "Objective": lambda: Objective(net, x, y, precision=MIXED),
        "fit": lambda: MLPRegressor(precision=MIXED).fit(x, y),
    }
    with pytest.raises(RuntimeError, match=r"bf16-amx: the CPU lacks .*FASTMLP_TILE=bf16-emulated"):
        calls[call]()


def test_other_words_are_refused():
    net = MLP([2, 1])
    for call in (lambda word: Trainer(net, precision=word), lambda word: net.predict(np.zeros((1, 2)), precision=word)):
        with pytest.raises(ValueError, match=r"precision is 'bf16'.*accepted: float32, bf16-mixed"):
            call("bf16")


def test_networks_of_float64_are_refused():
    with pytest.raises(ValueError, match="'bf16-mixed' for a network of dtype float64; accepted: float32"):
        Trainer(MLP([2, 1], dtype="float64"), precision=MIXED)


def test_lbfgs_is_refused():
    with pytest.raises(ValueError, match="precision is 'bf16-mixed' with solver 'lbfgs'"):
        MLPRegressor(solver="lbfgs", precision=MIXED).fit(*data(40))


def both(net, x, y, **settings):
    """Histories of the same training in both precisions, and the two networks."""
    trainers = [Trainer(pickle.loads(pickle.dumps(net)), seed=1, precision=p, **settings) for p in ("float32", MIXED)]
    return [(trainer.fit(x, y, epochs=4, progress=False), trainer.net) for trainer in trainers]


CASES = {
    "relu": ({"activation": "relu"}, {}),
    "dropout and clipping": ({"activation": "gelu"}, {"dropout": 0.2, "clip_norm": 0.5}),
    "momentum and penalty": ({"activation": "tanh"}, {"optimizer": "momentum", "l2": 1e-3, "learning_rate": 0.01}),
    "no biases": ({"activation": "silu", "bias": False}, {"optimizer": "rmsprop"}),
    "frozen biases": ({"activation": "sigmoid"}, {"update_biases": False, "loss": "huber"}),
}


@with_engine
@pytest.mark.parametrize("case", CASES)
def test_training_goes_as_in_float32(case):
    layers, settings = CASES[case]
    x, y = data()
    (_, plain), (_, mixed) = both(MLP([20, 40, 33, 3], seed=1, **layers), x, y, batch_size=100, **settings)
    assert not np.array_equal(plain.params, mixed.params)
    assert mixed.evaluate(x, y) == pytest.approx(plain.evaluate(x, y), rel=0.02)


@with_engine
def test_classes_weights_and_smoothing():
    x, _ = data()
    labels = (x[:, 0] > 0) + 2 * (x[:, 1] > 0)
    settings = {"batch_size": 128, "label_smoothing": 0.1}
    trainers = [
        Trainer(MLP([20, 32, 4], output_activation="softmax", seed=2), precision=p, **settings)
        for p in ("float32", MIXED)
    ]
    for trainer in trainers:
        trainer.fit(x, labels, epochs=5, sample_weight=np.linspace(0, 2, 600), class_weight="balanced", progress=False)
    plain, mixed = (t.net.predict(x) for t in trainers)
    assert np.abs(plain - mixed).max() < 0.05


@with_engine
def test_sparse_inputs():
    x = scipy.sparse.random(500, 300, density=0.05, format="csr", dtype=np.float32, random_state=0)
    y = np.asarray(x @ np.random.default_rng(0).standard_normal((300, 2)))
    (_, plain), (_, mixed) = both(MLP([300, 40, 2], seed=1), x, y, batch_size=100)
    assert mixed.evaluate(x, y, precision=MIXED) == pytest.approx(plain.evaluate(x, y), rel=0.02)
    np.testing.assert_allclose(mixed.predict(x, precision=MIXED), mixed.predict(x), atol=0.05)


THREADS = """
import hashlib, json
import numpy as np
from fastmlp import MLP, Trainer, threads
threads.cores = lambda: 4  # even if there are fewer
found = {}
for sizes, rows, batch in ([20, 64, 40, 3], 1500, 700), ([70, 200, 130, 5], 900, 450), ([8, 16, 17], 64, 32):
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((rows, n)).astype(np.float32) for n in (sizes[0], sizes[-1]))
    hashes = set()
    for most in (1, 2, 3, 4, 4):
        net = MLP(sizes, "relu", seed=1)
        trainer = Trainer(net, precision="bf16-mixed", batch_size=batch, threads=most)
        trainer.fit(x, y, epochs=2, progress=False)
        hashes.add(hashlib.sha256(net.params.tobytes() + net.predict(x, precision="bf16-mixed").tobytes()).hexdigest())
    found[str(sizes)] = len(hashes)
print(json.dumps(found))
"""


@with_engine
def test_any_number_of_threads_gives_the_same_bits():
    found = run_python(THREADS, NUMBA_NUM_THREADS="4")
    assert set(found.values()) == {1}


@with_engine
def test_threads_and_children_in_any_order_end_well():
    """A few of the processes of `tests.processes`, which takes a number."""
    assert python("-m", "tests.processes", "3") == "0 of 3 processes failed\n"


@with_engine
def test_trainers_are_pickled_and_go_on():
    x, y = data()
    trainers = [Trainer(MLP([20, 32, 3], seed=1), precision=MIXED, batch_size=100, shuffle=False) for _ in range(2)]
    for trainer in trainers:
        trainer.fit(x, y, epochs=1, progress=False)
    trainers[1] = pickle.loads(pickle.dumps(trainers[1]))
    assert trainers[1].precision == MIXED
    for trainer in trainers:
        trainer.fit(x, y, epochs=1, progress=False)
    np.testing.assert_array_equal(trainers[0].net.params, trainers[1].net.params)


@with_engine
def test_small_updates_accumulate():
    """Updates far below the resolution of a bfloat16 weight add up, since weights are kept in float32."""
    net, x = MLP([16, 16], bias=False, init="zeros"), np.zeros((1000, 16), np.float32)
    net.params[:] = x[:, 0] = 1  # outputs are the weights of the first input
    trainer = Trainer(net, optimizer="sgd", learning_rate=1e-5, precision=MIXED, batch_size=1, shuffle=False)
    trainer.fit(x, np.zeros_like(x), epochs=1, progress=False)
    np.testing.assert_allclose(net.weights[0][0], 1 - 1000 * 1e-5, rtol=1e-3)


@with_engine
@pytest.mark.parametrize(("sizes", "mixed"), [([8, 16, 1], False), ([15, 64, 15], False), ([15, 16, 16], True)])
def test_networks_of_narrow_layers_are_computed_in_float32(sizes, mixed):
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((100, n)).astype(np.float32) for n in (sizes[0], sizes[-1]))
    (plain_history, plain), (mixed_history, other) = both(MLP(sizes, seed=1), x, y, batch_size=50)
    found = plain, other, plain.predict(x), plain.predict(x, precision=MIXED)
    assert (found[0].params != found[1].params).any() == mixed
    assert (found[2] != found[3]).any() == mixed
    assert (plain_history.loss != mixed_history.loss) == mixed
    assert (plain.evaluate(x, y) != plain.evaluate(x, y, precision=MIXED)) == mixed


@with_engine
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_estimators_take_samples_of_float64(kind):
    x, y = data()
    target = (y[:, 0] > 0) if kind is MLPClassifier else y
    models = [kind(hidden_layer_sizes=(32,), precision=MIXED, max_iter=3, random_state=0) for _ in range(2)]
    for model, samples in zip(models, (x, x.astype(float)), strict=True):
        model.fit(samples, target)
        assert model.coefs_[0].dtype == np.float32
    np.testing.assert_array_equal(models[0].coefs_[0], models[1].coefs_[0])


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_estimators_of_before_go_on_in_float32(kind):
    model = kind(max_iter=3)
    del vars(model)["precision"]
    model = pickle.loads(pickle.dumps(model))
    x, y = data()
    model.fit(x, (y[:, 0] > 0) if kind is MLPClassifier else y)
    assert model.get_params()["precision"] == "float32"


@with_engine
def test_objectives_give_the_gradient_of_a_trainer():
    x, y = data()
    net = MLP([20, 40, 3], "tanh", seed=1)
    start = net.params.copy()
    gradients = [Objective(net, x, y, precision=p)(start)[2].copy() for p in ("float32", MIXED)]
    error = np.linalg.norm(gradients[0] - gradients[1]) / np.linalg.norm(gradients[0])
    assert 0 < error < 0.01
    trainer = Trainer(
        net,
        optimizer=optimizers.SGD(),
        learning_rate=1.0,
        precision=MIXED,
        batch_size=len(x),
        loss=losses.SquaredError(),
    )
    trainer.fit(x, y, epochs=1, progress=False)
    np.testing.assert_allclose(start - net.params, gradients[1], atol=1e-6)


@with_engine
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_estimators_keep_it(kind):
    x, y = data()
    target = (y[:, 0] > 0) if kind is MLPClassifier else y
    model = kind(hidden_layer_sizes=(32,), precision=MIXED, max_iter=3, random_state=0)
    model.fit(x, target)
    assert model.get_params()["precision"] == MIXED
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.fit(x, target).coefs_[0], model.coefs_[0])


@with_engine
def test_commands(tmp_path, capsys):
    path = tmp_path / "iris.safetensors"
    main(["train", "iris", "--epochs", "5", "--precision", MIXED, "--save", str(path)])
    assert MLP.load(path).metadata["training"]["precision"] == MIXED
    assert MIXED in capsys.readouterr().out
    main(["predict", str(path), "iris", "--precision", MIXED])
    assert len(capsys.readouterr().out.splitlines()) == 151


@with_engine
def test_the_benchmark_compares_precisions(monkeypatch, capsys):
    monkeypatch.setattr("fastmlp_kernels.tile.peak.SECONDS", 0.05)
    network = ["--layers", "4-8-2", "--batch-size", "16", "--rounds", "1", "--threads", "1"]
    assert main(["bench", *network, "--peers", "none", "--precision", MIXED]) == 0
    out = capsys.readouterr().out
    assert [line.split("|")[2].strip() for line in out.splitlines()[-2:]] == ["fastmlp", "fastmlp float32"]
    assert f"{MIXED} products, {engine_of('uint16').name}: " in out
    assert main(["bench", *network, "--peers", "numpy", "--precision", MIXED]) == 2
    assert "--peers is 'numpy', which is not installed or multiplies no bfloat16" in capsys.readouterr().err
