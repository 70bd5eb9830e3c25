"""Kinds of networks for which the parts of drivers are compiled: by dtype, operands, and form of the inputs.

Each part is called by address (see `calls.ByAddress`), by which it is compiled but once for each kind.
"""

import numpy as np

from ..layout.network import MixedNetwork
from ..layout.samples import Data, SparseRows

KINDS = 6


def is_for_sparse(network):
    """Whether a network is made for sparse inputs (see `products.first_layer.network_for`)."""
    return network.layers["outputs"][0] == 0  # no panels of inputs come before the outputs of the first layer


def kind_of(network):
    """Number of a network's kind, from 0 on."""
    precision = 2 if isinstance(network, MixedNetwork) else network.weights.itemsize // 8
    return precision * 2 + int(is_for_sparse(network))


def inputs_of(network):
    """Inputs without rows, of the type that goes with a network."""
    numbers, integers = np.empty(0, network.weights.dtype), np.empty(0, np.int64)
    if is_for_sparse(network):
        return SparseRows(integers, np.empty(0, np.int32), numbers)
    return numbers.reshape(0, 0)


def data_of(network):
    """Data without samples, of the type that goes with a network."""
    numbers, integers = np.empty(0, network.weights.dtype), np.empty(0, np.int64)
    return Data(inputs_of(network), numbers.reshape(0, 0), integers, integers, numbers)
