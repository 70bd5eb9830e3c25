"""Forward pass of a single sample, with the least delay: no packing, and tiles of one row.

The panels of one sample have one row each, so that a layer's activations are contiguous. A tile of one row has few
independent sums, and each term would take the latency of a multiply-add: so each sum is divided into four, which are
added at the end.
"""

from functools import partial

from ..calls import call_values
from ..jit import inlined, njit
from ..layout.network import biases_of, inputs_of, output_layer, outputs_of, weights_of
from ..layout.panels import panel_at, panels_of, row_at
from ..panelwise.softmax import softmax
from ..tile.operations import add, load, panel_width, rank1, store, zero


@inlined
def _panel_inputs(z, a, start, w, biases, depth):
    """Compute one panel of the net inputs z = a W + b of one sample.

    Parameters
    ----------
    z : Matrix of one panel, of which row 0, its only row, is written
    a, start, depth : 1-D array, and int; the layer's inputs are a[start : start + depth]
    w : Matrix of one panel, (depth, panel_width)
    biases : Matrix of one panel, whose row 0 is read
    """
    weights, width = w.numbers, panel_width(w.numbers)
    # Tiles of one row, for which the strides 0 have no meaning: load(weights, i, 0, 1) is weights[i : i + width], and
    # rank1(sum, a, k, 0, weights, i) is sum + a[k] * weights[i : i + width].
    sum0, sum1 = load(weights, biases.start, 0, 1), zero(weights, 1)
    sum2, sum3 = zero(weights, 1), zero(weights, 1)
    whole = depth // 4 * 4
    for k in range(0, whole, 4):
        row = row_at(w, k)
        sum0 = rank1(sum0, a, start + k, 0, weights, row)
        sum1 = rank1(sum1, a, start + k + 1, 0, weights, row + width)
        sum2 = rank1(sum2, a, start + k + 2, 0, weights, row + 2 * width)
        sum3 = rank1(sum3, a, start + k + 3, 0, weights, row + 3 * width)
    for k in range(whole, depth):
        sum0 = rank1(sum0, a, start + k, 0, weights, row_at(w, k))
    store(add(add(sum0, sum1), add(sum2, sum3)), z.numbers, z.start, width)


@inlined
def _layer_of_one(network, layer, activations, a, start):
    """Compute the activations of a layer for one sample, from its inputs a[start : start + n_in]."""
    outputs, panels = outputs_of(layer, activations, 1), panels_of(layer.n_out, activations)
    weights, biases = weights_of(layer, network.weights), biases_of(layer, network.weights)
    for p in range(panels):
        _panel_inputs(panel_at(outputs, p), a, start, panel_at(weights, p), panel_at(biases, p), layer.n_in)
    if layer.values:  # address of the activation; 0 for identity and softmax, which have none
        call_values(layer.values, activations, outputs.start, panels * panel_width(activations))


@partial(njit, forceinline=True)  # not `inlined`, since it can be called from Python, too
def forward_one(outputs, network, workspace, x):
    """Compute the network's outputs for one sample.

    Sums are added in another order than in `forward_rows`, so that results may differ by rounding.

    Parameters
    ----------
    outputs : (n_out,) array, written
    network : Network
    workspace : RowsWorkspace; for any number of rows
    x : (n_in,) array of the network's dtype
    """
    activations = workspace.activations
    _layer_of_one(network, network.layers[0], activations, x, 0)
    for l in range(1, len(network.layers)):
        layer = network.layers[l]
        _layer_of_one(network, layer, activations, activations, inputs_of(layer, activations, 1).start)
    layer = output_layer(network)
    start = outputs_of(layer, activations, 1).start
    if network.softmax:
        softmax(activations[start:], rows=1, n=layer.n_out, block_rows=1)
    for k in range(layer.n_out):
        outputs[k] = activations[start + k]
