"""Activations and losses of the user's own: as right and as fast as built-in ones, refused where wrong, never stale."""

import itertools
import math
import os
import re
import subprocess
import sys
import textwrap
import types

import fastmlp_kernels as fk
import numba
import numpy as np
import pytest
from fastmlp_kernels import calls as pointers
from fastmlp_kernels import custom, register_activation, register_loss
from fastmlp_kernels.functions.activation_table import slopes_address, values_address
from fastmlp_kernels.functions.activations import ACTIVATIONS
from fastmlp_kernels.panelwise.losses import LOSSES, loss_address
from fastmlp_kernels.tile.operations import ROWS

from tests.kernels import own
from tests.kernels.cases import DTYPES, PLAIN, ROW_COUNTS, SIZES, padded, panels, random, sized
from tests.kernels.test_losses import Run
from tests.kernels.test_pointers import slopes_at, values_at


def both(guarded, name, z):
    """(values, slopes) of an activation, by its address."""
    values, slopes, number = guarded(z.shape, z.dtype), guarded(z), numba.from_dtype(z.dtype)
    slopes_at(slopes_address(name, number), values, 0, slopes, 0, z.size)
    alone = guarded(z)
    values_at(values_address(name, number), alone, 0, z.size)
    np.testing.assert_array_equal(alone, values)
    return values, slopes


@DTYPES
def test_a_twin_of_tanh_gives_its_bits(guarded, dtype):
    register_activation("own", own.tanh_value, own.tanh_slope)
    z = random(100, dtype)
    np.testing.assert_array_equal(both(guarded, "own", z), both(guarded, "tanh", z))


@DTYPES
def test_numbers_of_other_types_are_cast(guarded, dtype):
    register_activation("own", own.relu_value, own.relu_slope)
    register_activation("bump", own.bump_value, own.bump_slope)
    z = random(100, dtype)
    np.testing.assert_array_equal(both(guarded, "own", z), both(guarded, "relu", z))
    expected = own.bump_value(z.astype(float)), own.bump_slope(z.astype(float))
    np.testing.assert_allclose(both(guarded, "bump", z), expected, rtol=0, atol=3 * np.finfo(dtype).eps)
    if not PLAIN:
        number = numba.from_dtype(np.dtype(dtype))
        (signature,) = [
            o.signature for o in ACTIVATIONS["bump"].function.overloads.values() if o.signature.args == (number,)
        ]
        assert signature.return_type == numba.types.UniTuple(number, 2)


@pytest.mark.shapes
@DTYPES
def test_a_twin_of_the_squared_error_is_one(guarded, dtype):
    register_loss("own", own.squared_value, own.squared_slope)
    for rows, n in itertools.product(ROW_COUNTS, (sized(name, dtype) for name in SIZES)):
        z, y = random((rows, n), dtype), random((rows, n), dtype, 1)
        twin, run = (Run(guarded, (name, "elementwise"), z, y) for name in ("own", "squared_error"))
        np.testing.assert_array_equal(twin.delta(), run.delta())
        np.testing.assert_array_equal(twin.activations(), run.activations())
        assert abs(twin.loss - run.loss) <= 10 * np.finfo(dtype).eps * run.loss
        whole = twin.deltas.reshape(panels(n, dtype), twin.block, twin.size)
        assert not whole[:, rows : padded(rows, ROWS)].any()
        assert not whole[-1, : padded(rows, ROWS), n - (panels(n, dtype) - 1) * twin.size :].any()


def test_not_a_number_shows_in_the_loss(guarded):
    register_loss("own", own.squared_value, own.squared_slope)
    z = np.zeros((3, 4), np.float32)
    z[1, 2] = np.nan
    assert np.isnan(Run(guarded, ("own", "elementwise"), z, np.zeros_like(z)).loss)


def test_the_second_derivative_is_kept_and_the_third_is_unknown():
    register_activation("own", own.tanh_value, own.tanh_slope, own.tanh_curvature)
    second, third = ACTIVATIONS["own"].curvature(np.float64(0.5))
    tanh = math.tanh(0.5)
    assert second == pytest.approx(-2 * tanh * (1 - tanh**2), rel=1e-14)
    assert math.isnan(third)
    register_activation("own", own.tanh_value, own.tanh_slope)
    assert np.isnan(ACTIVATIONS["own"].curvature(np.float64(0.5))).all()


