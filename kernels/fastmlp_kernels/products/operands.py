"""Operands: the arrays that products read, as distinct from the arrays that hold learned or computed numbers.

An engine is the instruction set that products use; a *term* is one product of two numbers that is added to a sum, and
an engine adds one or several to each sum in a step (see `tile.engines`). Engines for float32 and float64 have one term
a step and read the arrays in which activations, error signals and weights are kept: their operands are these arrays
themselves, without copies. Those for bfloat16 read forms of their own (see `layout.forms`), which are written where the
numbers are computed: while inputs are packed, when rows of a panel of activations or error signals are finished, and
after the update of a piece of the weights. The float32 numbers that they are made of are not kept, but for slopes until
the backward pass, outputs, and what a first layer that multiplies float32 numbers reads.

The first layer of a MixedNetwork with few inputs has float32 operands, too, in the forward product and in the gradient
of its weights. Its sums have fewer terms than half a step of AMX, and what a network of few inputs learns often depends
on their last digits: of the points of three interleaved spirals, 99.2 % were told apart with inputs rounded to
bfloat16, 99.5 % with these in float32.
"""

from typing import NamedTuple

import numpy as np

from ..jit import by_class, inlined
from ..layout.forms import store_left_square, store_square, transpose_square
from ..layout.network import MixedNetwork
from ..layout.panels import Matrix, pack_rows, panel_at, panels_of, row_at
from ..tile.bfloat16 import SIDE, SQUARE, square_memory, widened
from ..tile.operations import ROWS, add, load, load_columns, multiply_add, prefetch, store, total, zero


class Operands(NamedTuple):
    """Operands of the products of one block of samples.

    Attributes
    ----------
    activations : 1-D array; left operand of forward products and, transposed, of gradients
    deltas : 1-D array; left operand of backward products, right operand of gradients
    weights : 1-D array; right operand of forward products
    transposed : 1-D array; right operand of backward products
    """

    activations: np.ndarray
    deltas: np.ndarray
    weights: np.ndarray
    transposed: np.ndarray


FEW_INPUTS = 15  # most inputs that a MixedNetwork does not round


class Forms(NamedTuple):
    """Memory for what a block of a MixedNetwork has besides activations and error signals in float32.

    Attributes
    ----------
    left : 1-D uint16 array
        Left operands: as many numbers as there are activations and, unless it is for predictions, error signals. They
        are read by the passes of the block itself.
    kept : 1-D uint16 array
        As many numbers again: what gradients read. Empty for predictions.
    sums : 1-D array of float32
        Of the error signals of each unit, padding included, the sums over samples, then the sums of squares. Empty for
        predictions.
    """

    left: np.ndarray
    kept: np.ndarray
    sums: np.ndarray


class MixedOperands(NamedTuple):
    """Operands of the products of one block of samples with a MixedNetwork: panels, of uint16 but for the first two.

    Attributes
    ----------
    inputs, signals : 1-D arrays of float32
        Panels of activations and of error signals: operands of the first layer, and only if it `has_float_inputs`.
    activations : 1-D array; left operand of forward products
    units : 1-D array
        Transposed activations, the left operand of gradients; those of each panel of activations by themselves, in the
        same place as it (see `units_at`).
    deltas : 1-D array; left operand of backward products
    pairs : 1-D array; error signals with interleaved rows, the right operand of gradients
    weights : 1-D array; right operand of forward products
    transposed : 1-D array; right operand of backward products
    sums : 1-D array of float32; see `Forms`
    """

    inputs: np.ndarray
    signals: np.ndarray
    activations: np.ndarray
    units: np.ndarray
    deltas: np.ndarray
    pairs: np.ndarray
    weights: np.ndarray
    transposed: np.ndarray
    sums: np.ndarray


def _float_operands(network, activations, deltas, forms=None):
    """Operands of a block of samples.

    Where only some of the operands are read, any array may take the place of the others: the forward pass for
    prediction has no error signals and passes an empty array, the backward pass its error signals twice.

    Parameters
    ----------
    network : Network or MixedNetwork
    activations, deltas : 1-D arrays; panels of the block's activations and error signals
    forms : Forms of a MixedNetwork, else not used
    """
    return Operands(activations, deltas, network.weights, network.transposed)


def _parts(network, activations, deltas, forms=None):
    """See `_float_operands`; the operands made of error signals are at the end of both arrays of `forms`."""
    left, kept, sums = forms
    a, d, e = activations.size, left.size - deltas.size, kept.size - deltas.size
    parts = left[: min(a, left.size)], kept[: min(a, kept.size)], left[d:], kept[max(e, 0) :]
    return MixedOperands(activations, deltas, *parts, network.operand, network.transposed, sums)


operands_of = by_class(MixedNetwork, _parts, _float_operands)


number_at = by_class(
    MixedNetwork,
    lambda network, operand, i: widened(operand[i]),
    lambda network, operand, i: operand[i],  # number `i` of an operand, as a float
)


@inlined
def has_float_inputs(layer):
    """Whether a layer of a MixedNetwork multiplies float32 numbers: the first, of few inputs (see the opening)."""
    return layer.weights == 0 and layer.n_in <= FEW_INPUTS


@inlined
def has_float_gradient(layer):
    """Whether the gradient of a layer of a MixedNetwork is that of float32 numbers: as above, or of sparse inputs."""
    return has_float_inputs(layer) or layer.inputs < 0


def _tile_rows(network):
    """Rows of which those of a block are a multiple: those of a tile of products.

    Called from Python it is not compiled, so that making a workspace compiles nothing.
    """
    return ROWS


