"""Registration of the user's own activations and losses: scalar functions, checked, compiled and put in the tables.

Functions may be plain Python or compiled by `numba.njit`. Either way they are compiled again, for float32 and float64,
with the options of all kernels (so x / 0 is infinite, without a branch), and inlined into the loops over memory. They
are as fast as the built-in ones if they can become vector code, that is, if they compute in one dtype
(`scalar.like(1.5, z)` rather than 1.5) and use the functions of `vectormath` instead of those of `math` or `numpy`.
Results are cast to the dtype of the array.

Their machine code is not cached on disk, where an edited function could find that of its predecessor. Each process
compiles the functions when they are registered, to check them, and the loops around them when they are first used.
Numba keeps machine code as long as the process runs, some megabytes for an activation: so what is the same as an
earlier function, as when a notebook's cell is run again, is not compiled again.
"""

import functools
import inspect
import itertools
import math
import numbers
from types import CodeType, FunctionType, ModuleType

import numpy as np

from .functions.activations import ACTIVATIONS, Activation, unknown_curvature
from .functions.scalar import like
from .jit import specialize, uncached
from .panelwise.elementwise_losses import each_output
from .panelwise.losses import LOSSES, LossFunction

# Names in `fastmlp.initializers.INITIALIZERS`, repeated since kernels do not import `fastmlp`; without "zeros".
INITIALIZERS = tuple(f"{name}_{shape}" for name in ("glorot", "he", "lecun") for shape in ("uniform", "normal"))

STEP, STRIDE = 2.0**-20, 2.0**-8  # steps of difference quotients: short, and long to show how much the function curves
# Tolerances of a correct derivative. RELATIVE: relative to the quotients over a STEP. CURVED: relative to those over a
# STRIDE, for points of inflection, where both quotients may lie on the same side of the derivative. Their error there
# is quadratic in the step, so that of a quotient over a STEP is (STEP / STRIDE)^2 times that over a STRIDE; the factor
# 2 is a margin. ROUNDING: relative to the larger of |value| and 1, some 16 epsilon of float64, divided by the step.
RELATIVE, CURVED, ROUNDING = 1e-5, 2 * (STEP / STRIDE) ** 2, 16 * 2.0**-52 / STEP
REACH, POINTS = 10.0, 401  # an activation is checked at POINTS net inputs from -REACH to REACH
PAIR_POINTS = 41  # a loss is checked at PAIR_POINTS outputs times as many targets

_known = {}  # compiled functions by the number of arguments and the identity (see `_identity`)
registered = {}  # for each ("activation" or "loss", name) the arguments, without the name, that registered it


def _activation(z):
    """Pair (g(z), g'(z)), the form that functions of `activations` have."""
    return like(value(z), z), like(derivative(z), z)  # noqa: F821


def _curvature(z):
    """Pair (g''(z), g'''(z)), the form that curvatures of `activations` have; the third derivative is unknown: NaN."""
    return like(second_derivative(z), z), like(np.nan, z)  # noqa: F821


def _loss(a, slope, y, parameter):
    """Triple (a, E, delta), the form that formulas of `panelwise.losses` have.

    Formulas return the output a, too, since some of those built in compute it; here it is returned as it came.
    """
    return a, like(value(a, y), a), slope * like(derivative(a, y), a)  # noqa: F821


