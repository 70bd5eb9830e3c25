"""Operations of the first layer, each in two forms: for dense inputs, an array, and for sparse inputs, `SparseRows`.

Numba chooses the form by the type of the inputs `x` when it compiles a driver, so that the other form is not in it.
"""

from ..jit import by_class, inlined
from ..layout.network import MixedNetwork
from ..layout.panels import pack_rows
from ..layout.samples import SparseRows
from . import sparse
from .gradients import piece_gradient
from .operands import pack_operands


def by_type(for_dense, for_sparse):
    """Function that calls `for_sparse` if its first argument is SparseRows, else `for_dense` (see `jit.by_class`)."""
    return by_class(SparseRows, for_sparse, for_dense)


is_sparse = by_type(lambda x: False, lambda x: True)  # a constant in compiled code


def _dense_rows(x):
    """Number of rows of the inputs `x`, an array or SparseRows."""
    return len(x)


def _sparse_rows(x):
    """See `_dense_rows`."""
    return len(x.indptr) - 1


row_count = by_type(_dense_rows, _sparse_rows)


@inlined
def sample_count(data):
    """Number of samples that are taken from `data`, a `layout.samples.Data`: those in its order, or all."""
    return len(data.order) if data.order.size else row_count(data.x)


def _pack_rows(network, activations, forms, x, order, first, rows, panel_rows):
    """Copy the inputs of a block to its panels of activations or, for a MixedNetwork, round them to operands.

    Parameters
    ----------
    network : Network or MixedNetwork
    activations : 1-D array, written from 0 on
    forms : operands.Forms of a MixedNetwork; else not used
    x, order, first, rows, panel_rows : see `layout.panels.pack_rows`
    """
    return pack_rows(activations, x, order, first, rows, panel_rows)


pack_inputs = by_class(MixedNetwork, pack_operands, _pack_rows)


def _load_dense(x, activations, z, network, order, first, rows, panel_rows, forms):
    """Prepare the inputs of a block for the forward pass.

    Dense inputs are copied into panels (see `pack_inputs`). For sparse inputs the first layer's net inputs x W + b are
    computed right away.

    Parameters
    ----------
    x : (N, n_in) array, or SparseRows
    activations : 1-D array; written from 0 on if inputs are dense: panels of inputs
    z : 1-D array; written from 0 on if inputs are sparse: panels of the first layer's net inputs
    network : Network; made for these inputs (see `network_for`)
    order, first, rows : the samples (see `layout.panels.pack_rows`)
    panel_rows : int; rows that each panel has room for
    forms : see `pack_inputs`

    Returns
    -------
    bool
        Whether all these inputs are finite.
    """
    return pack_inputs(network, activations, forms, x, order, first, rows, panel_rows)


def _load_sparse(x, activations, z, network, order, first, rows, panel_rows, forms):
    """See `_load_dense`."""
    return sparse.net_inputs(z, network, x, order, first, rows, panel_rows)


load_inputs = by_type(_load_dense, _load_sparse)


def _index_dense(x, nonzeros, slot, order, first, rows):
    """Prepare the first layer's gradient: sort a block's non-zeros if inputs are sparse; nothing if they are dense.

    Parameters
    ----------
    x : (N, n_in) array, or SparseRows
    nonzeros : products.sparse.Nonzeros; a slot is written
    slot : int
    order, first, rows : the samples (see `layout.panels.pack_rows`)
    """


def _index_sparse(x, nonzeros, slot, order, first, rows):
    """See `_index_dense`."""
    sparse.index_rows(nonzeros, slot, x, order, first, rows)


index_inputs = by_type(_index_dense, _index_sparse)


def _dense_gradient(x, gradient, network, memory, nonzeros, slot, piece, rows, panel_rows, fresh, more):
    """Compute the gradient of a piece of the weights over one block of samples.

    Parameters
    ----------
    x : (N, n_in) array, or SparseRows; only its type counts
    gradient : 1-D array packed like network.weights; the elements of the piece are written or added to
    network : Network
    memory : triple; the block's activations, error signals and Forms (see `drivers.block.block_memory`)
    nonzeros : products.sparse.Nonzeros; sorted non-zeros of blocks, if inputs are sparse
    slot : int; the slot of `nonzeros` that holds the block
    piece : a record of `layout.tasks.PIECE`
    rows, panel_rows : int; samples in the block, and rows that each panel has room for
    fresh : bool; whether to overwrite the gradient rather than add to it
    more : bool; whether the block in the next slot is the next to be added
    """
    activations, deltas, forms = memory
    piece_gradient(gradient, network, piece, activations, deltas, rows, panel_rows, fresh, forms, more)


def _sparse_gradient(x, gradient, network, memory, nonzeros, slot, piece, rows, panel_rows, fresh, more):
    """See `_dense_gradient`."""
    activations, deltas, forms = memory
    if piece.layer == 0:
        sparse.piece_gradient(gradient, network, nonzeros, slot, piece, deltas, rows, panel_rows, fresh)
    else:
        piece_gradient(gradient, network, piece, activations, deltas, rows, panel_rows, fresh, forms, more)


slot_gradient = by_type(_dense_gradient, _sparse_gradient)


def network_for(network, x):
    """Network for inputs like `x`: the same network if they are dense, else one that shares its weights.

    In the latter's table of layers, a block's activations have no panels for the inputs: the first layer's outputs come
    first. The number of the panel of its inputs is then negative, and nothing reads from there.

    Parameters
    ----------
    network : Network
    x : (N, n_in) array, or SparseRows

    Returns
    -------
    Network
    """
    if not is_sparse(x):
        return network
    layers = network.layers.copy()
    # Of the dense network, outputs[0] is the number of panels of the inputs.
    layers["inputs"] -= network.layers["outputs"][0]
    layers["outputs"] -= network.layers["outputs"][0]
    return network._replace(layers=layers)
