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
from ..layout.panels import pack_rows, padded, unpack_rows
from ..panelwise.softmax import softmax
from ..products.forward import net_inputs
from ..products.product import product
from ..tile.operations import ROWS, load, multiply, multiply_add, store, width
from .batch import IN_ORDER
from .taylor_softmax import softmax_taylor

TILE = 2  # rows of the tiles that elementwise steps take; divides ROWS of every CPU


class TaylorWorkspace(NamedTuple):
    """Scratch memory of one thread for a block of rows (see `construction.taylor_workspace`).

    Attributes
    ----------
    block : int; rows of a block
    activations : 1-D array; panels of the activations of layers 0 to L
    jets : 1-D array; of each panel of layers 1 to L four: the activation's value and first three derivatives
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
    jets, net, size = workspace.jets, workspace.net_tangents, width(workspace.jets)
    for s in range(0, count, TILE * size):
        slope, curvature = load(jets, z + count + s, size, TILE), load(jets, z + 2 * count + s, size, TILE)
        for first in range(t + s, t + s + streams // 2 * count, count):
            second = first + streams // 2 * count
            zp, zq = load(net, first, size, TILE), load(net, second, size, TILE)
            store(multiply(slope, zp), workspace.tangents, first, size)
            q = multiply_add(multiply(curvature, zp), zp, multiply(slope, zq))
            store(q, workspace.tangents, second, size)


@njit
def _input_tangents(network, workspace, panel, streams, block):
    """zp and zq of one panel of the first layer, whose inputs have p = 1 by themselves, else 0: rows of weights."""
    layer, size, net = network.layers[0], width(workspace.jets), workspace.net_tangents
    weights = layer.weights + (panel * (layer.n_in + 1) + 1) * size
    half = streams // 2 * block * size
    start = panel * streams * block * size
    for i in range(half):
        net[start + i] = network.weights[weights + i // (block * size) * size + i % size]
        net[start + half + i] = 0


@njit
def expand(network, workspace, x, first, rows, block):
    """Activations, jets and tangents of all layers, for a block of `rows` rows of `x`."""
    activations, jets, net, tangents = workspace.activations, workspace.jets, workspace.net_tangents, workspace.tangents
    size, streams = width(jets), 2 * network.layers[0].n_in
    count = block * size
    pack_rows(activations, x, IN_ORDER, first, rows, block)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        t = layer.deltas * streams * count
        if l > 0:
            weights, tall = layer.weights + size, streams * block
            source, b_rows = network.layers[l - 1].deltas * streams * count, layer.n_in + 1
            product(net, t, tangents, source, network.weights, weights, b_rows, layer.n_out, layer.n_in, tall, tall)
        for p in range((layer.n_out + size - 1) // size):
            z, a = 4 * (layer.deltas + p) * count, (layer.outputs + p) * count
            weights = layer.weights + p * (layer.n_in + 1) * size
            inputs = layer.inputs * count
            net_inputs(jets, z, activations, inputs, network.weights, weights, 0, layer.n_in, rows, block)
            if l == 0:
                _input_tangents(network, workspace, p, streams, block)
            if layer.jets:
                call_jets(layer.jets, jets, z, count)
                _activate(workspace, z, t + p * streams * count, streams, count)
            for i in range(count):
                activations[a + i] = jets[z + i]
    if network.softmax:
        last = network.layers[len(network.layers) - 1]
        softmax(activations[last.outputs * count :], rows, last.n_out, block)
        softmax_taylor(network, workspace, rows, block)


@njit
def unpack_streams(target, first, streams, offset, rows, block, tall):
    """target[first + s, k, i] = column k of row s of stream i, in panels of `tall` rows."""
    size = width(streams)
    for i in range(target.shape[2]):
        for k in range(target.shape[1]):
            start = offset + k // size * size * tall + i * block * size + k % size
            for s in range(rows):
                target[first + s, k, i] = streams[start + s * size]


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
    size, last, n_in = width(workspace.jets), network.layers[len(network.layers) - 1], network.layers[0].n_in
    for first in range(0, len(x), workspace.block):
        rows = min(workspace.block, len(x) - first)
        block = padded(rows, ROWS)  # a last block of fewer rows is no more work than these
        expand(network, workspace, x, first, rows, block)
        tall, t = 2 * n_in * block, last.deltas * 2 * n_in * block * size
        unpack_rows(outputs, first, workspace.activations[last.outputs * size * block :], rows, block)
        unpack_streams(firsts, first, workspace.tangents, t, rows, block, tall)
        unpack_streams(seconds, first, workspace.tangents, t + n_in * block * size, rows, block, tall)
