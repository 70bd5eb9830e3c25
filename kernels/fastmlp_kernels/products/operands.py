"""Operands: the arrays that products read, as distinct from the arrays that hold learned or computed numbers.

An engine is the instruction set that products use; a *term* is one product of two numbers that is added to a sum, and
an engine adds one or several to each sum in a step (see `tile.engines`). Engines for float32 and float64 have one term
a step and read the arrays in which activations, error signals and weights are kept: their operands are these arrays
themselves, without copies. Those for bfloat16 read forms of their own (see `layout.forms`), which are written where the
numbers are computed: while inputs are packed, when a panel of activations or error signals is finished, and after the
update of a piece of the weights.

The first layer of a MixedNetwork with few inputs has float32 operands, too, in the forward product and in the gradient
of its weights. Its sums have fewer terms than half a step
of AMX, and what a network of few inputs learns often depends on their last digits: of the points of three interleaved
spirals, 99.2 % were told apart with inputs rounded to bfloat16, 99.5 % with these in float32.
"""

from typing import NamedTuple

import numpy as np

from ..jit import by_class, inlined
from ..layout.forms import store_left_square, store_right_square, transpose_square
from ..layout.network import MixedNetwork
from ..layout.panels import Matrix, pack_rows, padded, panel_at, panels_of, row_at
from ..tile.bfloat16 import SIDE, SQUARE, square_memory
from ..tile.operations import ROWS, load_columns, multiply_add, store, total, zero


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


class MixedOperands(NamedTuple):
    """Operands of the products of one block of samples with a MixedNetwork: panels, of uint16 but for the first two.

    Attributes
    ----------
    inputs, signals : 1-D arrays of float32
        Panels of activations and of error signals: operands of the first layer, and only if it `has_float_inputs`.
    activations : 1-D array; left operand of forward products
    units : 1-D array
        Transposed activations, one row a unit and one column a sample, the left operand of gradients. Those of a layer
        take the same place as its `activations`; each panel has room for as many rows as the layer has units, padded.
    deltas : 1-D array; left operand of backward products
    pairs : 1-D array; error signals with interleaved rows, the right operand of gradients
    weights : 1-D array; right operand of forward products
    transposed : 1-D array; right operand of backward products
    """

    inputs: np.ndarray
    signals: np.ndarray
    activations: np.ndarray
    units: np.ndarray
    deltas: np.ndarray
    pairs: np.ndarray
    weights: np.ndarray
    transposed: np.ndarray


def _float_operands(network, activations, deltas, forms=None):
    """Operands of a block of samples.

    Where only some of the operands are read, any array may take the place of the others: the forward pass for
    prediction has no error signals and passes an empty array, the backward pass its error signals twice.

    Parameters
    ----------
    network : Network or MixedNetwork
    activations, deltas : 1-D arrays; panels of the block's activations and error signals
    forms : 1-D uint16 array; memory for the operands of a MixedNetwork, else not used: as many numbers as there are
        activations and, if there are error signals, twice as many as there are of both
    """
    return Operands(activations, deltas, network.weights, network.transposed)


def _parts(network, activations, deltas, forms=None):
    """See `_float_operands`; the operands made of error signals are at the end of `forms`."""
    a, d = activations.size, forms.size - deltas.size
    before = max(d - deltas.size, a)
    parts = forms[:a], forms[a:before], forms[before:d], forms[d:]
    return MixedOperands(activations, deltas, *parts, network.operand, network.transposed)


operands_of = by_class(MixedNetwork, _parts, _float_operands)


@inlined
def has_float_inputs(layer):
    """Whether a layer of a MixedNetwork multiplies float32 numbers: the first, of few inputs (see the opening)."""
    return layer.weights == 0 and layer.n_in <= FEW_INPUTS


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


def _no_forms(network, operands, layer, p, values, rows, panel_rows):
    """Store a finished panel of a layer's activations as operands of the next layer's products; if float, do nothing.

    Parameters
    ----------
    network : Network or MixedNetwork
    operands : Operands or MixedOperands, of which `activations` and `units` are written
    layer : a record of `layout.network.LAYER`
    p : int; number of the panel
    values : Matrix of one panel; the activations
    rows, panel_rows : int; rows of the block, and rows that each panel has room for
    """


def _store_outputs(network, operands, layer, p, values, rows, panel_rows):
    """Store a finished panel of a layer's activations as operands; see `_no_forms`."""
    store_activations(operands, layer.outputs, layer.n_out, p, values, 0, rows, panel_rows)


store_outputs = by_class(MixedNetwork, _store_outputs, _no_forms)


@inlined
def units_of(operands, first_panel, columns, panel_rows):
    """Transposed activations of a layer, (columns, rows): panels of 32 samples, each with a row for each unit."""
    return Matrix(operands.units, first_panel * SQUARE * panel_rows, padded(columns, SQUARE))


@inlined
def store_activations(operands, first_panel, columns, p, values, start, rows, panel_rows):
    """Store rows of one panel of activations as operands of the next layer: the left form, and that of the transpose.

    Parameters
    ----------
    operands : MixedOperands
    first_panel, columns : int; number of the first panel of these activations in a block, and their columns
    p : int; number of the panel among theirs
    values : Matrix of one panel; its row 0 is row `start` of the block
    start, rows : int; first row, a multiple of SQUARE, and number of rows
    panel_rows : int; rows that each panel has room for
    """
    square, count = square_memory(operands.activations), columns - p * SQUARE
    left = panel_at(Matrix(operands.activations, 0, panel_rows), first_panel + p)
    units = units_of(operands, first_panel, columns, panel_rows)
    for s in range(0, rows, SQUARE):
        store_left_square(values, s, rows - s, count, left.numbers, row_at(left, start + s))
        if operands.units.size:  # not kept for predictions
            store_right_square(values, s, rows - s, count, square, 0)
            place = row_at(panel_at(units, (start + s) // SQUARE), p * SQUARE)
            transpose_square(square, SIDE, SQUARE, units.numbers, place)


@inlined
def store_signals(operands, first_panel, columns, p, signals, rows, panel_rows):
    """Store one panel of error signals as operands: in the left form for products backward, in the right for gradients.

    Parameters
    ----------
    operands : MixedOperands, of which `deltas` and `pairs` are written
    first_panel, columns : int; number of the first panel of the layer's error signals, and the layer's units
    p : int; number of the panel among them
    signals : Matrix of one panel; the error signals
    rows, panel_rows : int; rows of the block, and rows that each panel has room for
    """
    left = panel_at(Matrix(operands.deltas, 0, panel_rows), first_panel + p)
    right = panel_at(Matrix(operands.pairs, 0, panel_rows), first_panel + p)
    for s in range(0, rows, SQUARE):
        store_left_square(signals, s, rows - s, columns - p * SQUARE, left.numbers, row_at(left, s))
        store_right_square(signals, s, rows - s, columns - p * SQUARE, right.numbers, row_at(right, s))


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
                store(copied, square, row_at(values, s), SQUARE)
                checked = multiply_add(copied, zeros, checked)  # stays 0 as long as all are finite: 0 * inf is NaN
            store_activations(operands, 0, columns, p, values, start, count, panel_rows)
    return total(checked) == 0
