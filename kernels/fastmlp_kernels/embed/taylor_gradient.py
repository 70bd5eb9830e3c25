"""Reverse mode over Taylor mode: parameter gradients of a function E of outputs and their first and second derivatives.

For example, E may be the squared residual of a differential equation that the network is to solve.

Words and letters are those of `taylor`: the p and q of a block are a tall matrix of 2 n_in *streams* of `block` rows
each, p for every input, then q for every input; a layer's *jets*, g(z) to g'''(z), are four such streams. The *adjoint*
of a number v is dE/dv, written bar v. An activation function takes the adjoints of a, p and q back to those of z, zp
and zq:

    bar zq = g' bar q,    bar zp = g' bar p + 2 g'' zp bar q,
    bar z = g' bar a + sum_i (g'' (zp bar p + zq bar q) + g''' zp² bar q).

The transposed weights take these back to the layer before, as they do error signals. The gradient of the weights is
aᵀ (bar z) + pᵀ (bar zp) + qᵀ (bar zq) with a, p and q of the layer before.

The memory of the forward pass is used again. While a layer is worked on, `activations` holds its bar a, then bar z;
`tangents` its bar p and bar q; `net_tangents` its zp and zq, then bar zp and bar zq. Layers before it are unchanged.
"""

from ..jit import inlined, njit
from ..layout.network import biases_of, deltas_of, inputs_of, output_layer, outputs_of, transposed_of, weights_of
from ..layout.panels import Matrix, element, pack_rows, padded, panel_at, panels_of, row_at
from ..products.gradients import bias_gradient, weight_gradient
from ..products.operands import operands_of
from ..products.product import product
from ..tile.operations import ROWS, add, load, multiply, multiply_add, panel_width, store
from .batch import IN_ORDER
from .taylor import TILE, expand
from .taylor_softmax import softmax_taylor_back


