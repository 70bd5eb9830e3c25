"""Precision of matrix products, which take nearly all the time: a word that `Trainer`, `MLP.predict` and others accept.

- "float32": products in the network's dtype (so float64 if that is float64), as everything else.
- "bf16-mixed": products of operands rounded to bfloat16, added up in float32. Parameters, biases, activations, losses
  and the optimizer stay in float32. It is for CPUs with matrix units for 16-bit numbers.
"""

from . import checks
from ._kernels import bfloat16_refusal

PRECISIONS = ("float32", "bf16-mixed")


def is_mixed(precision, dtype):
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
