"""Operands: what products read, as against what is learnt or computed.

An engine reads its operands in an element type and a form of its own. Those of float32 and float64 read the arrays in
which activations, error signals and weights are kept, so that their operands are these arrays themselves: no copies, no
work. An engine with several terms a step would have operands beside them, written where the numbers are made: while
inputs are packed, when a panel of activations or error signals is finished, and by the owner of a piece of the weights
after its update.
"""

from typing import NamedTuple

import numpy as np

from ..jit import inlined


class Operands(NamedTuple):
    """The operands of the products of one block.

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
    """The operands of a block whose activations and error signals are kept in these arrays."""
    return Operands(activations, deltas, network.weights, network.transposed)
