"""Memory of a process that trains, predicts and makes networks, thousands of times: it grows by less than 1 %.

`python -m tests.fuzz.memory 10000` makes 10,000 fits, 100,000 predictions, 2,000 networks of other architectures, and
registers the same activation 200 times.
"""

import argparse
import random
import sys

import numpy as np

from fastmlp import MLP, Trainer, register_activation

WARM_UP = 0.2  # share of the repetitions before the growth is measured
MOST = 0.01  # growth of a process after that, relative to its size

x, y = (np.random.default_rng(0).normal(size=(64, n)).astype("f4") for n in (8, 3))
net = MLP([8, 16, 3], "tanh")


def fit(rng):
    Trainer(net, batch_size=16).fit(x, y, 2, validation_fraction=0.2, progress=False)


def predict(rng):
    net.predict(x[: rng.randint(1, len(x))])


def make(rng):
    """Make a network of a random architecture, train a step, and predict."""
    sizes = [8, *(rng.randint(1, 100) for _ in range(rng.randint(0, 4))), 3]
    other = MLP(sizes, rng.choice(["relu", "tanh", "silu"]), seed=rng.randrange(1000))
    Trainer(other).step(x, y)
    other.predict(x)


def register(rng):
    """Register an activation, as a notebook's cell does that is run again, and train a network that has it."""
    register_activation("cubed", value=lambda z: z * z * z, derivative=lambda z: 3 * z * z)
    Trainer(MLP([8, 16, 3], "cubed")).step(x, y)


def megabytes():
    """Memory of this process that is resident now."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def growth(action, count, seed):
    """Memory after a warm-up, and after `count` calls of an action, in MB."""
    rng, warm = random.Random(seed), max(1, int(count * WARM_UP))
    for _ in range(warm):
        action(rng)
    before = megabytes()
    for _ in range(count - warm):
        action(rng)
    return before, megabytes()


def main(count, seed):
    """Measure all actions; return the memory before and after, in MB, by action: a dict."""
    counts = {fit: count, predict: 10 * count, make: -(-count // 5), register: -(-count // 50)}
    return {action.__name__: growth(action, number, seed) for action, number in counts.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = main(arguments.count, arguments.seed)
    for name, (before, after) in found.items():
        print(f"{name:10} {before:.1f} MB, then {after:.1f} MB: {after / before - 1:+.2%}")
    sys.exit(any(after > before * (1 + MOST) for before, after in found.values()))
