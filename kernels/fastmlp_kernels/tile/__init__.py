"""Matrix products in registers: what a tile is on this CPU, the instructions that work on it, and its peak.

The only place that writes instructions for products. Knows nothing of networks, of layers, or of where matrices lie.
`engines` is the table of instruction sets, `emit` the Numba type and its instructions, `operations` what loops call,
`emulation` the same on NumPy arrays.
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