@DTYPES
def test_second_derivatives_by_the_inputs_are_right_or_nan(guarded, dtype):
    weights, x = [random((3, 4), dtype), random((4, 2), dtype, 1)], random((5, 3), dtype)
    found = {}
    register_activation("known", own.tanh_value, own.tanh_slope, own.tanh_curvature)
    register_activation("unknown", own.tanh_value, own.tanh_slope)
    for name in ("tanh", "known", "unknown"):
        network, firsts, seconds = fk.network(weights, None, [name] * 2), *(guarded((5, 2, 3), dtype) for _ in "12")
        space = guarded(fk.taylor_workspace(network, 5))
        fk.taylor_rows(guarded((5, 2), dtype), firsts, seconds, network, space, x)
        found[name] = firsts, seconds
    limit = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(found["known"], found["tanh"], rtol=limit, atol=limit)
    np.testing.assert_allclose(found["unknown"][0], found["tanh"][0], rtol=limit, atol=limit)
    assert np.isnan(found["unknown"][1]).all()


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
@DTYPES
def test_loops_are_vector_code(dtype):
    register_activation("own", own.tanh_value, own.tanh_slope)
    register_loss("own", own.log_cosh_value, own.log_cosh_slope)
    number = numba.from_dtype(np.dtype(dtype))
    slopes_address("own", number)
    loss_address(("own", "elementwise"), number)
    for function in pointers._kept[-2:]:
        assert re.search(r"@llvm\.rint\.v\d+f", function.inspect_llvm()), "exp takes one number at a time"


KINKS = [0, 1, -1, 0.2, custom.STEP / 3, -custom.STEP / 3, custom.STEP, 1e-300, 0.05 + 2 * custom.STEP]


@pytest.mark.parametrize(("kink", "at_kink"), [(0, -1), (0, 3), (0.2, -1), (0.2, 3), *((kink, 0.5) for kink in KINKS)])
def test_a_right_derivative_passes_next_to_a_kink(kink, at_kink):
    """At the kink any slope from that on its left to that on its right will do."""

    def value(z):
        return 3 * (z - kink) if z > kink else kink - z

    def derivative(z):
        return 3.0 if z > kink else (-1.0 if z < kink else at_kink)

    register_activation("own", value, derivative)
    register_loss("own", lambda a, y: abs(a - y - kink), lambda a, y: np.sign(a - y - kink))


@pytest.mark.parametrize(
    ("value", "slope"), [(own.huber_value, own.huber_slope), (own.log_cosh_value, own.log_cosh_slope)]
)
def test_known_losses_pass(value, slope):
    register_loss("own", value, slope)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_built_in_activations_would_pass(name):
    pair = ACTIVATIONS[name].function
    register_activation("own", lambda z: pair(z)[0], lambda z: pair(z)[1])


def test_large_and_steep_and_flat_functions_pass():
    register_activation("own", lambda z: 1e6 * z * z * z, lambda z: 3e6 * z * z)
    register_activation("own", lambda z: math.sin(50 * z), lambda z: 50 * math.cos(50 * z))
    register_activation("own", lambda z: 1000 + math.tanh(z), lambda z: 1 / math.cosh(z) ** 2)


def wrong_by(error):
    return lambda z: (1 + error) * (2 * z)


@pytest.mark.parametrize("error", [1e-4, -1e-4, 1, -2])
def test_a_wrong_derivative_is_refused(error):
    with pytest.raises(
        ValueError, match=r"derivative\(-10\) is -?\d.*; accepted: -20.* to -19\.99.*, the slopes of value"
    ):
        register_activation("own", lambda z: z * z, wrong_by(error))
    assert "own" not in ACTIVATIONS
    with pytest.raises(ValueError, match=r"derivative\(-3\.9\d*, -3\.9\d*\) is .* the slopes of value"):
        register_loss("own", own.squared_value, lambda a, y: (1 + error) * (a - y) + error)
    assert ("own", "elementwise") not in LOSSES


def test_steepness_elsewhere_hides_nothing():
    with pytest.raises(ValueError, match="the slopes of value"):
        register_activation("own", lambda z: math.exp(z * z), lambda z: 2 * z * math.exp(z * z) + 0.01)


def test_a_wrong_slope_on_one_side_of_a_kink_is_refused():
    with pytest.raises(ValueError, match=r"derivative\(0\.05\) is 0\.5; accepted: 1 to 1"):
        register_activation("own", own.relu_value, lambda z: 0.5 if z > 0 else 0.0)


def test_a_wrong_second_derivative_is_refused():
    with pytest.raises(ValueError, match=r"second_derivative\(.*the slopes of derivative"):
        register_activation("own", own.tanh_value, own.tanh_slope, own.tanh_slope)
    assert "own" not in ACTIVATIONS


