"""Register tile as a Numba type, and the LLVM instructions that operations on it are written in.

A tile is a matrix of `rows` rows and `panel_width` columns. (A panel is the columns of a matrix, `panel_width` at a
time, stored row by row: see `layout.panels`.) To LLVM it is an array of rows x vecs vectors of `lanes` numbers; vector
(r, v), number r * vecs + v of the array, holds the columns v * lanes to (v + 1) * lanes of row r, the last excluded. A
tile of 6 x 16 float32 numbers, for example, is 12 vectors of 8 lanes with AVX2.

Since a tile is a value of a Numba type, a compiled function can keep it in a variable, change it in a loop and return
it, and LLVM holds it in registers all the while. So the loops around the instructions are ordinary compiled Python:

    acc = zero(c, ROWS)  # a tile of sums
    for k in range(depth):
        acc = rank1(acc, a, k, depth, b, k * width)  # acc += column k of A times row k of B
    store(acc, c, 0, width)  # the first ROWS rows of a panel of C = A B

An operation is an `intrinsic` (see `operations`): a Python function that Numba calls once per type of the arguments,
when it compiles a call, and which returns the signature of the call and a function `generate` that writes its
instructions. An `Emitter` has the parts that these are made of. Only this file, `operations`, `bfloat16` and `amx`
write LLVM instructions for the products.
"""

import itertools

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from .engines import HAS_FMA, engine_of

I32, I64 = ir.IntType(32), ir.IntType(64)


class Tile(types.Type):
    """Numba type of a tile of `rows` rows, whose number of columns is that of the engine (instruction set) for `dtype`.

    Attributes
    ----------
    dtype : Numba type of the elements
    rows, vecs, lanes : int; rows, vectors in a row, elements in a vector
    align : int; bytes that addresses of tiles in memory are a multiple of: those of one element
    """

    def __init__(self, dtype, rows):
        self.dtype, self.rows = dtype, rows
        engine = engine_of(dtype)
        self.vecs, self.lanes = engine.vecs, engine.lanes(dtype.bitwidth // 8)
        self.align = dtype.bitwidth // 8
        super().__init__(f"Tile({dtype}, {rows} x {self.vecs} x {self.lanes})")

    @property
    def vector(self):
        """LLVM type of one vector."""
        return ir.VectorType(ir.FloatType() if self.dtype == types.float32 else ir.DoubleType(), self.lanes)

    @property
    def registers(self):
        """LLVM type of the whole tile: an array of vectors, row by row."""
        return ir.ArrayType(self.vector, self.rows * self.vecs)


@register_model(Tile)
class TileModel(models.PrimitiveModel):
    """Representation of a tile in LLVM: `Tile.registers`, which is a value and not memory."""

    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, fe_type.registers)


class Emitter:
    """Writer of the instructions of one operation on tiles of one type.

    Parameters
    ----------
    tile : Tile
    context, builder : the Numba context and the LLVM builder that Numba hands to `generate`
    """

    def __init__(self, tile, context, builder):
        self.tile, self.context, self.builder = tile, context, builder

    def element_pointer(self, array_type, array, offset):
        """Pointer to `array[offset]`."""
        return self.builder.gep(self.context.make_array(array_type)(self.context, self.builder, array).data, [offset])

    def row_pointer(self, pointer, stride, r, count=None):
        """Pointer to the start of row `r`, or of row count - 1 if `count` is given and r >= count.

        Row 0 is at `pointer`, and rows are `stride` elements apart; `stride` and `count` are LLVM values, `r` an int.
        """
        index = ir.Constant(I64, r)
        if count is not None:
            last = self.builder.sub(count, ir.Constant(I64, 1))
            index = self.builder.select(self.builder.icmp_signed("<", index, count), index, last)
        return self.builder.gep(pointer, [self.builder.mul(stride, index)])

    def vector_pointer(self, pointer, v):
        """Pointer to vector `v`, counted from 0, of the row at `pointer`."""
        start = self.builder.gep(pointer, [ir.Constant(I64, v * self.tile.lanes)])
        return self.builder.bitcast(start, self.tile.vector.as_pointer())

    def load_vector(self, pointer, v):
        """Vector `v` of the row at `pointer`."""
        return self.builder.load(self.vector_pointer(pointer, v), align=self.tile.align)

    def store_vector(self, value, pointer, v):
        """Write `value` to vector `v` of the row at `pointer`."""
        self.builder.store(value, self.vector_pointer(pointer, v), align=self.tile.align)

    def splat(self, scalar):
        """Vector with `scalar`, a float or an integer, in every lane."""
        undefined = ir.Constant(ir.VectorType(scalar.type, self.tile.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, self.tile.lanes), [0] * self.tile.lanes)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def columns(self, count):
        """Masks, one for each vector of a row, that are true in the lanes of the first `count` columns."""
        lanes, counts = range(self.tile.lanes), self.splat(self.builder.trunc(count, I32))
        starts = [v * len(lanes) for v in range(self.tile.vecs)]
        indices = [ir.Constant(counts.type, [start + lane for lane in lanes]) for start in starts]
        return [self.builder.icmp_signed("<", index, counts) for index in indices]

    def multiply_add(self, a, b, c):
        """Vector a * b + c, rounded once if the CPU has a fused multiply-add, else twice."""
        if not HAS_FMA:
            return self.builder.fadd(self.builder.fmul(a, b), c)
        vector = self.tile.vector
        name = f"llvm.fma.v{self.tile.lanes}f{self.tile.dtype.bitwidth}"
        fma = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(vector, [vector] * 3), name)
        return self.builder.call(fma, [a, b, c])

    def map(self, function):
        """Tile whose vector (r, v) is `function(r, v)`."""
        registers = ir.Constant(self.tile.registers, ir.Undefined)
        for r, v in self.indices():
            registers = self.builder.insert_value(registers, function(r, v), r * self.tile.vecs + v)
        return registers

    def indices(self):
        """All pairs (r, v), in the order in which a tile holds its vectors."""
        return itertools.product(range(self.tile.rows), range(self.tile.vecs))

    def register(self, registers, r, v):
        """Vector (r, v) of a tile."""
        return self.builder.extract_value(registers, r * self.tile.vecs + v)
