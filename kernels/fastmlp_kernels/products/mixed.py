"""Products of bfloat16 operands, with sums in float32: of forward and backward passes, and gradients.

Whole tiles are stored, so that results have room for a multiple of 32 rows. All products are made between `take_tiles`
and `give_tiles`, by which a thread has the registers that they need.
"""

from ..jit import by_class, inlined
from ..layout.network import MixedNetwork
from ..layout.panels import panel_at, row_at
from ..tile.bfloat16 import (
    SQUARE,
    add_terms,
    configure,
    load_sums,
    release,
    store_sums,
    tile_rows,
    zero_sums,
)
from ..tile.operations import load, prefetch, store, terms

# Terms of each sum that are added before going on to the next rows: so much of a panel of the right operand, 16 KB,
# stays in the L1 cache while all rows of a block use it, and as much of what is next is prefetched into the L2 cache.
# Layers with 1024 inputs on AMX: 1.2 times as fast as without, and 1.1 times for the prefetching.
DEPTH = 256
# With more than DEEP terms, the rows of A in a block do not stay in an L2 cache of 2 MB: GROUP panels of C use DEPTH of
# their terms before the next are read. Products with 4096 terms on AMX: 1.7 times as fast, with 1024 terms 0.93 times.
DEEP, GROUP = 2048, 8


def _nothing(network):
    """Take the registers that products of a MixedNetwork need, or give them back; for a Network do nothing."""


take_tiles = by_class(MixedNetwork, lambda network: configure(network.operand), _nothing)
give_tiles = by_class(MixedNetwork, lambda network: release(network.operand), _nothing)


@inlined
def accumulate(sums, a, r, b, start, stop, soon, place, later=None, later_place=0):
    """Tile of sums + A[r : r + tile_rows, start : stop] B[start : stop].

    Parameters
    ----------
    sums : tile
    a : Matrix, left operand: panels of 32 terms
    r : int; first row of A
    b : Matrix of one panel, right operand
    start, stop : int; range of the terms, `start` a multiple of 32; products run on to a multiple of 32, where both
        operands have zeros
    soon : 1-D uint16 array that is read next
    place : int; offset in it from which a row is prefetched for each row of the tile, over DEPTH terms
    later, later_place : likewise, of another array; None: there is none
    """
    step, rows = terms(b.numbers), tile_rows(b.numbers) * SQUARE // DEPTH
    for k in range(start, stop, SQUARE):
        for row in range(rows):
            ahead = ((k - start) // SQUARE * rows + row) * SQUARE
            prefetch(soon, place + ahead)
            if later is not None:
                prefetch(later, later_place + ahead)
        left, right = row_at(panel_at(a, k // SQUARE), r), row_at(b, k)
        for j in range(0, SQUARE, step):
            sums = add_terms(sums, a.numbers, left + j, SQUARE, b.numbers, right + j * SQUARE)
    return sums


@inlined
def last_terms(depth):
    """Where the last DEPTH terms of `depth` terms begin, or what is left of them: a multiple of DEPTH."""
    return (depth - 1) // DEPTH * DEPTH


@inlined
def product_rows(c, a, b, start, stop, first, last, biases=None):
    """Add terms start..stop to the sums of rows first..last of one panel of C = A B, or of z = a W + b.

    Parameters
    ----------
    c : Matrix of one panel, (rows, 32), of float32, written up to whole tiles; it has the sums of the terms before
    a : Matrix, (rows, depth), left operand
    b : Matrix of one panel, (depth, 32), right operand
    start, stop : int; range of the terms, at most DEPTH; 0: begin the sums
    first, last : int; range of the rows, `first` a multiple of 32
    biases : Matrix of one panel, of float32, whose row 0 has the biases; or None
    """
    for r in range(first, last, tile_rows(b.numbers)):
        if start > 0:
            sums = load_sums(c.numbers, row_at(c, r), SQUARE, b.numbers)
        elif biases is None:
            sums = zero_sums(c.numbers, b.numbers)
        else:
            sums = load_sums(biases.numbers, biases.start, 0, b.numbers)
        # For all rows together, what follows in B is prefetched: the next terms, or the next panel.
        sums = accumulate(sums, a, r, b, start, stop, b.numbers, row_at(b, stop + r))
        store_sums(sums, c.numbers, row_at(c, r), SQUARE)


@inlined
def group_of(depth):
    """Number of panels of C whose sums of `depth` terms are begun together (see DEEP)."""
    return GROUP if depth > DEEP else 1


@inlined
def begin_product(c, a, b, depth, rows, panels, biases=None):
    """Compute the sums of the first `panels` panels of C = A B, or of z = a W + b, but for the last terms.

    For these see `last_terms`, for the arguments `product_rows`; here `c`, `b` and `biases` are matrices.
    """
    for k in range(0, last_terms(depth), DEPTH):
        for p in range(panels):
            start = None if biases is None else panel_at(biases, p)
            product_rows(panel_at(c, p), a, panel_at(b, p), k, k + DEPTH, 0, rows, start)


@inlined
def product_panel(c, a, b, depth, rows):
    """One panel of C = A B; see `product_rows`."""
    begin_product(c, a, b, depth, rows, 1)
    product_rows(c, a, b, last_terms(depth), depth, 0, rows)


@inlined
def copy_rows(source, start, target, place, count):
    """Copy `count` rows of a panel, from source[start] to target[place] on."""
    for r in range(count):
        store(load(source, start + r * SQUARE, 0, 1), target, place + r * SQUARE, SQUARE)


@inlined
def begin_gradient(gradient, i, last, fresh, spare, like):
    """Tile of sums that a tile of the gradient starts from: its numbers so far, or zeros if `fresh`.

    Parameters
    ----------
    gradient : Matrix of one panel, (n_in, 32), of float32
    i, last : int; first row of the tile, and end of the rows in use
    fresh : bool
    spare : 1-D float32 array; scratch memory for one tile
    like : 1-D uint16 array of operands
    """
    height, place = tile_rows(like), row_at(gradient, i)
    if fresh:
        return zero_sums(gradient.numbers, like)
    if last - i >= height:
        return load_sums(gradient.numbers, place, SQUARE, like)
    copy_rows(gradient.numbers, place, spare, 0, last - i)
    return load_sums(spare, 0, SQUARE, like)


@inlined
def end_gradient(sums, gradient, i, last, spare, like):
    """Store a tile of the gradient, up to row `last`; see `begin_gradient`."""
    height, place = tile_rows(like), row_at(gradient, i)
    if last - i >= height:
        store_sums(sums, gradient.numbers, place, SQUARE)
    else:
        store_sums(sums, spare, 0, SQUARE)
        copy_rows(spare, 0, gradient.numbers, place, last - i)
