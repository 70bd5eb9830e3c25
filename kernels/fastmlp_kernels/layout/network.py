"""A network as plain arrays: the table of its layers, and its weights packed for the products."""

import functools
from typing import NamedTuple

import numpy as np

from ..functions.activation_table import JETS, SLOPES, SOFTMAX, VALUES, activation_address, activation_code
from ..jit import SOURCES, allocating, inlined, njit
from ..memory import aligned
from ..tile.operations import WIDTH_BYTES, load_columns, panel_width, store
from .panels import Matrix, all_finite, element, panel_at, panels_of, row_at, unpack_rows

# One record a layer. Packed weights are the layer's augmented matrix: row 0 the biases, the rest the weights.
LAYER = np.dtype(
    [
        ("n_in", np.int64),
        ("n_out", np.int64),
        ("bias", np.int64),  # rows of biases in the flat parameters: 1 or 0
        ("params", np.int64),  # offset of the first row in the flat parameters
        ("weights", np.int64),  # offset of the augmented matrix in `weights`: panels of n_in + 1 rows
        ("transposed", np.int64),  # offset of its transpose in `transposed`: panels of n_out rows; -1: not kept
        ("inputs", np.int64),  # first panel of the layer's inputs in a block's activations
        ("outputs", np.int64),  # first panel of its outputs there
        ("deltas", np.int64),  # first panel of its error signal in a block's deltas
        ("values", np.int64),  # address of the activation; 0: none (identity, softmax)
        ("slopes", np.int64),  # address of the activation with its derivative; 0: none (softmax)
        ("jets", np.int64),  # address of the activation with its first three derivatives; 0: none (softmax)
        ("dropout", np.float64),  # share of the units that training drops
        ("seed", np.int64),  # of the random numbers that choose them
        # Not used, but part of the type. Numba keeps the machine code of a user's function by its file and the types of
        # its arguments: so it is compiled anew for a network of other kernels.
        (f"sources_{SOURCES}", np.int64),
    ],
    align=True,
)


class Network(NamedTuple):
    """What the kernels know of a network.

    Attributes
    ----------
    layers : (L,) record array of LAYER
    weights : 1-D array
        Every layer's augmented matrix in panels, columns padded with zeros.
    transposed : 1-D array
        The transposed weights, in panels, for the way back, of the layers that they are kept of (see `build`).
    softmax : bool
        Whether the outputs are a softmax.
    """

    layers: np.ndarray
    weights: np.ndarray
    transposed: np.ndarray
    softmax: bool


@allocating
def lay_out(layers, sizes, codes, bias, transposed_from, itemsize):
    """Fill in the table of the layers; returns how many numbers (packed weights, transposed weights) there are."""
    width = WIDTH_BYTES // itemsize
    params, weights, transposed, before = 0, 0, 0, 0
    for l in range(len(layers)):
        layer, n_in, n_out = layers[l], sizes[l], sizes[l + 1]
        panels, input_panels, kept = (n_out + width - 1) // width, (n_in + width - 1) // width, l >= transposed_from
        layer.n_in, layer.n_out, layer.bias = n_in, n_out, bias
        layer.params, layer.weights, layer.transposed = params, weights, transposed if kept else -1
        layer.inputs, layer.outputs = before, before + input_panels
        layer.deltas = before + input_panels - (sizes[0] + width - 1) // width
        layer.values = activation_address(codes[l], itemsize, VALUES)
        layer.slopes = activation_address(codes[l], itemsize, SLOPES)
        layer.jets = activation_address(codes[l], itemsize, JETS)
        layer.dropout, layer.seed = 0.0, 0
        params += (n_in + bias) * n_out
        weights += (n_in + 1) * panels * width
        transposed += n_out * input_panels * width if kept else 0
        before += input_panels
    return weights, transposed


def build(sizes, dtype, bias=True, codes=None, transposed_from=1):
    """An empty network.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer, inputs first.
    dtype : float32 or float64
    bias : bool
        Whether the flat parameters hold a row of biases for each layer.
    codes : sequence of int, optional
        Each layer's activation (see `codes`); the identity by default.
    transposed_from : int
        First layer, counted from 0, whose transposed weights are kept: 0 for derivatives with respect to the inputs, 1
        to train, the number of layers to predict only.

    Returns
    -------
    Network
        All weights zero. Flat parameters hold layer after layer, row-major: biases first, then weights.
    """
    codes = codes or [activation_code("identity", dtype)] * (len(sizes) - 1)
    layers, counts = _laid_out(tuple(sizes), np.dtype(dtype).itemsize, bias, tuple(codes), transposed_from)
    return Network(layers.copy(), *(aligned(count, dtype, 0) for count in counts), codes[-1] == SOFTMAX)


