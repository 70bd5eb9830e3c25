"""Scores of networks trained in float32 and in bf16-mixed, from the same seeds: python precision_pairs.py.

Each seed draws a split into training and test rows, the initial weights and the order of rows; predictions use the
precision of the training. The table, in Markdown, has the means over the seeds. Scores are accuracies in % of the test
rows, or 100 R². Where the CPU has no engine for bfloat16, run it with FASTMLP_TILE=bf16-emulated.
"""

import argparse
from typing import NamedTuple

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

from fastmlp import MLP, Trainer, schedules

PRECISIONS = "float32", "bf16-mixed"


class Training(NamedTuple):
    """Data, and the network and settings that suit it.

    Attributes
    ----------
    x : (N, n_in) array; inputs
    y : (N,) integer array of classes, or (N, n_out) array of targets of variance 1
    hidden : list of int; units of the hidden layers
    epochs : int
    activation : str
    settings : dict; settings of the trainer besides Adam, batches of 128 and a rate that falls to 0
    """

    x: np.ndarray
    y: np.ndarray
    hidden: list
    epochs: int
    activation: str = "relu"
    settings: dict = {}  # noqa: RUF012  never changed


def spirals(rows=20_000):
    """Points of three spiral arms of two turns each, with noise, and the number of the arm."""
    rng = np.random.default_rng(0)
    arm, radius = rng.integers(0, 3, rows), np.sqrt(rng.uniform(0.01, 1, rows))
    angle = 2 * np.pi * (2 * radius + arm / 3)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return 2 * (points + 0.02 * rng.standard_normal((rows, 2))), arm


def teacher(rows=100_000):
    """Normal inputs, and the largest of the five outputs of a random network: classes with crooked borders."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, 20))
    return x, (np.tanh(x @ rng.standard_normal((20, 20)) / 3) @ rng.standard_normal((20, 5))).argmax(1)


def waves(rows=20_000):
    """Points of a square, and waves there, of which there are 3 to a side."""
    x = np.random.default_rng(0).uniform(-1, 1, (rows, 2))
    return x, np.sin(9 * x[:, :1]) * np.cos(8 * x[:, 1:])


def ripples(rows=100_000):
    """Points of a cube of four dimensions, and a smooth function there with ripples of a twentieth of its size."""
    x = np.random.default_rng(0).uniform(-1, 1, (rows, 4))
    return x, scale(x[:, :1] * x[:, 1:2] + np.exp(x[:, 2:3]) + 0.05 * np.sin(25 * x[:, 3:]))


def trainings():
    """All Trainings by name."""
    digits, labels = datasets.load_digits(return_X_y=True)
    cancer, malignant = datasets.load_breast_cancer(return_X_y=True)
    # About 100,000 updates, nearly all of which are less than half the distance of two bfloat16 numbers.
    slow = {"learning_rate": 2e-5, "batch_size": 16}
    return {
        "digits": Training(digits / 16, labels, [128], 60),
        "breast_cancer": Training(scale(cancer), malignant, [64], 60),
        "three spirals": Training(*spirals(), [64, 64], 40),
        "classes of a network": Training(*teacher(), [128, 64], 10),
        "waves": Training(*waves(), [128, 128], 60, "gelu"),
        "ripples": Training(*ripples(), [128, 128], 15, "gelu"),
        "digits, ten hidden layers": Training(digits / 16, labels, [64] * 10, 60, "tanh"),
        "digits, 100,000 small updates": Training(digits / 16, labels, [32], 1_115, settings=slow),
    }


def score(training, seed, precision):
    """Score on test rows of a network trained with a seed and a precision: % of accuracy, or 100 R²."""
    x, test_x, y, test_y = train_test_split(training.x.astype(np.float32), training.y, test_size=0.2, random_state=seed)
    classes = y.ndim == 1
    sizes = [x.shape[1], *training.hidden, y.max() + 1 if classes else y.shape[1]]
    net = MLP(sizes, training.activation, "softmax" if classes else "identity", seed=seed)
    settings = {"batch_size": 128, "learning_rate": schedules.Cosine(1e-3, training.epochs)} | training.settings
    loss = "cross_entropy" if classes else "squared_error"
    trainer = Trainer(net, loss, "adam", seed=seed, precision=precision, **settings)
    trainer.fit(x, y, training.epochs, progress=False)
    outputs = net.predict(test_x, precision=precision)
    if classes:
        return 100 * np.mean(outputs.argmax(1) == test_y)
    return 100 * (1 - np.mean((outputs - test_y) ** 2) / np.var(test_y))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", help="name of one training")
    options = parser.parse_args()
    print("| training | rows | network | score | float32 | bf16-mixed | difference | of single seeds |")
    print("|---|--:|---|---|--:|--:|--:|--:|")
    for name, training in trainings().items():
        if options.only in (None, name):
            found = [[score(training, seed, p) for p in PRECISIONS] for seed in range(options.seeds)]
            (plain, mixed), differences = np.mean(found, 0), np.diff(found)[:, 0]
            hidden = "-".join(map(str, training.hidden))
            kind = "accuracy" if training.y.ndim == 1 else "100 R²"
            print(
                f"| {name} | {len(training.x):,} | {hidden} | {kind} | {plain:.2f} | {mixed:.2f} "
                f"| {mixed - plain:+.2f} | {differences.min():+.2f} to {differences.max():+.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
