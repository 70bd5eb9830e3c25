"""Precision of matrix products, which take nearly all the time: a word that `Trainer`, `MLP.predict` and others accept.

- "float32": everything is computed in the network's dtype, float64 included.
- "bf16-mixed": products of operands rounded to bfloat16, added up in float32. Parameters, biases, activations, losses
  and the optimizer stay in float32. It is for CPUs with matrix units for 16-bit numbers. Networks without a layer for
  which such products pay are computed in float32.
"""

import itertools

from . import checks
from ._kernels import bfloat16_refusal

PRECISIONS = ("float32", "bf16-mixed")
# Inputs and outputs, at least, of a layer for which products of bfloat16 numbers pay, as their matrices are padded to
# multiples of 32: on Zen 4, steps of 64-32-10 @ 200 take 0.8 of the time in float32; those of 8-16-1 @ 32 took 1.2.
LEAST_UNITS = 16


def is_mixed(precision, dtype, sizes):
    """Whether a network computes products of bfloat16 numbers: it is told to, and has a layer for which they pay.

    Parameters
    ----------
    precision : str
    dtype : dtype of the network
    sizes : sequence of int; units of its layers, inputs first

    Raises
    ------
    ValueError, RuntimeError
        See `asks_mixed`.
    """
    return asks_mixed(precision, dtype) and any(min(pair) >= LEAST_UNITS for pair in itertools.pairwise(sizes))


def asks_mixed(precision, dtype):
    """Whether a precision is "bf16-mixed".

    Raises
    ------
    ValueError
        If it is none of PRECISIONS, or mixed for a network whose dtype is not float32.
    RuntimeError
        If this CPU has no fast way to multiply bfloat16 numbers.
    """
    mixed = checks.choice("precision", precision, PRECISIONS) == "bf16-mixed"
    if mixed and dtype != "float32":
        raise ValueError(f"precision is 'bf16-mixed' for a network of dtype {dtype}; accepted: float32")
    if mixed and bfloat16_refusal():
        raise RuntimeError(
            f"precision is 'bf16-mixed', but {bfloat16_refusal()}; accepted here: 'float32' (the environment variable "
            "FASTMLP_TILE=bf16-emulated has it emulated, which is slow)"
        )
    return mixed
