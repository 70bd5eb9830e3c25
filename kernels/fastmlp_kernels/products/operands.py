"""Operands: the arrays that products read, as distinct from the arrays that hold learned or computed numbers.

An engine is the instruction set that products use; a *term* is one product of two numbers that is added to a sum, and
an engine adds one or several to each sum in a step (see `tile.engines`). It may read its operands in an element type
and an order of its own. Today's engines, for float32 and float64, have one term a step and read the arrays in which
activations, error signals and weights are kept, so that the operands are these arrays themselves, without copies. An
engine with several terms a step, of which there is none yet, would have separate operand arrays, written where the
numbers are computed: while inputs are packed, when a panel of activations or error signals is finished, and after the
update of a piece of the weights.
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
    """Operands of a block of samples whose activations and error signals are kept in the 1-D arrays given.

    Where only some of the operands are read, any array may take the place of the others: the forward pass for
    prediction has no error signals and passes its activations twice, the backward pass its error signals twice.
    """
    return Operands(activations, deltas, network.weights, network.transposed)
