"""Gradients of a piece of a layer's weights over a block of samples: dE/dW = a^T delta, dE/db = sums of delta.

A piece is a rectangle of the weights, with the biases if it begins at row 0 (see `layout.tasks`).

Both sums run over the samples of the block, padding rows included, in which error signals are zero.

The tile of a gradient has GRADIENT_ROWS rows, inputs of the layer, which are columns of the left operand's panels:
since GRADIENT_ROWS divides the panel width, all are in one panel, next to one another.
"""

from ..jit import by_class, inlined
from ..layout.network import MixedNetwork, biases_of, deltas_of, inputs_of, weights_of
from ..layout.panels import Matrix, block_range, element, padded, panel_at, panels_of, row_at
from ..tile.bfloat16 import SQUARE, square_memory, tile_rows
from ..tile.operations import (
    GRADIENT_ROWS,
    ROWS,
    SUM_ROWS,
    add,
    load,
    load_rows,
    panel_width,
    prefetch,
    rank1,
    store,
    store_rows,
    sum_rows,
    zero,
)
from . import mixed
from .operands import has_float_inputs, operands_of, units_at


@inlined
def bias_gradient(gradient, offset, delta, rows, fresh):
    """Compute the gradient of the biases of one panel, the sum of its error signals over samples.

    Parameters
    ----------
    gradient : 1-D array; panel_width elements from `offset` on are written or added to
    offset : int
    delta : Matrix of one panel, (rows, panel_width); error signals
    rows : int; samples
    fresh : bool; whether to overwrite the gradient rather than add to it
    """
    width = panel_width(gradient)
    acc = zero(gradient, SUM_ROWS)
    for r in range(0, padded(rows, ROWS), SUM_ROWS):
        acc = add(acc, load(delta.numbers, row_at(delta, r), width, SUM_ROWS))
    sums = sum_rows(acc)
    if not fresh:
        sums = add(sums, load(gradient, offset, width, 1))
    store(sums, gradient, offset, width)


