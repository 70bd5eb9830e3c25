"""ONNX files: what onnxruntime computes from them, and networks read from ONNX files of others."""

import re
import sys
import warnings

import numpy as np
import pytest

import fastmlp.export
from fastmlp import MLP, ModelFileError, register_activation
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
    assert [value.name for value in graph.output] == ["label_2", "probabilities"]  # a column is called "label"
    for rows in 120, 1:
        part = table.rows(slice(0, rows))
        outputs, found = net.predict(learned.transform(part, dtype)), predicted(tmp_path / "model.onnx", part)
        assert_near(found["probabilities"], outputs, 20)
        expected = learned.decode_prediction(outputs)
        assert found["label_2"].tolist() == (expected.astype(int) if target == "grade" else expected).tolist()
    found = predicted(tmp_path / "model.onnx", table.rows(slice(0, 0)))
    assert found["probabilities"].shape == (0, len(learned.classes))


def test_texts_that_did_not_occur_in_training_are_zeros(tmp_path):
    net, learned, table = prepared("side")
    net.to_onnx(tmp_path / "model.onnx")
    table = table._replace(features=COLUMNS | {"colour": np.array(["red", "pink", "", "Red"] * 30, object)})
    outputs = net.predict(learned.transform(table, "float32"))
    assert_near(predicted(tmp_path / "model.onnx", table)["probabilities"], outputs, 20)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("in_training", [False, True])
def test_missing_values_are_imputed_and_indicated_as_in_training(tmp_path, dtype, in_training):
    lacking = {name: np.where(X < 0, np.nan, COLUMNS[name]) for name in ("x", "seconds")}
    lacking["colour"] = np.where(X > 0.5, None, COLOURS)
    table = Table("table", COLUMNS | lacking, TARGETS["height"], "height", "regression")
    learned = Preprocessing.fit(table if in_training else table._replace(features=COLUMNS))
    assert learned.with_missing == (["x", "seconds", "colour"] if in_training else [])
    net = randomized(MLP([learned.n_inputs, 8, 1], "tanh", dtype=dtype))
    net.metadata["preprocessing"] = learned.to_dict()
    exported(net, tmp_path / "model.onnx")
    expected = net.predict(learned.transform(table, dtype))
    texts = table._replace(features=table.features | {"colour": np.where(X > 0.5, "", COLOURS)})
    found = predicted(tmp_path / "model.onnx", texts)["prediction"]
    assert_near((found - learned.target_mean) / learned.target_scale, expected, 50)


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


# ---------------------------------------------------------------------------------------------------- files of others

CONSTANTS = {
    "W": np.arange(6, dtype="float32").reshape(2, 3) / 4,
    "b": np.array([0.5, -1, 2], "float32"),
    "V": np.array([[1], [-2], [0.5]], "float32"),
    "minus": np.array([-1], "float32"),
    "yes": np.array(True),
    "wide": np.eye(3),
    "half": np.eye(3, dtype="float16"),
} | {str(n): np.array(n, "float32") for n in (0.5, 1, 2, 20, 1.4142135)}
CONSTANTS["T"], CONSTANTS["row"] = CONSTANTS["W"].T.copy(), CONSTANTS["b"][None]


def graph_of(nodes, opset=17, inputs="X", outputs="Y"):
    """Model of nodes such as "H = Gemm <transB=1> (X, T, b)", one a line, with CONSTANTS."""
    described = [", ".join(f"float[N,M] {name}" for name in names) for names in (inputs, outputs)]
    head = f'<ir_version: 8, opset_import: ["" : {opset}, "own" : 1]> g ({described[0]}) => ({described[1]})'
    for name in CONSTANTS:  # the parser takes no numbers as names
        nodes = re.sub(rf"\[{re.escape(name)}\]", f"c{list(CONSTANTS).index(name)}", nodes)
    model = onnx.parser.parse_model(f"{head} {{ {nodes} }}")
    for number, array in enumerate(CONSTANTS.values()):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, f"c{number}"))
    return model


