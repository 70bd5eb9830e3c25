"""Networks as plain arrays: a table of layers, and the weights in panels, the layout that products read.

A panel is the columns of a matrix, `panel_width` at a time, stored row by row (see `panels`). Samples are worked on in
*blocks*, some rows of a batch, whose activations and error signals are kept in panels, too.

Parameters exist in two layouts. *Flat* parameters, a 1-D array as users and files have it, hold layer after layer, each
row-major: a row of biases (if the network has any), then the rows of weights. *Packed* weights hold each layer's
augmented matrix in panels (see `panels`): row 0 has the biases, or zeros, and row i + 1 the weights of input i.
Gradients and an optimizer's moments are packed in the same way, so that an element has the same offset in all of them.
`pack` and `unpack` copy from one layout to the other.
"""

import functools
from typing import NamedTuple

import numpy as np

from ..functions.activation_table import JETS, SLOPES, SOFTMAX, VALUES, activation_address, activation_code
from ..jit import SOURCES, by_class, compiled_by_callers, inlined, njit
from ..memory import aligned
from ..tile.bfloat16 import SIDE, SQUARE, square_memory
from ..tile.operations import WIDTH_BYTES, load_columns, panel_width, store
from .forms import store_square, transpose_square
from .panels import Matrix, all_finite, element, padded, panel_at, panels_of, row_at, unpack_rows

# One record a layer. Layers are counted from 0 here; activations of "layer 0 to L" count the inputs as layer 0.
LAYER = np.dtype(
    [
        ("n_in", np.int64),
        ("n_out", np.int64),
        ("bias", np.int64),  # number of rows of biases in the flat parameters: 1 or 0
        ("params", np.int64),  # offset of the first row in the flat parameters
        ("weights", np.int64),  # offset of the augmented matrix in `weights`: panels of n_in + 1 rows
        ("transposed", np.int64),  # offset of the transpose in `transposed`: panels of n_out rows; -1: not kept
        ("operand", np.int64),  # offset of the weights in `operand` of a MixedNetwork
        ("inputs", np.int64),  # number of the first panel of the layer's inputs in a block's activations
        ("outputs", np.int64),  # number of the first panel of its outputs there
        ("deltas", np.int64),  # number of the first panel of its error signals in a block's deltas
        ("values", np.int64),  # address of the activation; 0: none (identity, softmax)
        ("slopes", np.int64),  # address of the activation with its derivative; 0: none (softmax)
        ("jets", np.int64),  # address of the activation with its first three derivatives; 0: none (softmax)
        ("dropout", np.float64),  # share of the units that training drops
        ("seed", np.int64),  # seed of the random numbers that choose these units
        # Unused, but part of the type, with a hash of the kernels' sources in its name. Numba caches a user's function
        # by its file and the types of its arguments: with this, the function is compiled again if the sources change.
        (f"sources_{SOURCES}", np.int64),
    ],
    align=True,
)


class Network(NamedTuple):
    """Network as the kernels take it.

    Attributes
    ----------
    layers : (L,) record array of LAYER
    weights : 1-D array
        Packed weights: every layer's augmented matrix in panels, columns padded with zeros.
    transposed : 1-D array
        Transposed weights, without biases, in panels, which the backward products read; not of every layer (see
        `transposed_from` of `build`).
    softmax : bool
        Whether the outputs are a softmax.
    """

    layers: np.ndarray
    weights: np.ndarray
    transposed: np.ndarray
    softmax: bool


class MixedNetwork(NamedTuple):
    """Network of precision bf16-mixed: products have bfloat16 operands, but for a first layer of few inputs.

    Everything else is in float32, and as in a `Network`: the weights that are updated, biases, sums, activations.

    Attributes
    ----------
    layers, weights, softmax : see `Network`; the dtype is float32
    operand : 1-D uint16 array
        Weights as right operands (see `layout.forms`), which the forward products read.
    transposed : 1-D uint16 array
        Transposed weights as right operands, which the backward products read; of the same layers as in a `Network`.
    """

    layers: np.ndarray
    weights: np.ndarray
    transposed: np.ndarray
    softmax: bool
    operand: np.ndarray