def register_activation(name, value, derivative, second_derivative=None, init="glorot_uniform"):
    """Register an activation of your own, accepted from then on wherever the name of an activation is.

    Registering a name again replaces the activation for networks made from then on, so that cells of a notebook can
    be run again; networks made before keep the old one.

    Another process must register the name, too. A pickle of a network says in which module the functions are, and
    reading it imports that module: define them there by ``def``, and best register them there.

    Parameters
    ----------
    name : str
        An identifier; not the name of a built-in activation, nor of one that another module registered.
    value, derivative : functions of one number, plain or compiled by `numba.njit`
        g(z) and g'(z). At a kink the derivative may be anything from the slope on its left to that on its right.
    second_derivative : function of one number, optional
        g''(z). Without it second derivatives with respect to the inputs (see `embed.taylor.taylor_rows`) are NaN; the
        gradients of these, which need g''' too, are NaN in either case.
    init : str
        The initializer that "auto" chooses for weights of layers with this activation.

    Raises
    ------
    TypeError
        If `name` is not a string, or `value` or a derivative is not a Python function or does not return a number.
    ValueError
        If a name is not accepted, a function does not compile for float32 and float64, or a result is not finite.
        If a derivative does not lie between the difference quotients of the value over a step of 1e-6 to the left and
        to the right, to a relative 1e-5, at one of the net inputs from -10 to 10 that are tried. (Two smaller
        tolerances are added: for rounding, 4e-9 times the larger of |value| and 1, and for points of inflection, 1.2e-7
        times the larger difference quotient over a step of 1/256.) Where the function is smooth the two quotients are
        nearly equal. Where one of them crosses a kink, the other is the slope on this side of it; at the kink they are
        the slopes on both sides: a correct derivative passes there, too.
    """
    _check_name("activation", name, value, {*ACTIVATIONS, "softmax"})
    given = {"value": value, "derivative": derivative, "second_derivative": second_derivative, "init": init}
    if init not in INITIALIZERS:
        raise ValueError(f"init is {init!r}; accepted: {', '.join(INITIALIZERS)}")
    value, derivative = _compiled("value", value, 1), _compiled("derivative", derivative, 1)
    points = [(z,) for z in np.linspace(-REACH, REACH, POINTS)]
    _check("derivative", derivative, "value", value, points)
    curvature = unknown_curvature
    if second_derivative is not None:
        second_derivative = _compiled("second_derivative", second_derivative, 1)
        _check("second_derivative", second_derivative, "derivative", derivative, points)
        curvature = _made(_curvature, f"{name}_curvature", second_derivative=second_derivative)
    function = _made(_activation, name, value=value, derivative=derivative)
    ACTIVATIONS[name] = Activation(function, init, curvature=curvature, cached=False)
    registered["activation", name] = given


def register_loss(name, value, derivative, outputs=(-4.0, 4.0), targets=(-4.0, 4.0)):
    """Register a loss of your own, accepted from then on wherever the name of a loss is.

    It can be used with every output activation that is applied element by element (all but softmax), and is summed over
    outputs. Registering a name again replaces the loss, as with `register_activation`.

    Parameters
    ----------
    name : str
        An identifier; not the name of a built-in loss, nor of one that another module registered.
    value, derivative : functions of two numbers, plain or compiled by `numba.njit`
        E(a, y) for an output a and its target y, and the derivative dE/da.
    outputs, targets : pairs of float
        The ranges to check the derivative on, ends excluded: where the loss is defined, say (0, 1) for probabilities.

    Raises
    ------
    TypeError
        In the same cases as `register_activation`.
    ValueError
        In the same cases as `register_activation`, for the outputs and targets that are tried; and if `outputs` or
        `targets` is not a pair (low, high) of finite numbers that are at least 0.32 apart.
    """
    _check_name("loss", name, value, {"auto", *(loss for loss, _ in LOSSES)})
    given = {"value": value, "derivative": derivative, "outputs": outputs, "targets": targets}
    points = list(itertools.product(_inside("outputs", outputs), _inside("targets", targets)))
    value, derivative = _compiled("value", value, 2), _compiled("derivative", derivative, 2)
    _check("derivative", derivative, "value", value, points)
    own = _made(_loss, name, value=value, derivative=derivative)
    LOSSES[name, "elementwise"] = LossFunction(
        _made(each_output, name, function=own), from_net_inputs=False, cached=False
    )
    registered["loss", name] = given


@functools.cache
def _made(template, name, **names):
    """Copy of a template (see `jit.specialize`), compiled; the same one for the same arguments."""
    return uncached(specialize(template, name, **names))


def _check_name(table, name, value, taken):
    """Raise an error if the module that defines the function `value` may not register `name`.

    `table` is "activation" or "loss"; `taken` are the names that are built in or registered.
    """
    if not isinstance(name, str):
        raise TypeError(f"name is {name!r}; accepted: a string")
    if not name.isidentifier():
        raise ValueError(f"name is {name!r}; accepted: letters, digits and underscores, no digit first")
    if (table, name) in registered:
        owner = _module(registered[table, name]["value"])
        if owner != _module(value):
            raise ValueError(f"name is {name!r}, the {table} of module {owner}; accepted: another name")
    elif name in taken:
        raise ValueError(f"name is {name!r}, which is built in; accepted: none of {', '.join(sorted(taken))}")


def _module(function):
    """Name of the module that defines a function; None if it does not say."""
    return getattr(function, "__module__", None)


