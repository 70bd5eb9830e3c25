"""What is done with the signatures of constructors and functions: keywords that are asked for, calls that are shown."""

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable)


def by_keyword(function: Function) -> Function:
    """Let keyword-only arguments be given by position for now, with a FutureWarning that says how to write it."""
    parameters = inspect.signature(function).parameters
    names = [name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]
    most = len(parameters) - len(names)

    @functools.wraps(function)
    def called(*arguments, **keywords):
        if not most < len(arguments) <= len(parameters):
            return function(*arguments, **keywords)
        named = dict(zip(names, arguments[most:], strict=False))
        name, written = function.__qualname__.removesuffix(".__init__"), ", ".join(f"{name}=..." for name in named)
        message = f"{name} will take {', '.join(named)} by keyword only; write {written}"
        warnings.warn(message, FutureWarning, stacklevel=2)
        return function(*arguments[:most], **named, **keywords)

    return called


def call(made, **values):
    """The call that makes an object like `made`: arguments without defaults, and those that differ from the default.

    Parameters
    ----------
    made : object
        With an attribute for each argument of its constructor.
    **values
        By argument, what is to be shown instead of the attribute; or the default, to leave an argument out.
    """
    shown, values = [], vars(made) | values
    for name, parameter in inspect.signature(type(made)).parameters.items():
        if name in values and parameter.default is parameter.empty:
            shown.append(repr(values[name]))
        elif name in values and values[name] != parameter.default:
            shown.append(f"{name}={values[name]!r}")
    return f"{type(made).__name__}({', '.join(shown)})"
