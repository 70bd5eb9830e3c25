"""The activations against their formulas in mpmath; their slopes also against central differences."""

import functools
import platform
import re

import llvmlite.binding
import mpmath
import numba
import numpy as np
import pytest
from fastmlp_kernels.functions.activations import ACTIVATIONS, Activation
from fastmlp_kernels.jit import OPTIONS
from numba.core import config

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # the plain Python form must be silent

SAMPLES = 20 if config.DISABLE_JIT else 500
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NAMES = pytest.mark.parametrize("name", ACTIVATIONS)
BOUNDED = pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "exp"])  # or linear
INF, NAN = np.inf, np.nan
ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805  # of SELU


def logistic(z):
    return 1 / (1 + mpmath.exp(-z))


def tanh_of_softplus(z):
    return mpmath.tanh(mpmath.log1p(mpmath.exp(z)))


# name: value, slope
REFERENCE = {
    "identity": (lambda z: z, lambda z: 1),
    "threshold": (lambda z: z >= 0, lambda z: 0),
    "sigmoid": (logistic, lambda z: logistic(z) * (1 - logistic(z))),
    "tanh": (mpmath.tanh, lambda z: 1 - mpmath.tanh(z) ** 2),
    "relu": (lambda z: max(z, 0), lambda z: z > 0),
    "leaky_relu": (lambda z: max(z, 0) + min(z, 0) / 100, lambda z: 1 if z > 0 else mpmath.mpf("0.01")),
    "elu": (lambda z: z if z > 0 else mpmath.expm1(z), lambda z: 1 if z > 0 else mpmath.exp(z)),
    "selu": (
        lambda z: SCALE * (z if z > 0 else ALPHA * mpmath.expm1(z)),
        lambda z: SCALE * (1 if z > 0 else ALPHA * mpmath.exp(z)),
    ),
    "exp": (mpmath.exp, mpmath.exp),
    "softplus": (lambda z: mpmath.log1p(mpmath.exp(z)), logistic),
    "silu": (lambda z: z * logistic(z), lambda z: logistic(z) * (1 + z * (1 - logistic(z)))),
    "gelu": (lambda z: z * mpmath.ncdf(z), lambda z: mpmath.ncdf(z) + z * mpmath.npdf(z)),
    "hard_swish": (
        lambda z: z * min(max(z + 3, 0), 6) / 6,
        lambda z: 1 if z > 3 else (z / 3 + mpmath.mpf(1) / 2 if z > -3 else 0),
    ),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: (1 + abs(z)) ** -2),
    "mish": (
        lambda z: z * tanh_of_softplus(z),
        lambda z: tanh_of_softplus(z) + z * (1 - tanh_of_softplus(z) ** 2) * logistic(z),
    ),
}

# name: value and slope far below 0; value (None: z itself) and slope far above
LIMITS = {
    "threshold": (0, 0, 1, 0),
    "sigmoid": (0, 0, 1, 0),
    "tanh": (-1, 0, 1, 0),
    "relu": (0, 0, None, 1),
    "elu": (-1, 0, None, 1),
    "softplus": (0, 0, None, 1),
    "silu": (0, 0, None, 1),
    "gelu": (0, 0, None, 1),
    "mish": (0, 0, None, 1),
    "hard_swish": (0, 0, None, 1),
}


@functools.cache
def loop_over(name):
    function = ACTIVATIONS[name].function

    @numba.njit(**OPTIONS)
    def loop(values, slopes, z):
        for i in range(z.size):
            values[i], slopes[i] = function(z[i])

    return loop


def evaluate(name, z):
    values, slopes = np.full((2, z.size), 777, z.dtype)
    loop_over(name)(values, slopes, z)
    return values, slopes


def arguments(dtype):
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.uniform(-12, 12, SAMPLES), rng.uniform(-1, 1, SAMPLES), [0, -1e-6, 1e-6]])
    return z.astype(dtype)


def test_every_activation_has_a_reference():
    assert ACTIVATIONS.keys() == REFERENCE.keys()


@NAMES
@DTYPES
@pytest.mark.parametrize("which", [0, 1], ids=["value", "slope"])
def test_value_and_slope_are_right_to_three_epsilon(name, dtype, which):
    z = arguments(dtype)
    with mpmath.workprec(120):
        exact = [REFERENCE[name][which](mpmath.mpf(float(zi))) for zi in z]
        errors = [abs(float(c) - e) / max(abs(e), 1) for c, e in zip(evaluate(name, z)[which], exact, strict=True)]
    assert max(errors) <= 3 * np.finfo(dtype).eps


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "elu", "selu", "softplus", "silu", "mish", "softsign"])
@DTYPES
def test_small_values_keep_their_digits(name, dtype):
    z = arguments(dtype)
    with mpmath.workprec(120):
        exact = [REFERENCE[name][0](mpmath.mpf(float(zi))) for zi in z]
        errors = [abs(float(c) - e) / max(abs(e), 1e-30) for c, e in zip(evaluate(name, z)[0], exact, strict=True)]
    assert max(errors) <= 4 * np.finfo(dtype).eps


@BOUNDED
def test_slope_is_the_central_difference_of_the_value(name):
    z, h = arguments(np.float64), 1e-5
    z = z[abs(z) > h]  # no difference across a kink
    difference = (evaluate(name, z + h)[0] - evaluate(name, z - h)[0]) / (2 * h)
    np.testing.assert_allclose(evaluate(name, z)[1], difference, rtol=0, atol=1e-9)


