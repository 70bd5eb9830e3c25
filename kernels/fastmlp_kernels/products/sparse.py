"""First layer of sparse inputs: products that visit only the non-zeros of the inputs x.

Forward, the net inputs of a sample are the biases plus, for each of its non-zeros x[s, i], that number times row i of
the weights. In the gradient, each non-zero x[s, i] adds x[s, i] times the error signal of sample s to row i.

Matrices are in panels (see `layout.panels`); a *piece* is a rectangle of the weights that one thread updates, with the
biases if it begins at row 0 (see `layout.tasks`). The gradient of a piece of the weights needs only the non-zeros whose
columns are among the piece's rows of weights. So the thread that trains a block sorts its non-zeros into bins: bin i
has those of columns i * 2**bits to (i + 1) * 2**bits, as many as a piece has rows. For example, with bits = 2,
non-zeros of columns 5, 1, 6 are sorted to

    columns = 1 | 5 6    starts = 0 1 3 3    so that bin i is columns[starts[i] : starts[i + 1]]

The order within a bin is that of the samples. Sums are added in this order, whatever the number of threads, so that
results have the same bits.

Register tiles have one row here, of `panel_width` numbers: load(array, offset, 0, 1) is the row at `offset`, and
rank1(sums, x, e, 0, array, offset) adds x[e] times that row to the tile `sums`. The strides, 0, count for nothing.
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
from .operands import block_multiple_of, panel_rows_of


class Nonzeros(NamedTuple):
    """Non-zeros of blocks of samples, one block in each slot, sorted into bins (see the opening docstring).

    Attributes
    ----------
    bits : int; pieces of the first layer, and bins, have 2**bits rows of weights
    starts : (slots, bins + 2) int64 array; bin i of a slot has its non-zeros starts[i] to starts[i + 1]
    columns, samples : (slots, n) int32 arrays; each non-zero's column, and its sample counted from the block's first
    values : (slots, n) array; value of each non-zero
    """

    bits: int
    starts: np.ndarray
    columns: np.ndarray
    samples: np.ndarray
    values: np.ndarray


@inlined
def nonzeros_of(x, order, s):
    """Range (begin, end) of the non-zeros of row order[s] of the SparseRows `x`, or of row s if `order` is empty."""
    row = order[s] if order.size else s
    return x.indptr[row], x.indptr[row + 1]


@njit
def net_inputs(z, network, x, order, first, rows, block_rows):
    """Compute the net inputs z = x W + b of the first layer for a block of samples.

    Four panels are computed at a time, for four independent sums: with one sum, each non-zero would take the latency of
    a multiply-add. Where fewer than four panels are left, the last is computed more than once. Padding rows, up to a
    multiple of ROWS, get the biases.

    Parameters
    ----------
    z : 1-D array, written from 0 on: panels with room for `block_rows` rows
    network : Network
    x : SparseRows
    order, first, rows : the samples (see `layout.panels.pack_rows`)
    block_rows : int

    Returns
    -------
    bool
        Whether all non-zeros of these samples are finite.
    """
    layer, weights, width, finite = network.layers[0], network.weights, panel_width(z), True
    target, biases, w = Matrix(z, 0, block_rows), biases_of(layer, weights), weights_of(layer, weights)
    last_panel = panels_of(layer.n_out, z) - 1
    for s in range(padded(rows, ROWS)):
        begin, end = nonzeros_of(x, order, first + s) if s < rows else (0, 0)
        for e in range(begin, end):
            finite &= abs(x.values[e]) < np.inf
        for p in range(0, last_panel + 1, 4):
            p0, p1, p2, p3 = p, min(p + 1, last_panel), min(p + 2, last_panel), min(p + 3, last_panel)
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
    """Sort the non-zeros of a block of samples into the bins of a slot, by a counting sort.

    Parameters
    ----------
    nonzeros : Nonzeros, of which a slot is written; it must have room for all non-zeros of the block. A workspace has
        if no sample is twice in a block (see `drivers.plan.most_nonzeros`).
    slot : int
    x : SparseRows
    order, first, rows : the samples (see `layout.panels.pack_rows`)
    """
    bits, starts = nonzeros.bits, nonzeros.starts[slot]
    columns, samples, values = nonzeros.columns[slot], nonzeros.samples[slot], nonzeros.values[slot]
    for i in range(len(starts)):
        starts[i] = 0
    for s in range(rows):
        begin, end = nonzeros_of(x, order, first + s)
        for e in range(begin, end):
            starts[(x.indices[e] >> bits) + 2] += 1
    for i in range(2, len(starts)):
        starts[i] += starts[i - 1]
    for s in range(rows):  # starts[i] is where the next of bin i - 1 goes: first at its start, at last at its end
        begin, end = nonzeros_of(x, order, first + s)
        for e in range(begin, end):
            i = (x.indices[e] >> bits) + 1
            columns[starts[i]], samples[starts[i]], values[starts[i]] = x.indices[e], s, x.values[e]
            starts[i] += 1


@inlined
def panel_gradient(gradient, biases, weights, nonzeros, slot, piece, delta, rows, fresh):
    """Compute one panel of the gradient of a piece of the first layer's weights, over one block of samples.

    Parameters
    ----------
    gradient : 1-D array; the piece's rows of the panel are written or added to
    biases, weights : int; offsets in `gradient` of the panel's biases, and of its weight row 0, which may be negative
        if the piece begins with a later row
    nonzeros : Nonzeros
    slot : int; the slot that holds the block's non-zeros
    piece : a record of `layout.tasks.PIECE`
    delta : Matrix of one panel, (rows, panel_width); the block's error signals
    rows : int; samples in the block
    fresh : bool; whether to overwrite the gradient rather than add to it
    """
    width = panel_width(gradient)
    if piece.first == 0:
        bias_gradient(gradient, biases, delta, rows, fresh)
    if fresh:
        for i in range(weights + piece.first * width, weights + piece.last * width):
            gradient[i] = 0
    columns, samples, values = nonzeros.columns[slot], nonzeros.samples[slot], nonzeros.values[slot]
    starts, bin_ = nonzeros.starts[slot], piece.first >> nonzeros.bits
    for e in range(starts[bin_], starts[bin_ + 1]):
        row = weights + np.intp(columns[e]) * width
        acc = load(gradient, row, 0, 1)
        signal = row_at(delta, np.intp(samples[e]))
        store(rank1(acc, values, e, 0, delta.numbers, signal), gradient, row, width)


@njit
def piece_gradient(gradient, network, nonzeros, slot, piece, deltas, rows, block_rows, fresh):
    """Compute the gradient of a piece of the first layer's weights over one block of samples.

    Parameters
    ----------
    gradient : 1-D array packed like network.weights; the elements of the piece are written or added to
    network : Network
    nonzeros : Nonzeros
    slot : int; the slot that holds the block's non-zeros
    piece : a record of `layout.tasks.PIECE`
    deltas : 1-D array; error signals of the block, of layers 1 to L
    rows, block_rows : int; samples in the block, and rows that each panel has room for
    fresh : bool; whether to overwrite the gradient rather than add to it
    """
    layer = network.layers[0]
    for column in range(piece.left, piece.right, panel_width(gradient)):
        p = column // panel_width(gradient)
        biases = panel_at(biases_of(layer, gradient), p).start
        weights = panel_at(weights_of(layer, gradient), p).start
        delta = panel_at(deltas_of(layer, deltas, block_rows), p)
        panel_gradient(gradient, biases, weights, nonzeros, slot, piece, delta, rows, fresh)


@njit
def learn_piece(network, state, optimizer, nonzeros, piece, deltas, gradient, block_rows, block_count, rows, scale, l2):
    """Update a piece of the first layer's weights from a batch, all blocks of which are in slots.

    The gradient, most rows of which are zero, is computed one panel at a time in a small buffer that stays in the
    cache. So only weights and moments, but no gradient, pass through main memory.

    Parameters
    ----------
    network, state, optimizer : Network, State, Optimizer; network and state are updated
    nonzeros : Nonzeros; slot b holds block b
    piece : a record of `layout.tasks.PIECE`
    deltas : (slots, size) array; row b holds the error signals of block b, of layers 1 to L
    gradient : 1-D array; scratch for one panel of a piece: a row of biases, and a row for each of its rows of weights
    block_rows : int; rows of a block
    block_count, rows : int; blocks and samples of the batch
    scale, l2 : float; see `learning.update_panel`
    """
    layer = network.layers[0]
    for column in range(piece.left, piece.right, panel_width(network.weights)):
        p = column // panel_width(network.weights)
        origin, _, _ = panel_range(network, piece, column)  # offset of the first weight or bias that is updated
        weights = panel_at(weights_of(layer, network.weights), p).start - origin
        for b in range(block_count):
            _, count = block_range(block_rows, b, rows, block_multiple_of(network))
            delta = panel_at(deltas_of(layer, deltas[b], panel_rows_of(network, block_rows)), p)
            panel_gradient(gradient, 0, weights, nonzeros, b, piece, delta, count, b == 0)
        update_panel(network, state, optimizer, piece, column, gradient, origin, scale, l2)