@compiled_by_callers  # not a kernel: called by `build` in Python, by `embed.make` in users' compiled code (see `jit`)
def lay_out(layers, sizes, codes, bias, transposed_from, itemsize):
    """Fill in the table of layers, but for the operands (see `lay_out_operands`).

    Parameters
    ----------
    layers : (L,) record array of LAYER, written
    sizes : sequence of L + 1 int; units of each layer, inputs first
    codes : sequence of L int; activations (see `functions.activation_table`)
    bias, transposed_from : see `build`
    itemsize : int; bytes of an element

    Returns
    -------
    int
        Elements of the packed weights.
    """
    width, params, weights, input_panel = WIDTH_BYTES // itemsize, 0, 0, 0
    for l in range(len(layers)):
        layer, n_in, n_out = layers[l], sizes[l], sizes[l + 1]
        panels, input_panels = (n_out + width - 1) // width, (n_in + width - 1) // width
        layer.n_in, layer.n_out, layer.bias = n_in, n_out, bias
        layer.params, layer.weights, layer.transposed = params, weights, 0 if l >= transposed_from else -1
        layer.inputs, layer.outputs = input_panel, input_panel + input_panels
        layer.deltas = input_panel + input_panels - (sizes[0] + width - 1) // width
        layer.values = activation_address(codes[l], itemsize, VALUES)
        layer.slopes = activation_address(codes[l], itemsize, SLOPES)
        layer.jets = activation_address(codes[l], itemsize, JETS)
        layer.dropout, layer.seed = 0.0, 0
        params += (n_in + bias) * n_out
        weights += (n_in + 1) * panels * width
        input_panel += input_panels
    return weights


@compiled_by_callers
def lay_out_operands(layers, itemsize, multiple=1):
    """Fill in the offsets of transposed weights, where these are kept, and of operands in the table of layers.

    Parameters
    ----------
    layers : (L,) record array of LAYER, filled in by `lay_out`; written
    itemsize : int; bytes of an element of the weights
    multiple : int; number of which the rows of operands are a multiple: 1, or SQUARE for a MixedNetwork

    Returns
    -------
    transposed, operand : int
        Elements of the transposed weights, and of the weights as operands of a MixedNetwork.
    """
    width, transposed, operand = WIDTH_BYTES // itemsize, 0, 0
    for l in range(len(layers)):
        n_in, n_out = layers[l]["n_in"], layers[l]["n_out"]
        layers[l]["operand"] = operand
        operand += (n_in + multiple - 1) // multiple * multiple * ((n_out + width - 1) // width * width)
        if layers[l]["transposed"] >= 0:
            layers[l]["transposed"] = transposed
            transposed += (n_out + multiple - 1) // multiple * multiple * ((n_in + width - 1) // width * width)
    return transposed, operand


def build(sizes, dtype, bias=True, codes=None, transposed_from=1, mixed=False):
    """Make a network whose weights are all zero.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer, inputs first.
    dtype : float32 or float64
    bias : bool
        Whether the flat parameters hold a row of biases for each layer.
    codes : sequence of int, optional
        Each layer's activation (see `functions.activation_table.activation_code`); the identity by default.
    transposed_from : int
        First layer, counted from 0, whose transposed weights are kept: 0 for derivatives with respect to the inputs,
        1 for training, the number of layers if the network only predicts.
    mixed : bool
        Whether the operands of products are bfloat16, for which there must be an engine (see `tile.engines`).

    Returns
    -------
    Network, or MixedNetwork if `mixed`
    """
    codes = codes or [activation_code("identity", dtype)] * (len(sizes) - 1)
    layers, (weights, transposed, operand) = _laid_out(
        tuple(sizes), np.dtype(dtype).itemsize, bias, tuple(codes), transposed_from, SQUARE if mixed else 1
    )
    softmax = codes[-1] == SOFTMAX
    if mixed:
        forms = aligned(transposed, np.uint16, 0), softmax, aligned(operand, np.uint16, 0)
        return MixedNetwork(layers.copy(), aligned(weights, dtype, 0), *forms)
    return Network(layers.copy(), aligned(weights, dtype, 0), aligned(transposed, dtype, 0), softmax)


