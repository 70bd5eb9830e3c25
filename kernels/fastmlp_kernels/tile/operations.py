"""Operations on register tiles, for compiled loops: load, store, rank-1 update, elementwise arithmetic, sums.

Read `emit` first, for what a tile is, and an intrinsic. Arrays are contiguous, float32 or float64. A tile is addressed
by the offset of its first element and by `stride`, the number of elements between the starts of two of its rows; each
row is `panel_width` contiguous elements, as are the rows of a panel (see `layout.panels`). `rows` must be a literal or
a global constant, since the tile's type contains it. Offsets are not checked. `typing`, the first parameter of each
function, is Numba's and not an argument of the call. The names of the other arguments stand for Numba types; inside
`generate`, where `args` is unpacked to them, for LLVM values.
"""

import functools

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.errors import TypingError
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .emit import I32, Emitter, Tile
from .engines import ENGINE, engine_of

ROWS = ENGINE.rows  # rows of the tile of a product
GRADIENT_ROWS = ENGINE.gradient_rows  # rows of the tile of a gradient
SUM_ROWS = 2  # rows of a tile that sums the rows of a panel; divides ROWS of every engine
WIDTH_BYTES = ENGINE.width(1)  # bytes of one row of a tile


@intrinsic
def panel_width(typing, array):
    """Columns of a panel of `array`'s dtype, also the width of a tile: a constant to the compiler."""
    if array.dtype.name != "uint16":
        _array_tile(array, types.literal(1))  # raises an error if there is no tile
    width = engine_of(array.dtype).panel_width(array.dtype.bitwidth // 8)
    return types.intp(array), lambda context, builder, signature, args: context.get_constant(types.intp, width)


@intrinsic
def terms(typing, array):
    """Number of products that one step adds to each sum, for operands of `array`'s dtype: a compile-time constant."""

    def generate(context, builder, signature, args):
        return context.get_constant(types.intp, engine_of(array.dtype).terms)

    return types.intp(array), generate


def stack_array(array, count):
    """Signature and `generate` function of an operation that returns a 1-D array on the stack of the calling function.

    Parameters
    ----------
    array : Numba type of an array, whose dtype the new one has
    count : int; number of elements
    """
    itemsize = array.dtype.bitwidth // 8

    def generate(context, builder, signature, args):
        data = cgutils.alloca_once(builder, context.get_value_type(array.dtype), count)
        result = context.make_array(signature.return_type)(context, builder)
        shape, strides = ([context.get_constant(types.intp, number)] for number in (count, itemsize))
        populate_array(result, data, shape, strides, itemsize=strides[0], meminfo=None)  # None: no reference counts
        return result._getvalue()

    return types.Array(array.dtype, 1, "C")(array), generate


@intrinsic
def tile_memory(typing, array):
    """1-D array of ROWS * panel_width elements, of the dtype of `array`, on the stack of the calling function.

    It holds a tile, row after row, whose elements scalar code works on. It is not initialized and must not be returned;
    a call in a loop gives the same memory at each pass.
    """
    return stack_array(array, ROWS * WIDTH_BYTES * 8 // array.dtype.bitwidth)


def _array_tile(array, rows):
    """Tile type of `rows` rows of the dtype of `array`, both Numba types; a TypingError if there is none."""
    if (
        isinstance(array, types.Array)
        and array.layout == "C"
        and array.dtype in (types.float32, types.float64)
        and hasattr(rows, "literal_value")
    ):
        return Tile(array.dtype, rows.literal_value)
    raise TypingError(
        f"no tile of {rows} rows of {array}; accepted: a constant, a row-major array of float32 or float64"
    )


def _check(tile, *arrays):
    """Raise a TypingError if an array is not row-major or not of the tile's dtype."""
    for array in arrays:
        if _array_tile(array, types.literal(1)).dtype != tile.dtype:
            raise TypingError(f"{array} with a tile of {tile.dtype}; accepted: one dtype")


@intrinsic(prefer_literal=True)
def zero(typing, array, rows):
    """Tile of zeros, of `rows` rows and of `array`'s dtype."""
    tile = _array_tile(array, rows)

    def generate(context, builder, signature, args):
        return ir.Constant(tile.registers, None)

    return tile(array, rows), generate


@intrinsic(prefer_literal=True)
def load(typing, array, offset, stride, rows):
    """Tile whose row r is the panel_width elements from array[offset + r * stride] on. A stride of 0 repeats a row."""
    tile = _array_tile(array, rows)

    def generate(context, builder, signature, args):
        emit = Emitter(tile, context, builder)
        pointer = emit.element_pointer(signature.args[0], args[0], args[1])
        return emit.map(lambda r, v: emit.load_vector(emit.row_pointer(pointer, args[2], r), v))

    return tile(array, types.intp, types.intp, rows), generate


@intrinsic(prefer_literal=True)
def load_rows(typing, array, offset, stride, rows, count):
    """Tile like that of `load`, reading the first `count` rows only (count >= 1); further rows repeat row count - 1."""
    tile = _array_tile(array, rows)

    def generate(context, builder, signature, args):
        emit = Emitter(tile, context, builder)
        pointer = emit.element_pointer(signature.args[0], args[0], args[1])
        return emit.map(lambda r, v: emit.load_vector(emit.row_pointer(pointer, args[2], r, args[4]), v))

    return tile(array, types.intp, types.intp, rows, types.intp), generate


@intrinsic
def load_columns(typing, array, offset, count):
    """One-row tile array[offset : offset + count], zero in the columns from `count` on; reads no other elements.

    `array` may be row-major with two dimensions. Columns beyond the panel width are ignored.
    """
    tile = _array_tile(array, types.literal(1))

    def generate(context, builder, signature, args):
        emit = Emitter(tile, context, builder)
        pointer, zeros = emit.element_pointer(signature.args[0], args[0], args[1]), ir.Constant(tile.vector, None)
        masks = emit.columns(args[2])
        vector, mask = tile.vector, ir.VectorType(ir.IntType(1), tile.lanes)
        types_ = [vector.as_pointer(), I32, mask, vector]
        name = f"llvm.masked.load.v{tile.lanes}f{tile.dtype.bitwidth}.p0"
        masked = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, types_), name)
        align = I32(tile.align)
        return emit.map(lambda r, v: builder.call(masked, [emit.vector_pointer(pointer, v), align, masks[v], zeros]))

    return tile(array, types.intp, types.intp), generate


