"""ONNX files: what onnxruntime computes from them, and networks read from ONNX files of others."""

import sys

import numpy as np
import pytest

import fastmlp.export
from fastmlp import MLP, register_activation
from fastmlp._kernels import ACTIVATIONS
from fastmlp.cli import main
from fastmlp.export.formulas import FORMULAS
from fastmlp.tables.datasets import Table
from fastmlp.tables.preprocessing import Preprocessing

onnx = pytest.importorskip("onnx")
export = pytest.importorskip("fastmlp.export.onnx")
DTYPES = "float32", "float64"
HIDDEN = [name for name in FORMULAS if name != "softmax"]


def session(path):
    return pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])


def computed(path, inputs):
    """Outputs by name that onnxruntime computes from a file."""
    opened = session(path)
    return dict(zip([value.name for value in opened.get_outputs()], opened.run(None, inputs), strict=True))


def exported(net, path, **settings):
    """The graph of a network's file, after ONNX's own checks, shapes and types among them."""
    net.to_onnx(path, **settings)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model.graph


def randomized(net, seed=0):
    net.params[:] = np.random.default_rng(seed).normal(size=net.n_params) / 2
    return net


def assert_near(found, expected, eps):
    """Both have the same dtype and shape, and differ by no more than so many epsilon of max(|expected|, 1)."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    limits = eps * np.finfo(expected.dtype).eps * np.maximum(np.abs(expected), 1)
    assert (np.abs(found - expected) <= limits).all()


def test_every_activation_has_formulas():
    assert FORMULAS.keys() == {*ACTIVATIONS, "softmax"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HIDDEN)
def test_activations_are_those_of_fastmlp(tmp_path, name, dtype):
    net = MLP([1, 1], output_activation=name, dtype=dtype)
    net.weights[0][:] = 1
    X = np.concatenate([np.linspace(-40, 40, 4001), np.linspace(-1, 1, 4001), [-1000.0, 0.0]])[:, None].astype(dtype)
    exported(net, tmp_path / "net.onnx")
    # Sigmoid of onnxruntime keeps float32 away from 0 by 1.5e-9, which silu multiplies by 1000.
    assert_near(computed(tmp_path / "net.onnx", {"X": X})["Y"], net.predict(X), 20)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 37])
@pytest.mark.parametrize(
    ("sizes", "activation", "output"),
    [
        ([3, 1], "relu", "identity"),
        ([1, 1, 1], "tanh", "identity"),
        ([5, 4], "relu", "softmax"),
        ([2, 1], "relu", "softmax"),
        ([7, 33, 2, 17], ["identity", "gelu"], "sigmoid"),
        ([4, 9, 9, 9, 3], ["selu", "mish", "leaky_relu"], "softmax"),
    ],
)
def test_awkward_networks_are_computed_and_come_back_to_the_bit(tmp_path, sizes, activation, output, rows, bias, dtype):
    net = randomized(MLP(sizes, activation, output, dtype=dtype, bias=bias))
    X = np.random.default_rng(1).normal(size=(rows, sizes[0])).astype(dtype)
    graph = exported(net, tmp_path / "net.onnx")
    assert_near(computed(tmp_path / "net.onnx", {"X": X})["Y"], net.predict(X), 20)
    assert len({node.name for node in graph.node}) == len(graph.node)
    back = MLP.from_onnx(tmp_path / "net.onnx")
    assert back.config() == net.config()
    assert back.params.tobytes() == net.params.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_activations_come_back(tmp_path, name, dtype):
    net = randomized(MLP([2, 3, 3, 1], name, dtype=dtype))
    net.to_onnx(tmp_path / "net.onnx")
    assert MLP.from_onnx(tmp_path / "net.onnx").config() == net.config()


# ------------------------------------------------------------------------------------------- models of `fastmlp train`

X = np.random.default_rng(0).integers(-100, 100, 120) / 64  # numbers that float32 has
COLOURS = np.array(["red", "green", "ö", "1"] * 30, object)
COLUMNS = {
    "x": X,
    "label": np.array(["yes", "no", "yes"] * 40, object),
    "seconds": 1_700_000_000 + np.arange(120.0),
    "y": 3 - X,
    "true": X > 0,
    "colour": COLOURS,
}
TARGETS = {
    "side": np.where(X > 0, "right", "left").astype(object),
    "grade": (np.digitize(X, [-0.5, 0.5]) - 1).astype(str).astype(object),
    "height": 3 * X + 7 + (COLOURS == "red"),
    "date": 1e10 + X,
}


def prepared(target, dtype="float32", outputs=1):
    """Network with random parameters and the preprocessing of a table, which its metadata has too; and the table."""
    task = "classification" if TARGETS[target].dtype == object else "regression"
    table = Table("table", COLUMNS, TARGETS[target], target, task)
    learned = Preprocessing.fit(table)
    output = "softmax" if learned.classes else "identity"
    net = randomized(MLP([learned.n_inputs, 8, outputs * learned.n_outputs], "tanh", output, dtype=dtype))
    net.metadata["preprocessing"] = learned.to_dict()
    return net, learned, table


def predicted(path, table):
    """Outputs by name that onnxruntime computes for a table, each column as (N, 1) numbers or text as it asks for."""
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(string)": object}
    columns = {value.name: table.features[value.name].astype(kinds[value.type]) for value in session(path).get_inputs()}
    return computed(path, {name: column[:, None] for name, column in columns.items()})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", ["side", "grade"])
def test_classes_are_predicted_from_columns(tmp_path, target, dtype):
    net, learned, table = prepared(target, dtype)
    graph = exported(net, tmp_path / "model.onnx")
    number, text = ("tensor(float)" if dtype == "float32" else "tensor(double)"), "tensor(string)"
    asked = {value.name: (value.type, value.shape) for value in session(tmp_path / "model.onnx").get_inputs()}
    kinds = number, text, "tensor(double)", number, number, text  # float32 numbers like `seconds` are multiples of 128
    assert asked == {name: (kind, ["N", 1]) for name, kind in zip(COLUMNS, kinds, strict=True)}
    assert [value.name for value in graph.output] == ["label_", "probabilities"]  # a column is called "label"
    for rows in 120, 1:
        part = table.rows(slice(0, rows))
        outputs, found = net.predict(learned.transform(part, dtype)), predicted(tmp_path / "model.onnx", part)
        assert_near(found["probabilities"], outputs, 20)
        expected = learned.decode_prediction(outputs)
        assert found["label_"].tolist() == (expected.astype(int) if target == "grade" else expected).tolist()
    found = predicted(tmp_path / "model.onnx", table.rows(slice(0, 0)))
    assert found["probabilities"].shape == (0, len(learned.classes))


def test_texts_that_did_not_occur_in_training_are_zeros_and_missing_numbers_stay_missing(tmp_path):
    net, learned, table = prepared("side")
    net.to_onnx(tmp_path / "model.onnx")
    table = table._replace(features=COLUMNS | {"colour": np.array(["red", "pink", "", "Red"] * 30, object)})
    outputs = net.predict(learned.transform(table, "float32"))
    assert_near(predicted(tmp_path / "model.onnx", table)["probabilities"], outputs, 20)
    table = table._replace(features=COLUMNS | {"x": np.where(X < 0, np.nan, X)})
    missing = np.isnan(predicted(tmp_path / "model.onnx", table)["probabilities"])
    np.testing.assert_array_equal(missing, np.stack([X < 0, X < 0], axis=1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("target", "outputs"), [("height", 1), ("height", 2), ("date", 1)])
def test_numbers_are_predicted_in_the_units_of_the_target(tmp_path, target, outputs, dtype):
    net, learned, table = prepared(target, dtype, outputs)
    exported(net, tmp_path / "model.onnx")
    found = predicted(tmp_path / "model.onnx", table)["prediction"]
    expected = learned.decode_prediction(net.predict(learned.transform(table, dtype)))[:, None]
    assert found.dtype == ("float64" if target == "date" else dtype)
    rounding = np.finfo(found.dtype).eps * np.abs(expected).max()
    assert np.abs(found - expected).max() <= 20 * learned.target_scale * np.finfo(dtype).eps + rounding


def test_a_model_of_train_can_be_written_without_its_columns(tmp_path):
    net, learned, table = prepared("side")
    graph = exported(net, tmp_path / "net.onnx", preprocessing=False)
    assert [value.name for value in (*graph.input, *graph.output)] == ["X", "Y"]
    inputs = learned.transform(table, "float32")
    assert_near(computed(tmp_path / "net.onnx", {"X": inputs})["Y"], net.predict(inputs), 20)


def test_the_command_line_writes_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    net, learned, table = prepared("side")
    net.save("model.safetensors")
    assert main(["export", "model.safetensors", "model.onnx"]) == 0
    assert capsys.readouterr().out.split() == ["written", "model.onnx"]
    outputs = net.predict(learned.transform(table, "float32"))
    assert_near(predicted("model.onnx", table)["probabilities"], outputs, 20)


# ------------------------------------------------------------------------------------------------------------ refusals


def test_custom_activations_are_refused_by_name(tmp_path):
    register_activation("cube", value=lambda z: z * z * z, derivative=lambda z: 3 * z * z)
    with pytest.raises(ValueError, match="activation 'cube' has no ONNX operators; accepted: threshold, sigmoid,"):
        MLP([2, 3, 1], "cube").to_onnx(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damaged", [None, {}, {"columns": {"x": 1}}, {"columns": {"x": {"mean": 0.0, "scale": 1.0}}}])
def test_a_damaged_preprocessing_is_refused(tmp_path, damaged):
    net, _, _ = prepared("side")
    net.metadata["preprocessing"] = net.metadata["preprocessing"] | damaged if damaged else damaged
    with pytest.raises(ValueError, match=r"^preprocessing (has|makes|cannot)"):
        net.to_onnx(tmp_path / "net.onnx")
    net.to_onnx(tmp_path / "net.onnx", preprocessing=False)


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    for name in "onnx", "onnx_reader":
        monkeypatch.delitem(sys.modules, f"fastmlp.export.{name}", raising=False)
        monkeypatch.delattr(fastmlp.export, name, raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    for use in (MLP([1, 1]).to_onnx, MLP.from_onnx):
        with pytest.raises(ImportError, match=r"need the package onnx: pip install 'fastmlp\[onnx\]'"):
            use(tmp_path / "net.onnx")


def test_more_parameters_than_a_file_holds_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MOST_BYTES", 100)
    with pytest.raises(ValueError, match="net has 52 bytes of parameters; accepted: 50"):
        MLP([2, 3, 1]).to_onnx(tmp_path / "net.onnx")
