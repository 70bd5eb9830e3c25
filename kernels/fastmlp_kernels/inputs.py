"""What training and prediction ask of their inputs: dense ones are an array, sparse ones are `sparse.Rows`.

Drivers are compiled for the type of their inputs, and only then is decided which of the two it is.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from . import sparse
from .compile import OPTIONS
from .panels import pack_rows
from .sparse import Rows


class Data(NamedTuple):
    """Samples to learn from.

    Attributes
    ----------
    x : (N, n_in) array; or Rows, with a network made for them (see `network_for`)
    y : (N, n_out) array, or (0, n_out) where `labels` are given
    labels : (N,) or (0,) int64 array; class numbers
    order : (n,) int64 array; the samples to take, in this order; empty: all, as they come
    """

    x: np.ndarray | Rows
    y: np.ndarray
    labels: np.ndarray
    order: np.ndarray


def _is_rows(x):
    return isinstance(x, types.NamedTuple) and x.instance_class is Rows


def _compiled(function):
    """Decorates what makes the compiled form of `function` from the types of its arguments."""
    return overload(function, jit_options={"forceinline": True, **OPTIONS})


def is_sparse(x):
    """Whether inputs are sparse: a constant in compiled code."""
    return isinstance(x, Rows)


@_compiled(is_sparse)
def _is_sparse(x):
    return (lambda x: True) if _is_rows(x) else (lambda x: False)


def row_count(x):
    """How many rows inputs have."""
    return len(x.indptr) - 1 if is_sparse(x) else len(x)


@_compiled(row_count)
def _row_count(x):
    return (lambda x: len(x.indptr) - 1) if _is_rows(x) else (lambda x: len(x))


def load_inputs(activations, z, network, x, order, first, rows, block):
    """Make ready to go forward from a block's inputs: packed, or multiplied by the weights already if they are sparse.

    Parameters
    ----------
    activations : 1-D array; of dense inputs written, in panels of `block` rows
    z : 1-D array; the first layer's net inputs, written if inputs are sparse
    network : Network; made for such inputs (see `network_for`)
    x, order, first, rows : see `panels.pack_rows`

    Returns
    -------
    bool
        Whether all these inputs are finite.
    """
    if is_sparse(x):
        return sparse.net_inputs(z, network, x, order, first, rows, block)
    return pack_rows(activations, x, order, first, rows, block)


@_compiled(load_inputs)
def _load_inputs(activations, z, network, x, order, first, rows, block):
    if _is_rows(x):
        return lambda activations, z, network, x, order, first, rows, block: sparse.net_inputs(
            z, network, x, order, first, rows, block
        )
    return lambda activations, z, network, x, order, first, rows, block: pack_rows(
        activations, x, order, first, rows, block
    )


def index_inputs(workspace, slot, x, order, first, rows):
    """Make ready for the first layer's gradient: sort the non-zeros of a block, if inputs are sparse."""
    if is_sparse(x):
        sparse.index_rows(workspace, slot, x, order, first, rows)


@_compiled(index_inputs)
def _index_inputs(workspace, slot, x, order, first, rows):
    if _is_rows(x):
        return lambda workspace, slot, x, order, first, rows: sparse.index_rows(workspace, slot, x, order, first, rows)
    return lambda workspace, slot, x, order, first, rows: None


def parts(data):
    """The arrays of `data` in a plain tuple: a parallel region takes in no named tuple that is part of another."""
    return (*data.x, *data[1:]) if is_sparse(data.x) else tuple(data)


@_compiled(parts)
def _parts(data):
    if _is_rows(data.types[0]):
        return lambda data: (data.x.indptr, data.x.indices, data.x.values, *data[1:])
    return lambda data: data[:]


def assembled(parts):
    """The `Data` that `parts` took apart."""
    return Data(Rows(*parts[:3]), *parts[3:]) if parts[0].ndim == 1 else Data(*parts)


@_compiled(assembled)
def _assembled(parts):
    if parts.types[0].ndim == 1:
        return lambda parts: Data(Rows(parts[0], parts[1], parts[2]), *parts[3:])
    return lambda parts: Data(*parts)


def network_for(network, x):
    """The network as it goes with inputs `x`: of sparse ones, a block's activations have no panels."""
    if not is_sparse(x):
        return network
    layers = network.layers.copy()
    layers["inputs"] -= network.layers["outputs"][0]
    layers["outputs"] -= network.layers["outputs"][0]
    return network._replace(layers=layers)
