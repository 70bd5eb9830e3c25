"""Network in a Monte Carlo loop
=============================

Probability that a buffer fails, by a Monte Carlo loop in which a network replaces the simulation.

A mass hits a buffer and compresses it by x, where x'' + 2 d x' + k x + h x³ = 0, beginning at x = 0 with x' = v. The
buffer fails if x exceeds LIMIT. The damping d, stiffness k, hardening h and velocity v are random, and the probability
of failure is estimated by the share of failures among many random cases. Each needs a simulation of about a thousand
steps. So a network learns the largest x from a few thousand simulations, and predicts it for all other cases.

The loop draws random numbers, calls the network and counts failures, a block of cases at a time. It stores only the
counts, so that its data stay in the cache; this is why the network is called inside of it. Every block has its own
seed: both methods get the same cases, and counts are the same for any number of threads.
"""

import math
import time

import fastmlp_kernels as fk
import numpy as np
from numba import njit, prange

from fastmlp import MLP, Trainer
from fastmlp.schedules import Cosine

LIMIT, H = 1.15, 1e-3  # the deflection that breaks the buffer; the simulation's time step
BLOCK, BLOCKS, SHARES, LEARNED, EPOCHS = 144, 700, 16, 5000, 200


@njit(cache=True)
def deepest(u):
    """Largest deflection in the case of the standard normal numbers `u`, (4,), by Runge-Kutta steps until x' <= 0."""
    d, k, h = 0.1 * math.exp(0.3 * u[0]), math.exp(0.1 * u[1]), 0.3 * math.exp(0.2 * u[2])
    x, v = 0.0, math.exp(0.15 * u[3])
    while True:
        a1 = -2 * d * v - k * x - h * x**3
        x2, v2 = x + H / 2 * v, v + H / 2 * a1
        a2 = -2 * d * v2 - k * x2 - h * x2**3
        x3, v3 = x + H / 2 * v2, v + H / 2 * a2
        a3 = -2 * d * v3 - k * x3 - h * x3**3
        x4, v4 = x + H * v3, v + H * a3
        a4 = -2 * d * v4 - k * x4 - h * x4**3
        x, v = x + H / 6 * (v + 2 * v2 + 2 * v3 + v4), v + H / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
        if v <= 0:
            return x


@njit(cache=True)
def draw(u, seed):
    """Fill `u`, (rows, 4), with standard normal numbers that depend on the seed only."""
    np.random.seed(seed)  # noqa: NPY002 (of this thread, in compiled code)
    for s in range(u.shape[0]):
        for i in range(u.shape[1]):
            u[s, i] = np.random.normal()  # noqa: NPY002


@njit(cache=True, parallel=True)
def simulate(u):
    """Largest deflections in all cases of `u`, (N, 4): (N, 1)."""
    x = np.empty((len(u), 1))
    for s in prange(len(u)):
        x[s, 0] = deepest(u[s])
    return x


@njit(cache=True, parallel=True)
def failures(network, spaces, blocks, simulated):
    """Number of failures in `blocks` blocks of cases, by the network or, if `simulated`, by simulation: (shares,).

    Share i has the blocks i, i + shares, i + 2 shares, ...; `spaces` has a workspace for each share.
    """
    shares = len(spaces.activations)
    counts = np.zeros(shares, np.int64)
    for share in prange(shares):
        space = fk.workspace_of(spaces, share)
        u, x = np.empty((BLOCK, 4), np.float32), np.empty((BLOCK, 1), np.float32)
        for block in range(share, blocks, shares):
            draw(u, block)
            if simulated:
                for s in range(BLOCK):
                    x[s, 0] = deepest(u[s])
            else:
                fk.forward_rows(x, network, space, u)
            counts[share] += np.sum(x > LIMIT)
    return counts


def main():
    u = np.random.default_rng(1).normal(size=(LEARNED, 4)) * 1.5  # wider than the cases to come: failures lie outside
    net = MLP([4, 32, 32, 1], activation="tanh", seed=0)
    trainer = Trainer(net, optimizer="adam", learning_rate=Cosine(1e-2, EPOCHS), batch_size=100)
    trainer.fit(u, simulate(u), epochs=EPOCHS, progress=False)
    print(f"RMS error of the network {trainer.history.rms[-1]:.1e}")

    network, spaces = net.network, fk.workspaces(net.network, BLOCK, SHARES)
    failures(network, spaces, 0, False)  # compiles
    cases, found, seconds = BLOCKS * BLOCK, [], []
    for simulated in (True, False):
        start = time.perf_counter()
        found.append(failures(network, spaces, BLOCKS, simulated).sum() / cases)
        seconds.append(time.perf_counter() - start)
    difference, error = abs(found[1] - found[0]), math.sqrt(found[0] * (1 - found[0]) / cases)
    print(f"{cases} cases: simulated in {seconds[0]:.2f} s, by the network in {seconds[1]:.3f} s")
    print(f"failures {found[0]:.3%} as simulated, {found[1]:.3%} by the network")
    print(f"failures by the network off by {difference:.1e} of all cases (at most {error:.1e}, the standard error)")
    assert difference <= error, f"the network is off by {difference}"


if __name__ == "__main__":
    main()
