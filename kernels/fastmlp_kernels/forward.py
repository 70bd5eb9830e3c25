"""Forward pass of a block of rows: z = a W + b and a = g(z), layer by layer."""

from .compile import njit
from .losses import softmax
from .panels import padded
from .pointers import call_slopes, call_values
from .tile import ROWS, load, rank1, store, width


@njit
def accumulate(acc, a, a_offset, b, b_offset, depth, block):
    """acc + A B for the tile's rows of A, in panels of `block` rows, and one panel of B with `depth` rows."""
    size = width(a)
    for q in range(0, depth, size):
        left, right = a_offset + q * block, b_offset + q * size
        for k in range(min(size, depth - q)):
            acc = rank1(acc, a, left + k, size, b, right + k * size)
    return acc


# Terms of a sum that are added up before going on to the next tile: a panel of this many rows (16 KB with AVX2) stays
# in the L1 cache while all row tiles of a block use it. Longer ones stream through it anew for each tile.
DEPTH = 256


@njit
def net_inputs(z, z_offset, a, a_offset, weights, weights_offset, depth, rows, block):
    """One panel of z = a W + b, for `rows` rows rounded up to whole tiles.

    Parameters
    ----------
    z, a : 1-D arrays; the panel written, and the inputs, in panels of `block` rows
    weights : 1-D array; one panel of the augmented matrix, `depth` + 1 rows, the biases first
    """
    size = width(a)
    for k in range(0, depth, DEPTH):
        left, right, terms = a_offset + k * block, weights_offset + (k + 1) * size, min(DEPTH, depth - k)
        for s in range(0, rows * size, ROWS * size):
            acc = load(weights, weights_offset, 0, ROWS)
            if k > 0:
                acc = load(z, z_offset + s, size, ROWS)
            acc = accumulate(acc, a, left + s, weights, right, terms, block)
            store(acc, z, z_offset + s, size)


@njit
def forward_training(network, activations, deltas, rows, block):
    """All activations of a block, and in `deltas` the slopes g'(z), or z itself where a layer has no activation."""
    size = width(activations)
    count = padded(rows, ROWS) * size
    for l in range(len(network.layers)):
        layer = network.layers[l]
        for p in range((layer.n_out + size - 1) // size):
            z, a = (layer.deltas + p) * size * block, (layer.outputs + p) * size * block
            weights = layer.weights + p * (layer.n_in + 1) * size
            inputs = layer.inputs * size * block
            net_inputs(deltas, z, activations, inputs, network.weights, weights, layer.n_in, rows, block)
            if layer.slopes:  # while the panel is in the L1 cache
                call_slopes(layer.slopes, activations, a, deltas, z, count)


@njit
def forward(network, activations, rows, block):
    """All activations of a block, for prediction."""
    size = width(activations)
    count = padded(rows, ROWS) * size
    for l in range(len(network.layers)):
        layer = network.layers[l]
        for p in range((layer.n_out + size - 1) // size):
            a = (layer.outputs + p) * size * block
            weights = layer.weights + p * (layer.n_in + 1) * size
            inputs = layer.inputs * size * block
            net_inputs(activations, a, activations, inputs, network.weights, weights, layer.n_in, rows, block)
            if layer.values:
                call_values(layer.values, activations, a, count)
    if network.softmax:
        last = network.layers[len(network.layers) - 1]
        softmax(activations[last.outputs * size * block :], rows, last.n_out, block)
