"""Taylor mode: outputs, and their first and unmixed second derivatives with respect to each input, in a forward pass.

For input x_i, every unit has, besides its activation a, the *tangents* p = da/dx_i and q = d²a/dx_i². A layer
multiplies those of the layer before by its weights, without biases, which gives its *net tangents* zp = p W and
zq = q W. Its activation function g takes these to its own tangents (primes are derivatives)

    p = g'(z) zp,    q = g''(z) zp² + g'(z) zq.

The p and q of a block of rows, with respect to all inputs, are the rows of one tall matrix, so that one product
multiplies all of them by the weights. It has 2 n_in *streams* of `block` rows each: p for every input, then q for every
input. With two inputs and blocks of 6 rows, for example,

    rows 0 to 5: da/dx_0    6 to 11: da/dx_1    12 to 17: d²a/dx_0²    18 to 23: d²a/dx_1²

The *jets* of a layer, g(z), g'(z), g''(z) and g'''(z), are four streams in the same way: panels of 4 * block rows.
"""

from typing import NamedTuple

import numpy as np

from ..calls import call_jets
from ..jit import inlined, njit
from ..layout.network import biases_of, deltas_of, inputs_of, output_layer, outputs_of, weights_of
from ..layout.panels import Matrix, element, pack_rows, padded, panel_at, panels_of, unpack_rows
from ..panelwise.softmax import softmax
from ..products.operands import operands_of
from ..products.product import net_input_panel, product
from ..tile.operations import ROWS, load, multiply, multiply_add, panel_width, store
from .batch import IN_ORDER
from .taylor_softmax import softmax_taylor

TILE = 2  # rows of the tiles in elementwise loops; divides ROWS of every engine


class TaylorWorkspace(NamedTuple):
    """Scratch memory of one thread for a block of rows (see `embed.make.taylor_workspace`).

    Attributes
    ----------
    block : int; rows of a block, at most: a multiple of the rows of a tile
    activations : 1-D array; panels of the activations of layers 0 to L, with room for `block` rows
    jets : 1-D array; panels of the jets of layers 1 to L, with room for 4 * block rows
    tangents : 1-D array; panels of p and q of layers 1 to L, with room for 2 * n_in * block rows
    net_tangents : 1-D array; panels of zp and zq, likewise
    """

    block: int
    activations: np.ndarray
    jets: np.ndarray
    tangents: np.ndarray
    net_tangents: np.ndarray


