"""Activations as formulas of ONNX operators, which `onnx` writes and `onnx_reader` finds in a graph.

A formula is Z, the net input; a number; or an `Op` of formulas. The values are those of
`fastmlp_kernels.functions.activations`, up to rounding.
"""

import math
from typing import NamedTuple

from fastmlp._kernels import ERFCX_F64, ERFCX_K, LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE

Z = "z"


class Op(NamedTuple):
    """Operator of ONNX, applied to formulas.

    Attributes
    ----------
    kind : str; name of the operator
    inputs : tuple of formulas
    attributes : tuple of (name, value); the values are ONNX's defaults, except for an axis
    """

    kind: str
    inputs: tuple
    attributes: tuple = ()


def op(kind, *inputs, **attributes):
    """Return an `Op` with these inputs and attributes."""
    return Op(kind, inputs, tuple(attributes.items()))


def _plus(*terms):
    return op("Add", *terms)


def _times(*factors):
    return op("Mul", *factors)


def _expm1_below():
    """e^min(z, 0) - 1."""
    return op("Sub", op("Exp", op("Min", Z, 0.0)), 1.0)


def _softplus():
    """max(z, 0) + log(1 + exp(-|z|))."""
    return _plus(op("Max", Z, 0.0), op("Log", _plus(op("Exp", op("Neg", op("Abs", Z))), 1.0)))


def _erf_and_1():
    """erf(z/√2) + 1, which is 2 Φ(z)."""
    return _plus(op("Erf", op("Div", Z, math.sqrt(2.0))), 1.0)


def _normal_distribution():
    """Φ(z) in float64, as `gelu` of the kernels computes it: from exp(-z²/2) erfcx(|z|/√2) / 2, which is Φ(-|z|)."""
    t = op("Div", ERFCX_K, _plus(_times(op("Abs", Z), math.sqrt(0.5)), ERFCX_K))
    variable = op("Sub", 1.0, _plus(t, t))
    polynomial = ERFCX_F64[-1]
    for coefficient in ERFCX_F64[-2::-1]:
        polynomial = _plus(_times(polynomial, variable), coefficient)
    tail = _times(_times(op("Exp", _times(_times(Z, Z), -0.5)), 0.5), _times(t, polynomial))
    return op("Where", op("Greater", Z, 0.0), op("Sub", 1.0, tail), tail)


# Formulas of each activation: that to write for float32; that for float64, if there are more than one; and others that
# are read too, such as those of PyTorch. For float64, ONNX Runtime's CPU provider has elementary operators only, and
# fuses z·Sigmoid(z) to one that it has not, before version 1.18; and the attribute of LeakyRelu is a float32.
FORMULAS = {
    "threshold": [op("Where", op("GreaterOrEqual", Z, 0.0), 1.0, 0.0)],
    "sigmoid": [op("Sigmoid", Z)],
    "tanh": [op("Tanh", Z)],
    "relu": [op("Relu", Z)],
    "leaky_relu": [op("LeakyRelu", Z, alpha=LEAKY_SLOPE), op("Max", Z, _times(Z, LEAKY_SLOPE))],
    "elu": [op("Elu", Z, alpha=1.0), _plus(op("Max", Z, 0.0), _expm1_below())],
    "selu": [
        op("Selu", Z, alpha=SELU_ALPHA, gamma=SELU_SCALE),
        _plus(_times(op("Max", Z, 0.0), SELU_SCALE), _times(_expm1_below(), SELU_SCALE * SELU_ALPHA)),
    ],
    "exp": [op("Exp", Z)],
    "softplus": [op("Softplus", Z), _softplus(), op("Where", op("Greater", Z, 20.0), Z, op("Softplus", Z))],
    "silu": [_times(Z, op("Sigmoid", Z)), op("Div", Z, _plus(op("Exp", op("Neg", Z)), 1.0))],
    "gelu": [
        _times(_times(Z, _erf_and_1()), 0.5),
        _times(Z, _normal_distribution()),
        _times(Z, _times(_erf_and_1(), 0.5)),
        op("Gelu", Z, approximate="none"),
    ],
    "mish": [_times(Z, op("Tanh", op("Softplus", Z))), _times(Z, op("Tanh", _softplus())), op("Mish", Z)],
    "hard_swish": [
        op("HardSwish", Z),
        _times(_times(Z, op("Clip", _plus(Z, 3.0), 0.0, 6.0)), 1.0 / 6.0),
    ],
    "softsign": [op("Softsign", Z), op("Div", Z, _plus(op("Abs", Z), 1.0))],
    "softmax": [op("Softmax", Z, axis=-1), op("Softmax", Z, axis=-1), op("Softmax", Z, axis=1)],
    "identity": [Z],  # last, as any value is one
}


def formula(activation, dtype):
    """Return the formula to write for an activation.

    Parameters
    ----------
    activation : str
    dtype : numpy.dtype

    Raises
    ------
    ValueError
        If the activation is not one of FORMULAS.
    """
    if activation not in FORMULAS:
        raise ValueError(f"activation {activation!r} has no ONNX operators; accepted: {', '.join(FORMULAS)}")
    return FORMULAS[activation][:2][-1 if dtype == "float64" else 0]
