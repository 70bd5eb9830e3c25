"""Networks from ONNX files: a chain of layers is followed from the output back to the input."""

import os
from itertools import permutations
from pathlib import Path

import numpy as np

from fastmlp.export import package
from fastmlp.export.assembly import assembled, check_layers
from fastmlp.export.formulas import FORMULAS, Op, Z
from fastmlp.files import ModelFileError

onnx = package("onnx", "ONNX files", "'fastmlp[onnx]'")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

LAYERS = "Gemm, MatMul, Add, Flatten, Identity, Cast, Dropout, and activations of fastmlp"
COMMUTATIVE = {"Add", "Mul", "Max", "Min"}


def load(source, network):
    """Read a network from an ONNX file (see `MLP.from_onnx`).

    Parameters
    ----------
    source : str, path or onnx.ModelProto
    network : type
        MLP or a subclass: the class of the result.

    Returns
    -------
    MLP
    """
    model, name = source, "the model"
    if isinstance(source, str | os.PathLike):
        model, name = _read(Path(source)), str(source)
    elif not isinstance(source, onnx.ModelProto):
        raise TypeError(f"source is a {type(source).__name__}; accepted: the path of an ONNX file, or onnx.ModelProto")
    try:
        return Chain(model.graph, name).network(network)
    except ModelFileError:
        raise
    except Exception as error:  # of many types, for damaged tensors too
        raise ModelFileError(f"{name} cannot be used: {' '.join(str(error).split())}") from None


def _read(path):
    if not path.is_file():
        raise FileNotFoundError(f"no ONNX file {path}")
    try:
        return onnx.load(path)
    except OSError:
        raise
    except Exception as error:  # of Protocol Buffers, and of tensors in other files
        raise ModelFileError(f"{path} cannot be read as an ONNX file: {' '.join(str(error).split())}") from None


