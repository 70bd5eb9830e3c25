"""Forward mode: directions in the inputs go forward through the network beside the values."""

from ..jit import njit
from ..layout.panels import pack_rows, padded, unpack_rows
from ..panelwise.softmax import softmax_product
from ..products.product import product
from ..tile.operations import ROWS, width
from .batch import IN_ORDER, values_and_slopes


@njit
def push_forward(network, workspace, tangents, first, rows):
    """The output tangents of a block whose values and slopes are known: their offset in workspace.scratch."""
    scratch, deltas, block, size = workspace.scratch, workspace.deltas, workspace.block, width(workspace.deltas)
    source, target = 0, len(scratch) // 2
    pack_rows(scratch, tangents, IN_ORDER, first, rows, block)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        weights, b_rows = layer.weights + size, layer.n_in + 1
        product(
            scratch, target, scratch, source, network.weights, weights, b_rows, layer.n_out, layer.n_in, rows, block
        )
        d = layer.deltas * size * block
        if network.softmax and l == len(network.layers) - 1:
            a = layer.outputs * size * block
            softmax_product(scratch, target, scratch, target, workspace.activations, a, rows, layer.n_out, block)
        else:
            for q in range(0, padded(layer.n_out, size) * block, size * block):
                for i in range(q, q + padded(rows, ROWS) * size):
                    scratch[target + i] *= deltas[d + i]
        source, target = target, source
    return source


@njit
def jvp_rows(outputs, output_tangents, network, workspace, x, tangents):
    """Jacobian-vector product: output_tangents[s] = the Jacobian at x[s] times tangents[s]; and outputs, for all rows.

    Parameters
    ----------
    outputs, output_tangents : (N, n_out) arrays, written
    network : Network
    workspace : RowsWorkspace
    x, tangents : (N, n_in) arrays, row-major, of the network's dtype
    """
    block, last = workspace.block, network.layers[len(network.layers) - 1]
    a = last.outputs * width(workspace.activations) * block
    for first in range(0, len(x), block):
        rows = min(block, len(x) - first)
        values_and_slopes(network, workspace, x, first, rows)
        source = push_forward(network, workspace, tangents, first, rows)
        unpack_rows(outputs, first, workspace.activations[a:], rows, block)
        unpack_rows(output_tangents, first, workspace.scratch[source:], rows, block)
