"""Scalar operations that Numba lacks: fused multiply-add, polynomials, powers of two, constants of a given dtype.

All take float32 or float64 scalars, return the dtype of their argument, and become vector instructions in a loop over
a contiguous array. With the JIT disabled (NUMBA_DISABLE_JIT=1) the same names are plain functions of NumPy scalars.

The compiled ones are Numba *intrinsics*: Python functions that Numba runs when it compiles a call of them, and which
return the call's signature and a function that writes its LLVM instructions. Their first parameter, `typing_context`,
is Numba's and not an argument of the call.
"""

import numpy as np
from numba.core import config

# By dtype: the integer type of the same size, the number of bits of the mantissa, the bias of the exponent.
_LAYOUT = {np.float32: (np.uint32, 23, 127), np.float64: (np.uint64, 52, 1023)}


def _bits(value, dtype):
    """Bit pattern of `value` as a `dtype` number, as an integer."""
    return int(dtype(value).view(_LAYOUT[dtype][0]))


if config.DISABLE_JIT:

    def like(constant, x):
        """See the compiled `like`."""
        return type(x)(constant)

    def by_precision(x, single, double):
        """See the compiled `by_precision`."""
        return type(x)(single if isinstance(x, np.float32) else double)

    def fma(a, b, c):
        """See the compiled `fma`. The product is in a wider type: exact for float32, to 64 bits for float64."""
        wide = np.float64 if isinstance(a, np.float32) else np.longdouble
        return type(a)(wide(a) * b + c)

    def polynomial(x, single, double):
        """See the compiled `polynomial`."""
        coefficients = single if isinstance(x, np.float32) else double
        total = type(x)(coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            total = fma(total, x, type(x)(coefficient))
        return total

    def power_of_two(n):
        """See the compiled `power_of_two`."""
        dtype = type(n)
        integer, mantissa, bias = _LAYOUT[dtype]
        shifted = _bits(n + dtype(1.5 * 2.0**mantissa + bias), dtype) << mantissa
        return integer(shifted & np.iinfo(integer).max).view(dtype)

    def split_power(x):
        """See the compiled `split_power`."""
        dtype = type(x)
        integer, mantissa, bias = _LAYOUT[dtype]
        lowest = _bits(0.5**0.5, dtype)
        shifted = (_bits(x, dtype) + _bits(1, dtype) - lowest) & np.iinfo(integer).max
        m = integer((shifted & ((1 << mantissa) - 1)) + lowest).view(dtype)
        return m, dtype((shifted >> mantissa) - bias)

else:
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic

    def _dtype(number_type):
        """NumPy type of the Numba type float32 or float64."""
        return {types.float32: np.float32, types.float64: np.float64}[number_type]

    def _cast(context, builder, value, value_type, x_type):
        """The LLVM value `value` of the Numba type `value_type`, cast to the Numba type `x_type`."""
        return context.cast(builder, value, types.unliteral(value_type), x_type)

    @intrinsic
    def like(typing_context, constant, x):
        """The number `constant` in the dtype of `x`; costs nothing if the compiler knows its value."""

        def build(context, builder, signature, arguments):
            return _cast(context, builder, arguments[0], constant, x)

        return x(constant, x), build

    @intrinsic
    def by_precision(typing_context, x, single, double):
        """The number `single` if `x` is float32, `double` if it is float64, in the dtype of `x`."""
        choice = 1 if x == types.float32 else 2

        def build(context, builder, signature, arguments):
            return _cast(context, builder, arguments[choice], signature.args[choice], x)

        return x(x, single, double), build

    @intrinsic
    def fma(typing_context, a, b, c):
        """`a * b + c` of three numbers of one dtype, rounded once."""

        def build(context, builder, signature, arguments):
            return builder.fma(*arguments)

        return a(a, a, a), build

    @intrinsic
    def polynomial(typing_context, x, single, double):
        """`c[0] + c[1] x + c[2] x² + ...` by Horner's rule, c being `single` where x is float32, else `double`."""
        choice = 1 if x == types.float32 else 2

        def build(context, builder, signature, arguments):
            coefficients = [
                _cast(context, builder, builder.extract_value(arguments[choice], i), types.float64, x)
                for i in range(len(signature.args[choice]))
            ]
            total = coefficients.pop()
            while coefficients:
                total = builder.fma(total, arguments[0], coefficients.pop())
            return total

        return x(x, single, double), build

    @intrinsic
    def power_of_two(typing_context, n):
        """2ⁿ for a whole number n (a float) from -126 to 127 (float64: -1022 to 1023); 0 for -127 (float64: -1023).

        The sum of n, 1.5·2²³ and the exponent's bias 127 (float64: 1.5·2⁵² and 1023) has n + bias in its lowest bits,
        which are the exponent field of 2ⁿ: a shift to the left by the length of the mantissa moves them there.
        """
        integer, mantissa, bias = _LAYOUT[_dtype(n)]
        word = ir.IntType(8 * integer().itemsize)

        def build(context, builder, signature, arguments):
            shifter = ir.Constant(arguments[0].type, 1.5 * 2.0**mantissa + bias)
            bits = builder.bitcast(builder.fadd(arguments[0], shifter), word)
            return builder.bitcast(builder.shl(bits, word(mantissa)), shifter.type)

        return n(n), build

    @intrinsic
    def split_power(typing_context, x):
        """The pair (m, k) of floats with x = m·2ᵏ and m from √½ to √2, for a positive normal x; any pair for other x.

        Bit patterns of positive floats have the order of their values. Counted from the pattern of √½, their exponent
        field counts powers of two from √½ (FreeBSD msun, e_logf.c). The field is converted to a float by writing it to
        the lowest bits of 2²³ (float64: 2⁵²) and subtracting, because AVX2 cannot convert 64-bit integers.
        """
        dtype = _dtype(x)
        integer, mantissa, bias = _LAYOUT[dtype]
        word = ir.IntType(8 * integer().itemsize)
        lowest, one, base = (word(_bits(value, dtype)) for value in (0.5**0.5, 1.0, 2.0**mantissa))

        def build(context, builder, signature, arguments):
            float_type = arguments[0].type
            shifted = builder.add(builder.bitcast(arguments[0], word), builder.sub(one, lowest))
            fraction = builder.and_(shifted, word((1 << mantissa) - 1))
            m = builder.bitcast(builder.add(fraction, lowest), float_type)
            exponent = builder.bitcast(builder.or_(builder.lshr(shifted, word(mantissa)), base), float_type)
            k = builder.fsub(exponent, ir.Constant(float_type, 2.0**mantissa + bias))
            return context.make_tuple(builder, signature.return_type, (m, k))

        return types.UniTuple(x, 2)(x), build
