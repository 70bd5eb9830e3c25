"""Operands: the arrays that products read, as distinct from the arrays that hold learned or computed numbers.

An engine (see `tile.engines`) may read its operands in an element type and an order of its own. The engines for float32
and float64 read the arrays in which activations, error signals and weights are kept, so that the operands are these
arrays themselves, without copies. An engine with several terms a step would have separate operand arrays, written where
the numbers are computed: while inputs are packed, when a panel of activations or error signals is finished, and after
the update of a piece of the weights.
"""

from typing import NamedTuple

import numpy as np

from ..jit import inlined


class Operands(NamedTuple):
    """Operands of the products of one block of samples.

    Attributes
    ----------
    activations : 1-D array; left operand of forward products and, transposed, of gradients
    deltas : 1-D array; left operand of backward products, right operand of gradients
    weights : 1-D array; right operand of forward products
    transposed : 1-D array; right operand of backward products
    """

    activations: np.ndarray
    deltas: np.ndarray
    weights: np.ndarray
    transposed: np.ndarray


@inlined
def operands_of(network, activations, deltas):
    """Operands of a block of samples whose activations and error signals are kept in the 1-D arrays given."""
    return Operands(activations, deltas, network.weights, network.transposed)
