"""A neural ordinary differential equation: y' = f(y) with a network f, learned from one spiral that was looked at.

The data are points, at equal times, of the angle and velocity of a damped pendulum, which spiral inwards. The network
is trained on short pieces of the spiral, each from a known point on: Runge-Kutta steps take all pieces forward, every
step ends beside a data point, and half the squared distances are the loss. It is differentiated after discretization,
which gives the exact gradient of what is computed: with k_i = f(s_i), s_i = y + a_i k_(i-1) and
y_new = y + sum_i b_i k_i, the adjoint of a step is

    adj k_i = b_i adj y_new + a_(i+1) adj s_(i+1),   adj s_i = adj k_i J(s_i),   adj y = adj y_new + sum_i adj s_i.

`vjp_rows` is the product with the Jacobian J, `gradient_rows` adds what k_i owes to the weights. An update asks for the
network 120 times, for 32 rows each: a loop that is worth compiling whole.
"""

import math
import time

import fastmlp_kernels as fk
import numpy as np
from numba import njit

from fastmlp import MLP

H = 0.1  # time between two points, and the step
A, B = (0.0, H / 2, H / 2, H), (H / 6, H / 3, H / 3, H / 6)  # the classic method of fourth order
POINTS, STEPS, PIECES, UPDATES, ALLOWED = 200, 10, 32, 1500, 0.05


def pendulum(y):
    """The derivative of (angle, velocity) that the network is to find out."""
    return np.array([y[1], -np.sin(y[0]) - 0.1 * y[1]])


def spiral():
    """The data: POINTS points, (POINTS, 2), found by the midpoint rule with steps a hundredth as long."""
    y, points, h = np.array([2.0, 0.0]), np.empty((POINTS, 2)), H / 100
    for t in range(POINTS):
        points[t] = y
        for _ in range(100):
            y = y + h * pendulum(y + h / 2 * pendulum(y))
    return points


@njit(cache=True)
def step(network, space, y, stages, k):
    """Take y, (rows, 2), one step on; the arguments of the network are left in stages, (4, rows, 2)."""
    stages[0] = y
    for i in range(4):
        if i > 0:
            stages[i] = stages[0] + A[i] * k
        fk.forward_rows(k, network, space, stages[i])
        y += B[i] * k


@njit(cache=True)
def step_back(gradient, network, space, adjoint, stages, k, s):
    """Take the adjoint of a step's result, (rows, 2), to that of its start, and add to the gradient by all weights."""
    end = adjoint.copy()
    for i in range(3, -1, -1):
        k[:] = B[i] * end
        if i < 3:
            k += A[i + 1] * s
        fk.gradient_rows(gradient, network, space, stages[i], k, False)
        fk.vjp_rows(s, network, space, stages[i], k)
        adjoint += s


@njit(cache=True)
def loss_gradient(gradient, network, space, points, starts):
    """The loss of the pieces of `points` that begin at `starts`, (PIECES,), and its gradient by all weights, summed."""
    stages, misses = np.empty((STEPS, 4, PIECES, 2)), np.empty((STEPS, PIECES, 2))
    y, k, s = points[starts], np.empty((PIECES, 2)), np.empty((PIECES, 2))
    for n in range(STEPS):
        step(network, space, y, stages[n], k)
        misses[n] = y - points[starts + n + 1]
    gradient[:], adjoint = 0, np.zeros((PIECES, 2))
    for n in range(STEPS - 1, -1, -1):
        adjoint += misses[n]
        step_back(gradient, network, space, adjoint, stages[n], k, s)
    return np.sum(misses**2) / 2


@njit(cache=True)
def train(network, points, updates, seed):
    """Train `network` by Adam on random pieces of the trajectory `points`; the mean loss of each update."""
    np.random.seed(seed)  # noqa: NPY002 (what compiled code has)
    space, gradient, losses = fk.workspace(network, PIECES), fk.packed_gradient(network), np.zeros(updates)
    state = fk.optimizer_state(network, fk.ADAM)
    for update in range(updates):
        starts = np.random.randint(0, len(points) - STEPS, PIECES)  # noqa: NPY002
        losses[update] = loss_gradient(gradient, network, space, points, starts) / PIECES
        rate = 5e-3 * (1 + math.cos(math.pi * update / updates))
        fk.update_network(network, state, gradient, fk.optimizer(fk.ADAM, learning_rate=rate), 1 / PIECES)
    return losses


def gradient_error(network, points, h=1e-5):
    """The relative error of the gradient along a random direction, against a central difference."""
    space, gradient, starts = fk.workspace(network, PIECES), fk.packed_gradient(network), np.arange(PIECES)
    params, slopes, losses = np.empty(fk.parameter_count(network)), np.empty(fk.parameter_count(network)), []
    fk.unpack(params, network, network.weights)
    direction = np.random.default_rng(0).normal(size=params.size)
    for moved in (params + h * direction, params - h * direction, params):
        fk.pack(network, moved)
        losses.append(loss_gradient(gradient, network, space, points, starts))
    fk.unpack(slopes, network, gradient)
    return abs(slopes @ direction / ((losses[0] - losses[1]) / (2 * h)) - 1)


@njit(cache=True)
def trajectory(network, start, count):
    """`count` points of the network's own trajectory, from `start`, (2,), on."""
    points, y, space = np.empty((count, 2)), start.copy().reshape(1, 2), fk.workspace(network, 1)
    stages, k = np.empty((4, 1, 2)), np.empty((1, 2))
    for t in range(count):
        points[t] = y[0]
        step(network, space, y, stages, k)
    return points


def main():
    network, points = MLP([2, 32, 32, 2], activation="tanh", dtype="float64", seed=0).network, spiral()
    wrong = gradient_error(network, points)
    print(f"relative error of the gradient {wrong:.1e}")
    assert wrong < 1e-6, f"the relative error of the gradient is {wrong}"
    train(network, points, 0, 0)  # compiles
    start = time.perf_counter()
    losses = train(network, points, UPDATES, 0)
    print(f"{UPDATES} updates in {time.perf_counter() - start:.2f} s, loss from {losses[0]:.2g} to {losses[-1]:.2g}")
    error = math.sqrt(np.mean((trajectory(network, points[0], POINTS) - points) ** 2))
    print(f"RMS error over the whole spiral {error:.1e} (at most {ALLOWED})")
    assert error <= ALLOWED, f"the RMS error is {error}"


if __name__ == "__main__":
    main()
