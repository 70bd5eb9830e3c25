"""Error signals of a block of rows, from the output layer back: delta[l] = (delta[l+1] W[l+1]^T) * g'(z[l])."""

from ..jit import inlined
from ..layout.network import deltas_of, transposed_of
from ..layout.panels import Matrix, padded, panel_at, panels_of, row_at
from ..tile.operations import ROWS, load, multiply_add, panel_width, sum_rows, total, zero
from .operands import operands_of
from .product import DEPTH, error_signal_panel

SQUARES_ROWS = 2  # of the tile that sums squares; divides ROWS of every CPU


@inlined
def backward(network, deltas, rows, block_rows, partial_sums):
    """Replace the slopes of every hidden layer in `deltas` by its error signal; the output layer's is there already.

    `partial_sums` has room for the panels of the widest hidden layer; it is used where the layer behind has more than
    DEPTH units.
    """
    operands = operands_of(network, deltas, deltas)
    for l in range(len(network.layers) - 1, 0, -1):
        layer = network.layers[l]
        behind = deltas_of(layer, operands.deltas, block_rows)
        signals = deltas_of(network.layers[l - 1], deltas, block_rows)
        for k in range(0, layer.n_out, DEPTH):
            stop = min(k + DEPTH, layer.n_out)
            for p in range(panels_of(layer.n_in, deltas)):
                w = panel_at(transposed_of(layer, operands.transposed), p)
                unfinished = panel_at(Matrix(partial_sums, 0, block_rows), p)
                delta = panel_at(signals, p)
                error_signal_panel(delta, behind, w, k, stop, layer.n_out, rows, unfinished, delta)


@inlined
def sum_squares(squares, network, deltas, rows, block_rows):
    """squares[l] = the sum of the squared error signals of layer l + 1 in a block."""
    width = panel_width(deltas)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        squares[l] = 0
        for p in range(panels_of(layer.n_out, deltas)):
            acc, panel = zero(deltas, SQUARES_ROWS), panel_at(deltas_of(layer, deltas, block_rows), p)
            for r in range(0, padded(rows, ROWS), SQUARES_ROWS):
                signals = load(deltas, row_at(panel, r), width, SQUARES_ROWS)
                acc = multiply_add(signals, signals, acc)
            squares[l] += total(sum_rows(acc))
