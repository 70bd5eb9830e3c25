"""Elementwise activations: each is a scalar function of the net input z that returns the pair (g(z), g'(z)).

Value and slope are computed together because they share their exponential; if a loop uses only one of them, the
compiler drops the other. Both have the dtype of z, errors up to 3 epsilon · max(|g|, 1) and, for all but `exp`, are
finite for |z| up to 1e38. The functions have no branches, so that loops over them become vector code. NaN gives the
value NaN. Softmax is not elementwise: see `panelwise.softmax`.

The curvature of each is the pair (g''(z), g'''(z)), from which second derivatives with respect to the inputs, and their
gradients, are computed (see `embed.taylor`). Its errors are up to 8 epsilon; at a kink it is 0 or that from below.

A new activation is a function, with its curvature if it has any, and a row of ACTIVATIONS. Without a curvature, second
derivatives are NaN: the row of a piecewise linear activation must have `no_curvature`, which is zero.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..jit import njit
from .scalar import fma, like
from .vectormath import clip, erfcx, expm1, log1p
from .vectormath import exp as _exp
from .vectormath import tanh as _tanh

LEAKY_SLOPE = 0.01
# G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, Self-normalizing neural networks (2017), equation 14.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
FAR = 1000.0  # for larger |z|, exp(-|z|) and exp(-z²/2) are 0 in either dtype


@njit
def identity(z):
    """The net input itself."""
    return z, like(1.0, z)


@njit
def no_curvature(z):
    """Zero, the curvature of piecewise linear activations."""
    zero = like(0.0, z)
    return zero, zero


@njit
def unknown_curvature(z):
    """NaN, the curvature of activations whose higher derivatives are not known."""
    unknown = like(np.nan, z)
    return unknown, unknown


@njit
def threshold(z):
    """The Heaviside step: 1 for z >= 0, else 0. Its slope is 0 everywhere, so that it cannot be trained."""
    zero, one = like(0.0, z), like(1.0, z)
    return one if z >= zero else (zero if z < zero else z), zero


@njit
def sigmoid(z):
    """a = 1 / (1 + e⁻ᶻ), from exp(-|z|), which cannot overflow; the slope a (1 - a) is an even function of z."""
    zero, one = like(0.0, z), like(1.0, z)
    e = _exp(-abs(z))
    right = one / (one + e)
    left = e * right
    return left if z < zero else right, left * right


@njit
def sigmoid_curvature(z):
    """σ' (1 - 2 σ) and σ' (1 - 6 σ') with the sigmoid σ and its slope σ' = σ (1 - σ)."""
    a, slope = sigmoid(z)
    one = like(1.0, z)
    return slope * fma(like(-2.0, z), a, one), slope * fma(like(-6.0, z), slope, one)


@njit
def tanh(z):
    """The hyperbolic tangent a, slope 1 - a²."""
    a = _tanh(z)
    return a, fma(-a, a, like(1.0, z))


@njit
def tanh_curvature(z):
    """-2 a a' and -2 a' (1 - 3 a²) with the hyperbolic tangent a and its slope a' = 1 - a²."""
    a, slope = tanh(z)
    twice = like(-2.0, z) * slope
    return twice * a, twice * fma(like(-3.0, z) * a, a, like(1.0, z))


@njit
def relu(z):
    """The larger of z and 0, slope 0 at 0."""
    zero, one = like(0.0, z), like(1.0, z)
    off = z <= zero  # in this form NaN gives NaN
    return zero if off else z, zero if off else one


@njit
def leaky_relu(z):
    """z above 0, z / 100 below; slope 1/100 at 0."""
    off, slope = z <= like(0.0, z), like(LEAKY_SLOPE, z)
    return slope * z if off else z, slope if off else like(1.0, z)


@njit
def elu(z):
    """z above 0, eᶻ - 1 below (D.-A. Clevert, T. Unterthiner, S. Hochreiter 2016, with alpha = 1)."""
    zero, one = like(0.0, z), like(1.0, z)
    off = z <= zero
    below = expm1(z if off else zero)
    return below if off else z, below + one if off else one


@njit
def elu_curvature(z):
    """0 above 0, eᶻ below, for both derivatives."""
    zero = like(0.0, z)
    off = z <= zero
    below = _exp(z if off else zero)
    curvature = below if off else zero
    return curvature, curvature


@njit
def selu(z):
    """SELU_SCALE z above 0, SELU_SCALE · SELU_ALPHA (eᶻ - 1) below; at 0 the slope from below."""
    zero, scale, limit = like(0.0, z), like(SELU_SCALE, z), like(SELU_SCALE * SELU_ALPHA, z)
    off = z <= zero
    below = limit * expm1(z if off else zero)
    return below if off else scale * z, below + limit if off else scale


@njit
def selu_curvature(z):
    """SELU_SCALE · SELU_ALPHA times the curvature of `elu`."""
    curvature = like(SELU_SCALE * SELU_ALPHA, z) * elu_curvature(z)[0]
    return curvature, curvature


@njit
def exp(z):
    """eᶻ, which is its own slope; for outputs that are rates."""
    a = _exp(z)
    return a, a


@njit
def softplus(z):
    """log(1 + eᶻ) as max(z, 0) + log(1 + exp(-|z|)); its slope is the sigmoid."""
    zero, one = like(0.0, z), like(1.0, z)
    off = z <= zero
    e = _exp(-abs(z))
    return (zero if off else z) + log1p(e), (e if off else one) / (one + e)


@njit
def softplus_curvature(z):
    """The first two derivatives of the sigmoid."""
    return sigmoid(z)[1], sigmoid_curvature(z)[0]


@njit
def silu(z):
    """z·sigmoid(z) (S. Elfwing, E. Uchibe, K. Doya 2018)."""
    far = like(FAR, z)
    raised = clip(z, -far, like(np.inf, z))  # -FAR·0 for -inf·0, which is NaN
    a, slope = sigmoid(z)
    return raised * a, fma(clip(z, -far, far), slope, a)


@njit
def silu_curvature(z):
    """2 σ' + z σ'' and 3 σ'' + z σ''' with the sigmoid σ."""
    far = like(FAR, z)
    near, slope = clip(z, -far, far), sigmoid(z)[1]
    second, third = sigmoid_curvature(z)
    return fma(near, second, like(2.0, z) * slope), fma(near, third, like(3.0, z) * second)


@njit
def gelu(z):
    """z·Φ(z) with the normal distribution function Φ (D. Hendrycks, K. Gimpel 2016), without the tanh approximation.

    Φ(-|z|) = exp(-z²/2) erfcx(|z|/√2) / 2 shares its exponential with the slope Φ + z·exp(-z²/2) / √(2π), and keeps
    digits that would cancel in 1 + erf(z/√2).
    """
    zero, one, half, far = like(0.0, z), like(1.0, z), like(0.5, z), like(FAR, z)
    raised = clip(z, -far, like(np.inf, z))  # as in silu
    near = clip(z, -far, far)
    e = _exp(-half * near * near)
    tail = half * e * erfcx(abs(near) * like(math.sqrt(0.5), z))
    phi = one - tail if near > zero else tail
    return raised * phi, fma(near * e, like(1.0 / math.sqrt(2.0 * math.pi), z), phi)


@njit
def gelu_curvature(z):
    """p (2 - z²) and p z (z² - 4) with the normal density p = exp(-z²/2) / √(2π)."""
    far = like(FAR, z)
    near = clip(z, -far, far)
    density = like(1.0 / math.sqrt(2.0 * math.pi), z) * _exp(like(-0.5, z) * near * near)
    return density * fma(-near, near, like(2.0, z)), density * near * fma(near, near, like(-4.0, z))


@njit
def _tanh_of_softplus(z):
    """The pair (t, t') of t = tanh(log(1 + eᶻ)), as ratios of polynomials of exp(-|z|), which cannot overflow."""
    one, two, off = like(1.0, z), like(2.0, z), z < like(0.0, z)
    e = _exp(-abs(z))
    square = e * e
    numerator = fma(two, e, square if off else one)
    inverse = one / fma(two, one if off else square, numerator)
    return numerator * inverse, like(4.0, z) * (one + e) * (e if off else square) * inverse * inverse


@njit
def mish(z):
    """z·tanh(softplus(z)) (D. Misra 2019)."""
    far = like(FAR, z)
    raised = clip(z, -far, like(np.inf, z))  # as in silu
    t, slope = _tanh_of_softplus(z)
    return raised * t, fma(clip(z, -far, far), slope, t)


@njit
def mish_curvature(z):
    """2 t' + z t'' and 3 t'' + z t''' with t = tanh(softplus(z)).

    With the sigmoid σ and k = 1 - σ (1 + 2 t), t'' = t' k and t''' = t'' k + t' k'.
    """
    far, one, two = like(FAR, z), like(1.0, z), like(2.0, z)
    near, (t, first), (a, slope) = clip(z, -far, far), _tanh_of_softplus(z), sigmoid(z)
    k = one - a * fma(two, t, one)
    second = first * k
    third = second * k - first * (slope * fma(two, t, one) + two * a * first)
    return fma(near, second, two * first), fma(near, third, like(3.0, z) * second)


@njit
def hard_swish(z):
    """z·max(0, min(6, z + 3)) / 6 (A. Howard et al. 2019); at its kinks, -3 and 3, the slope from below."""
    zero, one, three = like(0.0, z), like(1.0, z), like(3.0, z)
    gate = clip(z + three, zero, like(6.0, z)) * like(1.0 / 6.0, z)
    inner = fma(z, like(1.0 / 3.0, z), like(0.5, z))
    slope = one if z > three else (zero if z <= -three else inner)
    return clip(z, -three, like(np.inf, z)) * gate, slope  # -3·0 for -inf·0, which is NaN


@njit
def hard_swish_curvature(z):
    """1/3 from -3 to 3, else 0; the third derivative is 0."""
    zero, three = like(0.0, z), like(3.0, z)
    below = like(1.0 / 3.0, z) if z > -three else zero
    return below if z <= three else zero, zero


@njit
def softsign(z):
    """z / (1 + |z|), slope 1 / (1 + |z|)² (J. Bergstra, G. Desjardins, P. Lamblin, Y. Bengio 2009)."""
    limit = like(1e30, z)  # from here on the value is 1, or -1, in either dtype
    near, one = clip(z, -limit, limit), like(1.0, z)
    inverse = one / (one + abs(near))
    return near / (one + abs(near)), inverse * inverse


@njit
def softsign_curvature(z):
    """-2 c³ above 0 and 2 c³ below, and 6 c⁴, with c = 1 / (1 + |z|)."""
    two, inverse = like(2.0, z), like(1.0, z) / (like(1.0, z) + abs(z))
    square = inverse * inverse
    return (-two if z > like(0.0, z) else two) * square * inverse, like(6.0, z) * square * square


class Activation(NamedTuple):
    """Row of the table of activations.

    Attributes
    ----------
    function : compiled function; z to (g(z), g'(z))
    init : str; name of the initializer that suits it
    differentiable : bool; whether networks with it can be trained
    curvature : compiled function; z to (g''(z), g'''(z)), by default NaN: not known
    cached : bool; whether machine code that contains it may be cached on disk
    """

    function: Callable
    init: str
    differentiable: bool = True
    curvature: Callable = unknown_curvature
    cached: bool = True


ACTIVATIONS = {
    "identity": Activation(identity, "glorot_uniform", curvature=no_curvature),
    "threshold": Activation(threshold, "glorot_uniform", differentiable=False, curvature=no_curvature),
    "sigmoid": Activation(sigmoid, "glorot_uniform", curvature=sigmoid_curvature),
    "tanh": Activation(tanh, "glorot_uniform", curvature=tanh_curvature),
    "relu": Activation(relu, "he_uniform", curvature=no_curvature),
    "leaky_relu": Activation(leaky_relu, "he_uniform", curvature=no_curvature),
    "elu": Activation(elu, "he_uniform", curvature=elu_curvature),
    "selu": Activation(selu, "lecun_normal", curvature=selu_curvature),
    "exp": Activation(exp, "glorot_uniform", curvature=exp),
    "softplus": Activation(softplus, "glorot_uniform", curvature=softplus_curvature),
    "silu": Activation(silu, "he_uniform", curvature=silu_curvature),
    "gelu": Activation(gelu, "he_uniform", curvature=gelu_curvature),
    "mish": Activation(mish, "he_uniform", curvature=mish_curvature),
    "hard_swish": Activation(hard_swish, "he_uniform", curvature=hard_swish_curvature),
    "softsign": Activation(softsign, "glorot_uniform", curvature=softsign_curvature),
}