def copies_of_weights(network):
    """Arrays of a network that hold its weights, in whatever form: a list."""
    return [array for name, array in network._asdict().items() if name in ("weights", "transposed", "operand")]


def like_weights(network, numbers):
    """Network of the same layers for an array packed like its weights, such as moments: for `pack`.

    What products read of weights is written to arrays that nobody keeps.
    """
    others = {
        name: np.empty_like(array) for name, array in network._asdict().items() if name in ("transposed", "operand")
    }
    return network._replace(weights=numbers, **others)


@functools.lru_cache
def _laid_out(sizes, itemsize, bias, codes, transposed_from, multiple):
    """Table of layers, and elements of the arrays of weights: the same for all networks of these layers."""
    layers = np.recarray(len(sizes) - 1, LAYER)
    weights = lay_out(layers, sizes, codes, bias, transposed_from, itemsize)
    return layers, (weights, *lay_out_operands(layers, itemsize, multiple))


@compiled_by_callers
def set_dropout(network, rates, seed):
    """Set the dropout of the hidden layers, which only training applies (see `panelwise.dropout`).

    Parameters
    ----------
    network : Network; its table of layers is changed
    rates : sequence of float; share of the units of each hidden layer that is dropped, 0 <= rate < 1
    seed : int; seed of the random numbers, of which the lowest 32 bits count
    """
    for l in range(len(network.layers) - 1):
        network.layers[l]["dropout"] = rates[l]
        network.layers[l]["seed"] = seed


def sizes(network):
    """List of the units of each layer, inputs first."""
    # Fields by name, since tables made in compiled code are no record arrays and have no attributes in Python.
    return [int(network.layers["n_in"][0]), *map(int, network.layers["n_out"])]


@compiled_by_callers
def parameter_count(network):
    """Number of flat parameters of a network (see `pack` and `unpack`)."""
    layer = network.layers[len(network.layers) - 1]
    return layer["params"] + (layer["n_in"] + layer["bias"]) * layer["n_out"]


@inlined
def output_layer(network):
    """Record of the last layer."""
    return network.layers[len(network.layers) - 1]


@inlined
def is_output_layer(network, layer):
    """Whether a record is that of the last layer."""
    return layer.outputs == output_layer(network).outputs


# The matrices of a layer, as `Matrix`. Activations and error signals of a block of samples are in the 1-D arrays
# `activations` and `deltas`, in panels with room for `panel_rows` rows, one row a sample.


@inlined
def inputs_of(layer, activations, panel_rows):
    """Inputs of a layer, (rows, n_in): the activations of the layer before."""
    return panel_at(Matrix(activations, 0, panel_rows), layer.inputs)


@inlined
def outputs_of(layer, activations, panel_rows):
    """Activations of a layer, (rows, n_out)."""
    return panel_at(Matrix(activations, 0, panel_rows), layer.outputs)


@inlined
def deltas_of(layer, deltas, panel_rows):
    """Error signals of a layer, (rows, n_out); until these are computed, its slopes or net inputs are kept there."""
    return panel_at(Matrix(deltas, 0, panel_rows), layer.deltas)


@inlined
def biases_of(layer, weights):
    """Augmented matrix of a layer, (1 + n_in, n_out), whose row 0 has the biases.

    `weights` are the packed weights, or an array packed like them.
    """
    return Matrix(weights, layer.weights, layer.n_in + 1)


@inlined
def weights_of(layer, weights):
    """Weights of a layer, (n_in, n_out), without biases, in packed weights or an array packed like them."""
    return Matrix(weights, layer.weights + panel_width(weights), layer.n_in + 1)


@inlined
def transposed_of(layer, transposed):
    """Transposed weights of a layer, (n_out, n_in), in the array `transposed` of a network that keeps them."""
    return Matrix(transposed, layer.transposed, layer.n_out)


@inlined
def operand_of(layer, operand):
    """Weights of a layer as the right operand of forward products, in the array `operand` of a MixedNetwork."""
    return Matrix(operand, layer.operand, padded(layer.n_in, SQUARE))


@inlined
def transposed_operand_of(layer, transposed):
    """Transposed weights of a layer as the right operand of backward products, in `transposed` of a MixedNetwork."""
    return Matrix(transposed, layer.transposed, padded(layer.n_out, SQUARE))


