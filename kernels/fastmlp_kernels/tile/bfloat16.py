"""Operations on bfloat16 operands, for compiled loops: rounding to their two forms, transposing, steps of products.

A bfloat16 is the upper half of a float32; arrays of uint16 hold the bits. Products read operands in panels of 32
columns (see `layout.panels`), in one of two forms:

- *left*: row by row, as in every panel;
- *right*: the rows in pairs, the numbers (k, c) and (k + 1, c), for even k, next to each other. They are a *word* of 32
  bits, and a pair of rows is 32 words.

A step of a product adds `terms` products to each sum of a tile of float32. The steps of all engines for bfloat16 are
here, but for the instructions of AMX. Rounding replaces subnormal numbers by zeros, as AMX does. See `operations` for
the conventions, and `emit` for what an intrinsic and an `Emitter` are.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.errors import TypingError
from numba.extending import intrinsic

from . import amx
from .emit import I32, I64, Emitter, Tile
from .engines import FEATURES, engine_of
from .operations import stack_array

I16 = ir.IntType(16)
SQUARE = 32  # rows of operands that are transposed together; columns of a panel, and terms of a step of AMX
SIDE = 16  # rows and columns, in words, of the square that `transpose_words` transposes


class BFloat(ir.types._BaseFloatType):
    """LLVM's type bfloat, which llvmlite lacks."""

    null, intrinsic_name = "0.0", "bf16"

    def __str__(self):
        return "bfloat"


BFloat._create_instance()


class WordEmitter(Emitter):
    """Emitter with the parts that words, and numbers rounded to bfloat16, are made of.

    Vectors have as many lanes as those of the tile; words are vectors of integers of 32 bits.
    """

    @property
    def words(self):
        """LLVM type of a vector of words."""
        return ir.VectorType(I32, self.tile.lanes)

    def each(self, number):
        """Constant vector with the integer `number` in every lane."""
        return ir.Constant(self.words, [number] * self.tile.lanes)

    def load_words(self, pointer, v=0):
        """Vector `v` of the words at `pointer`, a pointer to uint16."""
        start = self.builder.gep(pointer, [ir.Constant(I64, 2 * v * self.tile.lanes)])
        return self.builder.load(self.builder.bitcast(start, self.words.as_pointer()), align=2)

    def splat_word(self, pointer):
        """Vector with the word at `pointer` in every lane."""
        word = self.builder.load(self.builder.bitcast(pointer, I32.as_pointer()), align=2)
        return self.splat(word)

    def halves(self, words):
        """Both numbers of each word as float32: a pair of vectors."""
        lower, upper = self.builder.shl(words, self.each(16)), self.builder.and_(words, self.each(0xFFFF0000))
        return [self.builder.bitcast(half, self.tile.vector) for half in (lower, upper)]

    def _subnormal(self, bits):
        """Lanes of float32 numbers, given as words, that are subnormal or zero."""
        return self.builder.icmp_unsigned("==", self.builder.and_(bits, self.each(0x7F800000)), self.each(0))

    def flushed(self, vector):
        """Vector whose subnormal numbers are zeros of the same sign."""
        bits = self.builder.bitcast(vector, self.words)
        signs = self.builder.and_(bits, self.each(0x80000000))
        return self.builder.bitcast(self.builder.select(self._subnormal(bits), signs, bits), self.tile.vector)

    def rounded(self, vector):
        """Vector rounded to the nearest bfloat16, ties to even: integers of 16 bits. NaN stay NaN."""
        builder, short = self.builder, ir.VectorType(I16, self.tile.lanes)
        if "+avx512bf16" in FEATURES:  # its instruction flushes subnormal numbers
            return builder.bitcast(builder.fptrunc(vector, ir.VectorType(BFloat(), self.tile.lanes)), short)
        bits = builder.bitcast(self.flushed(vector), self.words)
        last = builder.and_(builder.lshr(bits, self.each(16)), self.each(1))  # of the bits that are kept
        up = builder.add(bits, builder.add(last, self.each(0x7FFF)))
        quiet = builder.or_(bits, self.each(0x400000))  # a NaN might become infinity otherwise
        bits = builder.select(builder.fcmp_unordered("uno", vector, vector), quiet, up)
        return builder.trunc(builder.lshr(bits, self.each(16)), short)

    def store_numbers(self, vector, pointer, offset):
        """Store integers of 16 bits from pointer[offset] on."""
        start = self.builder.gep(pointer, [ir.Constant(I64, offset)])
        self.builder.store(vector, self.builder.bitcast(start, vector.type.as_pointer()), align=2)