@NAMES
@DTYPES
def test_curvatures_are_right_to_eight_epsilon(name, dtype):
    z = arguments(dtype)[: 2 * SAMPLES : 1 if config.DISABLE_JIT else 10]
    second, third = np.full((2, z.size), np.nan, dtype)
    for i in range(z.size):
        second[i], third[i] = ACTIVATIONS[name].curvature(z[i])
    with mpmath.workprec(200):
        points = [mpmath.mpf(float(zi)) for zi in z]
        for n, found in ((2, second), (3, third)):
            exact = [mpmath.diff(lambda t: mpmath.mpf(REFERENCE[name][0](t)), zi, n) for zi in points]
            errors = [abs(float(c) - e) / max(abs(e), 1) for c, e in zip(found, exact, strict=True)]
            assert max(errors) <= 8 * np.finfo(dtype).eps


@BOUNDED
@DTYPES
def test_curvatures_are_finite_far_out_and_keep_the_dtype(name, dtype):
    for z in (dtype(10.0**power) for power in range(-40, 39, 6)):
        for found in (*ACTIVATIONS[name].curvature(z), *ACTIVATIONS[name].curvature(-z)):
            assert np.isfinite(found)
            assert not config.DISABLE_JIT or type(found) is dtype


def test_curvatures_not_known_are_not_a_number():
    assert np.isnan(Activation(ACTIVATIONS["tanh"].function, "he_normal").curvature(1.0)).all()


@pytest.mark.parametrize("name", LIMITS)
@DTYPES
def test_large_arguments_reach_the_limits(name, dtype):
    z = np.array([1e4, 1e30, INF], dtype)
    value_below, slope_below, value_above, slope_above = LIMITS[name]
    for arguments_, value, slope in ((-z, value_below, slope_below), (z, value_above, slope_above)):
        values, slopes = evaluate(name, arguments_)
        np.testing.assert_array_equal(values, arguments_ if value is None else np.full_like(z, value))
        np.testing.assert_array_equal(slopes, np.full_like(z, slope))


@BOUNDED
@DTYPES
def test_arguments_up_to_1e38_give_finite_results(name, dtype):
    z = (10.0 ** np.arange(-40, 39)).astype(dtype)
    assert np.isfinite(evaluate(name, np.concatenate([-z, z]))).all()


@NAMES
@DTYPES
def test_nan_comes_out_nan(name, dtype):
    assert np.isnan(evaluate(name, np.array([NAN, -NAN], dtype))[0]).all()


def test_slope_at_the_kink_is_that_from_below():
    kinks = {name: evaluate(name, np.zeros(1))[1][0] for name in ("relu", "leaky_relu", "elu", "selu")}
    assert kinks == pytest.approx({"relu": 0, "leaky_relu": 0.01, "elu": 1, "selu": SCALE * ALPHA}, rel=1e-15)


@DTYPES
def test_softsign_reaches_its_limits(dtype):
    values, slopes = evaluate("softsign", np.array([-INF, -1e38, 1e38, INF], dtype))
    np.testing.assert_array_equal(values, [-1, -1, 1, 1])
    assert (slopes <= 1e-30).all()


@DTYPES
def test_hard_swish_meets_its_neighbours(dtype):
    values, slopes = evaluate("hard_swish", np.array([-3, np.nextafter(-3, 0, dtype=dtype), 3, 6], dtype))
    np.testing.assert_allclose(values, [0, 0, 3, 6], rtol=0, atol=3 * np.finfo(dtype).eps)
    np.testing.assert_allclose(slopes, [0, -0.5, 1.5, 1], rtol=0, atol=3 * np.finfo(dtype).eps)


@NAMES
@DTYPES
def test_results_have_the_dtype_of_the_argument(name, dtype):
    function = ACTIVATIONS[name].function
    results = function(dtype(0.25))
    if config.DISABLE_JIT:
        assert [type(result) for result in results] == [dtype, dtype]
    else:
        number = numba.from_dtype(np.dtype(dtype))
        assert function.overloads[(number,)].signature.return_type == numba.types.UniTuple(number, 2)


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@pytest.mark.skipif(not llvmlite.binding.get_host_cpu_features().get("fma"), reason="the processor has no fma")
@pytest.mark.parametrize("slopes_too", [False, True], ids=["values", "values and slopes"])
@NAMES
@DTYPES
def test_loops_become_vector_code(name, dtype, slopes_too):
    function = ACTIVATIONS[name].function

    @numba.njit(**OPTIONS)
    def loop(z):
        for i in range(64):  # a multiple of any vector: no scalar remainder
            value, slope = function(z[i])
            z[i] = value * slope if slopes_too else value

    loop(np.ones(64, dtype))
    (assembly,) = loop.inspect_asm().values()
    assembly = re.split(r"Lfunc_end|_endproc", assembly)[0]  # the loop, without its Python wrapper
    letter = "s" if dtype is np.float32 else "d"
    assert name == "identity" or re.search(rf"v\w+p{letter}\s.*[yz]mm", assembly)
    assert "call" not in assembly
    assert not re.search(rf"v(add|sub|mul|div|cmp\w*|fn?m\w+)s{letter}\s", assembly)
