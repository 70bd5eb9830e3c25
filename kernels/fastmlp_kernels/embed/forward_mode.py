"""Forward mode: directions in the inputs go forward through the network beside the values."""

from ..jit import njit
from ..layout.network import deltas_of, output_layer, outputs_of, weights_of
from ..layout.panels import Matrix, pack_rows, padded, panel_at, panels_of, unpack_rows
from ..panelwise.softmax import softmax_product
from ..products.operands import operands_of
from ..products.product import product
from ..tile.operations import ROWS, panel_width
from .batch import IN_ORDER, values_and_slopes


@njit
def push_forward(network, workspace, tangents, first, rows):
    """The output tangents of a block whose values and slopes are known: their offset in workspace.scratch."""
    scratch, deltas, block = workspace.scratch, workspace.deltas, workspace.block
    operands, source, target = operands_of(network, scratch, deltas), 0, len(scratch) // 2
    pack_rows(scratch, tangents, IN_ORDER, first, rows, block)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        given, found = Matrix(operands.activations, source, block), Matrix(scratch, target, block)
        product(found, given, weights_of(layer, operands.weights), layer.n_out, layer.n_in, rows)
        if network.softmax and l == len(network.layers) - 1:
            a = outputs_of(layer, workspace.activations, block).start
            softmax_product(scratch, target, scratch, target, workspace.activations, a, rows, layer.n_out, block)
        else:
            slopes = deltas_of(layer, deltas, block)
            for p in range(panels_of(layer.n_out, scratch)):
                t, d = panel_at(found, p).start, panel_at(slopes, p).start
                for i in range(padded(rows, ROWS) * panel_width(scratch)):
                    scratch[t + i] *= deltas[d + i]
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
    block = workspace.block
    a = outputs_of(output_layer(network), workspace.activations, block).start
    for first in range(0, len(x), block):
        rows = min(block, len(x) - first)
        values_and_slopes(network, workspace, x, first, rows)
        source = push_forward(network, workspace, tangents, first, rows)
        unpack_rows(outputs, first, workspace.activations[a:], rows, block)
        unpack_rows(output_tangents, first, workspace.scratch[source:], rows, block)
