"""Table of engines, the instruction sets that products can use, and the choice of those that this machine uses.

To support another CPU, add one row to ENGINES; if it has fused multiply-adds, HAS_FMA must know its feature.
"""

import os
from typing import NamedTuple

from numba.core import codegen

FLOATS = ("float32", "float64")


class Engine(NamedTuple):
    """Instruction set as products of matrices use it, and the shape of its register tile.

    A product keeps `rows` x `vecs` vectors of sums in registers, plus `vecs` vectors of the right operand and one
    element of the left operand, repeated in a vector. The tile of a gradient has `gradient_rows` rows instead: its rows
    belong to inputs of the layer, which are columns of the panels that inputs are stored in (see `layout.panels`), so
    that the number must divide the panel width for no tile to reach into a second panel. The element type of the
    operands selects the engine (see `engine_of`).

    For example, avx2 has 16 registers of 8 float32 numbers: a tile of 6 rows x 2 vectors takes 12 of them, two vectors
    of the right operand and one of the left take 3. The tile is 6 x 16 in float32 and 6 x 8 in float64.

    Today's rows all have one term a step. An engine with more is bfloat16 on AMX: it would have terms = 32, since one
    instruction adds 32 products to each sum, and group = 2, since it reads the rows of the right operand in interleaved
    pairs.

    Attributes
    ----------
    name : str
    feature : str
        LLVM feature that the CPU must have; empty: none.
    operands : tuple of str
        Element types of the operands, the numbers that are multiplied. Sums are float64 for float64 operands, else
        float32.
    terms : int
        Products that one step adds to each sum.
    group : int
        Rows of the right operand that are interleaved, so that one vector holds the terms of each sum side by side.
    sums : str
        How a sum is rounded. Engines with the same word give a product the same bits.
    vector_bytes : int
        Size of a vector register.
    rows, vecs : int
        Rows of the tile of a product, and vectors in each row.
    gradient_rows : int
        Rows of the tile of a gradient, each of `vecs` vectors too.
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
        """Number of sums, of `itemsize` bytes each, in one vector."""
        return self.vector_bytes // itemsize

    def width(self, itemsize):
        """Columns of a tile, also the width of a panel, for sums of `itemsize` bytes."""
        return self.vecs * self.lanes(itemsize)


FEATURES = frozenset(codegen.get_host_cpu_features().split(","))
HAS_FMA = bool({"+fma", "+neon"} & FEATURES)
_SUMS = "fused" if HAS_FMA else "rounded twice"  # a term is added by one instruction, or by a product and then a sum

# Widest vectors first: the first row that the machine has is used. AVX-512 and NEON have 32 vector registers, AVX2 and
# SSE have 16.
ENGINES = (
    Engine("avx512", "+avx512f", FLOATS, 1, 1, _SUMS, vector_bytes=64, rows=14, vecs=2, gradient_rows=8),
    Engine("avx2", "+avx2", FLOATS, 1, 1, _SUMS, vector_bytes=32, rows=6, vecs=2, gradient_rows=4),
    Engine("neon", "+neon", FLOATS, 1, 1, _SUMS, vector_bytes=16, rows=12, vecs=2, gradient_rows=4),
    Engine("sse", "", FLOATS, 1, 1, _SUMS, vector_bytes=16, rows=6, vecs=2, gradient_rows=4),
)


def _choose(operand):
    """Engine for an operand type: the first in the table that this machine has, or the one that FASTMLP_TILE names.

    The engine named there need not be one that the machine has: LLVM then divides its vectors into those that there
    are. A ValueError is raised if it is not in the table.
    """
    forced, engines = os.environ.get("FASTMLP_TILE"), [engine for engine in ENGINES if operand in engine.operands]
    if forced:
        named = {engine.name: engine for engine in engines}
        if forced not in named:
            raise ValueError(f"FASTMLP_TILE is {forced!r}; accepted: {', '.join(named)}")
        return named[forced]
    return next(engine for engine in engines if not engine.feature or engine.feature in FEATURES)


_CHOSEN = {operand: _choose(operand) for operand in FLOATS}


def engine_of(dtype):
    """Engine that multiplies operands of a dtype, given as a NumPy dtype, a Numba type or a name."""
    return _CHOSEN[getattr(dtype, "name", dtype)]


ENGINE = engine_of("float32")  # float64 has the same
SHAPE = ENGINE  # the name that users' code has for it