def _square_rows(network):
    """See `_tile_rows`; operands of a MixedNetwork are stored in squares."""
    return SQUARE


block_multiple_of = by_class(MixedNetwork, _square_rows, _tile_rows)


def _same_rows(network, block_rows):
    """Rows that each panel of a block has room for: those of the block. See `_tile_rows`."""
    return block_rows


def _whole_squares(network, block_rows):
    """See `_same_rows`: whole squares for operands, in which there is room for whole tiles of float32 numbers."""
    whole = (block_rows + ROWS - 1) // ROWS * ROWS
    return (whole + SQUARE - 1) // SQUARE * SQUARE


panel_rows_of = by_class(MixedNetwork, _whole_squares, _same_rows)


@inlined
def units_at(numbers, panel, panel_rows):
    """Transposed activations of a panel of units, (32, rows): a square for each 32 samples, one row a unit.

    Parameters
    ----------
    numbers : 1-D uint16 array; `MixedOperands.units`
    panel : int; number of the panel of units in a block's activations
    panel_rows : int; rows that each panel of activations has room for
    """
    return Matrix(numbers, panel * SQUARE * panel_rows, SQUARE)


@inlined
def store_activations(operands, first_panel, columns, p, values, s, count, panel_rows):
    """Store rows of one panel of activations as operands of the next layer: the left form, and that of the transpose.

    Parameters
    ----------
    operands : MixedOperands
    first_panel, columns : int; number of the first panel of these activations in a block, and their columns
    p : int; number of the panel among theirs
    values : Matrix of one panel; its row 0 is row `s` of the block
    s, count : int; first row, a multiple of SQUARE, and number of rows, at most SQUARE
    panel_rows : int; rows that each panel has room for
    """
    square, columns = square_memory(operands.activations), columns - p * SQUARE
    left = panel_at(Matrix(operands.activations, 0, panel_rows), first_panel + p)
    if operands.units.size:
        store_square(values, 0, count, columns, left.numbers, row_at(left, s), square, 0)
        place = panel_at(units_at(operands.units, first_panel + p, panel_rows), s // SQUARE).start
        transpose_square(square, SIDE, SQUARE, operands.units, place)
    else:  # for predictions
        store_left_square(values, 0, count, columns, left.numbers, row_at(left, s))


@inlined
def store_signals(operands, first_panel, columns, p, signals, s, count, panel_rows):
    """Store rows of a panel of error signals as operands, left of products backward and right of gradients.

    They are also added to the sums over samples, which begin with row 0.

    Parameters
    ----------
    operands : MixedOperands, of which `deltas`, `pairs` and `sums` are written
    first_panel, columns : int; number of the first panel of the layer's error signals, and the layer's units
    p : int; number of the panel among them
    signals : Matrix of one panel; the error signals of the block
    s, count : int; first row, a multiple of SQUARE, and number of rows, at most SQUARE
    panel_rows : int; rows that each panel has room for
    """
    left = panel_at(Matrix(operands.deltas, 0, panel_rows), first_panel + p)
    right = panel_at(Matrix(operands.pairs, 0, panel_rows), first_panel + p)
    store_square(
        signals, s, count, columns - p * SQUARE, left.numbers, row_at(left, s), right.numbers, row_at(right, s)
    )
    place, half = (first_panel + p) * SQUARE, operands.sums.size // 2
    if s == 0:
        sums = squares = zero(signals.numbers, 1)
    else:
        sums, squares = load(operands.sums, place, 0, 1), load(operands.sums, half + place, 0, 1)
    for r in range(s, s + count):
        row = load(signals.numbers, row_at(signals, r), 0, 1)
        sums, squares = add(sums, row), multiply_add(row, row, squares)
    store(sums, operands.sums, place, SQUARE)
    store(squares, operands.sums, half + place, SQUARE)


def pack_operands(network, activations, forms, source, order, first, rows, panel_rows):
    """Store the inputs of a block as operands of a MixedNetwork: rows of a row-major matrix, a square at a time.

    Parameters
    ----------
    network : MixedNetwork
    activations, forms : see `operands_of`; `forms` is written or, if inputs are few, `activations`
    source, order, first, rows, panel_rows : see `layout.panels.pack_rows`

    Returns
    -------
    bool
        Whether all these numbers are finite.
    """
    if has_float_inputs(network.layers[0]):
        return pack_rows(activations, source, order, first, rows, panel_rows)
    operands = operands_of(network, activations, activations[:0], forms)
    square, columns = square_memory(source), source.shape[1]
    values = Matrix(square, 0, SQUARE)
    zeros = checked = zero(source, 1)
    for start in range(0, rows, SQUARE):
        count = min(SQUARE, rows - start)
        for p in range(panels_of(columns, source)):
            for s in range(count):
                row = order[first + start + s] if order.size else first + start + s
                copied = load_columns(source, row * columns + p * SQUARE, columns - p * SQUARE)
                later = min(first + start + s + SQUARE, first + rows - 1)  # a row of the next square
                place = (order[later] if order.size else later) * columns + p * SQUARE
                prefetch(source, place)
                prefetch(source, place + SQUARE // 2)
                store(copied, square, row_at(values, s), SQUARE)
                checked = multiply_add(copied, zeros, checked)  # stays 0 as long as all are finite: 0 * inf is NaN
            store_activations(operands, 0, columns, p, values, start, count, panel_rows)
    return total(checked) == 0
