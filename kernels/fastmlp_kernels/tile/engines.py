"""The CPU table: which register tile fits which instruction set, and which one this machine gets."""

import os
from typing import NamedTuple

from numba.core import codegen


class TileShape(NamedTuple):
    """What an instruction set holds in registers.

    A product keeps `rows` x `vecs` vector accumulators, plus `vecs` operand vectors and one broadcast value. A gradient
    tile has `gradient_rows` rows instead, because its rows must divide the panel width.
    """

    name: str
    feature: str  # the LLVM feature that must be there
    vector_bytes: int
    rows: int
    vecs: int
    gradient_rows: int

    def lanes(self, itemsize):
        """Elements of `itemsize` bytes in one vector."""
        return self.vector_bytes // itemsize

    def width(self, itemsize):
        """Columns of a tile, which is also the width of a panel."""
        return self.vecs * self.lanes(itemsize)


# Widest first. Registers: AVX-512 and NEON have 32, AVX2 and SSE have 16.
SHAPES = (
    TileShape("avx512", "+avx512f", 64, 14, 2, 8),
    TileShape("avx2", "+avx2", 32, 6, 2, 4),
    TileShape("neon", "+neon", 16, 12, 2, 4),
    TileShape("sse", "", 16, 6, 2, 4),
)

FEATURES = frozenset(codegen.get_host_cpu_features().split(","))


def _choose():
    forced = os.environ.get("FASTMLP_TILE")
    if forced:
        named = {shape.name: shape for shape in SHAPES}
        if forced not in named:
            raise ValueError(f"FASTMLP_TILE is {forced!r}; accepted: {', '.join(named)}")
        return named[forced]
    return next(shape for shape in SHAPES if not shape.feature or shape.feature in FEATURES)


SHAPE = _choose()
HAS_FMA = bool({"+fma", "+neon"} & FEATURES)
