"""Kernels of multilayer perceptrons, for use in compiled code."""

from .custom import register_activation, register_loss

__all__ = ["register_activation", "register_loss"]
