"""Quantiles, with a picture
=========================

Quantile regression: a band that contains nine of ten samples, and its picture.

The spread of the data grows with x. A network for each quantile q learns the value below which the share q of the
targets lies: its loss is the absolute error times q for targets above the output, times 1 - q for targets below.
Run with a file name as argument to draw the picture.
"""

import sys
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastmlp.losses import Quantile
from fastmlp.schedules import Cosine
from fastmlp.sklearn import MLPRegressor

QUANTILES, EPOCHS = (0.05, 0.5, 0.95), 60


def sample(rng, count):
    """Draw samples: inputs (count, 1) and targets (count,)."""
    x = rng.uniform(0, 3, (count, 1))
    return x, np.sin(2 * x[:, 0]) + 0.2 * (0.2 + x[:, 0]) * rng.standard_normal(count)


def draw(path, x, y, at, found):
    """Draw the band and the samples that it was learned from.

    Parameters
    ----------
    path : str; file to write
    x, y : (N, 1) and (N,) arrays; samples
    at : (M, 1) array; inputs at which the quantiles are drawn
    found : list of three (M,) arrays; lower quantile, median and upper quantile there
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    axes.scatter(x, y, s=3, color="0.6", label="samples")
    axes.fill_between(at[:, 0], found[0], found[2], alpha=0.3, label="from the 5 % to the 95 % quantile")
    axes.plot(at, found[1], label="median")
    axes.set(xlabel="x", ylabel="y", title="Nine samples of ten lie in the band")
    axes.legend()
    figure.savefig(path, dpi=150)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is intended
    rng = np.random.default_rng(0)
    (x, y), (new_x, new_y) = sample(rng, 4000), sample(rng, 4000)
    settings = {"activation": "tanh", "learning_rate": Cosine(1e-2, EPOCHS), "max_iter": EPOCHS, "random_state": 0}
    models = [MLPRegressor(Quantile(q), (32, 32), **settings).fit(x, y) for q in QUANTILES]
    low, median, high = (model.predict(new_x) for model in models)
    print(f"{np.mean(new_y < low):.3f} of new samples below the band, {np.mean(new_y > high):.3f} above")
    print(f"{np.mean(new_y < median):.3f} below the median")
    if len(sys.argv) > 1:
        at = np.linspace(0, 3, 300)[:, None]
        draw(sys.argv[1], x, y, at, [model.predict(at) for model in models])
    inside = np.mean((new_y >= low) & (new_y <= high))
    print(f"share of new samples in the band, off 0.9 by {abs(inside - 0.9):.3f} (at most 0.02)")


if __name__ == "__main__":
    main()
