"""Registered activations and losses in other processes and in files, which know them by name.

A pickle that holds such a name also says from where its functions can be imported. Reading it imports their module,
which may register them, or else registers them; a name that is registered already keeps its meaning. A model file says
it, too, but for an error message alone: a file, which may be from anyone, never imports anything.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter

from fastmlp_kernels.custom import register_activation, register_loss
from fastmlp_kernels.custom import registered as known

REGISTER = {"activation": register_activation, "loss": register_loss}
_failures = {}  # why what a pickle holds could not be registered, by ("activation" or "loss", name)


class Registered:
    """A registered activation or loss as a part of a pickle: reading it registers the name.

    Parameters
    ----------
    kind : {"activation", "loss"}
    name : str
    """

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name

    def __reduce__(self):
        arguments = known[self.kind, self.name]
        functions = {argument: path(value) for argument, value in arguments.items() if callable(value)}
        settings = {argument: value for argument, value in arguments.items() if argument not in functions}
        return _import, (self.kind, self.name, functions, settings)


def parts(kind: str, names: Iterable[str]) -> list[Registered]:
    """Parts of a pickle for those of the names that are registered, as activations or as losses."""
    return [Registered(kind, name) for name in names if (kind, name) in known]


def all_parts() -> list[Registered]:
    """Parts of a pickle for all that is registered in this process."""
    return [Registered(*key) for key in known]


def path(function: Callable) -> str:
    """Text "package.module:name" that says from where a function can be imported."""
    return f"{function.__module__}:{function.__qualname__}"


def paths(kind: str, names: Iterable[str]) -> dict[str, str]:
    """Path of the function that gives the value, for those of the names that are registered."""
    return {part.name: path(known[kind, part.name]["value"]) for part in parts(kind, names)}


@contextlib.contextmanager
def keeping_failures(kind: str, name: str, value: str) -> Iterator[None]:
    """Context in which a name is registered; `how_to` tells of a failure with the path `value`.

    Raised at once, while a pickle is read, it would end a worker process, which may not need this name at all.
    """
    _failures.pop((kind, name), None)
    try:
        yield
    except Exception as error:  # whatever the import of a user's module raises
        _failures[kind, name] = (
            f": {name!r} is {value}, which this process cannot import ({type(error).__name__}: {error}); put its "
            "functions, defined by def, into a module that it can import"
        )


def _import(kind, name, functions, settings):
    """Register a name, unless it is, by functions of which there are the paths, and further arguments."""
    if (kind, name) in known:
        return
    with keeping_failures(kind, name, functions["value"]):
        importlib.import_module(functions["value"].partition(":")[0])
        if (kind, name) not in known:
            REGISTER[kind](name, **{argument: _imported(place) for argument, place in functions.items()}, **settings)


def _imported(place):
    """Function at a path (see `path`)."""
    module, _, name = place.partition(":")
    return attrgetter(name)(importlib.import_module(module))


def how_to(kind: str, name: str) -> str:
    """End of an error message about a name that is not known: how to register it, and why a pickle did not."""
    told = isinstance(name, str) and (kind, name) not in known  # a name may be anything, unhashable too
    failure = _failures.get((kind, name), "") if told else ""
    return f"; custom ones must be registered first, with fastmlp.register_{kind}{failure}"


def needed(kind: str, origins: dict[str, str | None]) -> str | None:
    """Say which of the names in a file must be registered, the first that is not; None if all are.

    `origins` has the path of the function of each (see `paths`), as the file says it, if it does.
    """
    for name, origin in origins.items():
        if (kind, name) not in known:
            module = (origin or "").partition(":")[0]
            how = ", of a script or notebook" if module == "__main__" else f": import {module}"
            function = f"; its function was {origin}{how}" if module else ""
            return f"{kind} {name!r}, which must be registered first, with fastmlp.register_{kind}{function}"
    return None
