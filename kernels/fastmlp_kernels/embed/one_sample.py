"""One sample forward, as fast as it goes: no packing, no tile rows that hold nothing.

Activations of one sample lie side by side, since its panels have one row. With one row to a tile a sum would take a
multiply-add's latency for each term, so four sums are made side by side and added up at the end.
"""

from ..calls import call_values
from ..jit import inlined
from ..panelwise.softmax import softmax
from ..tile.operations import add, load, rank1, store, width, zero


@inlined
def _panel_inputs(z, z_offset, a, a_offset, weights, weights_offset, depth):
    """One panel of z = a W + b for one sample."""
    size, start = width(weights), weights_offset + width(weights)
    sum0, sum1 = load(weights, weights_offset, 0, 1), zero(weights, 1)
    sum2, sum3 = zero(weights, 1), zero(weights, 1)
    whole = depth // 4 * 4
    for k in range(0, whole, 4):
        w = start + k * size
        sum0 = rank1(sum0, a, a_offset + k, 0, weights, w)
        sum1 = rank1(sum1, a, a_offset + k + 1, 0, weights, w + size)
        sum2 = rank1(sum2, a, a_offset + k + 2, 0, weights, w + 2 * size)
        sum3 = rank1(sum3, a, a_offset + k + 3, 0, weights, w + 3 * size)
    for k in range(whole, depth):
        sum0 = rank1(sum0, a, a_offset + k, 0, weights, start + k * size)
    store(add(add(sum0, sum1), add(sum2, sum3)), z, z_offset, size)


@inlined
def _layer_of_one(network, l, activations, a, a_offset):
    """The activations of layer `l`, from its inputs `a`."""
    layer, size = network.layers[l], width(network.weights)
    z, panels = layer.outputs * size, (layer.n_out + size - 1) // size
    for p in range(panels):
        weights = layer.weights + p * (layer.n_in + 1) * size
        _panel_inputs(activations, z + p * size, a, a_offset, network.weights, weights, layer.n_in)
    if layer.values:
        call_values(layer.values, activations, z, panels * size)


@inlined
def forward_one(outputs, network, workspace, x):
    """outputs = the network's outputs for one sample.

    Sums are made in another order than in `forward_rows`: results may differ by their rounding.

    Parameters
    ----------
    outputs : (n_out,) array, written
    network : Network
    workspace : RowsWorkspace; of any number of rows
    x : (n_in,) array of the network's dtype
    """
    activations, depth = workspace.activations, len(network.layers)
    _layer_of_one(network, 0, activations, x, 0)
    for l in range(1, depth):
        _layer_of_one(network, l, activations, activations, network.layers[l].inputs * width(network.weights))
    last = network.layers[depth - 1]
    start = last.outputs * width(network.weights)
    if network.softmax:
        softmax(activations[start:], 1, last.n_out, 1)
    for k in range(last.n_out):
        outputs[k] = activations[start + k]
