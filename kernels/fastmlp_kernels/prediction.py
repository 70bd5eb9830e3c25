"""Predictions: row blocks go forward through all layers, shared out among threads."""

import numpy as np
from numba import prange

from .compile import njit, parallel_njit, specialise
from .forward import forward
from .panels import pack_rows, unpack_rows
from .tile import width


@njit
def predict_rows(outputs, network, activations, x, order, first, last, block):
    """outputs[first : last] = the network's outputs for those rows of `x`, a block at a time.

    Parameters
    ----------
    outputs : (N, n_out) array, written
    network : Network
    activations : 1-D array; scratch for one block (see `plan.slots`)
    x : (N, n_in) array
    order : (N,) or (0,) int64 array; rows of `x` to take; empty: as they come
    block : int; rows of a block
    """
    layer = network.layers[len(network.layers) - 1]
    for start in range(first, last, block):
        rows = min(block, last - start)
        pack_rows(activations, x, order, start, rows, block)
        forward(network, activations, rows, block)
        unpack_rows(outputs, start, activations[layer.outputs * width(x) * block :], rows, block)


def _predict(outputs, network, activations, x, order, block):
    """The network's outputs for all rows; `activations` has one row of scratch for each share of the work."""
    shares = len(activations)
    blocks = (len(outputs) + block - 1) // block
    for share in prange(shares):
        s = np.intp(share)  # a prange index is unsigned, and unsigned with signed makes float
        first, last = s * blocks // shares * block, min((s + 1) * blocks // shares * block, len(outputs))
        predict_rows(outputs, network, activations[s], x, order, first, last, block)


predict, predict_serial = parallel_njit(specialise(_predict, "predict")), njit(specialise(_predict, "predict_serial"))
