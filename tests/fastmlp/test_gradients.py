"""Gradients against central differences of the loss, in float64, for random networks of every kind."""

import numba
import numpy as np
import pytest
from fastmlp_kernels.functions.activations import ACTIVATIONS

from fastmlp import MLP

TRAINABLE = [name for name, entry in ACTIVATIONS.items() if entry.differentiable and name != "exp"]  # too steep
# Where a first or second derivative jumps.
KINKS = {**dict.fromkeys(("relu", "leaky_relu", "elu", "selu", "softsign"), (0,)), "hard_swish": (-3, 3)}
PAIRS = [("squared_error", name) for name in [*TRAINABLE, "softmax"]]
PAIRS += [("cross_entropy", "softmax"), ("binary_cross_entropy", "sigmoid")]
NETWORKS = 26  # of each hidden activation: 260 in all, each pair of loss and output activation twice with each
STEP = 2e-4  # the truncation error is about STEP^4 / 30, the rounding error 1e-16 / STEP
LIMIT = 1e-6


def random_case(activation, number):
    """(network, inputs, targets, loss, reduction), of its own kind for each number."""
    rng = np.random.default_rng([TRAINABLE.index(activation), number])
    loss, output = PAIRS[number % len(PAIRS)]
    depth = 1 + number % 5
    sizes = np.exp(rng.uniform(0, np.log(70.99), depth + 1)).astype(int)  # 1 to 70, small ones as likely as large
    sizes[-1] += output == "softmax" and sizes[-1] == 1  # one softmax output is always 1
    hidden = [activation, *rng.choice([activation, *TRAINABLE], depth)][: depth - 1]
    net = MLP(sizes.tolist(), hidden, output, dtype="float64", bias=number % 4 != 3, seed=number)
    for biases in net.biases:
        biases[...] = rng.normal(0, 0.3, biases.shape)
    rows = int(rng.choice([1, 2, 13, 14, 15, rng.integers(1, 101), 100]))
    x = rng.normal(size=(rows, sizes[0]))
    if loss == "cross_entropy":
        y = rng.integers(0, sizes[-1], rows) if number % 2 else rng.dirichlet(np.ones(sizes[-1]), rows)
    elif loss == "binary_cross_entropy":
        y = rng.uniform(size=(rows, sizes[-1]))
    else:
        y = rng.normal(size=(rows, sizes[-1]))
    return net, x, y, loss, ("mean", "sum")[number % 3 == 0], rng


def sides_of_kinks(net, x, y, loss):
    """On which side of their kink the units that have one are, as one vector."""
    z = net.backpropagate(x, y, loss).net_inputs
    kinks = [KINKS.get(name, ()) for name in net.activations]
    return np.concatenate([(z > kink).ravel() for z, at in zip(z, kinks, strict=True) for kink in at])


def central_difference(values, direction, net, x, y, loss, reduction):
    """The slope of the loss where `values` (parameters or inputs, changed in place) move along `direction`.

    None where a unit's kink lies between the points: there is no derivative to compare with. The four-point formula is
    exact to the fourth order (Abramowitz & Stegun 1964, 25.3.6).
    """
    kept, losses, sides = values.copy(), [], []
    for steps in (-2, -1, 1, 2):
        values[...] = kept + steps * STEP * direction
        losses.append(net.evaluate(x, y, loss, reduction=reduction))
        if abs(steps) == 2 and KINKS.keys() & set(net.activations):
            sides.append(sides_of_kinks(net, x, y, loss))
    values[...] = kept
    crossed = len(sides) == 2 and (sides[0] != sides[1]).any()
    return None if crossed else np.dot([1, -8, 8, -1], losses) / (12 * STEP)


def some_directions(values, starts, rng):
    """A random direction, and single elements: the first of each stretch that begins at `starts`, and random ones."""
    singles = {*starts, *rng.integers(0, values.size, 6).tolist()}
    directions = [rng.normal(size=values.shape) / np.sqrt(values.size)]
    for i in sorted(singles):
        directions.append(np.zeros(values.shape))
        directions[-1].flat[i] = 1
    return directions


def largest_error(values, gradient, starts, net, x, y, loss, reduction, rng):
    """(relative error of the slopes along some directions, in the Euclidean norm; how many were skipped; how many)."""
    directions = some_directions(values, starts, rng)
    slopes = [central_difference(values, direction, net, x, y, loss, reduction) for direction in directions]
    pairs = [(s, (gradient * d).sum()) for s, d in zip(slopes, directions, strict=True) if s is not None]
    found, expected = np.array(pairs).reshape(-1, 2).T
    scale = max(np.linalg.norm(found), 1e-4)  # dead units: zero to 1e-10 is all that differences can tell
    return np.linalg.norm(found - expected) / scale, len(directions) - len(pairs), len(directions)


@pytest.fixture(autouse=True)
def one_thread():
    """Thousands of tiny evaluations: one thread is enough, and gives the same bits."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


@pytest.mark.parametrize("activation", TRAINABLE)
def test_gradients_are_those_of_central_differences(activation):
    worst = skipped = compared = flat = 0
    for number in range(NETWORKS):
        net, x, y, loss, reduction, rng = random_case(activation, number)
        total, gradient = net.gradient(x, y, loss, reduction=reduction)
        assert total == pytest.approx(net.evaluate(x, y, loss, reduction=reduction), rel=1e-13)
        starts = [(w.ctypes.data - net.params.ctypes.data) // 8 for w in [*net.weights, *net.biases]]
        by_inputs = net.input_gradient(x, y, loss, reduction=reduction)
        for values, slopes, first in ((net.params, gradient, starts), (x, by_inputs, [0])):
            error, left_out, tried = largest_error(values, slopes, first, net, x, y, loss, reduction, rng)
            assert error < LIMIT, f"{error:.2g} in network {number}: {net}, {loss}, {reduction}, {len(x)} rows"
            worst, skipped, compared = max(worst, error), skipped + left_out, compared + tried
        flat += np.linalg.norm(gradient) < 1e-4
    print(f"{activation}: worst relative error {worst:.1e}, {skipped} of {compared} differences skipped, {flat} flat")
    assert skipped < 0.1 * compared
    assert flat <= NETWORKS // 5