@inlined
def _activate_back(workspace, value_start, jet_start, tangent_start, streams, length):
    """Compute the adjoints of z, zp and zq of one panel from those of a, p and q, by the formulas above.

    Parameters
    ----------
    workspace : TaylorWorkspace; bar a is replaced by bar z, zp and zq by their adjoints
    value_start, jet_start, tangent_start : int
        Offsets of the panel in activations, in jets, and in tangents and net tangents alike.
    streams, length : int; number of streams, and elements of one stream in a panel
    """
    activations, jets, width = workspace.activations, workspace.jets, panel_width(workspace.jets)
    net, tangents = workspace.net_tangents, workspace.tangents
    for i in range(0, length, TILE * width):
        slope = load(jets, jet_start + length + i, width, TILE)
        curvature = load(jets, jet_start + 2 * length + i, width, TILE)
        third = load(jets, jet_start + 3 * length + i, width, TILE)
        sums = multiply(slope, load(activations, value_start + i, width, TILE))
        for p_at in range(tangent_start + i, tangent_start + i + streams // 2 * length, length):
            q_at = p_at + streams // 2 * length
            zp, zq = load(net, p_at, width, TILE), load(net, q_at, width, TILE)
            p_bar, q_bar = load(tangents, p_at, width, TILE), load(tangents, q_at, width, TILE)
            zp_q_bar = multiply(zp, q_bar)
            sums = multiply_add(curvature, multiply_add(zq, q_bar, multiply(zp, p_bar)), sums)
            sums = multiply_add(multiply(third, zp), zp_q_bar, sums)
            store(multiply_add(curvature, add(zp_q_bar, zp_q_bar), multiply(slope, p_bar)), net, p_at, width)
            store(multiply(slope, q_bar), net, q_at, width)
        store(sums, activations, value_start + i, width)


@njit
def pack_streams(adjoints, stream, source, first, rows, columns, block):
    """Copy a caller's array to streams: row s, column k, of stream number `stream` + i = source[first + s, k, i].

    Parameters
    ----------
    adjoints : Matrix of streams, written, with zeros as padding
    stream : int; number of the stream for input 0
    source : (N, columns, n_in) array
    first, rows : int; source[first : first + rows] is copied
    columns : int; outputs
    block : int; rows of a stream
    """
    for i in range(source.shape[2]):
        for k in range(padded(columns, panel_width(adjoints.numbers))):
            for s in range(block):
                value = source[first + s, k, i] if s < rows and k < columns else 0
                adjoints.numbers[element(adjoints, (stream + i) * block + s, k)] = value


@njit
def _add_layer(gradient, network, workspace, l, block, fresh):
    """Compute the gradient of the parameters of layer `l` over a block whose adjoints are in the workspace.

    Parameters
    ----------
    gradient : 1-D array packed like network.weights, written or added to
    network : Network
    workspace : TaylorWorkspace
    l, block : int; the layer, counted from 0, and rows of a stream
    fresh : bool; whether to overwrite the gradient rather than add to it
    """
    layer, n_in, tall = network.layers[l], network.layers[l].n_in, 2 * network.layers[0].n_in * block
    # The arrays that products read (see `products.operands`): `activations` holds a of the layer before, and bar z;
    # `tangents` p and q of the layer before, `net_tangents` bar zp and bar zq.
    operands = operands_of(network, workspace.activations, workspace.activations)
    of_streams = operands_of(network, workspace.tangents, workspace.net_tangents)
    a, signals = inputs_of(layer, operands.activations, block), outputs_of(layer, operands.deltas, block)
    adjoints = deltas_of(layer, of_streams.deltas, tall)
    for panel in range(panels_of(layer.n_out, gradient)):
        delta, adjoint_panel = panel_at(signals, panel), panel_at(adjoints, panel)
        biases, weights = panel_at(biases_of(layer, gradient), panel), panel_at(weights_of(layer, gradient), panel)
        # Sums run over all rows of the block and of its streams: in their padding rows adjoints are 0.
        bias_gradient(gradient, biases.start, delta, block, fresh)
        weight_gradient(weights, a, delta, first=0, last=n_in, rows=block, fresh=fresh)
        if l > 0:
            before = deltas_of(network.layers[l - 1], of_streams.activations, tall)
            weight_gradient(weights, before, adjoint_panel, first=0, last=n_in, rows=tall, fresh=False)
        else:  # among the p and q of the inputs, only dx_i/dx_i = 1 is not 0: row i of the gradient sums its stream
            for i in range(n_in):
                stream = Matrix(adjoint_panel.numbers, row_at(adjoint_panel, i * block), tall)
                bias_gradient(gradient, row_at(weights, i), stream, block, fresh=False)


@njit
def taylor_gradient_rows(gradient, network, workspace, x, output_gradients, first_gradients, second_gradients, fresh):
    """Compute the gradient, with respect to all parameters, of a function E of what `taylor.taylor_rows` computes.

    Parameters
    ----------
    gradient : 1-D array packed like network.weights, written or added to; summed over all rows of `x`
    network : Network; with the transposed weights of all layers but the first, which is not checked
    workspace : TaylorWorkspace
    x : (N, n_in) array, row-major, of the network's dtype
    output_gradients : (N, n_out) array, row-major, of the network's dtype; dE/da
    first_gradients, second_gradients : (N, n_out, n_in) arrays; dE/d(da/dx_i) and dE/d(d²a/dx_i²)
    fresh : bool; whether to overwrite the gradient rather than add to it
    """
    activations, net, tangents = workspace.activations, workspace.net_tangents, workspace.tangents
    operands, of_streams = operands_of(network, activations, activations), operands_of(network, tangents, net)
    output, n_in = output_layer(network), network.layers[0].n_in
    for first in range(0, len(x), workspace.block):
        rows = min(workspace.block, len(x) - first)
        block = padded(rows, ROWS)
        tall, length = 2 * n_in * block, block * panel_width(workspace.jets)
        expand(network, workspace, x, first, rows, block)
        if network.softmax:
            gradients = first_gradients, second_gradients
            softmax_taylor_back(network, workspace, output_gradients, gradients, first, rows, block)
        else:
            output_adjoints = deltas_of(output, tangents, tall)
            output_start = outputs_of(output, activations, block).start
            pack_rows(activations[output_start:], output_gradients, IN_ORDER, first, rows, block)
            # Streams from 0 on are for p of every input, those from n_in on for q.
            pack_streams(output_adjoints, 0, first_gradients, first, rows, output.n_out, block)
            pack_streams(output_adjoints, n_in, second_gradients, first, rows, output.n_out, block)
        for l in range(len(network.layers) - 1, -1, -1):
            layer = network.layers[l]
            values, adjoints = outputs_of(layer, activations, block), deltas_of(layer, net, tall)
            # None for a softmax, which has no jets: `softmax_taylor_back` has done it.
            for panel in range(panels_of(layer.n_out, workspace.jets) if layer.jets else 0):
                jet_start = panel_at(deltas_of(layer, workspace.jets, 4 * block), panel).start
                value_start, tangent_start = panel_at(values, panel).start, panel_at(adjoints, panel).start
                _activate_back(workspace, value_start, jet_start, tangent_start, 2 * n_in, length)
            _add_layer(gradient, network, workspace, l, block, fresh and first == 0)
            if l > 0:
                w, before = transposed_of(layer, operands.transposed), network.layers[l - 1]
                z_bar, net_bar = outputs_of(layer, operands.deltas, block), deltas_of(layer, of_streams.deltas, tall)
                product(inputs_of(layer, activations, block), z_bar, w, layer.n_in, layer.n_out, block)
                product(deltas_of(before, tangents, tall), net_bar, w, layer.n_in, layer.n_out, tall)
