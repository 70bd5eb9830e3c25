"""Blocks of rows of row-major arrays, forward through a network: what all derivatives start from."""

from typing import NamedTuple

import numpy as np

from ..drivers.prediction import predict_rows
from ..jit import njit
from ..layout.network import deltas_of, output_layer, outputs_of
from ..layout.panels import pack_rows, padded, panel_at, panels_of
from ..panelwise.softmax import softmax
from ..products.forward import NO_DROPOUT, forward_training
from ..tile.operations import ROWS, panel_width

IN_ORDER = np.empty(0, np.int64)  # samples as they come


class RowsWorkspace(NamedTuple):
    """Scratch memory of one thread for a block of rows (see `construction.workspace`).

    Attributes
    ----------
    block : int; rows of a block
    activations : 1-D array; panels of the activations of layers 0 to L
    deltas : 1-D array; panels of the slopes, later the error signals, of layers 1 to L
    scratch : 1-D array; twice the panels of the widest layer
    """

    block: int
    activations: np.ndarray
    deltas: np.ndarray
    scratch: np.ndarray


@njit
def forward_rows(outputs, network, workspace, x):
    """outputs = the network's outputs for all rows of `x`.

    Parameters
    ----------
    outputs : (N, n_out) array, written
    network : Network
    workspace : RowsWorkspace
    x : (N, n_in) array, row-major, of the network's dtype

    Returns
    -------
    bool
        Whether all inputs are finite.
    """
    return predict_rows(outputs, network, workspace.activations, x, IN_ORDER, 0, len(x), workspace.block)


@njit
def values_and_slopes(network, workspace, x, first, rows):
    """Activations and slopes of a block of `rows` rows of `x`; of softmax outputs `deltas` keeps the net inputs."""
    activations, deltas, block = workspace.activations, workspace.deltas, workspace.block
    pack_rows(activations, x, IN_ORDER, first, rows, block)
    forward_training(network, activations, deltas, False, NO_DROPOUT, 0, rows, block)
    if network.softmax:
        layer = output_layer(network)
        outputs, net_inputs = outputs_of(layer, activations, block), deltas_of(layer, deltas, block)
        for p in range(panels_of(layer.n_out, activations)):
            a, z = panel_at(outputs, p).start, panel_at(net_inputs, p).start
            for i in range(padded(rows, ROWS) * panel_width(activations)):
                activations[a + i] = deltas[z + i]
        softmax(activations[outputs.start :], rows, layer.n_out, block)
