"""Predictions: row blocks go forward through all layers, shared out among threads."""

from numba import prange

from ..jit import njit, parallel_njit, specialise
from ..layout.network import output_layer, outputs_of
from ..layout.panels import unpack_rows
from ..products.first_layer import is_sparse, load_inputs
from ..products.forward import forward
from .phases import take


@njit
def predict_rows(outputs, network, activations, x, order, first, last, block_rows):
    """outputs[first : last] = the network's outputs for those rows of `x`, a block at a time.

    Parameters
    ----------
    outputs : (N, n_out) array, written
    network : Network
    activations : 1-D array; scratch for one block (see `workspace.prediction_scratch`)
    x : (N, n_in) array, or SparseRows
    order : (N,) or (0,) int64 array; rows of `x` to take; empty: as they come
    block_rows : int; rows of a block

    Returns
    -------
    bool
        Whether all inputs are finite.
    """
    result, finite = outputs_of(output_layer(network), activations, block_rows).start, True
    for start in range(first, last, block_rows):
        rows = min(block_rows, last - start)
        finite &= load_inputs(x, activations, activations, network, order, start, rows, block_rows)
        forward(network, activations, rows, block_rows, is_sparse(x))
        unpack_rows(outputs, start, activations[result:], rows, block_rows)
    return finite


@njit
def predict_blocks(outputs, network, activations, x, order, block_rows, tickets):
    """One thread's part in a prediction: blocks, while there are any; tickets[-1] = 1 if an input is not finite."""
    first = take(tickets, 0) * block_rows
    while first < len(outputs):
        last = min(first + block_rows, len(outputs))
        if not predict_rows(outputs, network, activations, x, order, first, last, block_rows):
            tickets[-1] = 1
        first = take(tickets, 0) * block_rows


def _predict(outputs, network, activations, x, order, block_rows, tickets):
    """The network's outputs for all rows of `outputs`.

    Parameters
    ----------
    outputs : (N, n_out) array, written
    network : Network
    activations : (threads, size) array; scratch for a block, for each thread (see `workspace.prediction_scratch`)
    x : (n, n_in) array, row-major, or SparseRows, with a network made for them (see `first_layer.network_for`)
    order : (N,) or (0,) int64 array; rows of `x` to take; empty: the first N, as they come
    block_rows : int; rows of a block
    tickets : (2,) int64 array of zeros; the last becomes 1 if an input is not finite
    """
    for thread in prange(len(activations)):
        predict_blocks(outputs, network, activations[thread], x, order, block_rows, tickets)


predict, predict_serial = parallel_njit(specialise(_predict, "predict")), njit(specialise(_predict, "predict_serial"))