@intrinsic
def keep_columns(typing, tile, count):
    """Tile with the first `count` columns of `tile`, and zeros (even for NaN) in the others."""

    def generate(context, builder, signature, args):
        emit = Emitter(tile, context, builder)
        masks, zeros = emit.columns(args[1]), ir.Constant(tile.vector, None)
        return emit.map(lambda r, v: builder.select(masks[v], emit.register(args[0], r, v), zeros))

    return tile(tile, types.intp), generate


@intrinsic
def join_columns(typing, left, right, count):
    """Tile with the first `count` columns of `left` and the other columns of `right`."""

    def generate(context, builder, signature, args):
        emit = Emitter(left, context, builder)
        masks = emit.columns(args[2])
        return emit.map(lambda r, v: builder.select(masks[v], *(emit.register(tile, r, v) for tile in args[:2])))

    return left(left, left, types.intp), generate


@intrinsic
def spread(typing, number):
    """One-row tile with the float `number` in every column."""
    if number not in (types.float32, types.float64):
        raise TypingError(f"no tile of {number}; accepted: a float32 or float64")
    tile = Tile(number, 1)

    def generate(context, builder, signature, args):
        emit = Emitter(tile, context, builder)
        splat = emit.splat(args[0])
        return emit.map(lambda r, v: splat)

    return tile(number), generate


@intrinsic
def store(typing, acc, array, offset, stride):
    """Store a tile: array[offset + r * stride + c] = acc[r, c]."""
    _check(acc, array)

    def generate(context, builder, signature, args):
        acc, array, offset, stride = args
        emit = Emitter(signature.args[0], context, builder)
        pointer = emit.element_pointer(signature.args[1], array, offset)
        for r, v in emit.indices():
            emit.store_vector(emit.register(acc, r, v), emit.row_pointer(pointer, stride, r), v)
        return context.get_dummy_value()

    return types.void(acc, array, types.intp, types.intp), generate


@intrinsic
def store_rows(typing, acc, array, offset, stride, count):
    """Store the first `count` rows of a tile only (count >= 1); see `store`."""
    _check(acc, array)

    def generate(context, builder, signature, args):
        acc, array, offset, stride, count = args
        emit = Emitter(signature.args[0], context, builder)
        pointer = emit.element_pointer(signature.args[1], array, offset)
        # Last row first: rows from `count` on go where row count - 1 will overwrite them. No branches.
        for r, v in reversed(list(emit.indices())):
            emit.store_vector(emit.register(acc, r, v), emit.row_pointer(pointer, stride, r, count), v)
        return context.get_dummy_value()

    return types.void(acc, array, types.intp, types.intp, types.intp), generate