READ = {
    "Gemm": ("Y = Gemm (X, [W], [b])", ["identity"]),
    "no biases": ("Y = Gemm (X, [W])", ["identity"]),
    "transposed": ("H = Gemm <alpha=1.0, beta=1.0, transB=1> (X, [T], [b]) Y = Relu (H)", ["relu"]),
    "a row of biases": ("H = Gemm (X, [W], [row]) Y = Exp (H)", ["exp"]),
    "one bias": ("H = Gemm (X, [W], [minus]) Y = Tanh (H)", ["tanh"]),
    "MatMul": ("H = MatMul (X, [W]) Y = Elu <alpha=1.0> (H)", ["elu"]),
    "Add": ("M = MatMul (X, [W]) H = Add (M, [b]) Y = LeakyRelu (H)", ["leaky_relu"]),
    "Add before": ("M = MatMul (X, [W]) H = Add ([b], M) Y = Selu (H)", ["selu"]),
    "biases in one layer": ("H = MatMul (X, [W]) Y = Gemm (H, [V], [minus])", ["identity", "identity"]),
    "softmax": ("H = Gemm (X, [W], [b]) Y = Softmax (H)", ["softmax"]),
    "softmax of columns": ("H = Gemm (X, [W], [b]) Y = Softmax <axis=1> (H)", ["softmax"]),
    "nodes that do nothing": (
        "F = Flatten <axis=1> (X) C = Cast <to=1> (F) M = MatMul (C, [W]) I = Identity (M) H = Add (I, [b]) "
        "D = Dropout (H) R = Relu (D) Y = Identity (R)",
        ["relu"],
    ),
    "weights that are computed": ("W = Transpose <perm=[1, 0]> ([T]) I = Identity (W) Y = MatMul (X, I)", ["identity"]),
    "a Constant": ("B = Constant <value=float[3] {1.0, 2.0, 3.0}> () Y = Gemm (X, [W], B)", ["identity"]),
    "a Constant number": ("B = Constant <value_float=2.0> () Y = Gemm (X, [W], B)", ["identity"]),
    "silu": ("H = Gemm (X, [W], [b]) S = Sigmoid (H) Y = Mul (S, H)", ["silu"]),
    "two layers of silu": (
        "H = MatMul (X, [W]) S = Sigmoid (H) A = Mul (S, H) G = MatMul (A, [V]) T = Sigmoid (G) Y = Mul (G, T)",
        ["silu", "silu"],
    ),
    "gelu of PyTorch": (
        "H = Gemm (X, [W], [b]) D = Div (H, [1.4142135]) E = Erf (D) A = Add (E, [1]) M = Mul (H, A) "
        "Y = Mul (M, [0.5])",
        ["gelu"],
    ),
    "newer gelu of PyTorch": (
        "H = Gemm (X, [W], [b]) D = Div (H, [1.4142135]) E = Erf (D) A = Add (E, [1]) M = Mul ([0.5], A) "
        "Y = Mul (H, M)",
        ["gelu"],
    ),
    "newer softplus of PyTorch": (
        "H = Gemm (X, [W], [b]) S = Softplus (H) G = Greater (H, [20]) Y = Where (G, H, S)",
        ["softplus"],
    ),
    "mish": ("H = Gemm (X, [W], [b]) S = Softplus (H) T = Tanh (S) Y = Mul (H, T)", ["mish"]),
    "hard_swish": ("H = Gemm (X, [W], [b]) Y = HardSwish (H)", ["hard_swish"]),
    "softsign of PyTorch": ("H = Gemm (X, [W], [b]) A = Abs (H) B = Add (A, [1]) Y = Div (H, B)", ["softsign"]),
    "Gelu": ("H = Gemm (X, [W], [b]) Y = Gelu (H)", ["gelu"]),
    "Mish": ("H = Gemm (X, [W], [b]) Y = Mish (H)", ["mish"]),
}


@pytest.mark.parametrize("name", READ)
def test_chains_of_layers_are_read(tmp_path, name):
    nodes, activations = READ[name]
    model = graph_of(nodes, 20 if name in ("Gelu", "Mish") else 17)
    onnx.save(model, tmp_path / "net.onnx")
    net = MLP.from_onnx(model)
    assert net.activations == tuple(activations)
    assert MLP.from_onnx(str(tmp_path / "net.onnx")).params.tobytes() == net.params.tobytes()
    inputs = np.random.default_rng(0).normal(size=(9, 2)).astype("float32")
    assert_near(net.predict(inputs), computed(tmp_path / "net.onnx", {"X": inputs})["Y"], 20)


