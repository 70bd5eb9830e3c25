"""Softmax outputs in Taylor mode, and the way back through them.

With activations a of the net inputs z, and for each input the derivatives zp and zq of z:

    p_k = a_k u_k,            u_k = zp_k - sum_j a_j zp_j,
    q_k = a_k (u_k² + v_k),   v_k = zq_k - sum_j a_j zq_j - sum_j p_j zp_j.
"""

import numpy as np

from ..jit import inlined, njit
from ..layout.network import deltas_of, output_layer, outputs_of
from ..layout.panels import Matrix, element, padded
from ..tile.operations import panel_width


@inlined
def _means(a, net, tangents, s, first, second, n):
    """The sums over outputs (a zp, a zq, p zp) for row `s` of `a`, and rows `first` and `second` of the streams."""
    by_first, by_second, by_both = np.float64(0), np.float64(0), np.float64(0)
    for k in range(n):
        value, zp = a.numbers[element(a, s, k)], net.numbers[element(net, first, k)]
        by_first += value * zp
        by_second += value * net.numbers[element(net, second, k)]
        by_both += tangents.numbers[element(tangents, first, k)] * zp
    return by_first, by_second, by_both


@njit
def softmax_taylor(network, workspace, rows, block):
    """p and q of softmax outputs, from their activations and net tangents."""
    layer, n_in = output_layer(network), network.layers[0].n_in
    tall, n, real = 2 * n_in * block, layer.n_out, workspace.jets.dtype.type
    a, net = outputs_of(layer, workspace.activations, block), deltas_of(layer, workspace.net_tangents, tall)
    tangents = deltas_of(layer, workspace.tangents, tall)
    for i in range(n_in):
        for s in range(rows):
            first, second = i * block + s, (n_in + i) * block + s
            mean = real(_means(a, net, tangents, s, first, second, n)[0])
            for k in range(n):
                zp = net.numbers[element(net, first, k)]
                tangents.numbers[element(tangents, first, k)] = a.numbers[element(a, s, k)] * (zp - mean)
            _, by_second, by_both = _means(a, net, tangents, s, first, second, n)
            shift = real(by_second + by_both)
            for k in range(n):
                u, zq = net.numbers[element(net, first, k)] - mean, net.numbers[element(net, second, k)]
                tangents.numbers[element(tangents, second, k)] = a.numbers[element(a, s, k)] * (u * u + (zq - shift))


@inlined
def _back_one(a, net, adjoints, first_gradients, second_gradients, row, i, s, first, second, n):
    """Replace zp and zq of one row and input by dE/dzp and dE/dzq, and add to the adjoints of the activations.

    Parameters
    ----------
    a, net : Matrix; activations, and net tangents, replaced
    adjoints : Matrix of one row, added to
    first_gradients, second_gradients : (N, n, n_in) arrays; dE/dp and dE/dq
    row, i : int; the row and the input in these
    s, first, second : int; the row in `a`, and in `net` those of zp and zq
    n : int; outputs
    """
    real = a.numbers.dtype.type
    by_first, by_second, by_both, by_gradient, by_u = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        value = a.numbers[element(a, s, k)]
        by_first += value * net.numbers[element(net, first, k)]
        by_second += value * net.numbers[element(net, second, k)]
        by_gradient += value * second_gradients[row, k, i]
    mean, total = real(by_first), real(by_gradient)
    for k in range(n):
        value, zp = a.numbers[element(a, s, k)], net.numbers[element(net, first, k)]
        u = zp - mean
        by_both += value * u * zp
        by_u += value * (first_gradients[row, k, i] - total * zp + 2 * second_gradients[row, k, i] * u)
    shift, sum_u = real(by_second + by_both), real(by_u)
    for k in range(n):
        value, g = a.numbers[element(a, s, k)], second_gradients[row, k, i]
        zp, zq = net.numbers[element(net, first, k)], net.numbers[element(net, second, k)]
        u = zp - mean
        p = first_gradients[row, k, i] - total * zp  # dE/dp, with what comes through sum_j p_j zp_j of every q
        adjoints.numbers[element(adjoints, 0, k)] += g * (u * u + zq - shift) - total * zq + p * u - sum_u * zp
        net.numbers[element(net, first, k)] = value * (p + (g + g - total) * u - sum_u)
        net.numbers[element(net, second, k)] = value * (g - total)


@njit
def softmax_taylor_back(network, workspace, output_gradients, gradients, start, rows, block):
    """Replace softmax outputs by dE/dz, and their net tangents by dE/dzp and dE/dzq; zeros as padding.

    `gradients` is the pair (dE/dp, dE/dq), (N, n_out, n_in) arrays, of which the rows from `start` on belong to the
    block, like those of `output_gradients`, dE/da.
    """
    layer, n_in = output_layer(network), network.layers[0].n_in
    tall, n, real = 2 * n_in * block, layer.n_out, workspace.jets.dtype.type
    a, net = outputs_of(layer, workspace.activations, block), deltas_of(layer, workspace.net_tangents, tall)
    columns = padded(n, panel_width(workspace.jets))
    free = deltas_of(layer, workspace.jets, 4 * block)  # softmax has no jets
    adjoints = Matrix(free.numbers, free.start, block)
    for s in range(block):
        for k in range(n):
            adjoints.numbers[element(adjoints, 0, k)] = output_gradients[start + s, k] if s < rows else 0
        for i in range(n_in):
            first, second = i * block + s, (n_in + i) * block + s
            if s < rows:
                _back_one(a, net, adjoints, gradients[0], gradients[1], start + s, i, s, first, second, n)
            for k in range(n if s < rows else 0, columns):
                net.numbers[element(net, first, k)] = net.numbers[element(net, second, k)] = 0
        mean = np.float64(0)
        for k in range(n):
            mean += a.numbers[element(a, s, k)] * adjoints.numbers[element(adjoints, 0, k)]
        mean = real(mean)
        for k in range(columns):
            c, inside = element(a, s, k), s < rows and k < n
            a.numbers[c] = a.numbers[c] * (adjoints.numbers[element(adjoints, 0, k)] - mean) if inside else 0
