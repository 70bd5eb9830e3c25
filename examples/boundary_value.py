"""Boundary-value problem
======================

A boundary-value problem solved by a network: -u'' = pi² sin(pi x) on [0, 1] with u(0) = u(1) = 0.

The solution has the form u(x) = x (1 - x) n(x) with a network n, so that the boundary values hold for any weights.
Training minimizes the mean of r² / 2 over collocation points, with the residual r = u'' + pi² sin(pi x) and

    u'' = -2 n + 2 (1 - 2x) n' + x (1 - x) n''.

This needs the network's derivatives n' and n'' by its input, which `taylor_rows` computes, and the gradient of r² / 2
by the weights, for which `taylor_gradient_rows` continues from the derivatives of r² / 2 by n, n' and n''. All updates
run in one compiled function.
"""

import math
import time

import fastmlp_kernels as fk
import numpy as np
from numba import njit

from fastmlp import MLP

POINTS, UPDATES, ALLOWED = 40, 6000, 1e-4


@njit(cache=True)
def train(network, x, updates):
    """Train `network` by Adam on the collocation points `x`, (N, 1); return the loss before each update: (updates,)."""
    rows = len(x)
    space, gradient = fk.taylor_workspace(network, rows), fk.packed_gradient(network)
    state, losses = fk.optimizer_state(network, fk.ADAM), np.zeros(updates)
    n, n1, n2 = np.empty((rows, 1)), np.empty((rows, 1, 1)), np.empty((rows, 1, 1))
    for update in range(updates):
        fk.taylor_rows(n, n1, n2, network, space, x)
        for s in range(rows):
            p = x[s, 0]
            by_n, by_n1, by_n2 = -2.0, 2 * (1 - 2 * p), p * (1 - p)  # derivatives of u''
            r = by_n * n[s, 0] + by_n1 * n1[s, 0, 0] + by_n2 * n2[s, 0, 0] + math.pi**2 * math.sin(math.pi * p)
            losses[update] += r * r / 2 / rows
            n[s, 0], n1[s, 0, 0], n2[s, 0, 0] = by_n * r, by_n1 * r, by_n2 * r  # derivatives of r² / 2
        fk.taylor_gradient_rows(gradient, network, space, x, n, n1, n2, True)
        cosine = (1 + math.cos(math.pi * update / updates)) / 2
        fk.update_network(network, state, gradient, fk.optimizer(fk.ADAM, learning_rate=1e-2 * cosine), 1 / rows)
    return losses


def main():
    net = MLP([1, 16, 16, 1], activation="tanh", dtype="float64", seed=1)
    network, points = net.network, (np.arange(POINTS)[:, None] + 0.5) / POINTS
    train(network, points, 0)  # compiles
    start = time.perf_counter()
    losses = train(network, points, UPDATES)
    seconds = time.perf_counter() - start
    net.network = network

    x = np.linspace(0, 1, 1001)[:, None]
    error = abs(x * (1 - x) * net.predict(x) - np.sin(np.pi * x)).max()
    print(f"{UPDATES} updates in {seconds:.2f} s, loss from {losses[0]:.2g} to {losses[-1]:.2g}")
    print(f"largest error {error:.1e} (at most {ALLOWED:.0e})")
    assert error <= ALLOWED, f"the largest error is {error}"


if __name__ == "__main__":
    main()
