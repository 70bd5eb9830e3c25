"""Discovery and set-up of the benchmarks in `benchmarks` without asv, for the gate and for the tests."""

import importlib
import inspect
import itertools
import pkgutil
from pathlib import Path
from typing import NamedTuple

KINDS = ("time", "timeraw", "track", "peakmem")


class Benchmark(NamedTuple):
    """Method of a benchmark class, or a function (`owner` is None), with one choice of parameters."""

    module: str
    owner: type | None
    method: str
    parameters: tuple

    @property
    def name(self):
        """Name in asv's form: module.Class.method('parameter', ...)."""
        path = ".".join([self.module, *([self.owner.__name__] if self.owner else []), self.method])
        return path + (f"({', '.join(map(repr, self.parameters))})" if self.parameters else "")

    @property
    def kind(self):
        """One of KINDS, the first word of the method's name."""
        return self.method.split("_")[0]

    def instance(self):
        """New instance of the class, not set up; for a function, its module."""
        return self.owner() if self.owner else importlib.import_module(f"benchmarks.{self.module}")


def _choices(owner):
    """All choices of parameters of a class; asv's `params` has a list for each parameter, or is the only such list."""
    params = getattr(owner, "params", [])
    if not params:
        return [()]
    return list(itertools.product(*params) if isinstance(params[0], list) else ((value,) for value in params))


def benchmarks_of(name):
    """All Benchmarks of a module of the folder, in the order of their choices of parameters."""
    module, found = importlib.import_module(f"benchmarks.{name}"), []
    for member_name, member in inspect.getmembers(module):
        if getattr(member, "__module__", None) != module.__name__ or member_name.startswith("_"):
            continue
        methods = [member_name] if inspect.isfunction(member) else dir(member) if inspect.isclass(member) else []
        owner = member if inspect.isclass(member) else None
        for method in methods:
            if method.startswith(tuple(f"{kind}_" for kind in KINDS)):
                found += [Benchmark(name, owner, method, choice) for choice in _choices(owner)]
    return found


def discover():
    """All Benchmarks of the folder."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent / "benchmarks")])
    return [benchmark for module in modules for benchmark in benchmarks_of(module.name)]
