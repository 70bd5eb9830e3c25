"""AMX, Intel's matrix instructions: their registers, and the LLVM instructions for them.

A tile register holds 16 rows of 64 bytes; there are eight. Four hold 32 x 32 sums, two a left operand of 32 rows, two a
right operand of 32 columns, each with 32 terms of bfloat16 (for the forms of operands see `bfloat16`).

Registers are named by number here, as in assembly, and not allocated by LLVM, which copies sums to memory and back in
every step of a loop that is not all it compiles. So there is one tile of sums at a time: between the operation that
begins it and the one that stores it, no other tile may be begun. A thread has the registers from `configure` to
`release`, between which it may run any other code.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from .emit import I64

I1, I8 = ir.IntType(1), ir.IntType(8)
ROWS, ROW_BYTES = 16, 64  # of a register
SUMS, LEFT, RIGHT = (0, 1, 2, 3), (4, 5), (6, 7)  # numbers of the registers; sums are row by row


class Sums(types.Type):
    """Numba type of the 32 x 32 sums in the registers SUMS: their quarters, upper left and right, lower left and right.

    Values of it hold nothing: that an operation takes one says that it works on these registers.
    """

    dtype = types.float32

    def __init__(self):
        super().__init__("amx.Sums")


@register_model(Sums)
class SumsModel(models.PrimitiveModel):
    """Representation of `Sums` in LLVM: a bit without meaning."""

    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, I1)


NOTHING = ir.Constant(I1, 0)  # value of type `Sums`


def _configuration():
    """Operand of `ldtilecfg` (Intel's Software Developer's Manual, volume 1, 18.2): palette 1, eight full registers."""
    sizes = [ROW_BYTES, 0] * 8 + [0] * 16 + [ROWS] * 8 + [0] * 8  # bytes of rows, in 16 bits each; then rows
    return ir.Constant(ir.ArrayType(I8, 64), bytearray([1] + [0] * 15 + sizes))


class Instructions:
    """Writer of the instructions for an LLVM builder. Strides are in bytes."""

    def __init__(self, builder):
        self.builder = builder

    def _call(self, name, *args):
        """Write an instruction; operands that are int are numbers of registers."""
        args = [ir.Constant(I8, arg) if isinstance(arg, int) else arg for arg in args]
        kind = ir.FunctionType(ir.VoidType(), [arg.type for arg in args])
        self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.x86.{name}"), args)

    def _at(self, pointer, offset):
        """Pointer `offset` bytes on, an LLVM value or an int."""
        offset = offset if isinstance(offset, ir.Value) else ir.Constant(I64, offset)
        return self.builder.gep(self.builder.bitcast(pointer, I8.as_pointer()), [offset])

    def _below(self, pointer, stride):
        """Pointer ROWS rows on."""
        return self._at(pointer, self.builder.mul(stride, ir.Constant(I64, ROWS)))

    def _quarters(self, pointer, stride):
        """Register and address of each quarter of 32 x 32 float32 numbers in memory."""
        rows = pointer, self._below(pointer, stride)
        return zip(SUMS, [self._at(row, side) for row in rows for side in (0, ROW_BYTES)], strict=True)

    def configure(self):
        """Take the registers."""
        configuration = cgutils.global_constant(self.builder.module, "amx.configuration", _configuration())
        self._call("ldtilecfg", self.builder.bitcast(configuration, I8.as_pointer()))

    def release(self):
        """Give the registers back, so that the system need not save them."""
        self._call("tilerelease")

    def zero(self):
        """Begin with sums of zero."""
        for register in SUMS:
            self._call("tilezero", register)

    def load(self, pointer, stride):
        """Begin with sums from memory."""
        for register, start in self._quarters(pointer, stride):
            self._call("tileloadd64", register, start, stride)

    def store(self, pointer, stride):
        """Write the sums to memory."""
        for register, start in self._quarters(pointer, stride):
            self._call("tilestored64", register, start, stride)

    def add_terms(self, left, stride, right):
        """Add 32 terms: left form (32 rows, `stride` bytes apart) times right form (32 columns)."""
        # A row of the right form has a word for each of 32 columns: twice as long as a register's.
        row_bytes = ir.Constant(I64, 2 * ROW_BYTES)
        (upper, lower), (a, b) = LEFT, RIGHT
        self._call("tileloadd64", upper, self._at(left, 0), stride)
        self._call("tileloadd64", a, self._at(right, 0), row_bytes)
        self._call("tdpbf16ps", SUMS[0], upper, a)
        self._call("tileloadd64", b, self._at(right, ROW_BYTES), row_bytes)
        self._call("tdpbf16ps", SUMS[1], upper, b)
        self._call("tileloadd64", lower, self._below(left, stride), stride)
        self._call("tdpbf16ps", SUMS[2], lower, a)
        self._call("tdpbf16ps", SUMS[3], lower, b)
