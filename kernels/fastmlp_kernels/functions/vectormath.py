"""Elementary functions of float32 and float64 scalars, written so that LLVM can turn loops over them into vector code.

(Calls of `math.exp` and the like prevent that.) Each function returns the dtype of its argument and has no branches:
both sides of a case are computed and one is selected. NaN gives NaN, an infinite argument the limit. Errors are in
units in the last place (ulp) of the exact result.

The coefficients of EXPM1, ERF and ERFCX are minimax polynomials of relative error, found by Remez's algorithm in
50-digit arithmetic and then rounded; comments give the errors before rounding. Lowest power first.
"""

import math

import numpy as np

from ..jit import njit
from .scalar import by_precision, fma, like, polynomial, power_of_two, split_power

LOG2_E = math.log2(math.e)
# ln 2 in two parts (FreeBSD msun, e_logf.c and e_log.c). The first ends in zeros, so that its product with a binary
# exponent is exact.
LN2_HIGH_F32, LN2_LOW_F32 = 6.9313812256e-01, 9.0580006145e-06
LN2_HIGH_F64, LN2_LOW_F64 = 6.93147180369123816490e-01, 1.90821492927058770002e-10

# (exp(r) - 1 - r) / r² for |r| <= ln(2) / 2, to 2.7e-9 and 2.7e-18.
EXPM1_F32 = (0.5, 0.16666667, 0.041666467, 0.008333361, 0.0013933607, 0.00019857791)
EXPM1_F64 = (
    0.5,
    0.1666666666666667,
    0.041666666666666616,
    0.008333333333326162,
    0.0013888888888917948,
    0.00019841269874742328,
    2.4801587245794536e-05,
    2.755725548719246e-06,
    2.75573495456051e-07,
    2.5105184802899177e-08,
    2.0889405772389887e-09,
)

# (log(1 + f) - 2s) / s³ with s = f / (2 + f), in powers of s²: FreeBSD msun, e_logf.c and e_log.c.
LOG_F32 = (0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841)
LOG_F64 = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)

# erf(x) / x in powers of x², for |x| <= 1/2, to 1.3e-9 and 3.9e-18.
ERF_F32 = (1.1283791, -0.37612608, 0.112828225, -0.026757184, 0.0047179903)
ERF_F64 = (
    1.1283791670955126,
    -0.37612638903183465,
    0.11283791670924816,
    -0.026866170632716322,
    0.005223977370332408,
    -0.0008548297524748163,
    0.00012053324323886661,
    -1.4845583855143466e-05,
    1.4723215353508247e-06,
)

# erfcx(x) / t with t = K / (x + K), in powers of 1 - 2t, for every x >= 0, to 1.1e-8 and 8.7e-17. The variable, and K,
# are those of M. M. Shepherd and J. G. Laframboise, Mathematics of Computation 36 (1981) 249-253.
ERFCX_K = 3.75
ERFCX_F32 = (
    0.29117945,
    -0.25566444,
    0.19635192,
    -0.13079166,
    0.07441387,
    -0.035190236,
    0.013110734,
    -0.0033391153,
    0.00023726573,
    0.00021073154,
    -6.795533e-05,
)
ERFCX_F64 = (
    0.29117944255007705,
    -0.25566442044077553,
    0.1963517133924725,
    -0.1307920776554165,
    0.07441654640877753,
    -0.03518810697991962,
    0.013098340967932984,
    -0.003342901357636856,
    0.00026302345492127527,
    0.0002119529221512099,
    -9.297233022712427e-05,
    2.8246509444018614e-06,
    9.991948495625347e-06,
    -2.373253377830309e-06,
    -8.761839755401957e-07,
    4.396110821179872e-07,
    7.336576604381956e-08,
    -6.80483382853289e-08,
    -6.196043268019248e-09,
    9.133114672839015e-09,
    4.326969543357293e-10,
    -7.754603227209144e-10,
    -4.52649710029084e-12,
)

# The logarithms of the smallest normal and of the largest number.
EXP_LEAST_F32, EXP_MOST_F32 = -87.336545, 88.72283
EXP_LEAST_F64, EXP_MOST_F64 = -708.3964185322641, 709.782712893384

MOST_F32, MOST_F64 = (2 - 2.0**-23) * 2.0**127, (2 - 2.0**-52) * 2.0**1023  # the largest finite numbers


@njit
def clip(x, low, high):
    """`x` limited to the range from `low` to `high`, exactly; NaN stays NaN."""
    raised = low if x < low else x
    return high if raised > high else raised


