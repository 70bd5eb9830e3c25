"""Reverse mode over Taylor mode: the parameter gradient of what is made of values, first and second derivatives.

With bars for dE/d..., an activation takes the adjoints of a, p and q (see `taylor`) back to those of z, zp and zq:

    bar zq = g' bar q,    bar zp = g' bar p + 2 g'' zp bar q,
    bar z = g' bar a + sum_i (g'' (zp bar p + zq bar q) + g''' zp² bar q).

The weights then take them on to the layer before like error signals, and all of them multiply that layer's a, p and q
in the gradient. Adjoints take the place of what they belong to: bar z that of a, bar zp and bar zq that of zp and zq.
"""

from ..jit import inlined, njit
from ..layout.panels import pack_rows, padded
from ..products.gradients import bias_gradient, weight_gradient
from ..products.product import product
from ..tile.operations import ROWS, add, load, multiply, multiply_add, store, width
from .batch import IN_ORDER
from .taylor import TILE, expand
from .taylor_softmax import softmax_taylor_back


@inlined
def _activate_back(workspace, a, z, t, streams, count):
    """The adjoints of z, zp and zq of one panel, from those of a, p and q; `count` numbers in a stream."""
    activations, jets, size = workspace.activations, workspace.jets, width(workspace.jets)
    net, tangents = workspace.net_tangents, workspace.tangents
    for s in range(0, count, TILE * size):
        slope, curvature = load(jets, z + count + s, size, TILE), load(jets, z + 2 * count + s, size, TILE)
        third = load(jets, z + 3 * count + s, size, TILE)
        sums = multiply(slope, load(activations, a + s, size, TILE))
        for first in range(t + s, t + s + streams // 2 * count, count):
            second = first + streams // 2 * count
            zp, zq = load(net, first, size, TILE), load(net, second, size, TILE)
            p, q = load(tangents, first, size, TILE), load(tangents, second, size, TILE)
            bent = multiply(zp, q)
            sums = multiply_add(curvature, multiply_add(zq, q, multiply(zp, p)), sums)
            sums = multiply_add(multiply(third, zp), bent, sums)
            store(multiply_add(curvature, add(bent, bent), multiply(slope, p)), net, first, size)
            store(multiply(slope, q), net, second, size)
        store(sums, activations, a + s, size)


@njit
def pack_streams(streams, offset, source, first, rows, columns, block, tall):
    """Column k of row s of stream i, in panels of `tall` rows, = source[first + s, k, i]; zeros as padding."""
    size = width(streams)
    for i in range(source.shape[2]):
        for k in range(padded(columns, size)):
            start = offset + k // size * size * tall + i * block * size + k % size
            for s in range(block):
                streams[start + s * size] = source[first + s, k, i] if s < rows and k < columns else 0


@njit
def _add_layer(gradient, network, workspace, l, block, fresh):
    """The gradient of one layer's parameters: of the values, then of all streams."""
    activations, net, size = workspace.activations, workspace.net_tangents, width(workspace.jets)
    layer, n_in, tall = network.layers[l], network.layers[l].n_in, 2 * network.layers[0].n_in * block
    inputs, count = layer.inputs * size * block, block * size
    for p in range((layer.n_out + size - 1) // size):
        offset = layer.weights + p * (n_in + 1) * size
        signals, t = (layer.outputs + p) * count, (layer.deltas + p) * tall * size
        bias_gradient(gradient, offset, activations, signals, block, fresh)
        weights = offset + size
        weight_gradient(gradient, weights, activations, inputs, activations, signals, 0, n_in, block, block, fresh)
        if l > 0:
            before = network.layers[l - 1].deltas * tall * size
            weight_gradient(gradient, weights, workspace.tangents, before, net, t, 0, n_in, tall, tall, False)
        else:  # p of input i is 1 in its own stream, everything else 0
            for i in range(n_in):
                bias_gradient(gradient, weights + i * size, net, t + i * count, block, False)


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
    activations, net, tangents, size = workspace.activations, workspace.net_tangents, workspace.tangents, width(x)
    last, n_in = network.layers[len(network.layers) - 1], network.layers[0].n_in
    for first in range(0, len(x), workspace.block):
        rows = min(workspace.block, len(x) - first)
        block = padded(rows, ROWS)
        tall, count = 2 * n_in * block, block * size
        expand(network, workspace, x, first, rows, block)
        if network.softmax:
            gradients = first_gradients, second_gradients
            softmax_taylor_back(network, workspace, output_gradients, gradients, first, rows, block)
        else:
            t = last.deltas * tall * size
            pack_rows(activations[last.outputs * count :], output_gradients, IN_ORDER, first, rows, block)
            pack_streams(tangents, t, first_gradients, first, rows, last.n_out, block, tall)
            pack_streams(tangents, t + n_in * count, second_gradients, first, rows, last.n_out, block, tall)
        for l in range(len(network.layers) - 1, -1, -1):
            layer = network.layers[l]
            t = layer.deltas * tall * size
            for p in range((layer.n_out + size - 1) // size if layer.jets else 0):
                a, z = (layer.outputs + p) * count, 4 * (layer.deltas + p) * count
                _activate_back(workspace, a, z, t + p * tall * size, 2 * n_in, count)
            _add_layer(gradient, network, workspace, l, block, fresh and first == 0)
            if l > 0:
                back, n_out, n = layer.transposed, layer.n_out, layer.n_in
                a, inputs, before = layer.outputs * count, layer.inputs * count, network.layers[l - 1].deltas
                product(activations, inputs, activations, a, network.transposed, back, n_out, n, n_out, block, block)
                product(tangents, before * tall * size, net, t, network.transposed, back, n_out, n, n_out, tall, tall)