@inlined
def prefetch_rows(numbers, start, stop, step):
    """Prefetch rows of a panel, of one or two cache lines each: those at the offsets range(start, stop, step)."""
    for i in range(start, stop, step):
        prefetch(numbers, i)
        prefetch(numbers, i + panel_width(numbers) // 2)


@inlined
def weight_gradient(gradient, a, delta, first, last, rows, fresh, part=0, parts=1, next_a=0, next_delta=0):
    """Compute rows first..last of one panel of the gradient a^T delta of the weights.

    Each `rank1` adds the term of one sample to every sum of a tile: this is for float32 and float64 operands.
    Meanwhile operands of the next block are prefetched, some rows with each tile: all of its panel of error signals,
    and of its inputs the share of this panel of the gradient. With layers of 1024 units on an Intel Xeon, steps were
    1.02 to 1.04 times as fast.

    Parameters
    ----------
    gradient : Matrix of one panel, (n_in, panel_width); rows first..last are written or added to
    a : Matrix, (rows, n_in); the layer's inputs
    delta : Matrix of one panel, (rows, panel_width); error signals
    first, last : int; range of inputs of the layer, `first` a multiple of the panel width
    rows : int; samples
    fresh : bool; whether to overwrite the gradient rather than add to it
    part, parts : int; number of this panel of the piece's gradient, and of all of them
    next_a, next_delta : int; elements from the operands to those of the next block; 0: there is none
    """
    numbers, width = gradient.numbers, panel_width(delta.numbers)
    tiles, in_panel = (last - first + GRADIENT_ROWS - 1) // GRADIENT_ROWS, width // GRADIENT_ROWS
    for i in range(first, last, GRADIENT_ROWS):
        count, target = min(GRADIENT_ROWS, last - i), row_at(gradient, i)
        tile, panel = (i - first) // GRADIENT_ROWS, element(a, 0, i // width * width)
        own, others = part * in_panel + tile % in_panel, parts * in_panel
        acc = zero(numbers, GRADIENT_ROWS)
        inputs = element(a, 0, i)
        for s in range(0, padded(rows, ROWS) * width, ROWS * width):
            if next_a:
                start, stop = panel + next_a + s, panel + next_a + s + ROWS * width
                prefetch_rows(a.numbers, start + own * width, stop, others * width)
                start = delta.start + next_delta + s
                prefetch_rows(delta.numbers, start + tile * width, start + ROWS * width, tiles * width)
            for r in range(s, s + ROWS * width, width):  # of a constant length, so that the compiler unrolls it
                acc = rank1(acc, a.numbers, inputs + r, 1, delta.numbers, delta.start + r)
        if not fresh:
            acc = add(acc, load_rows(numbers, target, width, GRADIENT_ROWS, count))
        if count == GRADIENT_ROWS:
            store(acc, numbers, target, width)
        else:
            store_rows(acc, numbers, target, width, count)


@inlined
def float_gradient(gradient, layer, piece, a, delta, rows, fresh, next_a=0, next_delta=0):
    """Compute the gradient of a piece of the weights, and of its biases, from float32 or float64 operands.

    Parameters
    ----------
    a, delta : Matrix; the layer's inputs, (rows, n_in), and error signals, (rows, n_out)
    gradient, piece, rows, fresh : see `piece_gradient`
    layer : a record of `layout.network.LAYER`
    next_a, next_delta : see `weight_gradient`
    """
    width, parts = panel_width(gradient), panels_of(piece.right - piece.left, gradient)
    for column in range(piece.left, piece.right, width):
        p, part = column // width, (column - piece.left) // width
        signals = panel_at(delta, p)
        if piece.first == 0:
            bias_gradient(gradient, panel_at(biases_of(layer, gradient), p).start, signals, rows, fresh)
        target, inputs = panel_at(weights_of(layer, gradient), p), (piece.first, piece.last)
        weight_gradient(target, a, signals, *inputs, rows, fresh, part, parts, next_a, next_delta)


@inlined
def mixed_gradient(gradient, layer, piece, kept, sums, sizes, begin, end, fresh):
    """Compute the gradient of a piece of the weights, and of its biases, from what blocks of a MixedNetwork keep.

    The pairs of a panel and a block stay in the L1 cache while all units use them, and the units of the piece and the
    block in the L2 cache while all pairs do. Pairs of the next panel and units of the next block are prefetched.

    Parameters
    ----------
    gradient, piece, fresh : see `piece_gradient`
    layer : a record of `layout.network.LAYER`; with operands of bfloat16
    kept, sums : (slots, size) arrays; see `operands.Forms`
    sizes : triple of int; samples of the batch, rows of a block, and rows that each panel has room for
    begin, end : int; range of the blocks, which slots 0 to end - begin hold
    """
    (rows, block_rows, panel_rows), spare = sizes, square_memory(gradient)
    pairs_start, height = kept.shape[1] - sums.shape[1] // 2 * panel_rows, tile_rows(kept)
    left, panels = piece.left // SQUARE, panels_of(piece.right, gradient)
    for b in range(begin, end):
        _, count = block_range(block_rows, b, rows, SQUARE)
        slot, next_slot = kept[b - begin], kept[b + 1 - begin if b + 1 < end else 0]
        for p in range(left, panels):
            target, place = panel_at(weights_of(layer, gradient), p), (layer.deltas + p) * SQUARE * panel_rows
            pairs = Matrix(slot, pairs_start + place, panel_rows)
            for i in range(piece.first, piece.last, height):
                units = units_at(slot, layer.inputs + i // SQUARE, panel_rows)
                tile = mixed.begin_gradient(target, i, piece.last, fresh and b == begin, spare, kept)
                soon = row_at(pairs, i - piece.first) + panel_rows * SQUARE  # the next panel's pairs
                if end - begin > 1:
                    # All panels together prefetch all of it, a square each.
                    later = row_at(units_at(next_slot, layer.inputs + i // SQUARE, panel_rows), (p - left) * SQUARE)
                    tile = mixed.accumulate(tile, units, i % SQUARE, pairs, 0, count, slot, soon, next_slot, later)
                else:
                    tile = mixed.accumulate(tile, units, i % SQUARE, pairs, 0, count, slot, soon)
                mixed.end_gradient(tile, target, i, piece.last, spare, kept)
    if piece.first == 0:
        for b in range(begin, end):
            for p in range(left, panels):
                biases, first = panel_at(biases_of(layer, gradient), p).start, fresh and b == begin
                row = load(sums[b - begin], (layer.deltas + p) * SQUARE, 0, 1)
                store(row if first else add(row, load(gradient, biases, 0, 1)), gradient, biases, SQUARE)


def _layer_gradient(network, operands, gradient, layer, piece, forms, rows, panel_rows, fresh, more):
    """Compute the gradient of a piece of a layer's weights from the operands of a block.

    Parameters
    ----------
    network : Network or MixedNetwork
    operands : Operands or MixedOperands
    layer : a record of `layout.network.LAYER`
    gradient, piece, forms, rows, panel_rows, fresh, more : see `piece_gradient`
    """
    a, delta = inputs_of(layer, operands.activations, panel_rows), deltas_of(layer, operands.deltas, panel_rows)
    soon = operands.activations.size * more, operands.deltas.size * more  # the next slot is behind this one
    float_gradient(gradient, layer, piece, a, delta, rows, fresh, *soon)


def _mixed_layer_gradient(network, operands, gradient, layer, piece, forms, rows, panel_rows, fresh, more):
    """See `_layer_gradient`."""
    if has_float_inputs(layer):
        a, delta = inputs_of(layer, operands.inputs, panel_rows), deltas_of(layer, operands.signals, panel_rows)
        float_gradient(gradient, layer, piece, a, delta, rows, fresh)
    else:
        kept, sums = forms.kept.reshape(1, forms.kept.size), forms.sums.reshape(1, forms.sums.size)
        mixed_gradient(gradient, layer, piece, kept, sums, (rows, panel_rows, panel_rows), 0, 1, fresh)


layer_gradient = by_class(MixedNetwork, _mixed_layer_gradient, _layer_gradient)


@inlined
def piece_gradient(gradient, network, piece, activations, deltas, rows, panel_rows, fresh, forms=None, more=False):
    """Compute the gradient of a piece of the weights, and of its biases if it has any, over a block of samples.

    Parameters
    ----------
    gradient : 1-D array packed like network.weights; the elements of the piece are written or added to
    network : Network or MixedNetwork
    piece : Piece, or a record of `layout.tasks.PIECE`
    activations, deltas : 1-D arrays; activations and error signals of the block
    rows, panel_rows : int; samples in the block, and rows that each panel has room for
    fresh : bool; whether to overwrite the gradient rather than add to it
    forms : operands.Forms of a MixedNetwork
    more : bool; whether the block in the next slot, behind this one, is the next to be added: it is prefetched
    """
    layer, operands = network.layers[piece.layer], operands_of(network, activations, deltas, forms)
    layer_gradient(network, operands, gradient, layer, piece, forms, rows, panel_rows, fresh, more)
