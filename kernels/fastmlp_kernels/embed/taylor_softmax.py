"""Softmax outputs in Taylor mode, and the way back through them.

With activations a of the net inputs z, and for each input the derivatives zp and zq of z:

    p_k = a_k u_k,            u_k = zp_k - sum_j a_j zp_j,
    q_k = a_k (u_k² + v_k),   v_k = zq_k - sum_j a_j zq_j - sum_j p_j zp_j.
"""

import numpy as np

from ..jit import inlined, njit
from ..tile.operations import width


@inlined
def _means(a, net, tangents, row, first, second, n, block, tall):
    """The sums over outputs (a zp, a zq, p zp) for one row and one input."""
    size, by_first, by_second, by_both = width(a), np.float64(0), np.float64(0), np.float64(0)
    for k in range(n):
        c, t = k // size * size * block + k % size, k // size * size * tall + k % size
        by_first += a[row + c] * net[first + t]
        by_second += a[row + c] * net[second + t]
        by_both += tangents[first + t] * net[first + t]
    return by_first, by_second, by_both


@njit
def softmax_taylor(network, workspace, rows, block):
    """p and q of softmax outputs, from their activations and net tangents."""
    layer, n_in = network.layers[len(network.layers) - 1], network.layers[0].n_in
    a, net, tangents, size = workspace.activations, workspace.net_tangents, workspace.tangents, width(workspace.jets)
    tall, n, real = 2 * n_in * block, layer.n_out, workspace.jets.dtype.type
    for i in range(n_in):
        for s in range(rows):
            row = layer.outputs * size * block + s * size
            first = layer.deltas * size * tall + (i * block + s) * size
            second = first + n_in * block * size
            mean = real(_means(a, net, tangents, row, first, second, n, block, tall)[0])
            for k in range(n):
                c, t = k // size * size * block + k % size, k // size * size * tall + k % size
                tangents[first + t] = a[row + c] * (net[first + t] - mean)
            _, by_second, by_both = _means(a, net, tangents, row, first, second, n, block, tall)
            shift = real(by_second + by_both)
            for k in range(n):
                c, t = k // size * size * block + k % size, k // size * size * tall + k % size
                u = net[first + t] - mean
                tangents[second + t] = a[row + c] * (u * u + (net[second + t] - shift))


@inlined
def _back_one(a, net, adjoints, gradients, s, i, row, first, second, n, block, tall):
    """Replace zp and zq of row `s` and input `i` by dE/dzp and dE/dzq, and add to the adjoints of the activations."""
    first_gradients, second_gradients = gradients
    size, real = width(a), a.dtype.type
    by_first, by_second, by_both, by_gradient, by_u = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        c, t = k // size * size * block + k % size, k // size * size * tall + k % size
        by_first += a[row + c] * net[first + t]
        by_second += a[row + c] * net[second + t]
        by_gradient += a[row + c] * second_gradients[s, k, i]
    mean, total = real(by_first), real(by_gradient)
    for k in range(n):
        c, t = k // size * size * block + k % size, k // size * size * tall + k % size
        zp, u = net[first + t], net[first + t] - mean
        by_both += a[row + c] * u * zp
        by_u += a[row + c] * (first_gradients[s, k, i] - total * zp + 2 * second_gradients[s, k, i] * u)
    shift, sum_u = real(by_second + by_both), real(by_u)
    for k in range(n):
        c, t = k // size * size * block + k % size, k // size * size * tall + k % size
        zp, zq, u, g = net[first + t], net[second + t], net[first + t] - mean, second_gradients[s, k, i]
        p = first_gradients[s, k, i] - total * zp  # dE/dp, with what comes through sum_j p_j zp_j of every q
        adjoints[c] += g * (u * u + zq - shift) - total * zq + p * u - sum_u * zp
        net[first + t] = a[row + c] * (p + (g + g - total) * u - sum_u)
        net[second + t] = a[row + c] * (g - total)


@njit
def softmax_taylor_back(network, workspace, output_gradients, gradients, start, rows, block):
    """Replace softmax outputs by dE/dz, and their net tangents by dE/dzp and dE/dzq; zeros as padding.

    `gradients` is the pair (dE/dp, dE/dq), (N, n_out, n_in) arrays, of which the rows from `start` on belong to the
    block, like those of `output_gradients`, dE/da.
    """
    layer, n_in = network.layers[len(network.layers) - 1], network.layers[0].n_in
    a, net, size = workspace.activations, workspace.net_tangents, width(workspace.jets)
    tall, n, real = 2 * n_in * block, layer.n_out, workspace.jets.dtype.type
    adjoints = workspace.jets[4 * layer.deltas * size * block :]  # softmax has no jets
    for s in range(block):
        row = layer.outputs * size * block + s * size
        for k in range(n):
            adjoints[k // size * size * block + k % size] = output_gradients[start + s, k] if s < rows else 0
        for i in range(n_in):
            first = layer.deltas * size * tall + (i * block + s) * size
            second = first + n_in * block * size
            if s < rows:
                _back_one(a, net, adjoints, gradients, start + s, i, row, first, second, n, block, tall)
            for k in range(n if s < rows else 0, (n + size - 1) // size * size):
                t = k // size * size * tall + k % size
                net[first + t] = net[second + t] = 0
        mean = np.float64(0)
        for k in range(n):
            c = k // size * size * block + k % size
            mean += a[row + c] * adjoints[c]
        mean = real(mean)
        for k in range((n + size - 1) // size * size):
            c = k // size * size * block + k % size
            a[row + c] = a[row + c] * (adjoints[c] - mean) if s < rows and k < n else 0
