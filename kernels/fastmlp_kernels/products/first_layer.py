"""What training and prediction ask of their inputs: dense ones are an array, sparse ones are `sparse.Rows`.

Drivers are compiled for the type of their inputs, and of the functions here only the form for that type.
"""

from numba import types
from numba.extending import overload

from ..jit import INLINED
from ..layout.panels import pack_rows
from ..layout.samples import Data, SparseRows
from . import sparse
from .gradients import piece_gradient


def _is_rows(x):
    return isinstance(x, types.NamedTuple) and x.instance_class is SparseRows


def _by_type(dense, sparse):
    """A function whose first argument are inputs: `dense`, or, of sparse inputs, `sparse`, with the doc of `dense`."""

    def choose(x, *args):
        return (sparse if isinstance(x, SparseRows) else dense)(x, *args)

    choose.__doc__ = dense.__doc__
    overload(choose, jit_options=INLINED, strict=False)(lambda x, *args: sparse if _is_rows(x) else dense)
    return choose


is_sparse = _by_type(lambda x: False, lambda x: True)  # a constant in compiled code
row_count = _by_type(lambda x: len(x), lambda x: len(x.indptr) - 1)


def _load_dense(x, activations, z, network, order, first, rows, block):
    """Make ready to go forward from a block's inputs: packed, or multiplied by the weights already if they are sparse.

    Parameters
    ----------
    x : (N, n_in) array, or SparseRows
    activations : 1-D array; of dense inputs written, in panels of `block` rows
    z : 1-D array; of sparse inputs written, with the first layer's net inputs
    network : Network; made for such inputs (see `network_for`)
    order, first, rows : see `panels.pack_rows`

    Returns
    -------
    bool
        Whether all these inputs are finite.
    """
    return pack_rows(activations, x, order, first, rows, block)


def _load_sparse(x, activations, z, network, order, first, rows, block):
    return sparse.net_inputs(z, network, x, order, first, rows, block)


load_inputs = _by_type(_load_dense, _load_sparse)


def _index_dense(x, workspace, slot, order, first, rows):
    """Make ready for the first layer's gradient: sort the non-zeros of a block, if inputs are sparse."""


def _index_sparse(x, workspace, slot, order, first, rows):
    sparse.index_rows(workspace, slot, x, order, first, rows)


index_inputs = _by_type(_index_dense, _index_sparse)


def _dense_gradient(x, gradient, network, workspace, piece, slot, rows, fresh):
    """A piece of the gradient of the block of `rows` samples in a slot: written if `fresh`, else added."""
    activations, deltas = workspace.activations[slot], workspace.deltas[slot]
    piece_gradient(gradient, network, piece, activations, deltas, rows, workspace.block, fresh)


def _sparse_gradient(x, gradient, network, workspace, piece, slot, rows, fresh):
    if piece.layer == 0:
        sparse.piece_gradient(gradient, network, workspace, piece, slot, rows, fresh)
    else:
        activations, deltas = workspace.activations[slot], workspace.deltas[slot]
        piece_gradient(gradient, network, piece, activations, deltas, rows, workspace.block, fresh)


slot_gradient = _by_type(_dense_gradient, _sparse_gradient)


def _learn_dense(x, network, workspace, piece, thread, blocks, rows, state, optimizer, scale, l2):
    """Update a piece from its gradient without keeping that, if inputs are sparse and it is of the first layer.

    Returns whether it was. All blocks must be kept (see `sparse.learn_piece`).
    """
    return False


def _learn_sparse(x, network, workspace, piece, thread, blocks, rows, state, optimizer, scale, l2):
    if piece.layer == 0:
        sparse.learn_piece(network, workspace, piece, thread, blocks, rows, state, optimizer, scale, l2)
    return piece.layer == 0


learn_piece = _by_type(_learn_dense, _learn_sparse)


def parts(data):
    """The arrays of `data` in a plain tuple: a parallel region takes in no named tuple that is part of another."""
    return (*data.x, *data[1:]) if is_sparse(data.x) else tuple(data)


@overload(parts, jit_options=INLINED)
def _parts(data):
    if _is_rows(data.types[0]):
        return lambda data: (data.x.indptr, data.x.indices, data.x.values, *data[1:])
    return lambda data: data[:]


def assembled(parts):
    """The `Data` that `parts` took apart."""
    return Data(SparseRows(*parts[:3]), *parts[3:]) if parts[0].ndim == 1 else Data(*parts)


@overload(assembled, jit_options=INLINED)
def _assembled(parts):
    if parts.types[0].ndim == 1:
        return lambda parts: Data(SparseRows(parts[0], parts[1], parts[2]), *parts[3:])
    return lambda parts: Data(*parts)


def network_for(network, x):
    """The network as it goes with inputs `x`: of sparse ones, a block's activations have no panels."""
    if not is_sparse(x):
        return network
    layers = network.layers.copy()
    layers["inputs"] -= network.layers["outputs"][0]
    layers["outputs"] -= network.layers["outputs"][0]
    return network._replace(layers=layers)