class Chain:
    """Chain of layers in a graph, read from the output to the input.

    Attributes
    ----------
    name : str; of the file, for messages
    """

    def __init__(self, graph, name):
        self.name = name
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._makers = {node.output[0]: node for node in graph.node if node.output}
        positions = {name: position for position, node in enumerate(graph.node) for name in node.output}
        for position, node in enumerate(graph.node):  # so that following inputs comes to an end
            if any(positions.get(value, -1) >= position for value in node.input):
                raise self._refusal(node, "nodes in the order of computation")
        self._inputs = [value.name for value in graph.input if value.name not in self._tensors]
        self._outputs = [value.name for value in graph.output]
        self._casts = []  # that were left out

    def network(self, kind):
        """Return the network, of class `kind`."""
        if not len(self._inputs) == len(self._outputs) == 1:
            shown = f"inputs {', '.join(self._inputs)}, and outputs {', '.join(self._outputs)}"
            raise ModelFileError(f"{self.name} has the {shown}; accepted: one of each")
        weights, biases, activations = [], [], []
        value = self._past(self._outputs[0])
        while value != self._inputs[0]:
            last, (activation, value) = self._makers.get(value), self._activation(value)
            if activation == "softmax" and weights:
                raise self._refusal(last, "a softmax after the last layer")
            layer_weights, layer_biases, value = self._layer(self._past(value))
            weights.insert(0, layer_weights)
            biases.insert(0, layer_biases)
            activations.insert(0, activation)
            value = self._past(value)
        if not weights:
            raise ModelFileError(f"{self.name} has no layer; accepted: {LAYERS}")
        check_layers(weights, biases)
        net = assembled(kind, weights, biases, activations)
        for node in self._casts:
            if helper.tensor_dtype_to_np_dtype(_attributes(node)["to"]) not in (net.dtype, np.float64):
                raise self._refusal(node, f"casts to {net.dtype} or float64")
        return net

    def _past(self, value):
        """Return the value before all nodes that give `value` and change nothing."""
        while node := self._makers.get(value):
            kind, attributes = _kind(node), _attributes(node)
            if kind not in ("Cast", "Dropout", "Flatten", "Identity"):
                break
            if attributes.get("axis", 1) != 1:
                raise self._refusal(node, "with axis 1")
            if kind == "Dropout" and len(node.input) > 2 and self._constant(node.input[2]) != np.False_:
                raise self._refusal(node, "a Dropout whose training_mode is the constant False")
            self._casts += [node] * (kind == "Cast")
            value = node.input[0]
        return value

    def _activation(self, value):
        """Return the activation that gives `value`, and the name of its net input: (str, str)."""
        for name, formulas in FORMULAS.items():
            for formula in formulas:
                for z in sorted(self._net_inputs(formula, value, None)):
                    return name, z
        raise AssertionError("any value is the identity of itself")

    def _net_inputs(self, formula, value, z):
        """Return all values of which a formula gives `value`, a set; or of these only `z`, unless it is None."""
        if formula == Z:
            return {value} if z in (None, value) else set()
        if not isinstance(formula, Op):
            number = self._constant(value)
            return {z} if number is not None and number.size == 1 and _same(number.item(), formula) else set()
        node, defaults = self._makers.get(value), dict(formula.attributes)
        if node is None or _kind(node) != formula.kind or len(node.input) != len(formula.inputs):
            return set()
        if not all(_same(given, defaults.get(name)) for name, given in _attributes(node).items()):
            return set()
        found = set()
        for values in permutations(node.input) if formula.kind in COMMUTATIVE else [node.input]:
            candidates = {z}
            for part, part_value in zip(formula.inputs, values, strict=True):
                candidates = set().union(*(self._net_inputs(part, part_value, one) for one in candidates))
            found |= candidates
        return found

    def _layer(self, value):
        """Return weights (n_in, n_out), biases (n_out,) or None, and the name of the inputs of the layer `value`."""
        node = self._makers.get(value)
        if node is None:
            raise ModelFileError(f"{self.name}: {value!r} is no result of a layer; accepted: {LAYERS}")
        if _kind(node) == "Gemm":
            return self._gemm(node)
        if _kind(node) == "MatMul":
            return self._product(node, node.input[1]), None, node.input[0]
        if _kind(node) == "Add":
            for biases, product in permutations(node.input):
                inner = self._makers.get(self._past(product))
                if self._constant(biases) is not None and inner and _kind(inner) == "MatMul":
                    weights = self._product(inner, inner.input[1])
                    return weights, self._biases(node, biases, weights), inner.input[0]
        raise self._refusal(node, LAYERS)

    def _gemm(self, node):
        attributes = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0} | _attributes(node)
        if (attributes["alpha"], attributes["beta"], attributes["transA"]) != (1.0, 1.0, 0):
            raise self._refusal(node, "alpha=1, beta=1, transA=0")
        weights = self._product(node, node.input[1], attributes["transB"])
        biases = node.input[2] if len(node.input) > 2 and node.input[2] else None
        return weights, biases and self._biases(node, biases, weights), node.input[0]

    def _product(self, node, value, transposed=False):
        """Return the weights (n_in, n_out) of a product, from the value of its second factor."""
        weights = self._constant(value)
        if weights is None or weights.ndim != 2:
            raise self._refusal(node, "one whose second factor is a constant matrix")
        return weights.T if transposed else weights

    def _biases(self, node, value, weights):
        biases = self._constant(value)
        if biases is None or biases.size not in (1, weights.shape[1]):
            raise self._refusal(node, "one whose sums with a constant have one number for each unit")
        return np.broadcast_to(biases.reshape(-1), weights.shape[1:])

    def _constant(self, value):
        """Return the array of a constant value, or None if it is not constant."""
        if value in self._tensors:
            return numpy_helper.to_array(self._tensors[value])
        node = self._makers.get(value)
        if node is None:
            return None
        attributes = _attributes(node)
        if _kind(node) == "Constant":
            if "value" in attributes:
                return numpy_helper.to_array(attributes["value"])
            return np.float32(attributes["value_float"]) if "value_float" in attributes else None
        array = self._constant(node.input[0]) if _kind(node) in ("Identity", "Transpose") else None
        return array.transpose(attributes.get("perm")) if array is not None and _kind(node) == "Transpose" else array

    def _refusal(self, node, accepted):
        """Return the error for a node that is none of a network."""
        settings = ", ".join(f"{key}={value}" for key, value in _attributes(node).items() if np.ndim(value) == 0)
        said = f"{_kind(node)}({settings})" if settings else _kind(node)
        return ModelFileError(f"{self.name}: node {node.name or node.output[0]!r} is {said}; accepted: {accepted}")


def _kind(node):
    """Name of a node's operator, with its domain unless that is ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _attributes(node):
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def _same(number, expected):
    """Whether a number is the expected one, rounded to float32 as attributes are; or a text the expected text."""
    if isinstance(number, str) or isinstance(expected, str) or expected is None:
        return number == expected
    with np.errstate(over="ignore"):
        return np.float32(number) == np.float32(expected)
