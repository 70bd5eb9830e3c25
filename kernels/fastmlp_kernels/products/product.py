"""Product C = A B of matrices in panels, on register tiles: forward, backward, and for derivatives in `embed`.

A panel is `panel_width` neighboring columns of a matrix, stored row by row. A `Matrix` is a matrix in panels within the
1-D array `numbers`; panel_at(matrix, p) is its panel p, a Matrix too, and row_at(panel, r) the offset of row r of a
panel in `numbers` (see `layout.panels`).

One panel of C is computed at a time, in tiles of ROWS rows. The loop nest is written once and specialized for two
functions: `first_sum`, which gives the tile that sums start from (zeros or biases), and `finish`, which is applied to a
tile of sums before it is stored (nothing, or a multiplication by slopes).

A *term* is one product A[r, k] B[k, c] of the sum C[r, c]. `rank1` adds one to every sum of a tile:
acc[r, c] += A[r, k] B[k, c] for all r and c of the tile.

The forward and the backward product compute long sums DEPTH terms at a time, for all panels of C in turn: unfinished
sums wait in memory. `product` computes all terms of a panel at once.
"""

from ..jit import inlined, njit, specialize
from ..layout.panels import panel_at, panels_of, row_at
from ..tile.operations import ROWS, add, load, multiply, panel_width, prefetch, rank1, store, zero

UNROLL = 4  # rank-1 updates per turn of the inner loop: fewer instructions, 10 % faster than one per turn
# Terms of each sum that are added before going on to the next panel. DEPTH rows of a panel of B (16 KB with AVX2) stay
# in the L1 cache while all row tiles of a block use them, and DEPTH columns of A in the L2 cache while all panels do.
DEPTH = 256
# With more than FAR terms, B is read from the L3 cache or from memory, and AHEAD rows of its next panel are prefetched
# for each tile. With layers of 1024 units on an Intel Xeon, 1.05 times as fast; with 512 units, slower.
FAR, AHEAD = 512, 4


@inlined
def accumulate(acc, a, r, b, start, stop, ahead):
    """Tile acc + A[r : r + ROWS, start : stop] B[start : stop].

    Parameters
    ----------
    acc : tile of ROWS rows
    a : Matrix
    r : int; first row of A
    b : Matrix of one panel
    start, stop : int; range of the terms, `start` a multiple of the panel width
    ahead : int
        Rows of the next panel of B that are prefetched with each panel of A: others for each tile of rows, so that all
        tiles together prefetch the same terms of it.
    """
    width = panel_width(a.numbers)
    for k in range(start, stop, width):
        soon = row_at(b, b.panel_rows + k + r // ROWS * ahead)
        for i in range(soon, soon + ahead * width, width):
            prefetch(b.numbers, i)  # a row is one cache line, or two
            prefetch(b.numbers, i + width // 2)
        left, right = row_at(panel_at(a, k // width), r), row_at(b, k)
        count = min(width, stop - k)
        whole = count // UNROLL * UNROLL
        for i in range(0, whole, UNROLL):
            for j in range(i, i + UNROLL):
                acc = rank1(acc, a.numbers, left + j, width, b.numbers, right + j * width)
        for j in range(whole, count):
            acc = rank1(acc, a.numbers, left + j, width, b.numbers, right + j * width)
    return acc


def product_panel(c, a, b, start, stop, depth, rows, unfinished, biases):
    """Add terms start..stop, of `depth` terms, to the sums of one panel of C = A B.

    The globals `first_sum` and `finish` are bound by `jit.specialize` (see the opening docstring).

    Parameters
    ----------
    c : Matrix of one panel; written if stop == depth, with the result of `finish`, which may read what is in its place
    a : Matrix, (rows, depth)
    b : Matrix of one panel, (depth, panel_width)
    start, stop : int; range of the terms, `start` a multiple of DEPTH (0: begin the sums)
    depth : int; terms of a complete sum
    rows : int; rows of C, which is computed up to a multiple of ROWS
    unfinished : Matrix of one panel; the sums of the terms before `start` are read from it if start > 0, those of the
        terms before `stop` written to it if stop < depth; may be `c`, unless `finish` reads that
    biases : Matrix of one panel, whose row 0 `first_sum` may use
    """
    width = panel_width(c.numbers)
    for r in range(0, rows, ROWS):
        acc = first_sum(biases, c) if start == 0 else zero(c.numbers, ROWS)  # noqa: F821
        acc = accumulate(acc, a, r, b, start, stop, AHEAD if depth > FAR else 0)
        if start > 0:  # the terms before are added last: the order of additions decides the bits of a sum
            acc = add(acc, load(unfinished.numbers, row_at(unfinished, r), width, ROWS))
        if stop < depth:
            store(acc, unfinished.numbers, row_at(unfinished, r), width)
        else:
            store(finish(acc, c, r), c.numbers, row_at(c, r), width)  # noqa: F821


@inlined
def zeros(biases, c):
    """Tile that sums without biases start from: zeros."""
    return zero(c.numbers, ROWS)


@inlined
def repeated_biases(biases, c):
    """Tile that net inputs start from: the biases of the panel in every row."""
    return load(biases.numbers, biases.start, 0, ROWS)


@inlined
def unchanged(acc, c, r):
    """Tile of sums as they are stored in rows r..r + ROWS of C: unchanged."""
    return acc


@inlined
def times_slopes(acc, c, r):
    """Tile of sums as they are stored in rows r..r + ROWS of C: times the slopes that C has there so far."""
    return multiply(acc, load(c.numbers, row_at(c, r), panel_width(c.numbers), ROWS))


# z = a W + b, one panel of a layer's net inputs.
net_input_panel = inlined(specialize(product_panel, "net_input_panel", first_sum=repeated_biases, finish=unchanged))
# delta = (delta' W^T) * g'(z), one panel of a layer's error signals, from delta' of the layer after; replaces g'(z).
error_signal_panel = inlined(specialize(product_panel, "error_signal_panel", first_sum=zeros, finish=times_slopes))
# C = A B, without biases or slopes: for derivatives in `embed`.
plain_panel = inlined(specialize(product_panel, "plain_panel", first_sum=zeros, finish=unchanged))


@njit
def product(c, a, b, columns, depth, rows):
    """Product C = A B, without biases or slopes.

    Parameters
    ----------
    c : Matrix, (rows, columns), written
    a : Matrix, (rows, depth)
    b : Matrix, (depth, columns)
    columns, depth, rows : int; rows are computed up to a multiple of ROWS
    """
    for p in range(panels_of(columns, c.numbers)):
        panel = panel_at(c, p)
        plain_panel(panel, a, panel_at(b, p), 0, depth, depth, rows, panel, panel)
