"""Forward pass of a block of rows: z = a W + b and a = g(z), layer by layer."""

from ..calls import call_slopes, call_values
from ..jit import inlined, njit
from ..layout.panels import padded
from ..panelwise.dropout import drop
from ..panelwise.softmax import softmax
from ..tile.operations import ROWS, add, load, rank1, store, width, zero

NO_DROPOUT = -1  # as the number of an update
UNROLL = 4  # terms of a sum between two looks at the loop's end: fewer instructions, 10 % faster than one by one


@inlined
def accumulate(acc, a, a_offset, b, b_offset, depth, block):
    """acc + A B for the tile's rows of A, in panels of `block` rows, and one panel of B with `depth` rows."""
    size = width(a)
    for q in range(0, depth, size):
        left, right, terms = a_offset + q * block, b_offset + q * size, min(size, depth - q)
        whole = terms // UNROLL * UNROLL
        for k in range(0, whole, UNROLL):
            for i in range(UNROLL):
                acc = rank1(acc, a, left + k + i, size, b, right + (k + i) * size)
        for k in range(whole, terms):
            acc = rank1(acc, a, left + k, size, b, right + k * size)
    return acc


# Terms of a sum that are added up before going on to the next panel. So many rows of a panel (16 KB with AVX2) stay in
# the L1 cache while all row tiles of a block use them, the inputs they multiply in the L2 cache while all panels do.
DEPTH = 256


@inlined
def net_inputs(z, z_offset, a, a_offset, weights, weights_offset, start, stop, rows, block):
    """Terms start..stop of one panel of z = a W + b, for `rows` rows rounded up to whole tiles.

    Parameters
    ----------
    z, a : 1-D arrays; the panel written (where `start` is 0) or added to; the inputs, in panels of `block` rows
    weights : 1-D array; one panel of the augmented matrix, the biases first
    """
    size = width(a)
    left, right = a_offset + start * block, weights_offset + (start + 1) * size
    for s in range(0, rows * size, ROWS * size):
        acc = load(weights, weights_offset, 0, ROWS) if start == 0 else zero(z, ROWS)
        acc = accumulate(acc, a, left + s, weights, right, stop - start, block)
        if start > 0:
            acc = add(acc, load(z, z_offset + s, size, ROWS))
        store(acc, z, z_offset + s, size)


@inlined
def forward_training(network, activations, deltas, from_net_inputs, update, first, rows, block, started=False):
    """All activations of a block, and in `deltas` the slopes g'(z); if `started`, from net inputs of layer 1 there.

    Of the output layer `deltas` holds the net inputs z, and activations nothing, where the outputs are a softmax, or
    `from_net_inputs` asks for it (see `losses.Loss`). Units are dropped, where a layer has dropout, as in update number
    `update` for the rows from `first` on of a batch; none with NO_DROPOUT.
    """
    size = width(activations)
    count = padded(rows, ROWS) * size
    for l in range(len(network.layers)):
        layer = network.layers[l]
        inputs = layer.inputs * size * block
        slopes = 0 if from_net_inputs and l == len(network.layers) - 1 else layer.slopes
        terms = 0 if started and l == 0 else layer.n_in
        for k in range(0, max(terms, 1), DEPTH):
            stop = min(k + DEPTH, terms)
            for p in range((layer.n_out + size - 1) // size):
                z, a = (layer.deltas + p) * size * block, (layer.outputs + p) * size * block
                weights = layer.weights + p * (layer.n_in + 1) * size
                if terms:
                    net_inputs(deltas, z, activations, inputs, network.weights, weights, k, stop, rows, block)
                if slopes and stop == terms:  # while the panel is in the L1 cache
                    call_slopes(slopes, activations, a, deltas, z, count)
                    if update >= 0 and layer.dropout > 0:
                        drop(activations, a, deltas, z, layer, p * size, update, first, rows)


@njit
def forward(network, activations, rows, block, started=False):
    """All activations of a block, for prediction; if `started`, from net inputs in place of those of layer 1."""
    size = width(activations)
    count = padded(rows, ROWS) * size
    for l in range(len(network.layers)):
        layer = network.layers[l]
        inputs = layer.inputs * size * block
        terms = 0 if started and l == 0 else layer.n_in
        for k in range(0, max(terms, 1), DEPTH):
            stop = min(k + DEPTH, terms)
            for p in range((layer.n_out + size - 1) // size):
                a = (layer.outputs + p) * size * block
                weights = layer.weights + p * (layer.n_in + 1) * size
                if terms:
                    net_inputs(activations, a, activations, inputs, network.weights, weights, k, stop, rows, block)
                if layer.values and stop == terms:
                    call_values(layer.values, activations, a, count)
    if network.softmax:
        last = network.layers[len(network.layers) - 1]
        softmax(activations[last.outputs * size * block :], rows, last.n_out, block)
