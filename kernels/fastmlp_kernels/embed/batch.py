"""Forward pass of row-major arrays, block by block: outputs only, or also the slopes of all layers.

The slopes are what first derivatives with respect to inputs or parameters start from. Second ones have a forward pass
of their own (see `taylor`), as the gradient of a loss has (see `reverse.loss_gradient_rows`).
"""

from typing import NamedTuple

import numpy as np

from ..drivers.prediction import predict_rows
from ..jit import by_class, njit
from ..layout.network import deltas_of, output_layer, outputs_of
from ..layout.panels import padded, panel_at, panels_of
from ..panelwise.softmax import softmax
from ..products.first_layer import pack_inputs
from ..products.forward import NO_DROPOUT, forward_training
from ..products.operands import Forms, panel_rows_of
from ..tile.operations import ROWS, panel_width

IN_ORDER = np.empty(0, np.int64)  # `order` of `layout.panels.pack_rows` that takes rows from the first to the last


class RowsWorkspace(NamedTuple):
    """Scratch memory of one thread for a block of rows (see `embed.make.workspace`).

    Attributes
    ----------
    block : int; rows of a block, and rows that each panel has room for: a multiple of the rows of a tile
    activations : 1-D array; panels of the activations of layers 0 to L, of which layer 0 is the inputs
    deltas : 1-D array; panels of the slopes, later the error signals, of layers 1 to L
    scratch : 1-D array; room for twice the panels of the widest layer, inputs included
    """

    block: int
    activations: np.ndarray
    deltas: np.ndarray
    scratch: np.ndarray


class MixedWorkspace(NamedTuple):
    """Scratch memory of one thread for a block of rows of a MixedNetwork.

    Attributes
    ----------
    block, activations, deltas, scratch : see `RowsWorkspace`; panels have room for `panel_rows_of(network, block)` rows
    left, kept, sums : 1-D arrays; see `products.operands.Forms`
    """

    block: int
    activations: np.ndarray
    deltas: np.ndarray
    scratch: np.ndarray
    left: np.ndarray
    kept: np.ndarray
    sums: np.ndarray


def _memory(workspace):
    """Arrays of a workspace: activations, deltas, scratch, and the Forms of a MixedNetwork, or None."""
    return workspace.activations, workspace.deltas, workspace.scratch, None


def _mixed_memory(workspace):
    """See `_memory`."""
    forms = Forms(workspace.left, workspace.kept, workspace.sums)
    return workspace.activations, workspace.deltas, workspace.scratch, forms


def _prediction_memory(workspace):
    """Arrays of a workspace that predictions need: activations, and the Forms of a MixedNetwork, or None."""
    return workspace.activations, None


def _mixed_prediction_memory(workspace):
    """See `_prediction_memory`."""
    left = workspace.left[: workspace.activations.size]
    return workspace.activations, Forms(left, workspace.kept[:0], workspace.sums[:0])


memory_of = by_class(MixedWorkspace, _mixed_memory, _memory)
prediction_memory_of = by_class(MixedWorkspace, _mixed_prediction_memory, _prediction_memory)


@njit
def forward_rows(outputs, network, workspace, x):
    """Compute the network's outputs for all rows of `x`.

    Parameters
    ----------
    outputs : (N, n_out) array, row-major, written
    network : Network or MixedNetwork
    workspace : RowsWorkspace, or MixedWorkspace for a MixedNetwork
    x : (N, n_in) array, row-major, of the network's dtype

    Returns
    -------
    bool
        Whether all inputs are finite.
    """
    activations, forms = prediction_memory_of(workspace)
    block_rows = workspace.block
    return predict_rows(outputs, network, activations, forms, x, IN_ORDER, first=0, last=len(x), block_rows=block_rows)


@njit
def values_and_slopes(network, workspace, x, first, rows):
    """Compute the activations and slopes of all layers for one block of rows; softmax outputs have no slopes.

    Parameters
    ----------
    network : Network or MixedNetwork
    workspace : RowsWorkspace or MixedWorkspace; activations and deltas are written, the latter with slopes g'(z) or,
        if the outputs are a softmax, with the output layer's net inputs
    x : (N, n_in) array, row-major
    first, rows : int; the block is x[first : first + rows]
    """
    activations, deltas, _, forms = memory_of(workspace)
    panel_rows = panel_rows_of(network, workspace.block)
    pack_inputs(network, activations, forms, x, IN_ORDER, first, rows, panel_rows)
    forward_training(
        network,
        activations,
        deltas,
        from_net_inputs=False,
        update=NO_DROPOUT,
        first=0,
        rows=rows,
        panel_rows=panel_rows,
        forms=forms,
    )
    if network.softmax:  # its net inputs were left in `deltas`, since a loss would compute its activations
        layer = output_layer(network)
        outputs, net_inputs = outputs_of(layer, activations, panel_rows), deltas_of(layer, deltas, panel_rows)
        for p in range(panels_of(layer.n_out, activations)):
            target, source = panel_at(outputs, p).start, panel_at(net_inputs, p).start
            for i in range(padded(rows, ROWS) * panel_width(activations)):
                activations[target + i] = deltas[source + i]
        softmax(activations[outputs.start :], rows, layer.n_out, panel_rows)
