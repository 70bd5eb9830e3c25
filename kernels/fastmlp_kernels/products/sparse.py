"""A first layer whose inputs are mostly zero: all that it does follows from the non-zeros.

Forward, the net inputs of a sample are the biases plus a row of weights for each of its non-zeros. Backward, a non-zero
adds its sample's error signal to one row of the gradient. Pieces of the weights have one owner each, as ever, who needs
the non-zeros in the piece's columns: so whoever trains a block sorts its non-zeros by piece. Sums run over samples and
non-zeros as they come, and results have the same bits for any number of threads.
"""

from typing import NamedTuple

import numpy as np

from ..jit import inlined, njit
from ..layout.network import biases_of, deltas_of, weights_of
from ..layout.panels import Matrix, block_range, padded, panel_at, panels_of, row_at
from ..layout.tasks import panel_range
from ..tile.operations import ROWS, load, panel_width, rank1, store
from .gradients import bias_gradient
from .learning import update_panel


class Nonzeros(NamedTuple):
    """The non-zeros of the blocks in some slots, each slot's sorted by the rows of weights that they multiply.

    Attributes
    ----------
    bits : int; pieces of the first layer have 2**bits rows of weights
    starts : (slots, groups + 2) int64 array; those of the rows from i * 2**bits on are starts[i] to starts[i + 1]
    columns, samples : (slots, n) int32 arrays; where they are, samples counted from the block's first
    values : (slots, n) array
    """

    bits: int
    starts: np.ndarray
    columns: np.ndarray
    samples: np.ndarray
    values: np.ndarray


@inlined
def entries(x, order, s):
    """(begin, end) of the non-zeros of sample `s`."""
    row = order[s] if order.size else s
    return x.indptr[row], x.indptr[row + 1]


