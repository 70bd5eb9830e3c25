"""Multilayer perceptrons trained by backpropagation on CPUs.

Names are imported when they are first used, so that `fastmlp --help` does not wait for Numba, and scikit-learn need not
be installed to use the rest.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastmlp_kernels.custom import register_activation, register_loss

    from . import callbacks, initializers, losses, metrics, optimizers, plots, schedules, sklearn, streams  # noqa: F401
    from .files import ModelFileError
    from .history import History
    from .network import MLP, Backpropagation
    from .optimizers import SGD, Adagrad, Adam, AdamW, Momentum, Nesterov, RMSprop
    from .scaling import Scaling
    from .tables import datasets, preprocessing  # noqa: F401
    from .teaching import trace  # noqa: F401
    from .trainer import DivergenceError, Trainer

__version__ = "0.1.0"

_HOMES = {  # name: the module that defines it
    "MLP": "fastmlp.network",
    "Backpropagation": "fastmlp.network",
    "Trainer": "fastmlp.trainer",
    "DivergenceError": "fastmlp.trainer",
    "History": "fastmlp.history",
    "Scaling": "fastmlp.scaling",
    "ModelFileError": "fastmlp.files",
    "SGD": "fastmlp.optimizers",
    "Momentum": "fastmlp.optimizers",
    "Nesterov": "fastmlp.optimizers",
    "Adam": "fastmlp.optimizers",
    "AdamW": "fastmlp.optimizers",
    "RMSprop": "fastmlp.optimizers",
    "Adagrad": "fastmlp.optimizers",
    "register_activation": "fastmlp_kernels.custom",
    "register_loss": "fastmlp_kernels.custom",
}
_MODULES = (
    "callbacks",
    "datasets",
    "initializers",
    "losses",
    "metrics",
    "optimizers",
    "plots",
    "precision",
    "preprocessing",
    "schedules",
    "sklearn",
    "streams",
    "trace",
)
_MOVED = {  # second names of modules, which users import: where the module lies
    "fastmlp.datasets": "fastmlp.tables.datasets",
    "fastmlp.preprocessing": "fastmlp.tables.preprocessing",
    "fastmlp.bench": "fastmlp.benchmark.bench",
    "fastmlp.peers": "fastmlp.benchmark.peers",
    "fastmlp.trace": "fastmlp.teaching.trace",
    "fastmlp.examples": "fastmlp.teaching.examples",
}

__all__ = [
    "MLP",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Backpropagation",
    "DivergenceError",
    "History",
    "ModelFileError",
    "Momentum",
    "Nesterov",
    "RMSprop",
    "Scaling",
    "Trainer",
    "__version__",
    "register_activation",
    "register_loss",
]


def __getattr__(name):
    """Import a class, a function or a module of this package when it is first used."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    # Getting the module `sklearn` fails where scikit-learn is missing.
    missing = {name for name in ("sklearn",) if not importlib.util.find_spec(name)}
    return sorted({*__all__, *_MODULES} - missing)


class _Moved:
    """Finder and loader, for Python's import system, of modules under their names in _MOVED."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return ModuleSpec(name, cls) if name in _MOVED else None

    @staticmethod
    def create_module(spec):
        module = importlib.import_module(_MOVED[spec.name])
        spec.loader_state = module.__spec__
        return module

    @staticmethod
    def get_code(name):
        """Code of the module, by which `python -m` runs it."""
        return importlib.util.find_spec(_MOVED[name]).loader.get_code(_MOVED[name])

    @staticmethod
    def exec_module(module):
        module.__spec__ = module.__spec__.loader_state  # the module's own, which the import replaced


sys.meta_path.append(_Moved)
