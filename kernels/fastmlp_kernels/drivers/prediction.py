"""Predictions: row blocks go forward through all layers, shared out among threads."""

from numba import prange

from ..jit import njit, parallel_njit, specialise
from ..layout.panels import unpack_rows
from ..products.first_layer import is_sparse, load_inputs
from ..products.forward import forward
from ..tile.operations import width
from .phases import take


@njit
def predict_rows(outputs, network, activations, x, order, first, last, block):
    """outputs[first : last] = the network's outputs for those rows of `x`, a block at a time.

    Parameters
    ----------
    outputs : (N, n_out) array, written
    network : Network
    activations : 1-D array; scratch for one block (see `plan.scratch`)
    x : (N, n_in) array, or Rows
    order : (N,) or (0,) int64 array; rows of `x` to take; empty: as they come
    block : int; rows of a block

    Returns
    -------
    bool
        Whether all inputs are finite.
    """
    layer, finite = network.layers[len(network.layers) - 1], True
    for start in range(first, last, block):
        rows = min(block, last - start)
        finite &= load_inputs(x, activations, activations, network, order, start, rows, block)
        forward(network, activations, rows, block, is_sparse(x))
        unpack_rows(outputs, start, activations[layer.outputs * width(activations) * block :], rows, block)
    return finite


@njit
def predict_blocks(outputs, network, activations, x, order, block, tickets):
    """One thread's part in a prediction: blocks, while there are any; tickets[-1] = 1 if an input is not finite."""
    first = take(tickets, 0) * block
    while first < len(outputs):
        if not predict_rows(outputs, network, activations, x, order, first, min(first + block, len(outputs)), block):
            tickets[-1] = 1
        first = take(tickets, 0) * block


def _predict(outputs, network, activations, x, order, block, tickets):
    """The network's outputs for all rows of `outputs`.

    Parameters
    ----------
    outputs : (N, n_out) array, written
    network : Network
    activations : (threads, size) array; scratch for one block in a row, for each thread (see `plan.scratch`)
    x : (n, n_in) array, row-major, or Rows, with a network made for them (see `inputs.network_for`)
    order : (N,) or (0,) int64 array; rows of `x` to take; empty: the first N, as they come
    block : int; rows of a block
    tickets : (2,) int64 array of zeros; the last becomes 1 if an input is not finite
    """
    for thread in prange(len(activations)):
        predict_blocks(outputs, network, activations[thread], x, order, block, tickets)


predict, predict_serial = parallel_njit(specialise(_predict, "predict")), njit(specialise(_predict, "predict_serial"))
