"""Policy gradient
===============

Balancing a pole on a cart by policy gradient (REINFORCE), with environment and network in one compiled loop.

The cart is pushed left or right, 50 times a second, at random: the two softmax outputs of a network are the
probabilities p. Every update plays one episode in each of many environments and then uses, for every push,

    E = -advantage log p[push],   dE/dp[push] = -advantage / p[push],

where the advantage is the discounted number of steps left in the episode, less the baseline: its mean over all episodes
that last to the same time. `gradient_rows` computes the gradient by the weights from dE/dp. The network is called once
for each step of each environment, with a state that depends on the step before, so that calls cannot be batched.

Each environment has its own workspace, gradient and seeds, and the gradients are added in a fixed order. So threads
share nothing, and the result is the same for any number of them. Equations and limits are those of Barto, Sutton and
Anderson (1983) as in Gymnasium's CartPole-v1.
"""

import math
import os
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads sleep: spinning is slow if cores are busy

import fastmlp_kernels as fk
import numpy as np
from numba import njit, prange

from fastmlp import MLP

LONGEST, ENVIRONMENTS, UPDATES, DISCOUNT, ALLOWED = 500, 64, 60, 0.99, 100


@njit(cache=True)
def push(state, force):
    """Advance `state`, (position, velocity, angle, its velocity), by 0.02 s; return whether the pole still stands."""
    sine, cosine = math.sin(state[2]), math.cos(state[2])
    pull = (force + 0.05 * state[3] ** 2 * sine) / 1.1  # cart of 1 kg, pole of 0.1 kg and 1 m
    turn = (9.8 * sine - cosine * pull) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
    state[0] += 0.02 * state[1]
    state[1] += 0.02 * (pull - 0.05 * turn * cosine / 1.1)
    state[2] += 0.02 * state[3]
    state[3] += 0.02 * turn
    return abs(state[0]) <= 2.4 and abs(state[2]) <= math.pi / 15


@njit(cache=True)
def play(states, pushes, chances, network, space, seed):
    """Play an episode and return its length; write its states, pushes and their probabilities, LONGEST at most."""
    np.random.seed(seed)  # noqa: NPY002 (of this thread, in compiled code)
    p, state = np.empty(2, np.float32), np.random.uniform(-0.05, 0.05, 4)  # noqa: NPY002
    for t in range(LONGEST):
        states[t] = state
        fk.forward_one(p, network, space, states[t])
        pushes[t] = np.random.random() < p[1]  # noqa: NPY002
        chances[t] = p[pushes[t]]
        if not push(state, 10.0 if pushes[t] else -10.0):
            return t + 1
    return LONGEST


@njit(cache=True)
def mean_rest(lengths):
    """Baseline at each time, (LONGEST,): mean of the discounted steps left, over the episodes that last so long."""
    means = np.zeros(LONGEST)
    for t in range(lengths.max()):
        alive = lengths[lengths > t] - t
        means[t] = np.mean((1 - DISCOUNT**alive) / (1 - DISCOUNT))
    return means


@njit(cache=True)
def add_up(gradients):
    """Add all rows of `gradients` to the first, in order."""
    for e in range(1, len(gradients)):
        gradients[0] += gradients[e]


# Arithmetic on whole arrays is in other functions, because Numba would make each operation here a parallel region.
@njit(cache=True, parallel=True)
def train(network, spaces, updates):
    """Train `network` by Adam; return the mean length of the episodes before each update: (updates,)."""
    count = len(spaces.activations)
    states, pushes = np.empty((count, LONGEST, 4), np.float32), np.empty((count, LONGEST), np.int64)
    chances, signals = np.empty((count, LONGEST), np.float32), np.zeros((count, LONGEST, 2), np.float32)
    gradients, lengths = np.empty((count, network.weights.size), np.float32), np.empty(count, np.int64)
    optimizer, state = fk.optimizer(fk.ADAM, learning_rate=1e-2, clip_norm=1), fk.optimizer_state(network, fk.ADAM)
    means = np.empty(updates)
    for update in range(updates):
        for e in prange(count):
            space = fk.workspace_of(spaces, e)
            lengths[e] = play(states[e], pushes[e], chances[e], network, space, update * count + e)
        baseline = mean_rest(lengths)
        for e in prange(count):
            n = lengths[e]
            for t in range(n):
                advantage = (1 - DISCOUNT ** (n - t)) / (1 - DISCOUNT) - baseline[t]
                signals[e, t, 1 - pushes[e, t]] = 0
                signals[e, t, pushes[e, t]] = -advantage / chances[e, t]
            fk.gradient_rows(gradients[e], network, fk.workspace_of(spaces, e), states[e, :n], signals[e, :n], True)
        add_up(gradients)
        fk.update_network(network, state, gradients[0], optimizer, 1 / lengths.sum())
        means[update] = lengths.mean()
    return means


def main():
    network = MLP([4, 32, 2], activation="tanh", output_activation="softmax", seed=0).network
    spaces = fk.workspaces(network, LONGEST, ENVIRONMENTS)
    train(network, spaces, 0)  # compiles
    start = time.perf_counter()
    lengths = train(network, spaces, UPDATES)
    seconds = time.perf_counter() - start
    print(f"{lengths.sum() * ENVIRONMENTS / seconds:,.0f} environment steps a second, learning included")
    print(f"mean episode length {lengths[0]:.0f} at first, {lengths[-10:].mean():.0f} at last")
    short = LONGEST - lengths[-10:].mean()
    print(f"mean steps short of the longest episode {short:.1f} (at most {ALLOWED})")
    assert short <= ALLOWED, f"the last episodes are {short} steps short"


if __name__ == "__main__":
    main()
