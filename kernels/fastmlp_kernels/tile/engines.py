"""Table of engines, the instruction sets that products can use, and the choice of those that this machine uses.

To support another CPU, add one row to ENGINES; if it has fused multiply-adds, HAS_FMA must know its feature. An engine
for bfloat16 operands needs its step, too, in `bfloat16`.
"""

import os
from typing import NamedTuple

from numba.core import codegen, config

from .permission import amx_refusal

FLOATS = ("float32", "float64")
BFLOAT16 = ("uint16",)  # NumPy has no bfloat16: arrays of uint16 hold the bits


class Engine(NamedTuple):
    """Instruction set as products of matrices use it, and the shape of its register tile.

    A product keeps `rows` x `vecs` vectors of sums in registers, plus `vecs` vectors of the right operand and one
    element of the left operand, repeated in a vector. The tile of a gradient has `gradient_rows` rows instead: its rows
    belong to inputs of the layer, which are columns of the panels that inputs are stored in (see `layout.panels`), so
    that the number must divide the panel width for no tile to reach into a second panel. The element type of the
    operands selects the engine (see `engine_of`).

    For example, avx2 has 16 registers of 8 float32 numbers: a tile of 6 rows x 2 vectors takes 12 of them, two vectors
    of the right operand and one of the left take 3. The tile is 6 x 16 in float32 and 6 x 8 in float64.

    The engines for bfloat16 multiply 16-bit operands and add them up in float32. Their operands are kept in panels 32
    wide, which the panels of float32 numbers must be, too: with `bf16-emulated`, these have the tile of AVX-512.

    Attributes
    ----------
    name : str
    features : tuple of str, or None
        LLVM features that the CPU must have; None: the engine is chosen only where FASTMLP_TILE names it.
    operands : tuple of str
        Element types of the operands, the numbers that are multiplied, as NumPy stores them. Sums are float64 for
        float64 operands, else float32.
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
    features: tuple | None
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

    def panel_width(self, itemsize):
        """Columns of a panel of numbers of `itemsize` bytes: for bfloat16, 2 bytes, as many as of their sums."""
        return self.width(max(itemsize, 4))


# Numba compiles for those of the host, unless NUMBA_CPU_FEATURES or NUMBA_CPU_NAME=generic say otherwise.
_TARGET = codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
FEATURES = frozenset(_TARGET.split(","))
HAS_FMA = bool({"+fma", "+neon"} & FEATURES)
_AMX, _DOT = ("+amx-bf16", "+avx512bf16"), ("+avx512bf16", "+sse4a")
_SUMS = "fused" if HAS_FMA else "rounded twice"  # a term is added by one instruction, or by a product and then a sum

# The order of the sum of 32 products in one step of AMX: two chains, over the even and the odd terms, each from zero,
# are added to each other and then to the sum; every addition is rounded, and subnormal results are zeros.
_CHAINS = "two chains of 16 terms"

# Of each operand type the first row that the machine has is used: widest vectors first. AVX-512 and NEON have 32 vector
# registers, AVX2 and SSE have 16, AMX has 8 tile registers of 16 rows x 64 bytes, of which four hold the sums.
# AVX512_BF16 is used on AMD's CPUs (known by SSE4a), where it is faster than multiply-adds of float32; on Intel's it is
# slower.
ENGINES = (
    Engine("avx512", ("+avx512f",), FLOATS, 1, 1, _SUMS, vector_bytes=64, rows=14, vecs=2, gradient_rows=8),
    Engine("avx2", ("+avx2",), FLOATS, 1, 1, _SUMS, vector_bytes=32, rows=6, vecs=2, gradient_rows=4),
    Engine("neon", ("+neon",), FLOATS, 1, 1, _SUMS, vector_bytes=16, rows=12, vecs=2, gradient_rows=4),
    Engine("sse", (), FLOATS, 1, 1, _SUMS, vector_bytes=16, rows=6, vecs=2, gradient_rows=4),
    Engine("bf16-amx", _AMX, BFLOAT16, 32, 2, _CHAINS, vector_bytes=64, rows=32, vecs=2, gradient_rows=32),
    Engine("bf16-dot", _DOT, BFLOAT16, 2, 2, "pairs", vector_bytes=64, rows=8, vecs=2, gradient_rows=8),
    Engine("bf16-emulated", None, BFLOAT16, 32, 2, _CHAINS, vector_bytes=64, rows=32, vecs=2, gradient_rows=32),
)
_NAMED = {engine.name: engine for engine in ENGINES}


def refusal(engine):
    """Reason why this machine cannot run an engine, in words; empty if it can."""
    missing = [feature[1:] for feature in engine.features or () if feature not in FEATURES]
    if missing:
        return f"the CPU lacks {', '.join(missing)}"
    return amx_refusal() if engine.features == _AMX else ""


def _forced():
    """Engine that FASTMLP_TILE names, or None.

    Engines for floats are taken even if the machine lacks the feature: LLVM then makes do with what there is.

    Raises
    ------
    ValueError
        If it names none of the table.
    RuntimeError
        If it names one for bfloat16 that the machine cannot run.
    """
    name = os.environ.get("FASTMLP_TILE")
    if not name:
        return None
    if name not in _NAMED:
        raise ValueError(f"FASTMLP_TILE is {name!r}; accepted: {', '.join(_NAMED)}")
    engine = _NAMED[name]
    if engine.operands == BFLOAT16 and refusal(engine):
        raise RuntimeError(f"FASTMLP_TILE is {name!r}, but {refusal(engine)}; accepted here: bf16-emulated")
    return engine


def _choose(operand, width=None):
    """Engine for an operand type: the one that FASTMLP_TILE names, or else the first that this machine has; or None.

    `width` is the panel width of float32 that it must have; None: any.
    """
    forced, engines = _forced(), [engine for engine in ENGINES if operand in engine.operands]
    if forced in engines:
        return forced
    if forced and operand in FLOATS:  # FASTMLP_TILE names an engine for bfloat16: panels must be as wide as its tiles
        return next(engine for engine in engines if engine.width(4) == forced.width(4))
    fitting = (engine for engine in engines if engine.features is not None and width in (None, engine.width(4)))
    return next((engine for engine in fitting if not refusal(engine)), None)


ENGINE = _choose("float32")  # of float32 and float64
_CHOSEN = dict.fromkeys(FLOATS, ENGINE) | {"uint16": _choose("uint16", ENGINE.width(4))}


def engine_of(dtype):
    """Engine that multiplies operands of a dtype; None if this machine has none.

    The dtype is float32, float64 or uint16: a NumPy dtype, a Numba type or a name.
    """
    return _CHOSEN[getattr(dtype, "name", dtype)]


def bfloat16_refusal():
    """Reason why there is no engine for bfloat16 operands on this machine, in words; empty if there is one."""
    if engine_of("uint16"):
        return ""
    reasons = {engine.name: refusal(engine) for engine in ENGINES if engine.operands == BFLOAT16 and engine.features}
    reasons = [f"{name}: {reason or 'panels are of another width'}" for name, reason in reasons.items()]
    return f"there is no engine for it here ({'; '.join(reasons)})"


SHAPE = ENGINE  # the name that users' code has for it
