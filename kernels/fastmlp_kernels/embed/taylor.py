"""Taylor mode: values, and first and unmixed second derivatives with respect to each input, forward together.

For input i, every unit carries p = da/dx_i and q = d²a/dx_i². A layer takes them through the same weights as the
values, without biases, zp = p W and zq = q W, and then through the activation:

    p' = g'(z) zp,    q' = g''(z) zp² + g'(z) zq.

All p and q of a block of rows are one tall matrix, so the weights multiply them in one product: `2 n_in` streams of
`block` rows each, the first derivatives by all inputs before the second.
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

TILE = 2  # rows of the tiles that elementwise steps take; divides ROWS of every CPU


class TaylorWorkspace(NamedTuple):
    """Scratch memory of one thread for a block of rows (see `construction.taylor_workspace`).

    Attributes
    ----------
    block : int; rows of a block
    activations : 1-D array; panels of the activations of layers 0 to L
    jets : 1-D array; panels, of 4 block rows, of layers 1 to L: the activation's value and first three derivatives
    tangents, net_tangents : 1-D arrays; panels, of 2 n_in block rows, of p and q and of zp and zq of layers 1 to L
    """

    block: int
    activations: np.ndarray
    jets: np.ndarray
    tangents: np.ndarray
    net_tangents: np.ndarray


@inlined
def _activate(workspace, z, t, streams, count):
    """p' and q' of one panel, from its jets at `z` and net tangents at `t`; `count` numbers in a stream."""
    jets, net, width = workspace.jets, workspace.net_tangents, panel_width(workspace.jets)
    for s in range(0, count, TILE * width):
        slope, curvature = load(jets, z + count + s, width, TILE), load(jets, z + 2 * count + s, width, TILE)
        for first in range(t + s, t + s + streams // 2 * count, count):
            second = first + streams // 2 * count
            zp, zq = load(net, first, width, TILE), load(net, second, width, TILE)
            store(multiply(slope, zp), workspace.tangents, first, width)
            q = multiply_add(multiply(curvature, zp), zp, multiply(slope, zq))
            store(q, workspace.tangents, second, width)


@njit
def _input_tangents(network, workspace, p, streams, block):
    """zp and zq of panel `p` of the first layer, whose inputs have p = 1 by themselves, else 0: rows of weights."""
    layer, width, net = network.layers[0], panel_width(workspace.jets), workspace.net_tangents
    weights = panel_at(weights_of(layer, network.weights), p).start
    start = panel_at(Matrix(net, 0, streams * block), p).start
    half = streams // 2 * block * width
    for i in range(half):
        net[start + i] = network.weights[weights + i // (block * width) * width + i % width]
        net[start + half + i] = 0


@njit
def expand(network, workspace, x, first, rows, block):
    """Activations, jets and tangents of all layers, for a block of `rows` rows of `x`."""
    activations, jets, net, tangents = workspace.activations, workspace.jets, workspace.net_tangents, workspace.tangents
    operands, streams = operands_of(network, activations, jets), 2 * network.layers[0].n_in
    count, tall = block * panel_width(jets), streams * block
    pack_rows(activations, x, IN_ORDER, first, rows, block)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        a, net_tangents = inputs_of(layer, operands.activations, block), deltas_of(layer, net, tall)
        if l > 0:
            before = deltas_of(network.layers[l - 1], tangents, tall)
            product(net_tangents, before, weights_of(layer, operands.weights), layer.n_out, layer.n_in, tall)
        for p in range(panels_of(layer.n_out, jets)):
            z = panel_at(deltas_of(layer, jets, 4 * block), p)
            w = panel_at(weights_of(layer, operands.weights), p)
            biases = panel_at(biases_of(layer, network.weights), p)
            net_input_panel(z, a, w, 0, layer.n_in, layer.n_in, rows, z, biases)
            if l == 0:
                _input_tangents(network, workspace, p, streams, block)
            if layer.jets:
                call_jets(layer.jets, jets, z.start, count)
                _activate(workspace, z.start, panel_at(net_tangents, p).start, streams, count)
            values = panel_at(outputs_of(layer, activations, block), p).start
            for i in range(count):
                activations[values + i] = jets[z.start + i]
    if network.softmax:
        layer = output_layer(network)
        softmax(activations[outputs_of(layer, activations, block).start :], rows, layer.n_out, block)
        softmax_taylor(network, workspace, rows, block)


@njit
def unpack_streams(target, first, streams, stream, rows, block):
    """target[first + s, k, i] = column k of row s of stream `stream` + i; `streams` is a Matrix."""
    for i in range(target.shape[2]):
        for k in range(target.shape[1]):
            for s in range(rows):
                target[first + s, k, i] = streams.numbers[element(streams, (stream + i) * block + s, k)]


@njit
def taylor_rows(outputs, firsts, seconds, network, workspace, x):
    """Outputs, and their first and unmixed second derivatives with respect to each input, for all rows of `x`.

    Parameters
    ----------
    outputs : (N, n_out) array, written
    firsts, seconds : (N, n_out, n_in) arrays, written; da_k/dx_i and d²a_k/dx_i²
    network : Network
    workspace : TaylorWorkspace
    x : (N, n_in) array, row-major, of the network's dtype
    """
    layer, n_in = output_layer(network), network.layers[0].n_in
    for first in range(0, len(x), workspace.block):
        rows = min(workspace.block, len(x) - first)
        block = padded(rows, ROWS)  # a last block of fewer rows is no more work than these
        expand(network, workspace, x, first, rows, block)
        tangents = deltas_of(layer, workspace.tangents, 2 * n_in * block)
        values = outputs_of(layer, workspace.activations, block).start
        unpack_rows(outputs, first, workspace.activations[values:], rows, block)
        unpack_streams(firsts, first, tangents, 0, rows, block)
        unpack_streams(seconds, first, tangents, n_in, rows, block)
