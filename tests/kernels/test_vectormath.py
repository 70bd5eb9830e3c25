"""The elementary functions against mpmath, in units in the last place."""

import functools
import platform
import re

import llvmlite.binding
import mpmath
import numba
import numpy as np
import pytest
from fastmlp_kernels.functions import vectormath
from fastmlp_kernels.jit import OPTIONS
from numba.core import config

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # the plain Python form must be silent

SAMPLES = 30 if config.DISABLE_JIT else 600
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
INF, NAN = np.inf, np.nan

# name: (reference, documented bound in ulp, least and greatest argument for float32, the same for float64)
FUNCTIONS = {
    "exp": (mpmath.exp, 1, (-86.6, 88.7), (-707.7, 709.7)),
    "expm1": (mpmath.expm1, 2, (-100, 88.7), (-800, 709.7)),
    "log": (mpmath.log, 1, (1e-44, 3e38), (1e-323, 1e308)),
    "log1p": (mpmath.log1p, 1, (2.0**-24 - 1, 3e38), (2.0**-53 - 1, 1e308)),
    "tanh": (mpmath.tanh, 3, (-20, 20), (-40, 40)),
    "erfcx": (lambda x: mpmath.exp(x * x) * mpmath.erfc(x), 7, (0, 1e4), (0, 1e4)),
    "erf": (mpmath.erf, 5, (-8, 8), (-8, 8)),
}
SPECIAL = {
    "exp": {-INF: 0, -1e30: 0, -1e4: 0, -0.0: 1, 1e4: INF, 1e30: INF, INF: INF},
    "expm1": {-INF: -1, -1e30: -1, -1e4: -1, 0: 0, 1e4: INF, 1e30: INF, INF: INF},
    "log": {-INF: NAN, -1: NAN, -0.0: -INF, 1: 0, INF: INF},
    "log1p": {-INF: NAN, -2: NAN, -1: -INF, 0: 0, INF: INF},
    "tanh": {-INF: -1, -1e30: -1, -1e4: -1, 0: 0, 1e4: 1, 1e30: 1, INF: 1},
    "erfcx": {0: 1, INF: 0},
    "erf": {-INF: -1, -1e30: -1, -1e4: -1, 0: 0, 1e4: 1, 1e30: 1, INF: 1},
}
NAMES = pytest.mark.parametrize("name", FUNCTIONS)


@functools.cache
def loop_over(function):
    @numba.njit(**OPTIONS)
    def loop(y, x):
        for i in range(x.size):
            y[i] = function(x[i])

    return loop


def evaluate(name, x):
    y = np.full_like(x, 777)
    loop_over(getattr(vectormath, name))(y, x)
    return y


def arguments(least, most, dtype):
    """Arguments spread evenly, evenly near 0 and 1, and by magnitude; and both ends of the range."""
    rng = np.random.default_rng(0)
    digits = np.log10(np.finfo(dtype).max)
    magnitudes = np.concatenate([10 ** rng.uniform(-digits, digits, SAMPLES), 10 ** rng.uniform(-6, 1, SAMPLES)])
    x = np.concatenate(
        [
            np.linspace(max(least, -90), min(most, 90), SAMPLES),
            rng.uniform(least, most, SAMPLES),
            rng.uniform(-2, 2, 2 * SAMPLES),
            1 + rng.uniform(-1, 1, SAMPLES) * 10 ** rng.uniform(-6, 0, SAMPLES),
            magnitudes,
            -magnitudes,
            [least, most],
        ]
    ).astype(dtype)
    return x[(x >= dtype(least)) & (x <= dtype(most))]


def ulps(result, exact):
    """Distance of a NumPy scalar from an mpmath number, in units in the last place of the latter."""
    format_ = np.finfo(result.dtype)
    exponent = max(mpmath.frexp(exact)[1] - 1, format_.minexp)
    return abs(mpmath.mpf(float(result)) - exact) / mpmath.ldexp(1, exponent - format_.nmant)


@NAMES
@DTYPES
def test_error_is_within_the_documented_bound(name, dtype):
    reference, bound, *ranges = FUNCTIONS[name]
    x = arguments(*ranges[dtype is np.float64], dtype)
    assert f"to {bound} ulp" in getattr(vectormath, name).__doc__
    with mpmath.workprec(200):
        errors = [
            ulps(result, reference(mpmath.mpf(float(xi)))) for xi, result in zip(x, evaluate(name, x), strict=True)
        ]
    worst = int(np.argmax(errors))
    assert errors[worst] <= bound, f"{float(errors[worst]):.2f} ulp at {x[worst]!r}"


@NAMES
@DTYPES
def test_special_arguments(name, dtype):
    x = np.array(list(SPECIAL[name]), dtype)
    np.testing.assert_array_equal(evaluate(name, x), np.array(list(SPECIAL[name].values()), dtype))


@NAMES
@DTYPES
def test_nan_comes_out_nan(name, dtype):
    assert np.isnan(evaluate(name, np.array([NAN, -NAN], dtype))).all()


@NAMES
@DTYPES
def test_result_has_the_dtype_of_the_argument(name, dtype):
    function = getattr(vectormath, name)
    result = function(dtype(0.25))
    if config.DISABLE_JIT:
        assert type(result) is dtype
    else:
        number = numba.from_dtype(np.dtype(dtype))
        assert function.overloads[(number,)].signature.return_type == number


@DTYPES
def test_exp_flushes_subnormal_results_to_zero(dtype):
    least = np.log(np.finfo(dtype).tiny)
    np.testing.assert_array_equal(evaluate("exp", np.array([least, 1.01 * least], dtype)), 0)


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@pytest.mark.skipif(not llvmlite.binding.get_host_cpu_features().get("fma"), reason="the processor has no fma")
@NAMES
@DTYPES
def test_loops_become_vector_code(name, dtype):
    function = getattr(vectormath, name)

    @numba.njit(**OPTIONS)
    def loop(x):
        for i in range(64):  # a multiple of any vector: no scalar remainder
            x[i] = function(x[i])

    loop(np.ones(64, dtype))
    (assembly,) = loop.inspect_asm().values()
    assembly = re.split(r"Lfunc_end|_endproc", assembly)[0]  # the loop, without its Python wrapper
    letter = "s" if dtype is np.float32 else "d"
    assert re.search(rf"vfn?m\w+p{letter}\s.*[yz]mm", assembly)
    assert "call" not in assembly
    assert not re.search(rf"v(add|sub|mul|div|fn?m\w+)s{letter}\s", assembly)
