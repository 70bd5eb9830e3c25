"""The table of engines: how each instruction set multiplies matrices, and which ones this machine uses."""

import os
from typing import NamedTuple

from numba.core import codegen

FLOATS = ("float32", "float64")


class Engine(NamedTuple):
    """What an instruction set offers to products of matrices.

    A product keeps `rows` x `vecs` vector accumulators, plus `vecs` vectors of the right operand and one broadcast
    value of the left one. A gradient has `gradient_rows` rows instead, because its rows must divide the panel width.
    The element type of an operand chooses the engine (see `engine_of`).

    Attributes
    ----------
    name : str
    feature : str
        LLVM feature that must be there.
    operands : tuple of str
        Element types that products read. Sums are float64 for operands in float64, else float32.
    terms : int
        Products that one step adds to each sum.
    group : int
        Rows of the right operand that are interleaved, so that one vector holds the terms of each sum side by side.
    sums : str
        How a sum is rounded. Engines with the same word give a product the same bits.
    vector_bytes : int
    rows, vecs, gradient_rows : int
    """

    name: str
    feature: str
    operands: tuple
    terms: int
    group: int
    sums: str
    vector_bytes: int
    rows: int
    vecs: int
    gradient_rows: int

    def lanes(self, itemsize):
        """Sums of `itemsize` bytes in one vector."""
        return self.vector_bytes // itemsize

    def width(self, itemsize):
        """Columns of a tile, which is also the width of a panel."""
        return self.vecs * self.lanes(itemsize)


FEATURES = frozenset(codegen.get_host_cpu_features().split(","))
HAS_FMA = bool({"+fma", "+neon"} & FEATURES)
_SUMS = "fused" if HAS_FMA else "rounded twice"  # a term is one multiply-add, or a product and then a sum

# Of one operand type, widest first. Registers: AVX-512 and NEON have 32, AVX2 and SSE have 16.
ENGINES = (
    Engine("avx512", "+avx512f", FLOATS, 1, 1, _SUMS, vector_bytes=64, rows=14, vecs=2, gradient_rows=8),
    Engine("avx2", "+avx2", FLOATS, 1, 1, _SUMS, vector_bytes=32, rows=6, vecs=2, gradient_rows=4),
    Engine("neon", "+neon", FLOATS, 1, 1, _SUMS, vector_bytes=16, rows=12, vecs=2, gradient_rows=4),
    Engine("sse", "", FLOATS, 1, 1, _SUMS, vector_bytes=16, rows=6, vecs=2, gradient_rows=4),
)


def _choose(operand="float32"):
    """The engine of an operand type: the first in the table that this machine has, or the one that is forced."""
    forced, engines = os.environ.get("FASTMLP_TILE"), [engine for engine in ENGINES if operand in engine.operands]
    if forced:
        named = {engine.name: engine for engine in engines}
        if forced not in named:
            raise ValueError(f"FASTMLP_TILE is {forced!r}; accepted: {', '.join(named)}")
        return named[forced]
    return next(engine for engine in engines if not engine.feature or engine.feature in FEATURES)


_CHOSEN = {operand: _choose(operand) for operand in FLOATS}


def engine_of(dtype):
    """The engine that multiplies operands of a dtype: of NumPy or Numba, or its name."""
    return _CHOSEN[getattr(dtype, "name", dtype)]


ENGINE = engine_of("float32")  # which is that of float64, too
SHAPE = ENGINE  # its name in code of users