def _sums(c, b):
    """Numba type of the tile of sums that an array `c` holds, of products of operands in an array `b`."""
    if c.dtype != types.float32 or b.dtype != types.uint16 or engine_of(b.dtype) is None:
        raise TypingError(
            f"sums in {c} of operands in {b}; accepted: float32, uint16, on a CPU with an engine for them"
        )
    return amx.Sums() if engine_of(b.dtype).name == "bf16-amx" else Tile(c.dtype, engine_of(b.dtype).rows)


def _of_amx(b, instruction):
    """Signature and `generate` of an operation that is an instruction without operands on AMX, else nothing."""

    def generate(context, builder, signature, args):
        if engine_of(b.dtype).name == "bf16-amx":
            getattr(amx.Instructions(builder), instruction)()
        return context.get_dummy_value()

    return types.void(b), generate


@intrinsic
def configure(typing, b):
    """Take the registers that steps of products of operands in the array `b` need, until `release` (see `amx`)."""
    return _of_amx(b, "configure")


@intrinsic
def release(typing, b):
    """Give back what `configure` took."""
    return _of_amx(b, "release")


def _byte_stride(builder, stride):
    """Stride of float32 numbers in bytes."""
    return builder.mul(stride, ir.Constant(I64, 4))


@intrinsic
def tile_rows(typing, b):
    """Rows of a tile of sums, for operands in the array `b`: a constant to the compiler."""
    rows = engine_of(b.dtype).rows
    return types.intp(b), lambda context, builder, signature, args: context.get_constant(types.intp, rows)


@intrinsic
def zero_sums(typing, c, b):
    """Tile of zero sums, to be kept in the array `c`, of products of operands in `b`."""
    sums = _sums(c, b)

    def generate(context, builder, signature, args):
        if isinstance(sums, amx.Sums):
            amx.Instructions(builder).zero()
            return amx.NOTHING
        return ir.Constant(sums.registers, None)

    return sums(c, b), generate


@intrinsic
def load_sums(typing, c, offset, stride, b):
    """Tile of sums whose row r is from c[offset + r * stride] on, of products of operands in `b`."""
    sums = _sums(c, b)

    def generate(context, builder, signature, args):
        emit = Emitter(sums, context, builder)
        pointer = emit.element_pointer(signature.args[0], args[0], args[1])
        if isinstance(sums, amx.Sums):
            amx.Instructions(builder).load(pointer, _byte_stride(builder, args[2]))
            return amx.NOTHING
        return emit.map(lambda r, v: emit.load_vector(emit.row_pointer(pointer, args[2], r), v))

    return sums(c, types.intp, types.intp, b), generate


@intrinsic
def store_sums(typing, sums, c, offset, stride):
    """Store a tile of sums: c[offset + r * stride + column] = sums[r, column]."""

    def generate(context, builder, signature, args):
        value, c, offset, stride = args
        emit = Emitter(sums, context, builder)
        pointer = emit.element_pointer(signature.args[1], c, offset)
        if isinstance(sums, amx.Sums):
            amx.Instructions(builder).store(pointer, _byte_stride(builder, stride))
        else:
            for r, v in emit.indices():
                emit.store_vector(emit.register(value, r, v), emit.row_pointer(pointer, stride, r), v)
        return context.get_dummy_value()

    return types.void(sums, c, types.intp, types.intp), generate


def _amx_step(emit, sums, left, stride, right):
    """Sums + 32 terms, by AMX."""
    amx.Instructions(emit.builder).add_terms(left, emit.builder.mul(stride, ir.Constant(I64, 2)), right)
    return sums


