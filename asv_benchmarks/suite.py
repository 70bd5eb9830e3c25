"""The benchmarks of the folder, found and set up without asv: for the gate, and for the tests."""

import importlib
import inspect
import itertools
import pkgutil
from pathlib import Path
from typing import NamedTuple

KINDS = ("time", "timeraw", "track", "peakmem")


class Benchmark(NamedTuple):
    """A method of a benchmark class (or a function: `owner` is None), for one choice of parameters."""

    module: str
    owner: type | None
    method: str
    parameters: tuple

    @property
    def name(self):
        """As asv writes it: module.Class.method('parameter', ...)."""
        path = ".".join([self.module, *([self.owner.__name__] if self.owner else []), self.method])
        return path + (f"({', '.join(map(repr, self.parameters))})" if self.parameters else "")

    @property
    def kind(self):
        return self.method.split("_")[0]

    def instance(self):
        """A new instance of its class, not set up; the module of a function."""
        return self.owner() if self.owner else importlib.import_module(f"benchmarks.{self.module}")


def _choices(owner):
    """Every choice of parameters; asv's `params` is a list for each parameter, or one list."""
    params = getattr(owner, "params", [])
    if not params:
        return [()]
    return list(itertools.product(*params) if isinstance(params[0], list) else ((value,) for value in params))


def benchmarks_of(name):
    """Every Benchmark of a module of the folder, the choices of a method in the order of their parameters."""
    module, found = importlib.import_module(f"benchmarks.{name}"), []
    for member_name, member in inspect.getmembers(module):
        if getattr(member, "__module__", None) != module.__name__ or member_name.startswith("_"):
            continue
        methods = [member_name] if inspect.isfunction(member) else list(vars(member)) if inspect.isclass(member) else []
        owner = member if inspect.isclass(member) else None
        for method in methods:
            if method.startswith(tuple(f"{kind}_" for kind in KINDS)):
                found += [Benchmark(name, owner, method, choice) for choice in _choices(owner)]
    return found


def discover():
    """Every Benchmark."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent / "benchmarks")])
    return [benchmark for module in modules for benchmark in benchmarks_of(module.name)]
