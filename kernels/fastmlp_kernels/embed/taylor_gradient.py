"""Reverse mode over Taylor mode: the parameter gradient of what is made of values, first and second derivatives.

With bars for dE/d..., an activation takes the adjoints of a, p and q (see `taylor`) back to those of z, zp and zq:

    bar zq = g' bar q,    bar zp = g' bar p + 2 g'' zp bar q,
    bar z = g' bar a + sum_i (g'' (zp bar p + zq bar q) + g''' zp² bar q).

The weights then take them on to the layer before like error signals, and all of them multiply that layer's a, p and q
in the gradient. Adjoints take the place of what they belong to: bar z that of a, bar zp and bar zq that of zp and zq.
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
def _activate_back(workspace, a, z, t, streams, count):
    """The adjoints of z, zp and zq of one panel, from those of a, p and q; `count` numbers in a stream."""
    activations, jets, width = workspace.activations, workspace.jets, panel_width(workspace.jets)
    net, tangents = workspace.net_tangents, workspace.tangents
    for s in range(0, count, TILE * width):
        slope, curvature = load(jets, z + count + s, width, TILE), load(jets, z + 2 * count + s, width, TILE)
        third = load(jets, z + 3 * count + s, width, TILE)
        sums = multiply(slope, load(activations, a + s, width, TILE))
        for first in range(t + s, t + s + streams // 2 * count, count):
            second = first + streams // 2 * count
            zp, zq = load(net, first, width, TILE), load(net, second, width, TILE)
            p, q = load(tangents, first, width, TILE), load(tangents, second, width, TILE)
            bent = multiply(zp, q)
            sums = multiply_add(curvature, multiply_add(zq, q, multiply(zp, p)), sums)
            sums = multiply_add(multiply(third, zp), bent, sums)
            store(multiply_add(curvature, add(bent, bent), multiply(slope, p)), net, first, width)
            store(multiply(slope, q), net, second, width)
        store(sums, activations, a + s, width)


@njit
def pack_streams(streams, stream, source, first, rows, columns, block):
    """Column k of row s of stream `stream` + i of a Matrix = source[first + s, k, i]; zeros as padding."""
    for i in range(source.shape[2]):
        for k in range(padded(columns, panel_width(streams.numbers))):
            for s in range(block):
                value = source[first + s, k, i] if s < rows and k < columns else 0
                streams.numbers[element(streams, (stream + i) * block + s, k)] = value


@njit
def _add_layer(gradient, network, workspace, l, block, fresh):
    """The gradient of one layer's parameters: of the values, then of all streams."""
    layer, n_in, tall = network.layers[l], network.layers[l].n_in, 2 * network.layers[0].n_in * block
    operands = operands_of(network, workspace.activations, workspace.activations)
    a, signals = inputs_of(layer, operands.activations, block), outputs_of(layer, operands.deltas, block)
    adjoints = deltas_of(layer, workspace.net_tangents, tall)
    for p in range(panels_of(layer.n_out, gradient)):
        delta, streams = panel_at(signals, p), panel_at(adjoints, p)
        biases, weights = panel_at(biases_of(layer, gradient), p), panel_at(weights_of(layer, gradient), p)
        bias_gradient(gradient, biases.start, delta, block, fresh)
        weight_gradient(weights, a, delta, 0, n_in, block, fresh)
        if l > 0:
            before = deltas_of(network.layers[l - 1], workspace.tangents, tall)
            weight_gradient(weights, before, streams, 0, n_in, tall, False)
        else:  # p of input i is 1 in its own stream, everything else 0
            for i in range(n_in):
                stream = Matrix(streams.numbers, row_at(streams, i * block), tall)
                bias_gradient(gradient, row_at(weights, i), stream, block, False)


@njit
def taylor_gradient_rows(gradient, network, workspace, x, output_gradients, first_gradients, second_gradients, fresh):
    """The gradient with respect to all parameters of what depends on outputs and their derivatives, as `taylor_rows`.

    Parameters
    ----------
    gradient : 1-D array packed like network.weights; written if `fresh`, else added to
    network : Network; made for derivatives with respect to the inputs
    workspace : TaylorWorkspace
    x : (N, n_in) array, row-major, of the network's dtype
    output_gradients : (N, n_out) array likewise; dE/da
    first_gradients, second_gradients : (N, n_out, n_in) arrays; dE/d(da/dx_i) and dE/d(d²a/dx_i²)
    fresh : bool
    """
    activations, net, tangents = workspace.activations, workspace.net_tangents, workspace.tangents
    last, n_in = output_layer(network), network.layers[0].n_in
    for first in range(0, len(x), workspace.block):
        rows = min(workspace.block, len(x) - first)
        block = padded(rows, ROWS)
        tall, count = 2 * n_in * block, block * panel_width(x)
        expand(network, workspace, x, first, rows, block)
        if network.softmax:
            gradients = first_gradients, second_gradients
            softmax_taylor_back(network, workspace, output_gradients, gradients, first, rows, block)
        else:
            streams = deltas_of(last, tangents, tall)
            values = outputs_of(last, activations, block).start
            pack_rows(activations[values:], output_gradients, IN_ORDER, first, rows, block)
            pack_streams(streams, 0, first_gradients, first, rows, last.n_out, block)
            pack_streams(streams, n_in, second_gradients, first, rows, last.n_out, block)
        for l in range(len(network.layers) - 1, -1, -1):
            layer = network.layers[l]
            values, adjoints = outputs_of(layer, activations, block), deltas_of(layer, net, tall)
            for p in range(panels_of(layer.n_out, x) if layer.jets else 0):
                z = panel_at(deltas_of(layer, workspace.jets, 4 * block), p).start
                a, t = panel_at(values, p).start, panel_at(adjoints, p).start
                _activate_back(workspace, a, z, t, 2 * n_in, count)
            _add_layer(gradient, network, workspace, l, block, fresh and first == 0)
            if l > 0:
                w, before = transposed_of(layer, network.transposed), network.layers[l - 1]
                product(inputs_of(layer, activations, block), values, w, layer.n_in, layer.n_out, block)
                product(deltas_of(before, tangents, tall), adjoints, w, layer.n_in, layer.n_out, tall)
