"""First and second derivatives of softmax outputs, for Taylor mode, and the reverse pass through them.

See `taylor` for p, q, zp, zq, streams and tangents. With the activations a of the net inputs z, and for each network
input the first and second derivatives zp and zq of z, those of a are

    p_k = a_k u_k,            u_k = zp_k - sum_j a_j zp_j,
    q_k = a_k (u_k² + v_k),   v_k = zq_k - sum_j a_j zq_j - sum_j p_j zp_j.

For input i, p (or zp) of sample s is row i * block + s, and q (or zq) row (n_in + i) * block + s, of a matrix of
2 n_in * block rows.

The loops are scalar code, with sums over outputs in float64.
"""

import numpy as np

from ..jit import inlined, njit
from ..layout.network import deltas_of, output_layer, outputs_of
from ..layout.panels import Matrix, element, padded
from ..tile.operations import panel_width


@inlined
def _means(a, net, tangents, s, p_row, q_row, n):
    """Sums over the outputs of a zp, of a zq and of p zp, for one sample and one network input.

    Parameters
    ----------
    a : Matrix, (rows, n); activations
    net : Matrix, (2 * n_in * block, n); net tangents zp and zq
    tangents : Matrix, (2 * n_in * block, n); tangents, of which p is read
    s : int; row of the sample in `a`
    p_row, q_row : int; its rows in `net` and `tangents` for zp and p, and for zq and q
    n : int; outputs

    Returns
    -------
    by_first, by_second, by_both : float64
    """
    by_first, by_second, by_both = np.float64(0), np.float64(0), np.float64(0)
    for k in range(n):
        value, zp = a.numbers[element(a, s, k)], net.numbers[element(net, p_row, k)]
        by_first += value * zp
        by_second += value * net.numbers[element(net, q_row, k)]
        by_both += tangents.numbers[element(tangents, p_row, k)] * zp
    return by_first, by_second, by_both


@njit
def softmax_taylor(network, workspace, rows, block):
    """Compute the tangents p and q of softmax outputs from their activations and net tangents.

    Parameters
    ----------
    network : Network
    workspace : TaylorWorkspace; the output layer's tangents are written
    rows : int; rows in use
    block : int; rows of a stream
    """
    layer, n_in = output_layer(network), network.layers[0].n_in
    tall, n, real = 2 * n_in * block, layer.n_out, workspace.jets.dtype.type
    a, net = outputs_of(layer, workspace.activations, block), deltas_of(layer, workspace.net_tangents, tall)
    tangents = deltas_of(layer, workspace.tangents, tall)
    for i in range(n_in):
        for s in range(rows):
            p_row, q_row = i * block + s, (n_in + i) * block + s
            # The third sum has no meaning yet, since the tangents p are written only below; just the first is used.
            mean = real(_means(a, net, tangents, s, p_row, q_row, n)[0])
            for k in range(n):
                zp = net.numbers[element(net, p_row, k)]
                tangents.numbers[element(tangents, p_row, k)] = a.numbers[element(a, s, k)] * (zp - mean)
            _, by_second, by_both = _means(a, net, tangents, s, p_row, q_row, n)
            q_mean = real(by_second + by_both)
            for k in range(n):
                u, zq = net.numbers[element(net, p_row, k)] - mean, net.numbers[element(net, q_row, k)]
                tangents.numbers[element(tangents, q_row, k)] = a.numbers[element(a, s, k)] * (u * u + (zq - q_mean))


