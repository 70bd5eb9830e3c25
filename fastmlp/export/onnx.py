"""Networks as ONNX files, which ONNX Runtime and many other programs compute.

The graph of a network that `fastmlp train` made begins with the columns of the table and ends with the prediction, as
the converters for scikit-learn have it.
"""

from itertools import chain, count, groupby

import numpy as np

from fastmlp.export import package
from fastmlp.export.formulas import Op, formula
from fastmlp.replacing import replace
from fastmlp.scaling import Scaling, is_far
from fastmlp.tables.preprocessing import Preprocessing

onnx = package("onnx", "ONNX files", "'fastmlp[onnx]'")
helper = onnx.helper

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8  # of ONNX 1.12
ML = "ai.onnx.ml"  # domain of operators on columns
MOST_BYTES = 2**31 - 1  # of a file, by Protocol Buffers


def save(net, path, preprocessing=True):
    """Write a network to an ONNX file (see `MLP.to_onnx`)."""
    if net.params.nbytes > MOST_BYTES // 2:  # files hold the text of categories too
        raise ValueError(f"net has {net.params.nbytes:,} bytes of parameters; accepted: {MOST_BYTES // 2:,}")
    replace(path, model(net, preprocessing).SerializeToString())


def model(net, preprocessing=True):
    """Return the `onnx.ModelProto` of a network; for the arguments and errors see `MLP.to_onnx`."""
    formulas = [formula(activation, net.dtype) for activation in net.activations]
    graph = Graph(net.dtype)
    if preprocessing and "preprocessing" in net.metadata:
        learned = Preprocessing.of(net)
        outputs = _layers(graph, net, formulas, _inputs(graph, learned))
        (_classes if learned.classes else _number)(graph, learned, outputs)
    else:
        scaling = net.scaling or Scaling(0, 1)
        inputs = graph.input("X", _dtype(net.dtype, scaling.input_mean, scaling.input_scale), net.sizes[0])
        dtype = _dtype(net.dtype, scaling.output_mean, scaling.output_scale)
        graph.output("Y", _layers(graph, net, formulas, inputs, dtype), dtype, net.sizes[-1])
    return graph.model()


class Graph:
    """Graph in the making: nodes in the order of computation, and constants. A value is known by its name.

    Attributes
    ----------
    dtype : numpy.dtype; that of numbers in formulas
    """

    def __init__(self, dtype):
        self.dtype, self._names = dtype, {""}
        self._inputs, self._outputs, self._nodes, self._constants = [], [], [], []

    def input(self, name, dtype, columns=1):
        """Add an input (N, columns); return its name."""
        self._inputs.append(_described(self._unused(name), dtype, columns))
        return self._inputs[-1].name

    def output(self, name, value, dtype, *columns):
        """Make a value an output (N, *columns) under a name, or that with a number if an input has it."""
        name = self._unused(name)
        self._nodes.append(helper.make_node("Identity", [value], [name], name))
        self._outputs.append(_described(name, dtype, *columns))

    def constant(self, name, values):
        """Add an array, or a list of text, as a constant; return its name."""
        array = np.asarray(values)
        array = array if array.dtype.kind in "fi" else array.astype(object)
        self._constants.append(onnx.numpy_helper.from_array(array, self._unused(name)))
        return self._constants[-1].name

    def node(self, kind, *inputs, within="", domain="", **attributes):
        """Add an operator; return the name of its value, which is also the node's, and begins with `within`."""
        name = self._unused(f"{within}{kind}")
        self._nodes.append(helper.make_node(kind, inputs, [name], name, domain=domain, **attributes))
        return name

    def formula(self, formula, z, within):
        """Add a formula of the value `z`; return the name of its value. What occurs twice in it is computed once."""
        values = {}

        def add(term):
            if isinstance(term, Op) and term not in values:
                values[term] = self.node(term.kind, *map(add, term.inputs), within=within, **dict(term.attributes))
            elif isinstance(term, float) and term not in values:
                values[term] = self.constant(f"{within}{term:g}", self.dtype.type(term))
            return values.get(term, z)

        return add(formula)

    def model(self):
        """Return the graph as an `onnx.ModelProto`."""
        graph = helper.make_graph(self._nodes, "fastmlp", self._inputs, self._outputs, self._constants)
        versions = {node.domain: ML_OPSET if node.domain else OPSET for node in self._nodes}
        opsets = [helper.make_opsetid(*version) for version in versions.items()]
        return helper.make_model(graph, producer_name="fastmlp", ir_version=IR_VERSION, opset_imports=opsets)

    def _unused(self, name):
        """Return a name, with a number where it is taken."""
        names = chain([name], (f"{name}_{number}" for number in count(2)))
        found = next(name for name in names if name not in self._names)
        self._names.add(found)
        return found


def _described(name, dtype, *columns):
    """Description of an input or output (N, *columns) for any number N of rows; the dtype of text is "O"."""
    return helper.make_tensor_value_info(name, _element_type(dtype), ["N", *columns])