REFUSED = {
    "another operator": ("Y = Sin (X)", "node 'Y' is Sin; accepted: Gemm, MatMul, Add,"),
    "after a layer": ("H = MatMul (X, [W]) Y = Cos (H)", "node 'Y' is Cos; accepted"),
    "an own operator": ("H = MatMul (X, [W]) Y = own.Relu (H)", r"node 'Y' is own\.Relu; accepted"),
    "scaled": ("Y = Gemm <alpha=0.5> (X, [W])", r"node 'Y' is Gemm\(alpha=0.5\); accepted: alpha=1, beta=1, transA=0"),
    "transposed inputs": ("Y = Gemm <transA=1> (X, [W])", "accepted: alpha=1, beta=1, transA=0"),
    "another slope": ("H = MatMul (X, [W]) Y = LeakyRelu <alpha=0.2> (H)", r"is LeakyRelu\(alpha=0.2"),
    "another alpha": ("H = MatMul (X, [W]) Y = Elu <alpha=2.0> (H)", r"is Elu\(alpha=2.0\)"),
    "softmax of rows": ("H = MatMul (X, [W]) Y = Softmax <axis=0> (H)", r"is Softmax\(axis=0\)"),
    "softmax inside": (
        "H = MatMul (X, [W]) S = Softmax (H) Y = MatMul (S, [V])",
        r"node 'S' is Softmax; accepted: a softmax after the last layer",
    ),
    "nearly silu": ("H = MatMul (X, [W]) T = Tanh (H) S = Sigmoid (T) Y = Mul (S, H)", "node 'Y' is Mul"),
    "nearly gelu": (
        "H = MatMul (X, [W]) D = Div (H, [2]) E = Erf (D) A = Add (E, [1]) M = Mul (H, A) Y = Mul (M, [0.5])",
        "node 'Y' is Mul",
    ),
    "weights that are no constant": ("Y = MatMul (X, X)", "node 'Y' is MatMul; accepted: one whose second factor is a"),
    "weights that are no matrix": ("Y = MatMul (X, [b])", "accepted: one whose second factor is a constant matrix"),
    "biases that are no constant": ("M = MatMul (X, [W]) Y = Add (M, M)", "node 'Y' is Add"),
    "biases of rows": ("Y = Gemm (X, [W], [W])", "accepted: one whose sums with a constant have one number for each"),
    "inputs that are added to": ("A = Add (X, [minus]) Y = MatMul (A, [W])", "node 'A' is Add"),
    "no layer": ("Y = Identity (X)", "the model has no layer; accepted: Gemm, MatMul, Add"),
    "a constant": ("Y = Relu ([b])", "'c1' is no result of a layer"),
    "flattened to one row": (
        "F = Flatten <axis=0> (X) Y = MatMul (F, [W])",
        r"is Flatten\(axis=0\); accepted: with axis 1",
    ),
    "dropout in training": (
        "H = MatMul (X, [W]) Y = Dropout (H, , [yes])",
        "accepted: a Dropout whose training_mode is",
    ),
    "Cast that loses digits": (
        "C = Cast <to=10> (X) D = Cast <to=1> (C) Y = MatMul (D, [W])",
        "casts to float32 or float64",
    ),
    "sizes that do not fit": ("H = MatMul (X, [W]) Y = MatMul (H, [W])", "layer 2 has 2 inputs; accepted: 3"),
    "dtypes that differ": ("H = MatMul (X, [W]) Y = MatMul (H, [wide])", "parameters are float32 and float64"),
    "a circle": (
        "H = MatMul (X, [W]) A = Relu (B) B = Identity (A) Y = Add (B, H)",
        "node 'A' is Relu; accepted: nodes in",
    ),
    "float16": ("Y = MatMul (X, [half])", "parameters are float16; accepted: float32 or float64"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_graphs_are_refused_in_a_line_that_names_the_node(name):
    nodes, message = REFUSED[name]
    with pytest.raises(ModelFileError, match=message) as caught:
        MLP.from_onnx(graph_of(nodes))
    assert str(caught.value).isprintable()


def test_other_inputs_and_outputs_are_refused(tmp_path):
    with pytest.raises(ModelFileError, match="the model has the inputs A, B, and outputs Y; accepted: one of each"):
        MLP.from_onnx(graph_of("S = Add (A, B) Y = MatMul (S, [W])", inputs="AB"))
    prepared("side")[0].to_onnx(tmp_path / "net.onnx")
    with pytest.raises(
        ModelFileError, match=r"net\.onnx has the inputs x, label, seconds, y, true, colour, and outputs"
    ):
        MLP.from_onnx(tmp_path / "net.onnx")


def test_other_sources_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"source is a bytes; accepted: the path of an ONNX file, or onnx\.ModelProto"):
        MLP.from_onnx(b"")
    with pytest.raises(FileNotFoundError, match="no ONNX file"):
        MLP.from_onnx(tmp_path / "net.onnx")
    randomized(MLP([3, 4, 1])).to_onnx(tmp_path / "net.onnx")
    content = (tmp_path / "net.onnx").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(content[: rng.integers(len(content))] if rng.random() < 0.3 else content)
        for position in rng.integers(0, max(len(damaged), 1), 3) if damaged else []:
            damaged[position] = rng.integers(256)
        (tmp_path / "net.onnx").write_bytes(damaged)
        try:
            MLP.from_onnx(tmp_path / "net.onnx")
        except ModelFileError as error:
            assert str(error).isprintable()  # noqa: PT017


def test_files_of_pytorch_are_read(tmp_path):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 5), nn.GELU(), nn.Dropout(), nn.Linear(5, 3, bias=False), nn.Softmax(-1)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no further package is deprecated
        torch.onnx.export(
            module.eval(), (torch.zeros(2, 4),), str(tmp_path / "net.onnx"), opset_version=17, dynamo=False
        )
    net, same = MLP.from_onnx(tmp_path / "net.onnx"), MLP.from_torch(module)
    assert net.config() == same.config()
    assert net.params.tobytes() == same.params.tobytes()


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