@njit
def _exp_parts(x):
    """The pair (exp(r) - 1, 2ⁿ⁻¹) with x = n ln 2 + r and |r| <= ln(2) / 2; half the power, because 2ⁿ may overflow."""
    n = np.rint(x * like(LOG2_E, x))
    r = fma(n, -by_precision(x, LN2_HIGH_F32, LN2_HIGH_F64), x)
    r = fma(n, -by_precision(x, LN2_LOW_F32, LN2_LOW_F64), r)
    return fma(r * r, polynomial(r, EXPM1_F32, EXPM1_F64), r), power_of_two(n - like(1.0, x))


@njit
def exp(x):
    """eˣ, to 1 ulp; 0 if that is below 2⁻¹²⁵/√2 (float64: 2⁻¹⁰²¹/√2), because arithmetic on subnormals is slow."""
    least, most = by_precision(x, EXP_LEAST_F32, EXP_LEAST_F64), by_precision(x, EXP_MOST_F32, EXP_MOST_F64)
    # At `least`, n - 1 is -127 (float64: -1023), for which `power_of_two` gives 0: so smaller results are 0, too.
    p, half_power = _exp_parts(clip(x, least, most))
    half = fma(half_power, p, half_power)
    return like(np.inf, x) if x > most else half + half


@njit
def expm1(x):
    """eˣ - 1, to 2 ulp, also near 0."""
    most = by_precision(x, EXP_MOST_F32, EXP_MOST_F64)
    p, half_power = _exp_parts(clip(x, like(-40.0, x), most))  # below -40 the result is -1 in either dtype
    half = fma(half_power, p, half_power - like(0.5, x))
    return like(np.inf, x) if x > most else half + half


@njit
def _log(x, correction):
    """log(x) + `correction`, a small number, for positive normal x.

    With x = 2ᵏ (1 + f) and s = f / (2 + f), log(1 + f) = f - f²/2 + s (f²/2 + R(s²)) (FreeBSD msun, e_log.c).
    """
    m, k = split_power(x)
    f = m - like(1.0, x)
    s = f / (f + like(2.0, x))
    s_square, half_f_square = s * s, like(0.5, x) * f * f
    low = fma(k, by_precision(x, LN2_LOW_F32, LN2_LOW_F64), correction)
    low = fma(s, fma(s_square, polynomial(s_square, LOG_F32, LOG_F64), half_f_square), low)
    return fma(k, by_precision(x, LN2_HIGH_F32, LN2_HIGH_F64), f - (half_f_square - low))


@njit
def log(x):
    """The natural logarithm, to 1 ulp: -inf at 0, NaN below."""
    subnormal = x < by_precision(x, 2.0**-126, 2.0**-1022)
    y = _log(x * like(2.0**64, x) if subnormal else x, like(0.0, x))
    y = y - like(64.0 * math.log(2.0), x) if subnormal else y
    y = y if x < like(np.inf, x) else x  # infinity and NaN
    y = y if x != like(0.0, x) else like(-np.inf, x)
    return like(np.nan, x) if x < like(0.0, x) else y


@njit
def log1p(x):
    """log(1 + x), to 1 ulp, also near 0: -inf at -1, NaN below.

    The error c of rounding u = 1 + x is corrected by adding c / u to log(u) (FreeBSD msun, s_log1p.c).
    """
    one, infinity = like(1.0, x), like(np.inf, x)
    least, most = by_precision(x, 2.0**-24 - 1, 2.0**-53 - 1), by_precision(x, MOST_F32, MOST_F64)
    finite = clip(x, least, most)
    u = one + finite
    smaller, larger = (one, finite) if finite > one else (finite, one)
    y = _log(u, (smaller - (u - larger)) / u)
    y = y if x < infinity else x  # infinity and NaN
    y = y if x != -one else -infinity
    return like(np.nan, x) if x < -one else y


@njit
def tanh(x):
    """The hyperbolic tangent, to 3 ulp: e / (e + 2) with e = exp(2|x|) - 1, and the sign of x."""
    e = expm1(like(2.0, x) * clip(abs(x), like(0.0, x), like(20.0, x)))  # beyond 20 the result is 1 in either dtype
    return np.copysign(e / (e + like(2.0, x)), x)


@njit
def erfcx(x):
    """exp(x²) (1 - erf(x)), the scaled complementary error function, for x >= 0, to 7 ulp."""
    t = like(ERFCX_K, x) / (x + like(ERFCX_K, x))
    return t * polynomial(fma(like(-2.0, x), t, like(1.0, x)), ERFCX_F32, ERFCX_F64)


@njit
def erf(x):
    """The error function, to 5 ulp: x P(x²) up to 1/2, beyond it 1 - exp(-x²) erfcx(x)."""
    size = clip(abs(x), like(0.0, x), like(6.0, x))  # beyond 6 the result is 1 in either dtype
    square = size * size
    near = size * polynomial(square, ERF_F32, ERF_F64)
    far = fma(-exp(-square), erfcx(size), like(1.0, x))
    return np.copysign(near if size < like(0.5, x) else far, x)
