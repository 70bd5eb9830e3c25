"""Register tiles: the small matrices, held in vector registers, that all matrix products are computed in.

`engines` is the table of instruction sets and of the tile shape that each uses. `emit` is the tile as a Numba type, and
the LLVM instructions on it. `operations` are the functions that kernels call: load, store, rank-1 update, sums.
`bfloat16` are those on operands in that format, with the instructions of `amx`; `permission` asks the operating system
for AMX. `emulation` has the same functions on NumPy arrays, for plain Python. `peak` measures the fastest rate that
tiles reach.

Only this folder writes instructions for products. Nothing here knows of networks or layers, and of the layout of
matrices in *panels* (see `layout.panels`) only the width, `panel_width`, which is that of a tile.

Exported is what kernels of your own need; `terms` is in `operations` only, for the loops of `products`.
"""

from .operations import (
    GRADIENT_ROWS,
    ROWS,
    WIDTH_BYTES,
    add,
    join_columns,
    keep_columns,
    largest,
    load,
    load_columns,
    load_rows,
    multiply,
    multiply_add,
    panel_width,
    rank1,
    spread,
    store,
    store_rows,
    subtract,
    sum_rows,
    tile_memory,
    total,
    width,
    zero,
)

__all__ = [
    "GRADIENT_ROWS",
    "ROWS",
    "WIDTH_BYTES",
    "add",
    "join_columns",
    "keep_columns",
    "largest",
    "load",
    "load_columns",
    "load_rows",
    "multiply",
    "multiply_add",
    "panel_width",
    "rank1",
    "spread",
    "store",
    "store_rows",
    "subtract",
    "sum_rows",
    "tile_memory",
    "total",
    "width",
    "zero",
]