@functools.lru_cache
def _laid_out(sizes, itemsize, bias, codes, transposed_from):
    """What networks of the same layers share: (their table, how many weights they have)."""
    layers = np.recarray(len(sizes) - 1, LAYER)
    return layers, lay_out(layers, sizes, codes, bias, transposed_from, itemsize)


@allocating
def set_dropout(network, rates, seed):
    """Have training drop units of the hidden layers (see `dropout`).

    Parameters
    ----------
    network : Network
    rates : sequence of float; for each hidden layer the share that is dropped, from 0 on, less than 1
    seed : int; of the random numbers; the lowest 32 bits count
    """
    for l in range(len(network.layers) - 1):
        network.layers[l]["dropout"] = rates[l]
        network.layers[l]["seed"] = seed


def sizes(network):
    """Units of each layer, inputs first: a list. (Tables made in compiled code have no attributes in Python.)"""
    return [int(network.layers["n_in"][0]), *map(int, network.layers["n_out"])]


@allocating
def parameter_count(network):
    """How many flat parameters a network has (see `pack` and `unpack`)."""
    last = network.layers[len(network.layers) - 1]
    return last["params"] + (last["n_in"] + last["bias"]) * last["n_out"]


@inlined
def output_layer(network):
    """The last layer's record."""
    return network.layers[len(network.layers) - 1]


# The matrices of a layer. What belongs to a block of samples lies in `activations` or `deltas`, 1-D arrays in which
# each panel has room for `block_rows` rows.


@inlined
def inputs_of(layer, activations, block_rows):
    """The inputs of a layer: the activations of the layer before."""
    return panel_at(Matrix(activations, 0, block_rows), layer.inputs)


@inlined
def outputs_of(layer, activations, block_rows):
    """The activations of a layer."""
    return panel_at(Matrix(activations, 0, block_rows), layer.outputs)


@inlined
def deltas_of(layer, deltas, block_rows):
    """The error signals of a layer; before them, its slopes or net inputs."""
    return panel_at(Matrix(deltas, 0, block_rows), layer.deltas)


@inlined
def biases_of(layer, weights):
    """The biases of a layer, the first row of each of its panels of `weights`; or of what is packed like these."""
    return Matrix(weights, layer.weights, layer.n_in + 1)


@inlined
def weights_of(layer, weights):
    """The weights of a layer, (n_in, n_out), without its biases."""
    return Matrix(weights, layer.weights + panel_width(weights), layer.n_in + 1)


@inlined
def transposed_of(layer, transposed):
    """The transposed weights of a layer, (n_out, n_in)."""
    return Matrix(transposed, layer.transposed, layer.n_out)


@njit
def transpose(network, l, column, first, last):
    """Copy weight rows first..last of the panel at `column` of layer `l` to the transposed weights."""
    layer, width = network.layers[l], panel_width(network.weights)
    weights, transposed = weights_of(layer, network.weights), transposed_of(layer, network.transposed)
    source = panel_at(weights, column // width)
    for q in range(first // width * width, last, width):
        for c in range(min(width, layer.n_out - column)):
            target = element(transposed, column + c, q)
            for i in range(max(first - q, 0), min(width, last - q)):
                network.transposed[target + i] = network.weights[row_at(source, q + i) + c]


@njit
def pack(network, params):
    """Copy flat parameters into the packed weights, and their transposes.

    Flat parameters are (n_params,): layer after layer, its biases first, then its weights row by row.
    """
    width = panel_width(network.weights)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        augmented, without = biases_of(layer, network.weights), 1 - layer.bias
        for i in range(layer.bias + layer.n_in):
            source = layer.params + i * layer.n_out
            for p in range(panels_of(layer.n_out, network.weights)):
                values = load_columns(params, source + p * width, layer.n_out - p * width)
                store(values, network.weights, row_at(panel_at(augmented, p), without + i), width)
        if layer.transposed >= 0:
            for column in range(0, layer.n_out, width):
                transpose(network, l, column, 0, layer.n_in)


@njit
def unpack(params, network, weights):
    """Copy `weights`, packed like those of `network` (weights, gradients, an optimizer's state), to flat parameters."""
    for l in range(len(network.layers)):
        layer = network.layers[l]
        rows, start = layer.bias + layer.n_in, element(biases_of(layer, weights), 1 - layer.bias, 0)
        matrix = params[layer.params : layer.params + rows * layer.n_out].reshape(rows, layer.n_out)
        unpack_rows(matrix, 0, weights[start:], rows, layer.n_in + 1)


@njit
def nonfinite_layer(network):
    """The first layer, counted from 1, that has a weight or bias which is not finite; 0 if there is none."""
    for l in range(len(network.layers)):
        layer = network.layers[l]
        if not all_finite(network.weights[layer.weights :], layer.n_out, layer.n_in + 1, layer.n_in + 1):
            return l + 1
    return 0