def test_a_loss_can_be_checked_where_it_is_defined():
    functions = lambda a, y: a - y * np.log(a), lambda a, y: 1 - y / a
    with pytest.raises(ValueError, match=r"value\(-3.*\) is nan .*accepted: finite"):
        register_loss("own", *functions)
    register_loss("own", *functions, outputs=(0, 5), targets=(0, 5))


def unknown(z):
    return z.what(1)


ONE, TWO = (lambda z: z), (lambda a, y: a)
ACTIVATION_ERRORS = [
    (("relu", ONE, ONE), ValueError, "name is 'relu', which is built in; accepted: none of elu, exp, gelu"),
    (("softmax", ONE, ONE), ValueError, "'softmax', which is built in"),
    ((3, ONE, ONE), TypeError, "name is 3; accepted: a string"),
    (("my own", ONE, ONE), ValueError, "name is 'my own'; accepted: letters"),
    (("", ONE, ONE), ValueError, "name is ''"),
    (("own", ONE, ONE, None, "zeros"), ValueError, "init is 'zeros'; accepted: glorot_uniform, .*lecun_normal"),
    (("own", 3, ONE), TypeError, "value is 3; accepted: a Python function"),
    (("own", np.tanh, ONE), TypeError, "value is <ufunc 'tanh'>; accepted: a Python function"),
    (("own", ONE, None), TypeError, "derivative is None; accepted: a Python function"),
    (("own", TWO, ONE), ValueError, "value does not work for 1 argument of type float32: "),
    (("own", unknown, ONE), ValueError, "value does not work for 1 argument of type float32: .*what"),
    (("own", lambda z: z * 1j, ONE), TypeError, r"value gives .*0\.5j.* for 1 argument of type float32; accepted"),
    (("own", ONE, lambda z: None), TypeError, "derivative gives None for 1 argument of type float32; accepted"),
    (("own", lambda z: z * np.nan, ONE), ValueError, r"value\(-10\) is nan and .*accepted: finite numbers"),
    (("own", ONE, lambda z: np.inf), ValueError, r"derivative\(-10\) is inf; accepted: finite numbers"),
]
LOSS_ERRORS = [
    (("squared_error", TWO, TWO), ValueError, "name is 'squared_error', which is built in; accepted: none of abs"),
    (("auto", TWO, TWO), ValueError, "'auto', which is built in"),
    ((None, TWO, TWO), TypeError, "name is None"),
    (("own", ONE, TWO), ValueError, "value does not work for 2 arguments of type float32"),
    (("own", TWO, "a - y"), TypeError, "derivative is 'a - y'; accepted: a Python function"),
    (("own", TWO, TWO, (1, 0)), ValueError, r"outputs is \(1, 0\); accepted: \(low, high\)"),
    (("own", TWO, TWO, 3), ValueError, r"outputs is 3; accepted: \(low, high\)"),
    (("own", TWO, TWO, (0, 1), (0, np.inf)), ValueError, r"targets is \(0, inf\); accepted"),
]


def message_of(value):
    """Name of a parameter in a test's name: a message as it is; none for functions, whose names have addresses."""
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(("arguments", "error", "message"), ACTIVATION_ERRORS, ids=message_of)
def test_activations_that_are_refused(arguments, error, message):
    before = dict(ACTIVATIONS)
    with pytest.raises(error, match=re.compile(message, re.DOTALL)):
        register_activation(*arguments)
    assert before == ACTIVATIONS


@pytest.mark.parametrize(("arguments", "error", "message"), LOSS_ERRORS, ids=message_of)
def test_losses_that_are_refused(arguments, error, message):
    before = dict(LOSSES)
    with pytest.raises(error, match=re.compile(message, re.DOTALL)):
        register_loss(*arguments)
    assert before == LOSSES


def test_a_name_that_another_module_registered_is_taken():
    register_activation("own", own.tanh_value, own.tanh_slope)
    with pytest.raises(ValueError, match=r"name is 'own', the activation of module tests\.kernels\.own; accepted"):
        register_activation("own", ONE, lambda z: 1)
    register_loss("own", own.squared_value, own.squared_slope)
    with pytest.raises(ValueError, match=r"the loss of module tests\.kernels\.own"):
        register_loss("own", TWO, lambda a, y: 1)