def _element_type(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def _layers(graph, net, formulas, value, dtype=None):
    """Add the layers of a network, with its scaling; return the name of its outputs, of `dtype` or the network's."""
    if net.scaling:
        value = _standardized(graph, value, net.scaling.input_mean, net.scaling.input_scale)
    for l, (weights, term) in enumerate(zip(net.weights, formulas, strict=True)):
        within = f"layer {l + 1}: "
        value = [value, graph.constant(f"weights.{l}", weights)]
        if net.bias:
            value = graph.node("Gemm", *value, graph.constant(f"biases.{l}", net.biases[l]), within=within)
        else:
            value = graph.node("MatMul", *value, within=within)
        value = graph.formula(term, value, within)
    if net.scaling and net.scaling.has_targets:
        value = _in_units(graph, value, net.scaling.output_mean, net.scaling.output_scale, dtype or graph.dtype)
    return value


def _inputs(graph, learned):
    """Add the columns of a table and what `Preprocessing.transform` does to them; return the name of the inputs (N, n).

    Numbers are standardized in float64, as there, neighboring columns at once.
    """
    dtypes = {
        name: np.dtype("O") if "categories" in column else _dtype(graph.dtype, column["mean"], column["scale"])
        for name, column in learned.columns.items()
    }
    columns = {name: graph.input(name, dtype) for name, dtype in dtypes.items()}
    parts = []
    for dtype, names in groupby(columns, dtypes.get):
        if dtype == "O":
            parts += [_one_hot(graph, columns[name], learned.columns[name]["categories"]) for name in names]
        else:
            names = list(names)
            values = _joined(graph, [columns[name] for name in names])
            mean, scale = ([learned.columns[name][key] for name in names] for key in ("mean", "scale"))
            values = _standardized(graph, values, mean, scale)
            zero = graph.constant("imputed", graph.dtype.type(0))  # the mean, standardized
            parts.append(graph.node("Where", graph.node("IsNaN", values), zero, values))
    return _joined(graph, [*parts, *_indicators(graph, learned, columns)])


def _indicators(graph, learned, columns):
    """Add an input for each column with missing values in training: 1 for NaN, or for an empty text.

    Where the empty text is a category, no text that occurs stands for a missing one.
    """
    for name in learned.with_missing:
        if "categories" in learned.columns[name]:
            yield _one_hot(graph, columns[name], ["\0" if "" in learned.columns[name]["categories"] else ""])
        else:
            yield graph.node("Cast", graph.node("IsNaN", columns[name]), to=_element_type(graph.dtype))


def _dtype(dtype, mean, scale):
    """Dtype for numbers that are scaled: that of the network, but float64 if float32 would lose too many digits."""
    return np.dtype("float64") if np.any(is_far(mean, scale)) else dtype


def _joined(graph, values):
    return graph.node("Concat", *values, axis=1) if len(values) > 1 else values[0]


def _standardized(graph, values, mean, scale):
    wide = graph.node("Cast", values, to=_element_type("float64"))
    centred = graph.node("Sub", wide, graph.constant("mean", np.array(mean, np.float64)))
    scaled = graph.node("Div", centred, graph.constant("scale", np.array(scale, np.float64)))
    return graph.node("Cast", scaled, to=_element_type(graph.dtype))


def _one_hot(graph, text, categories):
    """Add one input for each category of a column: all are 0 for a text that is none of them."""
    ones = graph.node("OneHotEncoder", text, domain=ML, cats_strings=categories, zeros=1)  # (N, 1, categories)
    return graph.node("Cast", graph.node("Flatten", ones, axis=1), to=_element_type(graph.dtype))


def _classes(graph, learned, outputs):
    """Add the outputs `label`, whole numbers or text, and `probabilities`: outputs of the network."""
    whole = all(map(_is_int64, learned.classes))
    classes = np.array(learned.classes, object).astype(np.int64 if whole else object)
    names = graph.constant("classes", classes)
    best = graph.node("ArgMax", outputs, axis=1, keepdims=0)
    graph.output("label", graph.node("Gather", names, best), classes.dtype)
    graph.output("probabilities", outputs, graph.dtype, len(classes))


def _is_int64(name):
    """Whether a text is a whole number of at most 18 digits, as Python writes it."""
    return len(name) < 19 and name.removeprefix("-").isdecimal() and str(int(name)) == name


def _number(graph, learned, outputs):
    """Add the output `prediction` (N, 1): the first output of the network, in the units of the target."""
    dtype = _dtype(graph.dtype, learned.target_mean, learned.target_scale)
    first = graph.node("Gather", outputs, graph.constant("first", np.array([0])), axis=1)
    graph.output("prediction", _in_units(graph, first, learned.target_mean, learned.target_scale, dtype), dtype, 1)


def _in_units(graph, values, mean, scale, dtype):
    """Add what turns scaled targets into numbers of `dtype` in their units; return the name of these."""
    wide = graph.node("Cast", values, to=_element_type("float64"))
    scaled = graph.node("Mul", wide, graph.constant("target scale", np.array(scale, np.float64)))
    moved = graph.node("Add", scaled, graph.constant("target mean", np.array(mean, np.float64)))
    return graph.node("Cast", moved, to=_element_type(dtype))
