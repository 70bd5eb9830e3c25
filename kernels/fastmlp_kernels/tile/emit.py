"""The register tile as a Numba type, and the LLVM instructions of one step on it.

A tile has `rows` rows and the columns of a panel, kept as an LLVM array of rows x vecs vectors. As a value it can sit
in a variable, be carried through a loop and be returned from a function, and LLVM keeps it in registers. The loops
around it are ordinary compiled Python. This is the only file that writes LLVM instructions for the products.
"""

import itertools

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from .engines import HAS_FMA, engine_of

I32, I64 = ir.IntType(32), ir.IntType(64)


class Tile(types.Type):
    """Numba type of a tile: `rows` rows of `vecs` vectors of `lanes` sums, as the engine of `dtype` has them."""

    def __init__(self, dtype, rows):
        self.dtype, self.rows = dtype, rows
        engine = engine_of(dtype)
        self.vecs, self.lanes = engine.vecs, engine.lanes(dtype.bitwidth // 8)
        self.align = dtype.bitwidth // 8
        super().__init__(f"Tile({dtype}, {rows} x {self.vecs} x {self.lanes})")

    @property
    def vector(self):
        return ir.VectorType(ir.FloatType() if self.dtype == types.float32 else ir.DoubleType(), self.lanes)

    @property
    def registers(self):
        return ir.ArrayType(self.vector, self.rows * self.vecs)


@register_model(Tile)
class TileModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, fe_type.registers)


class Emitter:
    """Writes the instructions of one operation on a tile."""

    def __init__(self, tile, context, builder):
        self.tile, self.context, self.builder = tile, context, builder

    def element(self, array_type, array, offset):
        """Pointer to `array[offset]`."""
        return self.builder.gep(self.context.make_array(array_type)(self.context, self.builder, array).data, [offset])

    def row(self, pointer, stride, r, count=None):
        """Pointer to the start of row `r`, or of the last of `count` rows if there are fewer."""
        index = ir.Constant(I64, r)
        if count is not None:
            last = self.builder.sub(count, ir.Constant(I64, 1))
            index = self.builder.select(self.builder.icmp_signed("<", index, count), index, last)
        return self.builder.gep(pointer, [self.builder.mul(stride, index)])

    def vector(self, pointer, v):
        """Pointer to the `v`-th vector from `pointer` on."""
        start = self.builder.gep(pointer, [ir.Constant(I64, v * self.tile.lanes)])
        return self.builder.bitcast(start, self.tile.vector.as_pointer())

    def load_vector(self, pointer, v):
        return self.builder.load(self.vector(pointer, v), align=self.tile.align)

    def store_vector(self, value, pointer, v):
        self.builder.store(value, self.vector(pointer, v), align=self.tile.align)

    def splat(self, scalar):
        """A vector with `scalar` in every lane."""
        undefined = ir.Constant(self.tile.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, self.tile.lanes), [0] * self.tile.lanes)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def columns(self, count):
        """For each vector of a row, which of its lanes are among the first `count` columns."""
        lanes, count = range(self.tile.lanes), self.builder.trunc(count, I32)
        zeros = ir.Constant(ir.VectorType(I32, len(lanes)), [0] * len(lanes))
        undefined = ir.Constant(zeros.type, ir.Undefined)
        splat = self.builder.shuffle_vector(self.builder.insert_element(undefined, count, I32(0)), undefined, zeros)
        starts = [v * len(lanes) for v in range(self.tile.vecs)]
        indices = [ir.Constant(zeros.type, [start + lane for lane in lanes]) for start in starts]
        return [self.builder.icmp_signed("<", index, splat) for index in indices]

    def multiply_add(self, a, b, c):
        """a * b + c, rounded once where the CPU can."""
        if not HAS_FMA:
            return self.builder.fadd(self.builder.fmul(a, b), c)
        vector = self.tile.vector
        name = f"llvm.fma.v{self.tile.lanes}f{self.tile.dtype.bitwidth}"
        fma = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(vector, [vector] * 3), name)
        return self.builder.call(fma, [a, b, c])

    def map(self, function):
        """A tile whose register (r, v) is `function(r, v)`."""
        registers = ir.Constant(self.tile.registers, ir.Undefined)
        for r, v in self.indices():
            registers = self.builder.insert_value(registers, function(r, v), r * self.tile.vecs + v)
        return registers

    def indices(self):
        """All (row, vector) pairs."""
        return itertools.product(range(self.tile.rows), range(self.tile.vecs))

    def register(self, registers, r, v):
        return self.builder.extract_value(registers, r * self.tile.vecs + v)
