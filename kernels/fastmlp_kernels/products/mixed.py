"""Products of bfloat16 operands, with sums in float32: of forward and backward passes, and gradients.

Each computes one panel of C = A B, in tiles of as many rows as the engine has, over all terms at once. Whole tiles are
stored, so that C has room for a multiple of 32 rows.
"""

from ..jit import inlined
from ..layout.panels import padded, panel_at, row_at
from ..tile.bfloat16 import SQUARE, add_terms, load_sums, square_memory, store_sums, tile_rows, zero_sums
from ..tile.operations import ROWS, load, multiply, prefetch, store, terms, zero


@inlined
def accumulate(sums, a, r, b, depth):
    """Tile of sums + A[r : r + tile_rows] B, with `depth` terms.

    Parameters
    ----------
    sums : tile
    a : Matrix, left operand: panels of 32 terms
    r : int; first row of A
    b : Matrix of one panel, right operand
    depth : int; terms in use; products run on to a multiple of 32, where both operands have zeros
    """
    step = terms(b.numbers)
    for k in range(0, depth, SQUARE):
        left, right = row_at(panel_at(a, k // SQUARE), r), row_at(b, k)
        for j in range(0, SQUARE, step):
            sums = add_terms(sums, a.numbers, left + j, SQUARE, b.numbers, right + j * SQUARE)
    return sums


@inlined
def net_input_panel(z, a, b, depth, rows, biases):
    """One panel of net inputs, z = a W + b.

    Parameters
    ----------
    z : Matrix of one panel, (rows, 32), of float32, written up to whole tiles
    a : Matrix, (rows, depth), left operand
    b : Matrix of one panel, (depth, 32), right operand
    depth, rows : int
    biases : Matrix of one panel, of float32, whose row 0 has the biases
    """
    for r in range(0, rows, tile_rows(b.numbers)):
        sums = load_sums(biases.numbers, biases.start, 0, b.numbers)
        store_sums(accumulate(sums, a, r, b, depth), z.numbers, row_at(z, r), SQUARE)


@inlined
def plain_panel(c, a, b, depth, rows):
    """One panel of C = A B.

    Parameters
    ----------
    c : Matrix of one panel, (rows, 32), of float32, written up to whole tiles
    a, b, depth, rows : see `net_input_panel`
    """
    for r in range(0, rows, tile_rows(b.numbers)):
        sums = zero_sums(c.numbers, b.numbers)
        store_sums(accumulate(sums, a, r, b, depth), c.numbers, row_at(c, r), SQUARE)


@inlined
def error_signal_panel(delta, a, b, depth, rows, sums):
    """One panel of error signals, delta = (delta' W^T) * g'(z), from delta' of the layer after.

    Parameters
    ----------
    delta : Matrix of one panel, (rows, 32), of float32; slopes g'(z), which are replaced
    a, b, depth, rows : see `net_input_panel`; delta' and W^T
    sums : Matrix of one panel, of float32; scratch memory
    """
    plain_panel(sums, a, b, depth, rows)
    for r in range(rows):
        slopes = load(delta.numbers, row_at(delta, r), 0, 1)
        store(multiply(load(sums.numbers, row_at(sums, r), 0, 1), slopes), delta.numbers, row_at(delta, r), SQUARE)
    for r in range(rows, padded(rows, ROWS)):  # padding rows of float32 matrices, which sums over samples include
        store(zero(delta.numbers, 1), delta.numbers, row_at(delta, r), SQUARE)


@inlined
def copy_rows(source, start, target, place, count):
    """Copy `count` rows of a panel, from source[start] to target[place] on."""
    for r in range(count):
        store(load(source, start + r * SQUARE, 0, 1), target, place + r * SQUARE, SQUARE)


@inlined
def weight_gradient(gradient, units, pairs, first, last, rows, fresh):
    """Compute rows first..last of one panel of the gradient a^T delta of the weights.

    Parameters
    ----------
    gradient : Matrix of one panel, (n_in, 32), of float32; rows first..last are written or added to
    units : Matrix, (n_in, rows), left operand: the layer's inputs, transposed
    pairs : Matrix of one panel, (rows, 32), right operand: its error signals
    first, last : int; range of inputs of the layer, `first` a multiple of 32
    rows : int; samples
    fresh : bool; whether to overwrite the gradient rather than add to it
    """
    height, spare = tile_rows(pairs.numbers), square_memory(gradient.numbers)
    for i in range(first, last, height):
        count, place = min(height, last - i), row_at(gradient, i)
        whole = count == height
        # The next tile, which may be in the L3 cache only: steps with 1024 units a layer take 3 % less on Zen 4.
        for r in range(height, min(2 * height, last - i)):
            prefetch(gradient.numbers, row_at(gradient, i + r))
        sums = zero_sums(gradient.numbers, pairs.numbers)
        if not fresh:
            if whole:
                sums = load_sums(gradient.numbers, place, SQUARE, pairs.numbers)
            else:
                copy_rows(gradient.numbers, place, spare, 0, count)
                sums = load_sums(spare, 0, SQUARE, pairs.numbers)
        sums = accumulate(sums, units, i, pairs, rows)
        if whole:
            store_sums(sums, gradient.numbers, place, SQUARE)
        else:
            store_sums(sums, spare, 0, SQUARE)
            copy_rows(spare, 0, gradient.numbers, place, count)
