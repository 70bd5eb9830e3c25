"""The product of matrices that all others are made of: C = A B, a panel at a time, on register tiles.

What a sum starts from, and what becomes of it when it is finished, are functions that the loop is specialised for.
"""

from ..jit import inlined, njit, specialise
from ..layout.panels import panel_at, panels_of, row_at
from ..tile.operations import ROWS, add, load, multiply, panel_width, rank1, store, terms, zero

UNROLL = 4  # steps between two looks at the loop's end: fewer instructions, 10 % faster than one by one
# Terms of a sum that are added up before going on to the next panel. So many rows of a panel (16 KB with AVX2) stay in
# the L1 cache while all row tiles of a block use them, the inputs they multiply in the L2 cache while all panels do.
DEPTH = 256


@inlined
def accumulate(acc, a, r, b, start, stop):
    """acc + the terms start..stop of A B, for the rows of A from `r` on and the only panel of B.

    `start` is a multiple of the panel width.
    """
    width, step = panel_width(a.numbers), terms(b.numbers)
    for k in range(start, stop, width):
        left, right = row_at(panel_at(a, k // width), r), row_at(b, k)
        count = min(width, stop - k)
        whole = count // (UNROLL * step) * (UNROLL * step)
        for i in range(0, whole, UNROLL * step):
            for j in range(i, i + UNROLL * step, step):
                acc = rank1(acc, a.numbers, left + j, width, b.numbers, right + j * width)
        for j in range(whole, count, step):
            acc = rank1(acc, a.numbers, left + j, width, b.numbers, right + j * width)
    return acc


def product_panel(c, a, b, start, stop, depth, rows, unfinished, biases):
    """Terms start..stop, of `depth`, of one panel of C = A B, for `rows` rows rounded up to whole tiles.

    Sums start from `first_sum` and go through `finish` before they are stored in C (see `specialise`).

    Parameters
    ----------
    c : Matrix of one panel, written with the last terms
    a : Matrix, (rows, depth)
    b : Matrix of one panel, (depth, panel_width)
    unfinished : Matrix of one panel; sums that wait for their last terms, which may be C
    biases : Matrix of one panel, of which the first row may be added
    """
    width = panel_width(c.numbers)
    for r in range(0, rows, ROWS):
        acc = accumulate(first_sum(biases, c) if start == 0 else zero(c.numbers, ROWS), a, r, b, start, stop)  # noqa: F821
        if start > 0:
            acc = add(acc, load(unfinished.numbers, row_at(unfinished, r), width, ROWS))
        if stop < depth:
            store(acc, unfinished.numbers, row_at(unfinished, r), width)
        else:
            store(finish(acc, c, r), c.numbers, row_at(c, r), width)  # noqa: F821


@inlined
def nothing(biases, c):
    """Zero, for a sum to start from."""
    return zero(c.numbers, ROWS)


@inlined
def bias(biases, c):
    """The biases of a panel, for the sums of every row to start from."""
    return load(biases.numbers, biases.start, 0, ROWS)


@inlined
def as_it_is(acc, c, r):
    """The sum itself."""
    return acc


@inlined
def times_slopes(acc, c, r):
    """The sum times what lies in its place, the slopes of the activation."""
    return multiply(acc, load(c.numbers, row_at(c, r), panel_width(c.numbers), ROWS))


# z = a W + b, one panel of a layer's net inputs.
net_input_panel = inlined(specialise(product_panel, "net_input_panel", first_sum=bias, finish=as_it_is))
# delta = (delta' W^T) * g'(z), one panel of the error signals, which takes the place of g'(z).
error_signal_panel = inlined(specialise(product_panel, "error_signal_panel", first_sum=nothing, finish=times_slopes))
# C = A B alone, of what is multiplied by weights without biases: derivatives.
plain_panel = inlined(specialise(product_panel, "plain_panel", first_sum=nothing, finish=as_it_is))


@njit
def product(c, a, b, columns, depth, rows):
    """C = A B, for `rows` rows rounded up to whole tiles; all of them are Matrix, C of `columns` columns."""
    for p in range(panels_of(columns, c.numbers)):
        panel = panel_at(c, p)
        plain_panel(panel, a, panel_at(b, p), 0, depth, depth, rows, panel, panel)