@inlined
def _activate(workspace, jet_start, tangent_start, streams, length):
    """Compute the tangents p and q of one panel from its jets and net tangents.

    Parameters
    ----------
    workspace : TaylorWorkspace; tangents are written
    jet_start, tangent_start : int; offsets of the panel in jets, and in tangents and net_tangents alike
    streams, length : int; number of streams, and elements of one stream in a panel
    """
    jets, net, width = workspace.jets, workspace.net_tangents, panel_width(workspace.jets)
    for i in range(0, length, TILE * width):
        slope = load(jets, jet_start + length + i, width, TILE)
        curvature = load(jets, jet_start + 2 * length + i, width, TILE)
        for p_at in range(tangent_start + i, tangent_start + i + streams // 2 * length, length):
            q_at = p_at + streams // 2 * length
            zp, zq = load(net, p_at, width, TILE), load(net, q_at, width, TILE)
            store(multiply(slope, zp), workspace.tangents, p_at, width)
            q_new = multiply_add(multiply(curvature, zp), zp, multiply(slope, zq))
            store(q_new, workspace.tangents, q_at, width)


@njit
def _input_tangents(network, workspace, panel, streams, block):
    """Write the net tangents zp and zq of one panel of the first layer.

    The derivative of input j with respect to input i is 1 for j = i, else 0, and its own derivative is 0: so zp for
    input i is row i of the weights for every sample, and zq is 0.

    Parameters
    ----------
    network : Network
    workspace : TaylorWorkspace; net_tangents are written
    panel : int; number of the panel
    streams, block : int; number of streams, and rows of a stream
    """
    layer, width, net = network.layers[0], panel_width(workspace.jets), workspace.net_tangents
    weights = panel_at(weights_of(layer, network.weights), panel).start
    start = panel_at(Matrix(net, 0, streams * block), panel).start
    half = streams // 2 * block * width
    for i in range(half):
        net[start + i] = network.weights[weights + i // (block * width) * width + i % width]
        net[start + half + i] = 0


@njit
def expand(network, workspace, x, first, rows, block):
    """Compute the activations, jets and tangents of all layers for a block of rows.

    Parameters
    ----------
    network : Network
    workspace : TaylorWorkspace, written
    x : (N, n_in) array, row-major
    first, rows : int; the block is x[first : first + rows]
    block : int; rows of a stream, `rows` rounded up to whole tiles
    """
    activations, jets, net, tangents = workspace.activations, workspace.jets, workspace.net_tangents, workspace.tangents
    # The arrays that products read (see `products.operands`), for activations and for tangents; no error signals.
    operands, of_tangents = operands_of(network, activations, activations), operands_of(network, tangents, tangents)
    streams = 2 * network.layers[0].n_in
    length, tall = block * panel_width(jets), streams * block
    pack_rows(activations, x, IN_ORDER, first, rows, block)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        a, net_tangents = inputs_of(layer, operands.activations, block), deltas_of(layer, net, tall)
        if l > 0:
            before = deltas_of(network.layers[l - 1], of_tangents.activations, tall)
            product(net_tangents, before, weights_of(layer, of_tangents.weights), layer.n_out, layer.n_in, tall)
        for panel in range(panels_of(layer.n_out, jets)):
            jet = panel_at(deltas_of(layer, jets, 4 * block), panel)
            w = panel_at(weights_of(layer, operands.weights), panel)
            biases = panel_at(biases_of(layer, network.weights), panel)
            # All terms at once, from 0 to n_in of n_in: no sums are left unfinished.
            net_input_panel(
                jet, a, w, start=0, stop=layer.n_in, depth=layer.n_in, rows=rows, unfinished=jet, biases=biases
            )
            if l == 0:
                _input_tangents(network, workspace, panel, streams, block)
            if layer.jets:  # softmax has none: it follows when all panels of net inputs are complete
                call_jets(layer.jets, jets, jet.start, length)
                _activate(workspace, jet.start, panel_at(net_tangents, panel).start, streams, length)
            values = panel_at(outputs_of(layer, activations, block), panel).start
            for i in range(length):  # stream 0 of the jets: g(z), or z for a softmax
                activations[values + i] = jets[jet.start + i]
    if network.softmax:
        layer = output_layer(network)
        softmax(activations[outputs_of(layer, activations, block).start :], rows, layer.n_out, block)
        softmax_taylor(network, workspace, rows, block)


@njit
def unpack_streams(target, first, tangents, stream, rows, block):
    """Copy streams to a caller's array: target[first + s, k, i] = row s, column k, of stream number `stream` + i.

    Parameters
    ----------
    target : (N, n_out, n_in) array; rows first..first + rows are written
    first : int
    tangents : Matrix of streams
    stream : int; number of the stream for input 0
    rows, block : int; rows to copy of each stream, and rows of a stream
    """
    for i in range(target.shape[2]):
        for k in range(target.shape[1]):
            for s in range(rows):
                target[first + s, k, i] = tangents.numbers[element(tangents, (stream + i) * block + s, k)]


@njit
def taylor_rows(outputs, firsts, seconds, network, workspace, x):
    """Compute the outputs for all rows of `x`, and their first and unmixed second derivatives.

    Parameters
    ----------
    outputs : (N, n_out) array, row-major, written
    firsts, seconds : (N, n_out, n_in) arrays, written; da_k/dx_i and d²a_k/dx_i²
    network : Network
    workspace : TaylorWorkspace
    x : (N, n_in) array, row-major, of the network's dtype
    """
    layer, n_in = output_layer(network), network.layers[0].n_in
    for first in range(0, len(x), workspace.block):
        rows = min(workspace.block, len(x) - first)
        block = padded(rows, ROWS)  # streams of the last block are only as long as its rows need
        expand(network, workspace, x, first, rows, block)
        tangents = deltas_of(layer, workspace.tangents, 2 * n_in * block)
        values = outputs_of(layer, workspace.activations, block).start
        unpack_rows(outputs, first, workspace.activations[values:], rows, block)
        unpack_streams(firsts, first, tangents, 0, rows, block)
        unpack_streams(seconds, first, tangents, n_in, rows, block)
