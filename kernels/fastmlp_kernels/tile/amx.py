"""AMX, Intel's matrix instructions: sums in tile registers as a Numba type, and the LLVM instructions for them.

A tile register holds 16 rows of 64 bytes; there are eight. Four hold 32 x 32 sums, two a left operand of 32 rows, two a
right operand of 32 columns, each with 32 terms of bfloat16 (for the forms of operands see `bfloat16`). LLVM configures
the registers before the first AMX instruction of a function.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from .emit import I32, I64

I8, I16 = ir.IntType(8), ir.IntType(16)
ROWS, ROW_BYTES = 16, 64  # of a register


class Register(ir.Type):
    """LLVM's type of the value of a tile register."""

    def _to_string(self):
        return "x86_amx"

    def __eq__(self, other):
        return isinstance(other, Register)

    def __hash__(self):
        return hash(Register)


class Sums(types.Type):
    """Numba type of 32 x 32 sums in four tile registers, its quarters: upper left and right, lower left and right.

    The value of a register cannot be an element of an array in LLVM. So a quarter is a vector of 256 words, which is
    cast to a register before an instruction and back after it; LLVM removes the casts.
    """

    dtype = types.float32
    quarter = ir.VectorType(I32, 256)
    registers = ir.ArrayType(quarter, 4)

    def __init__(self):
        super().__init__("amx.Sums")


@register_model(Sums)
class SumsModel(models.PrimitiveModel):
    """Representation of `Sums` in LLVM: a value and not memory."""

    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, fe_type.registers)


class Quarters:
    """Writer of the instructions on sums, of type `Sums.registers`, for an LLVM builder. Strides are in bytes."""

    SHAPE = ir.Constant(I16, ROWS), ir.Constant(I16, ROW_BYTES)

    def __init__(self, builder):
        self.builder = builder

    def _call(self, name, result, *args):
        kind = ir.FunctionType(result, [arg.type for arg in args])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.x86.{name}")
        return self.builder.call(function, args)

    def _register(self, sums, i):
        """Register with the value of quarter `i`."""
        quarter = self.builder.extract_value(sums, i)
        return self._call("cast.vector.to.tile.v256i32", Register(), quarter)

    def _sums(self, registers):
        """Sums whose quarters have the values of four registers."""
        sums = ir.Constant(Sums.registers, ir.Undefined)
        for i, register in enumerate(registers):
            quarter = self._call("cast.tile.to.vector.v256i32", Sums.quarter, register)
            sums = self.builder.insert_value(sums, quarter, i)
        return sums

    def _at(self, pointer, offset):
        """Pointer `offset` bytes on, an LLVM value or an int."""
        offset = offset if isinstance(offset, ir.Value) else ir.Constant(I64, offset)
        return self.builder.gep(self.builder.bitcast(pointer, I8.as_pointer()), [offset])

    def _load(self, pointer, stride):
        """Register whose row r is at `pointer` + r * `stride`."""
        return self._call("tileloadd64.internal", Register(), *self.SHAPE, pointer, stride)

    def _below(self, stride):
        """Bytes from row 0 to the first row of the lower quarters."""
        return self.builder.mul(stride, ir.Constant(I64, ROWS))

    def _starts(self, pointer, stride):
        """Pointers to the four quarters of 32 x 32 float32 numbers in memory."""
        return [
            self._at(row, side)
            for row in (self._at(pointer, 0), self._at(pointer, self._below(stride)))
            for side in (0, ROW_BYTES)
        ]

    def zero(self):
        """Sums of zero."""
        return self._sums([self._call("tilezero.internal", Register(), *self.SHAPE) for _ in range(4)])

    def load(self, pointer, stride):
        """Sums from memory."""
        return self._sums([self._load(start, stride) for start in self._starts(pointer, stride)])

    def store(self, sums, pointer, stride):
        """Write sums to memory."""
        for i, start in enumerate(self._starts(pointer, stride)):
            register = self._register(sums, i)
            self._call("tilestored64.internal", ir.VoidType(), *self.SHAPE, start, stride, register)

    def add_terms(self, sums, left, stride, right):
        """Sums + 32 terms: left form (32 rows, `stride` bytes apart) times right form (32 columns)."""
        upper, lower = (self._load(row, stride) for row in (self._at(left, 0), self._at(left, self._below(stride))))
        # A row of the right form has a word for each of 32 columns: twice as long as a register's.
        row_bytes = ir.Constant(I64, 2 * ROW_BYTES)
        sides = [self._load(self._at(right, side), row_bytes) for side in (0, ROW_BYTES)]
        pairs = [(row, side) for row in (upper, lower) for side in sides]
        shape = *self.SHAPE, self.SHAPE[1]
        return self._sums(
            self._call("tdpbf16ps.internal", Register(), *shape, self._register(sums, i), *pair)
            for i, pair in enumerate(pairs)
        )