@intrinsic
def prefetch(typing, array, offset):
    """Load the cache line of array[offset], which need not exist, into the L2 cache, because it will be read soon."""
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), I32, I32, I32])
    flags = [ir.Constant(I32, flag) for flag in (0, 2, 1)]  # for reading, into the L2 cache, data

    def generate(context, builder, signature, args):
        pointer = Emitter(None, context, builder).element_pointer(signature.args[0], *args)
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [builder.bitcast(pointer, kind.args[0]), *flags])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def rank1(typing, acc, a, a_offset, a_stride, b, b_offset):
    """Rank-1 update, tile acc[r, c] + a[a_offset + r * a_stride] * b[b_offset + c].

    It is computed by fused multiply-adds; on a CPU without them, by a product and a sum, each rounded.
    It adds one term, column k of A times row k of B, to a tile of A B: all products of float32 and float64 numbers are
    made of this operation.
    """
    _check(acc, a, b)

    def generate(context, builder, signature, args):
        acc, a, a_offset, a_stride, b, b_offset = args
        emit = Emitter(signature.args[0], context, builder)
        left = emit.element_pointer(signature.args[1], a, a_offset)
        right = emit.element_pointer(signature.args[4], b, b_offset)
        b_vectors = [emit.load_vector(right, v) for v in range(emit.tile.vecs)]
        # Each element of A is loaded where it is first used: the registers cannot hold those of all rows.
        a_vector = functools.cache(lambda r: emit.splat(builder.load(emit.row_pointer(left, a_stride, r))))
        return emit.map(lambda r, v: emit.multiply_add(a_vector(r), b_vectors[v], emit.register(acc, r, v)))

    return acc(acc, a, types.intp, types.intp, b, types.intp), generate


def _elementwise(left, right, instruction):
    """Signature and `generate` function of an operation that is one LLVM instruction per pair of vectors."""

    def generate(context, builder, signature, args):
        emit, combine = Emitter(left, context, builder), getattr(builder, instruction)
        return emit.map(lambda r, v: combine(emit.register(args[0], r, v), emit.register(args[1], r, v)))

    return left(left, right), generate


@intrinsic
def add(typing, left, right):
    """Tile left + right, elementwise."""
    return _elementwise(left, right, "fadd")


@intrinsic
def subtract(typing, left, right):
    """Tile left - right, elementwise."""
    return _elementwise(left, right, "fsub")


@intrinsic
def multiply(typing, left, right):
    """Tile left * right, elementwise."""
    return _elementwise(left, right, "fmul")


@intrinsic
def multiply_add(typing, left, right, acc):
    """Tile left * right + acc, elementwise, by fused multiply-adds if the CPU has them (see `rank1`)."""

    def generate(context, builder, signature, args):
        emit = Emitter(signature.args[0], context, builder)
        return emit.map(lambda r, v: emit.multiply_add(*(emit.register(arg, r, v) for arg in args)))

    return acc(left, right, acc), generate


@intrinsic
def sum_rows(typing, tile):
    """One-row tile of the sums of the columns, each added from the first row to the last."""

    def generate(context, builder, signature, args):
        emit = Emitter(signature.args[0], context, builder)

        def column(_, v):
            sums = emit.register(args[0], 0, v)
            for r in range(1, emit.tile.rows):
                sums = builder.fadd(sums, emit.register(args[0], r, v))
            return sums

        return Emitter(signature.return_type, context, builder).map(column)

    return Tile(tile.dtype, 1)(tile), generate


@intrinsic
def total(typing, tile):
    """Sum of all elements of a one-row tile, added from left to right."""

    def generate(context, builder, signature, args):
        emit = Emitter(signature.args[0], context, builder)
        result = ir.Constant(emit.tile.vector.element, 0.0)
        for v in range(emit.tile.vecs):
            for lane in range(emit.tile.lanes):
                result = builder.fadd(result, builder.extract_element(emit.register(args[0], 0, v), I32(lane)))
        return result

    return tile.dtype(tile), generate


@intrinsic
def largest(typing, tile):
    """Largest element of a one-row tile; any of its elements if one is NaN."""

    def generate(context, builder, signature, args):
        emit = Emitter(signature.args[0], context, builder)

        def larger(left, right):
            return builder.select(builder.fcmp_ordered(">", left, right), left, right)

        best, lanes = functools.reduce(larger, (emit.register(args[0], 0, v) for v in range(tile.vecs))), tile.lanes
        while lanes > 1:  # compare the left half of the vector with the right half
            lanes //= 2
            halves = [ir.Constant(ir.VectorType(I32, lanes), [*range(start, start + lanes)]) for start in (0, lanes)]
            best = larger(*(builder.shuffle_vector(best, ir.Constant(best.type, ir.Undefined), h) for h in halves))
        return builder.extract_element(best, I32(0))

    return tile.dtype(tile), generate


if config.DISABLE_JIT:  # plain Python: tiles are NumPy arrays
    from .emulation import (  # noqa: F401
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
        prefetch,
        rank1,
        spread,
        store,
        store_rows,
        subtract,
        sum_rows,
        terms,
        tile_memory,
        total,
        zero,
    )

width = panel_width  # the name that users' kernels have for it
