"""Multilayer perceptrons trained by backpropagation on CPUs."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastmlp_kernels.custom import register_activation, register_loss

    from .history import History
    from .network import MLP, Backpropagation
    from .optimizers import SGD, Adam, AdamW, Momentum, Nesterov
    from .trainer import DivergenceError, Trainer

__version__ = "0.1.0"

_HOMES = {
    "MLP": ".network",
    "Backpropagation": ".network",
    "Trainer": ".trainer",
    "DivergenceError": ".trainer",
    "History": ".history",
    "SGD": ".optimizers",
    "Momentum": ".optimizers",
    "Nesterov": ".optimizers",
    "Adam": ".optimizers",
    "AdamW": ".optimizers",
    "register_activation": "fastmlp_kernels.custom",
    "register_loss": "fastmlp_kernels.custom",
}

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "Backpropagation",
    "DivergenceError",
    "History",
    "Momentum",
    "Nesterov",
    "Trainer",
    "__version__",
    "register_activation",
    "register_loss",
]


def __getattr__(name):
    """Import what is asked for when it is asked for: `fastmlp --help` need not wait for Numba."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)