def test_registered_again_means_the_new_function_and_old_addresses_the_old_one():
    z, number = np.array([2.0, 3.0]), numba.float64
    found = []
    for scale in (1.0, 5.0):
        register_activation("own", lambda z, scale=scale: scale * z, lambda z, scale=scale: scale)
        found.append((ACTIVATIONS["own"], values_address("own", number)))
    assert values_address(found[0][0], number) == found[0][1] != found[1][1]
    for _, address in found:
        values_at(address, z, 0, 2)
    np.testing.assert_array_equal(z, [10, 15])


def test_a_loss_registered_again_is_the_new_one():
    addresses = []
    for scale in (1.0, 5.0):
        register_loss("own", lambda a, y, scale=scale: scale * a, lambda a, y, scale=scale: scale)
        addresses.append(loss_address(("own", "elementwise"), numba.float64))
    assert addresses[0] != addresses[1]


def test_the_same_functions_registered_again_are_not_compiled_again():
    rows, addresses = [], []
    for scale in (1.0, 1.0, 5.0):
        register_activation("own", lambda z, scale=scale: scale * z, lambda z, scale=scale: scale)
        register_loss("own", lambda a, y, scale=scale: scale * a, lambda a, y, scale=scale: scale)
        rows.append(ACTIVATIONS["own"])
        addresses.append(loss_address(("own", "elementwise"), numba.float64))
    assert rows[0] == rows[1] != rows[2]
    assert addresses[0] == addresses[1] != addresses[2]


FACTOR, MODULE = 2.0, types.ModuleType("constants")


def functions_of(factor):
    """Functions of the same code that refer to a number in all ways: a dict."""
    globals()["FACTOR"] = MODULE.factor = factor
    pair = factor, factor
    return {
        "closure": lambda z: factor * z,
        "default": lambda z, factor=factor: factor * z,
        "global": lambda z: FACTOR * z,
        "module": lambda z: MODULE.factor * z,
        "tuple": lambda z: pair[0] * z,
        "inner function": lambda z: (lambda x: FACTOR * x)(z),
        "keyword": lambda z, *, factor=factor: factor * z,
    }


@pytest.mark.parametrize("way", functions_of(2.0))
def test_functions_are_the_same_if_all_that_they_refer_to_is(way):
    two, again, integer, three = (custom._identity(functions_of(factor)[way]) for factor in (2.0, 2.0, 2, 3.0))
    assert len({two, integer, three}) == 3
    assert (two == again) == (way in ("closure", "default", "global", "module"))


def test_functions_that_call_others_are_the_same_if_those_are():
    def square(x):
        return x * x

    def twice(function):
        return custom._identity(lambda z: function(z) + math.exp(z))

    assert twice(square) == twice(square) != twice(math.sin)


def test_a_refused_replacement_changes_nothing():
    register_activation("own", ONE, lambda z: 1)
    before = ACTIVATIONS["own"]
    with pytest.raises(ValueError, match="derivative"):
        register_activation("own", ONE, lambda z: 2)
    assert ACTIVATIONS["own"] is before


SCRIPT = """
    import sys
    import numpy as np
    from numba import float64, njit
    from fastmlp_kernels import register_activation, register_loss
    from fastmlp_kernels.functions.activation_table import values_address
    from fastmlp_kernels.panelwise.losses import loss_address
    from fastmlp_kernels.calls import call_loss, call_values

    FACTOR = {factor}

    @njit
    def helper(x):
        return FACTOR * x

    @njit(cache=True)
    def value(z):
        return helper(z)

    register_activation("own", value, lambda z: helper(1.0))
    register_loss("own", lambda a, y: helper(a), lambda a, y: helper(1.0))

    @njit
    def run(activation, loss, z, deltas):
        call_values(activation, z, 0, 1)
        return call_loss(loss, deltas, 0, z, 0, z, 0, np.ones(1), 0, 0.0, 1, 1, 96)

    z = np.ones(10_000)
    error = run(values_address("own", float64), loss_address(("own", "elementwise"), float64), z, np.ones(10_000))
    print(z[0], error)
"""


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_another_process_finds_no_machine_code_of_a_function_that_has_changed(tmp_path):
    script, cache = tmp_path / "script.py", tmp_path / "cache"
    variables = {**os.environ, "FASTMLP_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
    for factor in (2.0, 3.0):
        script.write_text(textwrap.dedent(SCRIPT).format(factor=factor))
        os.utime(script, (1e9, 1e9))  # the clock is no help
        done = subprocess.run([sys.executable, str(script)], env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert [float(word) for word in done.stdout.split()] == [factor, factor * factor]
    assert not [path for path in cache.rglob("*") if "own" in path.name]
