"""Tools that read signatures: a decorator for arguments to be named, and the `repr` of a call."""

import functools
import inspect
import reprlib
import warnings
from collections.abc import Callable
from typing import TypeVar

from .checks import nearest
from .hints import KEYWORDS

Function = TypeVar("Function", bound=Callable)


def keyword_only_soon(function: Function) -> Function:
    """Decorator: accept keyword-only arguments by position too, with a FutureWarning that shows the new way.

    The TypeError for an unknown keyword argument suggests what is meant.
    """
    parameters = inspect.signature(function).parameters
    names = [name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]
    most = len(parameters) - len(names)

    @functools.wraps(function)
    def called(*arguments, **keywords):
        if not keywords.keys() <= parameters.keys():
            raise TypeError(_unknown(function, parameters, keywords))
        if not most < len(arguments) <= len(parameters):
            return function(*arguments, **keywords)
        named = dict(zip(names, arguments[most:], strict=False))
        name, written = _written(function), ", ".join(f"{name}=..." for name in named)
        message = f"{name} will take {', '.join(named)} by keyword only; write {written}"
        warnings.warn(message, FutureWarning, stacklevel=2)
        return function(*arguments[:most], **named, **keywords)

    return called


def _written(function):
    """Name of a function as users write it in a call."""
    return function.__qualname__.removesuffix(".__init__")


def _unknown(function, parameters, keywords):
    """Message about the first of the keyword arguments that the function does not have."""
    name, place = next(name for name in keywords if name not in parameters), _written(function)
    tables = [KEYWORDS[place]] if place in KEYWORDS else []
    meant = next((table[name.lower()] for table in [*tables, *KEYWORDS.values()] if name.lower() in table), None)
    accepted = [name for name in parameters if name != "self"]
    hint = f" (did you mean {meant}?)" if meant else nearest(name, accepted)
    return f"{place} got {name}={reprlib.repr(keywords[name])}{hint}; accepted: {', '.join(accepted) or 'nothing'}"


def call(made, **values):
    """Text of the call that makes an object like `made`, without arguments that have their default value.

    Parameters
    ----------
    made : object
        Object with attributes that are named like the arguments of its constructor. Arguments without an attribute are
        left out.
    **values
        Values to show instead of attributes, by argument; an argument whose value is the default is left out.
    """
    shown, values = [], vars(made) | values
    for name, parameter in inspect.signature(type(made)).parameters.items():
        if name in values and parameter.default is parameter.empty:
            shown.append(repr(values[name]))
        elif name in values and repr(values[name]) != repr(parameter.default):
            shown.append(f"{name}={values[name]!r}")
    return f"{type(made).__name__}({', '.join(shown)})"