@njit
def net_inputs(z, network, x, order, first, rows, block_rows):
    """z = x W + b of the first layer for samples first..first + rows, in panels of `block_rows` rows from z[0] on.

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
    layer, weights, width, finite = network.layers[0], network.weights, panel_width(z), True
    target, biases, w = Matrix(z, 0, block_rows), biases_of(layer, weights), weights_of(layer, weights)
    last = panels_of(layer.n_out, z) - 1
    for s in range(padded(rows, ROWS)):
        begin, end = entries(x, order, first + s) if s < rows else (0, 0)
        for e in range(begin, end):
            finite &= abs(x.values[e]) < np.inf
        for p in range(0, last + 1, 4):
            p0, p1, p2, p3 = p, min(p + 1, last), min(p + 2, last), min(p + 3, last)
            w0, w1, w2, w3 = panel_at(w, p0).start, panel_at(w, p1).start, panel_at(w, p2).start, panel_at(w, p3).start
            sum0 = load(weights, panel_at(biases, p0).start, 0, 1)
            sum1 = load(weights, panel_at(biases, p1).start, 0, 1)
            sum2 = load(weights, panel_at(biases, p2).start, 0, 1)
            sum3 = load(weights, panel_at(biases, p3).start, 0, 1)
            for e in range(begin, end):
                row = np.intp(x.indices[e]) * width
                sum0 = rank1(sum0, x.values, e, 0, weights, w0 + row)
                sum1 = rank1(sum1, x.values, e, 0, weights, w1 + row)
                sum2 = rank1(sum2, x.values, e, 0, weights, w2 + row)
                sum3 = rank1(sum3, x.values, e, 0, weights, w3 + row)
            store(sum0, z, row_at(panel_at(target, p0), s), width)
            store(sum1, z, row_at(panel_at(target, p1), s), width)
            store(sum2, z, row_at(panel_at(target, p2), s), width)
            store(sum3, z, row_at(panel_at(target, p3), s), width)
    return finite


@njit
def index_rows(nonzeros, slot, x, order, first, rows):
    """Sort the non-zeros of samples first..first + rows into a slot of `nonzeros`, by counting them."""
    bits, starts = nonzeros.bits, nonzeros.starts[slot]
    columns, samples, values = nonzeros.columns[slot], nonzeros.samples[slot], nonzeros.values[slot]
    for i in range(len(starts)):
        starts[i] = 0
    for s in range(rows):
        begin, end = entries(x, order, first + s)
        for e in range(begin, end):
            starts[(x.indices[e] >> bits) + 2] += 1
    for i in range(2, len(starts)):
        starts[i] += starts[i - 1]
    for s in range(rows):  # starts[i + 1] goes from the first of i to the first of i + 1
        begin, end = entries(x, order, first + s)
        for e in range(begin, end):
            i = (x.indices[e] >> bits) + 1
            columns[starts[i]], samples[starts[i]], values[starts[i]] = x.indices[e], s, x.values[e]
            starts[i] += 1


@inlined
def panel_gradient(gradient, biases, weights, nonzeros, slot, piece, delta, rows, fresh):
    """One panel of a piece of the first layer's gradient, over the block in a slot: written if `fresh`, else added.

    Parameters
    ----------
    gradient : 1-D array
    biases, weights : int; offsets in it of the panel's biases, and of what would be its weight row 0
    nonzeros : Nonzeros, with a block of `rows` samples in `slot`
    piece : a record of `layout.tasks.PIECE`
    delta : Matrix of one panel; the block's error signals
    """
    width = panel_width(gradient)
    if piece.first == 0:
        bias_gradient(gradient, biases, delta, rows, fresh)
    if fresh:
        for i in range(weights + piece.first * width, weights + piece.last * width):
            gradient[i] = 0
    columns, samples, values = nonzeros.columns[slot], nonzeros.samples[slot], nonzeros.values[slot]
    starts, group = nonzeros.starts[slot], piece.first >> nonzeros.bits
    for e in range(starts[group], starts[group + 1]):
        row = weights + np.intp(columns[e]) * width
        acc = load(gradient, row, 0, 1)
        signal = row_at(delta, np.intp(samples[e]))
        store(rank1(acc, values, e, 0, delta.numbers, signal), gradient, row, width)


@njit
def piece_gradient(gradient, network, nonzeros, slot, piece, deltas, rows, block_rows, fresh):
    """A piece of the first layer's gradient, over the block in a slot: written if `fresh`, else added."""
    layer = network.layers[0]
    for column in range(piece.left, piece.right, panel_width(gradient)):
        p = column // panel_width(gradient)
        biases = panel_at(biases_of(layer, gradient), p).start
        weights = panel_at(weights_of(layer, gradient), p).start
        delta = panel_at(deltas_of(layer, deltas, block_rows), p)
        panel_gradient(gradient, biases, weights, nonzeros, slot, piece, delta, rows, fresh)


@njit
def learn_piece(network, state, optimizer, nonzeros, piece, deltas, gradient, block_rows, blocks, rows, scale, l2):
    """Update a piece of the first layer from the non-zeros of a batch of `rows` samples, all of whose blocks are kept.

    The gradient, of which few rows are not zero, is made a panel at a time, in the cache: what goes through memory are
    weights and moments alone.

    Parameters
    ----------
    network, state, optimizer : Network, State, Optimizer; network and state are updated
    nonzeros : Nonzeros, with block b in slot b
    piece : a record of `layout.tasks.PIECE`
    deltas : (slots, size) array; error signals of the blocks
    gradient : 1-D array, scratch for a panel of a piece: a row of biases and one for each of its rows of weights
    block_rows, blocks, rows : int
    scale, l2 : float; see `learning.update_panel`
    """
    layer = network.layers[0]
    for column in range(piece.left, piece.right, panel_width(network.weights)):
        p = column // panel_width(network.weights)
        biases, _, _ = panel_range(network, piece, column)  # the first number that is updated
        weights = panel_at(weights_of(layer, network.weights), p).start - biases
        for b in range(blocks):
            _, count = block_range(block_rows, b, rows)
            delta = panel_at(deltas_of(layer, deltas[b], block_rows), p)
            panel_gradient(gradient, 0, weights, nonzeros, b, piece, delta, count, b == 0)
        update_panel(network, state, optimizer, piece, column, gradient, biases, scale, l2)
