"""Forward mode: products of vectors, one a sample, with the Jacobian of the outputs with respect to the inputs.

A vector of the inputs, the *tangent* t, goes through the network with the sample. Each layer multiplies it by its
weights, and by its slopes or by the Jacobian of the softmax: it becomes (t W) * g'(z), element by element.
"""

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
    """Compute the output tangents of a block whose activations and slopes are in the workspace.

    Parameters
    ----------
    network : Network
    workspace : RowsWorkspace; its scratch is written: tangents of one layer and of the next take turns in its halves
    tangents : (N, n_in) array, row-major; those of the block are tangents[first : first + rows]
    first, rows : int

    Returns
    -------
    int
        Offset in workspace.scratch of the panels of output tangents.
    """
    scratch, deltas, block = workspace.scratch, workspace.deltas, workspace.block
    # Operands are the arrays that products read (see `products.operands`): here tangents take the place of activations.
    operands, source, target = operands_of(network, scratch, deltas), 0, len(scratch) // 2
    pack_rows(scratch, tangents, IN_ORDER, first, rows, block)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        inputs, outputs = Matrix(operands.activations, source, block), Matrix(scratch, target, block)
        product(outputs, inputs, weights_of(layer, operands.weights), layer.n_out, layer.n_in, rows)
        if network.softmax and l == len(network.layers) - 1:
            start = outputs_of(layer, workspace.activations, block).start
            softmax_product(scratch, target, scratch, target, workspace.activations, start, rows, layer.n_out, block)
        else:
            slopes = deltas_of(layer, deltas, block)
            for p in range(panels_of(layer.n_out, scratch)):
                tangent_start, slope_start = panel_at(outputs, p).start, panel_at(slopes, p).start
                for i in range(padded(rows, ROWS) * panel_width(scratch)):
                    scratch[tangent_start + i] *= deltas[slope_start + i]
        source, target = target, source
    return source


@njit
def jvp_rows(outputs, output_tangents, network, workspace, x, tangents):
    """Compute Jacobian-vector products, output_tangents[s] = J(x[s]) tangents[s], and outputs, for all rows s.

    Parameters
    ----------
    outputs, output_tangents : (N, n_out) arrays, row-major, written
    network : Network
    workspace : RowsWorkspace
    x, tangents : (N, n_in) arrays, row-major, of the network's dtype
    """
    block = workspace.block
    output_start = outputs_of(output_layer(network), workspace.activations, block).start
    for first in range(0, len(x), block):
        rows = min(block, len(x) - first)
        values_and_slopes(network, workspace, x, first, rows)
        source = push_forward(network, workspace, tangents, first, rows)
        unpack_rows(outputs, first, workspace.activations[output_start:], rows, block)
        unpack_rows(output_tangents, first, workspace.scratch[source:], rows, block)
