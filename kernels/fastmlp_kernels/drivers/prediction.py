"""Prediction: blocks of rows go forward through all layers, and threads take one block after the other."""

import numpy as np
from numba import prange, typeof

from ..calls import ByAddress
from ..jit import by_class, njit, parallel_njit, specialize
from ..layout.network import MixedNetwork, output_layer, outputs_of
from ..layout.panels import unpack_rows
from ..products.first_layer import is_sparse, load_inputs
from ..products.forward import forward
from ..products.operands import Forms, panel_rows_of
from ..subnormals import flush_subnormals, restore_mode
from . import workspace as scratch
from .kinds import KINDS, inputs_of, kind_of
from .phases import TAKEN, take


def _all_activations(network, memory):
    """Parts of a thread's memory: for a block's activations, and the Forms of a MixedNetwork (see `operands`)."""
    return memory, None


def _activations_and_forms(network, memory):
    """See `_all_activations`."""
    size = memory.size // 3 * 2
    left = memory[size:].view(np.uint16)
    return memory[:size], Forms(left, left[:0], memory[:0])


parts_of = by_class(MixedNetwork, _activations_and_forms, _all_activations)


@njit
def predict_rows(outputs, network, activations, forms, x, order, first, last, block_rows):
    """Compute the network's outputs for rows first..last, one block of rows after the other.

    Parameters
    ----------
    outputs : (N, n_out) array, row-major; outputs[first : last] is written
    network : Network or MixedNetwork
    activations : 1-D array; scratch memory for the panels of the activations of a block
    forms : Forms of a MixedNetwork, else not used; scratch memory for the same as operands
    x : (n, n_in) array, row-major, or SparseRows
    order : 1-D int64 array; row i of the outputs belongs to row order[i] of `x`, or to row i if `order` is empty
    first, last : int; range of rows of the outputs
    block_rows : int; rows of a block

    Returns
    -------
    bool
        Whether all inputs of these rows are finite.
    """
    panel_rows, finite = panel_rows_of(network, block_rows), True
    output_start = outputs_of(output_layer(network), activations, panel_rows).start
    for start in range(first, last, block_rows):
        rows = min(block_rows, last - start)
        # `activations` twice: dense inputs are copied to it, of sparse ones the first layer's net inputs are written.
        finite &= load_inputs(x, activations, activations, network, order, start, rows, panel_rows, forms)
        forward(network, activations, rows, panel_rows, is_sparse(x), forms)
        unpack_rows(outputs, start, activations[output_start:], rows, panel_rows)
    return finite


@njit
def predict_blocks(outputs, network, memory, x, order, block_rows, tickets):
    """Compute one thread's part of a prediction: blocks that no other thread has taken, until there are none.

    Parameters
    ----------
    memory : 1-D array; the thread's scratch memory
    outputs, network, x, order, block_rows, tickets : see `_predict`
    """
    mode = flush_subnormals()
    activations, forms = parts_of(network, memory)
    first = take(tickets, TAKEN) * block_rows
    while first < len(outputs):
        last = min(first + block_rows, len(outputs))
        if not predict_rows(outputs, network, activations, forms, x, order, first, last, block_rows):
            tickets[-1] = 1
        first = take(tickets, TAKEN) * block_rows
    restore_mode(mode)


blocks_by_address = ByAddress(predict_blocks, KINDS)
call_blocks, is_compiled = blocks_by_address.call, blocks_by_address.is_compiled


def prepare(network):
    """Compile what prediction calls by address, for networks of this kind, or load it from the cache."""
    kind = kind_of(network)
    if not blocks_by_address.addresses[kind]:
        numbers, integers = np.empty(0, network.weights.dtype), np.empty(0, np.int64)
        arguments = numbers.reshape(0, 0), network, numbers, inputs_of(network), integers, 0, integers
        blocks_by_address.prepare("prediction", kind, tuple(map(typeof, arguments)))


def prediction_scratch(network, rows, shares):
    """Make scratch memory as `drivers.workspace.prediction_scratch` does, and compile what prediction takes."""
    prepare(network)
    return scratch.prediction_scratch(network, rows, shares)


def _predict(outputs, network, memory, x, order, block_rows, tickets):
    """Compute the network's outputs for N rows of `x`.

    Parameters
    ----------
    outputs : (N, n_out) array, row-major, written
    network : Network or MixedNetwork
    memory : (threads, size) array; scratch memory of each thread (see `prediction_scratch`)
    x : (n, n_in) array, row-major, or SparseRows, with a network made for them (see `products.first_layer.network_for`)
    order : (N,) int64 array of the rows of `x` to take, or empty for the first N
    block_rows : int; rows of a block
    tickets : (2,) int64 array of zeros; the first element, counter TAKEN of `phases`, counts the blocks taken; the last
        becomes 1 if an input is not finite
    """
    if not is_compiled(outputs, network, memory.reshape(memory.size), x, order, np.intp(block_rows), tickets):
        raise RuntimeError(
            "memory is not made for prediction in this process; accepted: that which `prediction_scratch` makes"
        )
    for thread in prange(len(memory)):
        call_blocks(outputs, network, memory[thread], x, order, np.intp(block_rows), tickets)


# The driver in two forms: its loop over threads as a parallel region, or on the caller's thread for small work.
predict, predict_serial = parallel_njit(specialize(_predict, "predict")), njit(specialize(_predict, "predict_serial"))
