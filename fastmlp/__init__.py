"""Multilayer perceptrons trained by backpropagation on CPUs, near the machine's peak."""

from .history import History
from .network import MLP, Backpropagation
from .optimizers import SGD, Adam, AdamW, Momentum, Nesterov
from .trainer import DivergenceError, Trainer

__version__ = "0.1.0"

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
]