@njit
def transpose(network, l, column, first, last):
    """Copy part of a panel of weights to the transposed weights of a layer that keeps them.

    Parameters
    ----------
    network : Network; `transposed` is written
    l : int; layer, counted from 0
    column : int; the panel's first column
    first, last : int; rows of the weights (inputs of the layer) from `first` to `last`, excluded
    """
    layer, width = network.layers[l], panel_width(network.weights)
    if layer.transposed < 0:
        return
    weights, transposed = weights_of(layer, network.weights), transposed_of(layer, network.transposed)
    source = panel_at(weights, column // width)
    for q in range(first // width * width, last, width):
        target = element(transposed, column, q)
        for i in range(max(first - q, 0), min(width, last - q)):
            for c in range(min(width, layer.n_out - column)):
                network.transposed[target + c * width + i] = network.weights[row_at(source, q + i) + c]


@njit
def store_operands(network, l, column, first, last):
    """Round part of a panel of weights to its forms as operands: of the weights, and of the transpose if it is kept.

    Parameters
    ----------
    network : MixedNetwork; `operand` and `transposed` are written
    l, column : int; layer, counted from 0, and the panel's first column
    first, last : int; rows of the weights from `first`, a multiple of SQUARE, to `last`, excluded, which is a multiple,
        too, or the end of the matrix
    """
    layer = network.layers[l]
    p, square = column // SQUARE, square_memory(network.operand)
    weights = panel_at(weights_of(layer, network.weights), p)
    operand = panel_at(operand_of(layer, network.operand), p)
    transposed = transposed_operand_of(layer, network.transposed)
    for i in range(first, last, SQUARE):
        store_square(weights, i, last - i, SQUARE, square, 0, network.operand, row_at(operand, i))
        if layer.transposed >= 0:
            start = row_at(panel_at(transposed, i // SQUARE), column)
            transpose_square(square, SQUARE, SIDE, network.transposed, start)


# Writes what products read of part of a panel of the weights: to be called after every change of these.
refresh = by_class(
    MixedNetwork,
    lambda network, l, column, first, last: store_operands(network, l, column, first, last),
    lambda network, l, column, first, last: transpose(network, l, column, first, last),
)


@njit
def pack(network, params):
    """Copy flat parameters into the packed weights, and into what products read of them.

    Parameters
    ----------
    network : Network or MixedNetwork, written
    params : (parameter_count(network),) array; layer after layer, its biases first, then its weights row by row
    """
    width = panel_width(network.weights)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        augmented, skipped = biases_of(layer, network.weights), 1 - layer.bias  # without biases, row 0 is skipped
        for i in range(layer.bias + layer.n_in):
            source = layer.params + i * layer.n_out
            for p in range(panels_of(layer.n_out, network.weights)):
                values = load_columns(params, source + p * width, layer.n_out - p * width)
                store(values, network.weights, row_at(panel_at(augmented, p), skipped + i), width)
        for column in range(0, layer.n_out, width):
            refresh(network, l, column, 0, layer.n_in)


@njit
def unpack(params, network, weights):
    """Copy packed weights, or an array packed like them, into flat parameters.

    Parameters
    ----------
    params : (parameter_count(network),) array, written
    network : Network; only its table of layers is read
    weights : 1-D array packed like network.weights: weights, a gradient, or moments of an optimizer
    """
    for l in range(len(network.layers)):
        layer = network.layers[l]
        rows, start = layer.bias + layer.n_in, element(biases_of(layer, weights), 1 - layer.bias, 0)
        matrix = params[layer.params : layer.params + rows * layer.n_out].reshape(rows, layer.n_out)
        unpack_rows(matrix, 0, weights[start:], rows, layer.n_in + 1)


@njit
def nonfinite_layer(network):
    """Number of the first layer, counted from 1, with a weight or bias that is not finite; 0 if there is none."""
    for l in range(len(network.layers)):
        layer = network.layers[l]
        if not all_finite(network.weights[layer.weights :], layer.n_out, layer.n_in + 1, layer.n_in + 1):
            return l + 1
    return 0