def _dot_step(emit, sums, left, stride, right):
    """Sums + 2 terms, by vdpbf16ps, which multiplies words."""
    builder, tile = emit.builder, emit.tile
    numbers = ir.VectorType(BFloat(), 2 * tile.lanes)
    kind = ir.FunctionType(tile.vector, [tile.vector, numbers, numbers])
    dot = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.avx512bf16.dpbf16ps.{32 * tile.lanes}")
    rows = [builder.bitcast(emit.splat_word(emit.row_pointer(left, stride, r)), numbers) for r in range(tile.rows)]
    columns = [builder.bitcast(emit.load_words(right, v), numbers) for v in range(tile.vecs)]
    return emit.map(lambda r, v: builder.call(dot, [emit.register(sums, r, v), rows[r], columns[v]]))


def _emulated_function(emit, left, right):
    """LLVM function (sums, left, stride, right) that adds 32 terms to a tile of sums in memory, in AMX's order.

    It is written once a module and never inlined, as its code is long.
    """
    module, tile, name = emit.builder.module, emit.tile, "bfloat16.emulated_step"
    if name in module.globals:
        return module.globals[name]
    kind = ir.FunctionType(ir.VoidType(), [tile.registers.as_pointer(), left.type, I64, right.type])
    function = ir.Function(module, kind, name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    emit, (memory, left, stride, right) = WordEmitter(tile, emit.context, builder), function.args
    with cgutils.for_range(builder, ir.Constant(I64, tile.rows)) as loop:
        row = builder.gep(left, [builder.mul(stride, loop.index)])
        chains = [[ir.Constant(tile.vector, None)] * tile.vecs for _ in ("even", "odd")]
        for t in range(engine_of(types.uint16).terms // 2):
            a = emit.halves(emit.splat_word(builder.gep(row, [ir.Constant(I64, 2 * t)])))
            pair = builder.gep(right, [ir.Constant(I64, 2 * t * tile.vecs * tile.lanes)])
            for v in range(tile.vecs):
                b = emit.halves(emit.load_words(pair, v))
                for parity, chain in enumerate(chains):
                    chain[v] = emit.flushed(emit.multiply_add(a[parity], b[parity], chain[v]))
        for v in range(tile.vecs):
            number = builder.add(builder.mul(loop.index, ir.Constant(I64, tile.vecs)), ir.Constant(I64, v))
            place = builder.gep(memory, [ir.Constant(I64, 0), number])
            even, odd = chains[0][v], chains[1][v]
            added = builder.fadd(emit.flushed(builder.load(place)), emit.flushed(builder.fadd(even, odd)))
            builder.store(emit.flushed(added), place)
    builder.ret_void()
    return function


def _emulated_step(emit, sums, left, stride, right):
    """Sums + 32 terms with AMX's order of additions (see `engines`), on vectors of float32."""
    memory = cgutils.alloca_once_value(emit.builder, sums)
    emit.builder.call(_emulated_function(emit, left, right), [memory, left, stride, right])
    return emit.builder.load(memory)


@intrinsic
def widened(typing, number):
    """Number in bfloat16, given as its bits, as a float32."""

    def generate(context, builder, signature, args):
        bits = builder.shl(builder.zext(args[0], I32), ir.Constant(I32, 16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.uint16), generate


@intrinsic
def square_memory(typing, array):
    """1-D array of SQUARE * SQUARE elements, of the dtype of `array`, on the stack (see `operations.tile_memory`)."""
    return stack_array(array, SQUARE * SQUARE)


STEPS = {"bf16-amx": _amx_step, "bf16-dot": _dot_step, "bf16-emulated": _emulated_step}


@intrinsic
def add_terms(typing, sums, a, a_offset, a_stride, b, b_offset):
    """Step of a product: sums[r, c] + the sum of A[r, k] B[k, c] over `terms` numbers k.

    A[r, k], in the left form, is a[a_offset + r * a_stride + k]; B, in the right form, begins at b[b_offset].
    """

    def generate(context, builder, signature, args):
        value, a, a_offset, a_stride, b, b_offset = args
        emit = WordEmitter(sums, context, builder)
        left = emit.element_pointer(signature.args[1], a, a_offset)
        right = emit.element_pointer(signature.args[4], b, b_offset)
        return STEPS[engine_of(types.uint16).name](emit, value, left, a_stride, right)

    return sums(sums, a, types.intp, types.intp, b, types.intp), generate


def _check_rounding(row, operands):
    """Raise a TypingError unless the tile `row` is of float32, and `operands` an array of uint16: Numba types."""
    if row.dtype != types.float32 or operands.dtype != types.uint16:
        raise TypingError(f"a row of {row.dtype} rounded to {operands}; accepted: float32, to uint16")


@intrinsic
def store_left(typing, row, operands, offset):
    """Store a one-row tile of float32, rounded, as a row of the left form: operands[offset + c] = row[c]."""
    _check_rounding(row, operands)

    def generate(context, builder, signature, args):
        emit = WordEmitter(row, context, builder)
        pointer = emit.element_pointer(signature.args[1], args[1], args[2])
        for _, v in emit.indices():
            emit.store_numbers(emit.rounded(emit.register(args[0], 0, v)), pointer, v * row.lanes)
        return context.get_dummy_value()

    return types.void(row, operands, types.intp), generate


@intrinsic
def store_both(typing, row, next_row, left, left_offset, right, right_offset):
    """Store two one-row tiles of float32, rounded: as rows of the left form, and as a pair of rows of the right form.

    left[left_offset + c] = row[c], left[left_offset + SQUARE + c] = next_row[c];
    right[right_offset + 2 c] = row[c], right[right_offset + 2 c + 1] = next_row[c].
    """
    _check_rounding(row, left)
    _check_rounding(next_row, right)

    def generate(context, builder, signature, args):
        row, next_row, left, left_offset, right, right_offset = args
        emit = WordEmitter(signature.args[0], context, builder)
        rows = emit.element_pointer(signature.args[2], left, left_offset)
        pair = emit.element_pointer(signature.args[4], right, right_offset)
        lanes = emit.tile.lanes
        order = [lane // 2 + lanes * (lane % 2) for lane in range(2 * lanes)]
        mask = ir.Constant(ir.VectorType(I32, len(order)), order)
        for _, v in emit.indices():
            both = [emit.rounded(emit.register(tile, 0, v)) for tile in (row, next_row)]
            for r, numbers in enumerate(both):
                emit.store_numbers(numbers, rows, r * SQUARE + v * lanes)
            emit.store_numbers(builder.shuffle_vector(*both, mask), pair, 2 * v * lanes)
        return context.get_dummy_value()

    return types.void(row, next_row, left, types.intp, right, types.intp), generate


@intrinsic
def transpose_words(typing, source, offset, stride, target, target_offset, target_stride):
    """Transpose a square of SIDE x SIDE words, from source[offset] to target[target_offset].

    Its rows are `stride` numbers of 16 bits apart, and those of the transpose `target_stride`.
    """
    square = ir.VectorType(I32, SIDE)

    def generate(context, builder, signature, args):
        source, offset, stride, target, target_offset, target_stride = args
        emit = Emitter(None, context, builder)
        start = emit.element_pointer(signature.args[0], source, offset)
        stored = emit.element_pointer(signature.args[3], target, target_offset)
        places = [builder.bitcast(emit.row_pointer(start, stride, r), square.as_pointer()) for r in range(SIDE)]
        rows = [builder.load(place, align=2) for place in places]
        for bit in (1, 2, 4, 8):  # in every square of 2 bit x 2 bit words, swap the quarters off the diagonal
            low = [lane + (SIDE - bit if lane & bit else 0) for lane in range(SIDE)]
            high = [lane + (SIDE if lane & bit else bit) for lane in range(SIDE)]
            masks = [ir.Constant(ir.VectorType(I32, SIDE), order) for order in (low, high)]
            for r in (r for r in range(SIDE) if not r & bit):
                pair = rows[r], rows[r | bit]
                rows[r], rows[r | bit] = (builder.shuffle_vector(*pair, mask) for mask in masks)
        for r, row in enumerate(rows):
            place = builder.bitcast(emit.row_pointer(stored, target_stride, r), square.as_pointer())
            builder.store(row, place, align=2)
        return context.get_dummy_value()

    return types.void(source, types.intp, types.intp, target, types.intp, types.intp), generate


if config.DISABLE_JIT:  # plain Python: tiles are NumPy arrays
    from .emulation import (  # noqa: F401
        add_terms,
        configure,
        load_sums,
        release,
        square_memory,
        store_both,
        store_left,
        store_sums,
        tile_rows,
        transpose_words,
        widened,
        zero_sums,
    )
