"""What the first layer does with its inputs: dense ones are an array, sparse ones `SparseRows`.

Drivers are compiled for the type of their inputs, and of the functions here only the form for that type.
"""

from numba import types
from numba.extending import overload

from ..jit import INLINED
from ..layout.panels import pack_rows
from ..layout.samples import SparseRows
from . import sparse
from .gradients import piece_gradient


def _is_sparse_type(x):
    return isinstance(x, types.NamedTuple) and x.instance_class is SparseRows


def _by_type(dense, sparse):
    """A function whose first argument are inputs: `dense`, or, of sparse inputs, `sparse`, with the doc of `dense`."""

    def choose(x, *args):
        return (sparse if isinstance(x, SparseRows) else dense)(x, *args)

    choose.__doc__ = dense.__doc__
    overload(choose, jit_options=INLINED, strict=False)(lambda x, *args: sparse if _is_sparse_type(x) else dense)
    return choose


is_sparse = _by_type(lambda x: False, lambda x: True)  # a constant in compiled code
row_count = _by_type(lambda x: len(x), lambda x: len(x.indptr) - 1)


def _load_dense(x, activations, z, network, order, first, rows, block_rows):
    """Make ready to go forward from a block's inputs: packed, or multiplied by the weights already if they are sparse.

    Parameters
    ----------
    x : (N, n_in) array, or SparseRows
    activations : 1-D array; of dense inputs written, in panels of `block_rows` rows
    z : 1-D array; of sparse inputs written, with the first layer's net inputs
    network : Network; made for such inputs (see `network_for`)
    order, first, rows : see `panels.pack_rows`

    Returns
    -------
    bool
        Whether all these inputs are finite.
    """
    return pack_rows(activations, x, order, first, rows, block_rows)


def _load_sparse(x, activations, z, network, order, first, rows, block_rows):
    return sparse.net_inputs(z, network, x, order, first, rows, block_rows)


load_inputs = _by_type(_load_dense, _load_sparse)


def _index_dense(x, nonzeros, slot, order, first, rows):
    """Make ready for the first layer's gradient: sort the non-zeros of a block, if inputs are sparse."""


def _index_sparse(x, nonzeros, slot, order, first, rows):
    sparse.index_rows(nonzeros, slot, x, order, first, rows)


index_inputs = _by_type(_index_dense, _index_sparse)


def _dense_gradient(x, gradient, network, blocks, nonzeros, slot, piece, rows, block_rows, fresh):
    """A piece of the gradient of the block of `rows` samples in a slot: written if `fresh`, else added.

    Parameters
    ----------
    x : (N, n_in) array, or SparseRows; the inputs, of which only the type counts
    gradient : 1-D array, packed like network.weights
    blocks, nonzeros : see `drivers.workspace.Workspace`
    piece : a record of `layout.tasks.PIECE`
    """
    activations, deltas = blocks.activations[slot], blocks.deltas[slot]
    piece_gradient(gradient, network, piece, activations, deltas, rows, block_rows, fresh)


def _sparse_gradient(x, gradient, network, blocks, nonzeros, slot, piece, rows, block_rows, fresh):
    if piece.layer == 0:
        deltas = blocks.deltas[slot]
        sparse.piece_gradient(gradient, network, nonzeros, slot, piece, deltas, rows, block_rows, fresh)
    else:
        activations, deltas = blocks.activations[slot], blocks.deltas[slot]
        piece_gradient(gradient, network, piece, activations, deltas, rows, block_rows, fresh)


slot_gradient = _by_type(_dense_gradient, _sparse_gradient)


def network_for(network, x):
    """The network as it goes with inputs `x`: of sparse ones, a block's activations have no panels."""
    if not is_sparse(x):
        return network
    layers = network.layers.copy()
    layers["inputs"] -= network.layers["outputs"][0]
    layers["outputs"] -= network.layers["outputs"][0]
    return network._replace(layers=layers)
