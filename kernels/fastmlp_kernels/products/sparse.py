"""A first layer whose inputs are mostly zero: all that it does follows from the non-zeros.

Forward, the net inputs of a sample are the biases plus a row of weights for each of its non-zeros. Backward, a non-zero
adds its sample's error signal to one row of the gradient. Pieces of the weights have one owner each, as ever, who needs
the non-zeros in the piece's columns: so whoever trains a block sorts its non-zeros by piece. Sums run over samples and
non-zeros as they come, and results have the same bits for any number of threads.
"""

import numpy as np

from ..jit import inlined, njit
from ..layout.panels import block_range, padded
from ..layout.tasks import panel_range, panel_start, update_panel
from ..tile.operations import ROWS, load, rank1, store, width
from .gradients import bias_gradient


@inlined
def entries(x, order, s):
    """(begin, end) of the non-zeros of sample `s`."""
    row = order[s] if order.size else s
    return x.indptr[row], x.indptr[row + 1]


@njit
def net_inputs(z, network, x, order, first, rows, block):
    """z = x W + b of the first layer for samples first..first + rows, in panels of `block` rows from z[0] on.

    Rows that make up whole tiles get the biases. Four panels at a time, of a sum each: one sum would take a
    multiply-add's latency for each non-zero. Where there are fewer panels, the last is done more than once.

    Parameters
    ----------
    z : 1-D array, written
    network : Network
    x : SparseRows
    order : (n,) or (0,) int64 array; see `panels.pack_rows`

    Returns
    -------
    bool
        Whether all these non-zeros are finite.
    """
    layer, weights, size, finite = network.layers[0], network.weights, width(z), True
    last, stride = (layer.n_out - 1) // size, (layer.n_in + 1) * size
    for s in range(padded(rows, ROWS)):
        begin, end = entries(x, order, first + s) if s < rows else (0, 0)
        for e in range(begin, end):
            finite &= abs(x.values[e]) < np.inf
        for p in range(0, last + 1, 4):
            p0, p1, p2, p3 = p, min(p + 1, last), min(p + 2, last), min(p + 3, last)
            w0, w1 = layer.weights + p0 * stride, layer.weights + p1 * stride
            w2, w3 = layer.weights + p2 * stride, layer.weights + p3 * stride
            sum0, sum1 = load(weights, w0, 0, 1), load(weights, w1, 0, 1)
            sum2, sum3 = load(weights, w2, 0, 1), load(weights, w3, 0, 1)
            for e in range(begin, end):
                row = (np.intp(x.indices[e]) + 1) * size
                sum0 = rank1(sum0, x.values, e, 0, weights, w0 + row)
                sum1 = rank1(sum1, x.values, e, 0, weights, w1 + row)
                sum2 = rank1(sum2, x.values, e, 0, weights, w2 + row)
                sum3 = rank1(sum3, x.values, e, 0, weights, w3 + row)
            store(sum0, z, (p0 * block + s) * size, size)
            store(sum1, z, (p1 * block + s) * size, size)
            store(sum2, z, (p2 * block + s) * size, size)
            store(sum3, z, (p3 * block + s) * size, size)
    return finite


@njit
def index_rows(workspace, slot, x, order, first, rows):
    """Sort the non-zeros of samples first..first + rows into a slot of a `training.Workspace`, by counting them."""
    starts, shift = workspace.starts[slot], workspace.shift
    columns, samples, values = workspace.columns[slot], workspace.rows[slot], workspace.values[slot]
    for i in range(len(starts)):
        starts[i] = 0
    for s in range(rows):
        begin, end = entries(x, order, first + s)
        for e in range(begin, end):
            starts[(x.indices[e] >> shift) + 2] += 1
    for i in range(2, len(starts)):
        starts[i] += starts[i - 1]
    for s in range(rows):  # starts[i + 1] goes from the first of i to the first of i + 1
        begin, end = entries(x, order, first + s)
        for e in range(begin, end):
            i = (x.indices[e] >> shift) + 1
            columns[starts[i]], samples[starts[i]], values[starts[i]] = x.indices[e], s, x.values[e]
            starts[i] += 1


@inlined
def panel_gradient(gradient, offset, workspace, piece, column, slot, rows, fresh):
    """One panel of a piece of the first layer's gradient, over the block in a slot: written if `fresh`, else added.

    Parameters
    ----------
    gradient : 1-D array; the biases are at `offset`, weight row i is at offset + (i + 1) * width
    piece : see `pieces.PIECE`
    column : int; first column of the panel
    workspace : training.Workspace; with a block of `rows` samples in `slot`
    """
    deltas, size = workspace.deltas[slot], width(workspace.deltas)
    d, start = column * workspace.block, offset + size
    if piece.first == 0:
        bias_gradient(gradient, offset, deltas, d, rows, fresh)
    if fresh:
        for i in range(start + piece.first * size, start + piece.last * size):
            gradient[i] = 0
    columns, samples, values = workspace.columns[slot], workspace.rows[slot], workspace.values[slot]
    starts, group = workspace.starts[slot], piece.first >> workspace.shift
    for e in range(starts[group], starts[group + 1]):
        row = start + np.intp(columns[e]) * size
        acc = load(gradient, row, 0, 1)
        store(rank1(acc, values, e, 0, deltas, d + np.intp(samples[e]) * size), gradient, row, size)


@njit
def piece_gradient(gradient, network, workspace, piece, slot, rows, fresh):
    """A piece of the first layer's gradient, over the block in a slot: written if `fresh`, else added."""
    for column in range(piece.left, piece.right, width(gradient)):
        offset = panel_start(network, piece, column)
        panel_gradient(gradient, offset, workspace, piece, column, slot, rows, fresh)


@njit
def learn_piece(network, workspace, piece, thread, blocks, rows, state, optimizer, scale, l2):
    """Update a piece of the first layer from non-zeros, while all blocks are kept.

    The gradient, of which few rows are not zero, is made a panel at a time, in the cache: what goes through memory are
    weights and moments alone.
    """
    gradient = workspace.scratch[thread]
    for column in range(piece.left, piece.right, width(network.weights)):
        begin, _, _ = panel_range(network, piece, column)
        offset = panel_start(network, piece, column) - begin
        for b in range(blocks):
            _, count = block_range(workspace.block, b, rows)
            panel_gradient(gradient, offset, workspace, piece, column, b, count, b == 0)
        update_panel(network, state, optimizer, piece, column, gradient, begin, scale, l2)
