"""Neural differential equation
============================

A neural ordinary differential equation: y' = f(y) with a network f, learned from one observed trajectory.

The data are points, at equal time steps, of the angle and velocity of a damped pendulum, which form a spiral. The
network is trained on short pieces of the spiral, each starting at a data point: Runge-Kutta steps advance all pieces,
every step is compared with the next data point, and half the squared distances are the loss. The discretized equation
is differentiated, which gives the exact gradient of the computed loss: with k_i = f(s_i), s_i = y + a_i k_(i-1) and
y_new = y + sum_i b_i k_i, the adjoint of a step is

    adj k_i = b_i adj y_new + a_(i+1) adj s_(i+1),   adj s_i = adj k_i J(s_i),   adj y = adj y_new + sum_i adj s_i.

`vjp_rows` is the product with the Jacobian J, and `gradient_rows` adds the contribution of k_i to the gradient by the
weights. An update calls the network 120 times, with 32 rows each, which is why the whole loop is compiled.
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
    """Derivative of y = (angle, velocity), the function that the network learns: (2,)."""
    return np.array([y[1], -np.sin(y[0]) - 0.1 * y[1]])


def spiral():
    """Data: points of the trajectory at time steps H, (POINTS, 2), by the midpoint rule with steps of H / 100."""
    y, points, h = np.array([2.0, 0.0]), np.empty((POINTS, 2)), H / 100
    for t in range(POINTS):
        points[t] = y
        for _ in range(100):
            y = y + h * pendulum(y + h / 2 * pendulum(y))
    return points


@njit(cache=True)
def step(network, space, y, stages, k):
    """Advance y, (rows, 2), by one step; the inputs s_i of the network are written to stages, (4, rows, 2)."""
    stages[0] = y
    for i in range(4):
        if i > 0:
            stages[i] = stages[0] + A[i] * k
        fk.forward_rows(k, network, space, stages[i])
        y += B[i] * k


@njit(cache=True)
def step_back(gradient, network, space, adjoint, stages, k, s):
    """Compute the adjoint of a step.

    Parameters
    ----------
    gradient : packed gradient, to which that of the step is added
    network : Network
    space : workspace for `rows` rows
    adjoint : (rows, 2) array; on entry the adjoint of the step's result, on return that of its start
    stages : (4, rows, 2) array; the inputs s_i, from `step`
    k, s : (rows, 2) arrays, overwritten
    """
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
    """Loss summed over the pieces of `points` that begin at `starts`, (PIECES,); writes its gradient to `gradient`."""
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
    """Train `network` by Adam on random pieces of the trajectory `points`; return the mean loss before each update."""
    np.random.seed(seed)  # noqa: NPY002 (of this thread, in compiled code)
    space, gradient, losses = fk.workspace(network, PIECES), fk.packed_gradient(network), np.zeros(updates)
    state = fk.optimizer_state(network, fk.ADAM)
    for update in range(updates):
        starts = np.random.randint(0, len(points) - STEPS, PIECES)  # noqa: NPY002
        losses[update] = loss_gradient(gradient, network, space, points, starts) / PIECES
        rate = 5e-3 * (1 + math.cos(math.pi * update / updates))
        fk.update_network(network, state, gradient, fk.optimizer(fk.ADAM, learning_rate=rate), 1 / PIECES)
    return losses


def gradient_error(network, points, h=1e-5):
    """Relative error of the gradient along a random direction, compared with a central difference with steps `h`."""
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
    """Trajectory of the equation with the learned f, beginning at `start`, (2,): (count, 2)."""
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