@inlined
def _back_one(a, net, adjoints, first_gradients, second_gradients, row, i, s, p_row, q_row, n):
    """Replace zp and zq of one sample and network input by dE/dzp and dE/dzq, and add the part of p and q to dE/da.

    With f = dE/dp and g = dE/dq, m = sum_j a_j g_j, h_k = f_k - m zp_k and t = sum_j a_j (h_j + 2 g_j u_j),

        dE/dzp_k = a_k (h_k + (2 g_k - m) u_k - t),
        dE/dzq_k = a_k (g_k - m),

    and added to dE/da_k is g_k (u_k² + v_k) - m zq_k + h_k u_k - t zp_k. In the code g, m, h and t are `g_q`, `g_mean`,
    `g_p` and `sum_u`.

    Parameters
    ----------
    a : Matrix, (rows, n); activations
    net : Matrix, (2 * n_in * block, n); net tangents, two rows of which are replaced
    adjoints : Matrix, (block, n), whose row 0, dE/da of the sample, is added to
    first_gradients, second_gradients : (N, n, n_in) arrays; dE/dp and dE/dq
    row, i : int; the sample's row in these two, and the network input
    s : int; the sample's row in `a`
    p_row, q_row : int; its rows in `net` for zp and for zq
    n : int; outputs
    """
    real = a.numbers.dtype.type
    by_first, by_second, by_both, by_gradient, by_u = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        value = a.numbers[element(a, s, k)]
        by_first += value * net.numbers[element(net, p_row, k)]
        by_second += value * net.numbers[element(net, q_row, k)]
        by_gradient += value * second_gradients[row, k, i]
    mean, g_mean = real(by_first), real(by_gradient)
    for k in range(n):
        value, zp = a.numbers[element(a, s, k)], net.numbers[element(net, p_row, k)]
        u = zp - mean
        by_both += value * u * zp
        by_u += value * (first_gradients[row, k, i] - g_mean * zp + 2 * second_gradients[row, k, i] * u)
    q_mean, sum_u = real(by_second + by_both), real(by_u)
    for k in range(n):
        value, g_q = a.numbers[element(a, s, k)], second_gradients[row, k, i]
        zp, zq = net.numbers[element(net, p_row, k)], net.numbers[element(net, q_row, k)]
        u = zp - mean
        g_p = first_gradients[row, k, i] - g_mean * zp  # with the part of dE/dp_k through sum_j p_j zp_j in every q
        adjoints.numbers[element(adjoints, 0, k)] += g_q * (u * u + zq - q_mean) - g_mean * zq + g_p * u - sum_u * zp
        net.numbers[element(net, p_row, k)] = value * (g_p + (g_q + g_q - g_mean) * u - sum_u)
        net.numbers[element(net, q_row, k)] = value * (g_q - g_mean)


@njit
def softmax_taylor_back(network, workspace, output_gradients, gradients, first, rows, block):
    """Go back through softmax outputs: replace a by dE/dz, and zp and zq by dE/dzp and dE/dzq, in the workspace.

    Parameters
    ----------
    network : Network
    workspace : TaylorWorkspace; the output layer's activations and net tangents are replaced, with zeros as padding
    output_gradients : (N, n_out) array; dE/da
    gradients : pair of (N, n_out, n_in) arrays; dE/dp and dE/dq
    first, rows : int; the block's rows in these arrays are first..first + rows
    block : int; rows of a stream
    """
    layer, n_in = output_layer(network), network.layers[0].n_in
    tall, n, real = 2 * n_in * block, layer.n_out, workspace.jets.dtype.type
    a, net = outputs_of(layer, workspace.activations, block), deltas_of(layer, workspace.net_tangents, tall)
    columns = padded(n, panel_width(workspace.jets))
    unused = deltas_of(layer, workspace.jets, 4 * block)  # scratch for dE/da of a sample: softmax has no jets
    adjoints = Matrix(unused.numbers, unused.start, block)  # of which only row 0 is used
    for s in range(block):
        for k in range(n):
            adjoints.numbers[element(adjoints, 0, k)] = output_gradients[first + s, k] if s < rows else 0
        for i in range(n_in):
            p_row, q_row = i * block + s, (n_in + i) * block + s
            if s < rows:
                _back_one(a, net, adjoints, gradients[0], gradients[1], first + s, i, s, p_row, q_row, n)
            for k in range(n if s < rows else 0, columns):
                net.numbers[element(net, p_row, k)] = net.numbers[element(net, q_row, k)] = 0
        mean = np.float64(0)
        for k in range(n):
            mean += a.numbers[element(a, s, k)] * adjoints.numbers[element(adjoints, 0, k)]
        mean = real(mean)
        for k in range(columns):
            at, inside = element(a, s, k), s < rows and k < n
            a.numbers[at] = a.numbers[at] * (adjoints.numbers[element(adjoints, 0, k)] - mean) if inside else 0