def _inside(argument, ends):
    """PAIR_POINTS evenly spaced points inside the range `ends`, the value of the argument named `argument`."""
    try:
        low, high = map(float, ends)
    except (TypeError, ValueError):
        low = high = math.nan
    least = 2 * PAIR_POINTS * STRIDE  # so that a stride from a point stays inside
    if not least <= high - low < math.inf:
        raise ValueError(f"{argument} is {ends!r}; accepted: (low, high), finite, with high - low >= {least:g}")
    return low + (np.arange(PAIR_POINTS) + 0.5) * ((high - low) / PAIR_POINTS)


def _compiled(argument, function, count):
    """Compile `function`, the value of the argument named `argument`, for inlining into kernels.

    It is called once for each dtype with `count` numbers, to see that it returns a number. A function of the same
    identity as an earlier one is that one.
    """
    plain = getattr(function, "py_func", function)
    if not isinstance(plain, FunctionType):
        raise TypeError(f"{argument} is {function!r}; accepted: a Python function, plain or compiled by numba.njit")
    identity = count, _identity(plain)
    if identity in _known:
        return _known[identity]
    compiled = uncached(plain)
    for dtype in (np.float32, np.float64):
        given = f"{count} argument{'s' if count > 1 else ''} of type {dtype.__name__}"
        try:
            result = compiled(*[dtype(0.5)] * count)
        except Exception as error:  # whatever the user's function, or the compiler, raises
            raise ValueError(f"{argument} does not work for {given}: {error}") from error
        if not isinstance(result, numbers.Real | np.bool_):
            raise TypeError(f"{argument} gives {result!r} for {given}; accepted: a number")
    return _known.setdefault(identity, compiled)


def _identity(function):
    """What the machine code of a Python function depends on: two functions with equal values do the same.

    That is its code, and the numbers, functions and modules that it refers to: numbers with their type, functions as
    the objects that they are, modules by what the code may take from them. A function that refers to anything else, or
    defines functions, is equal to itself only.
    """
    code, captured = function.__code__, inspect.getclosurevars(function)
    values = [*sorted({**captured.globals, **captured.nonlocals}.items()), *enumerate(function.__defaults__ or ())]
    parts = [code]
    while values:
        name, value = values.pop()
        if isinstance(value, ModuleType):
            if value not in parts:
                values += [((value, part), getattr(value, part)) for part in code.co_names if hasattr(value, part)]
            parts.append(value)
        elif isinstance(value, bool | int | float | np.number):
            parts.append((name, type(value), repr(value)))
        elif callable(value):
            parts.append((name, value))
        else:
            return function
    nested = any(isinstance(constant, CodeType) for constant in code.co_consts)
    return function if nested or function.__kwdefaults__ else tuple(parts)


@np.errstate(all="ignore")  # no warnings from plain Python functions: results that are not finite are reported below
def _check(argument, derivative, of, value, points):
    """Raise a ValueError where `derivative` is not the derivative of `value` with respect to its first number.

    See `register_activation` for the criterion.

    Parameters
    ----------
    argument, of : str; names of `derivative` and of `value` in error messages
    derivative, value : compiled functions of the same count of numbers
    points : sequence of tuples of float; the numbers to try
    """
    given = np.array([derivative(*point) for point in points], float)
    far_before, before, here, after, far_after = (
        np.array([value(x + step, *rest) for x, *rest in points], float) for step in (-STRIDE, -STEP, 0, STEP, STRIDE)
    )
    left, right = (here - before) / STEP, (after - here) / STEP
    places = [f"({', '.join(f'{number:.6g}' for number in point)})" for point in points]
    for i in np.flatnonzero(~np.isfinite([left, right, given]).all(axis=0))[:1]:  # the first, if any
        raise ValueError(
            f"{of}{places[i]} is {here[i]:g} and {argument}{places[i]} is {given[i]:g}; "
            "accepted: finite numbers, there and nearby"
        )
    low, high = np.minimum(left, right), np.maximum(left, right)
    curved = np.fmax(abs(here - far_before), abs(far_after - here)) / STRIDE
    error = RELATIVE * np.maximum(abs(low), abs(high)) + CURVED * curved + ROUNDING * np.maximum(1, abs(here))
    for i in np.flatnonzero((given < low - error) | (given > high + error))[:1]:  # the first, if any
        raise ValueError(
            f"{argument}{places[i]} is {given[i]:.9g}; accepted: {left[i]:.9g} to {right[i]:.9g}, "
            f"the slopes of {of} to the left and right"
        )
