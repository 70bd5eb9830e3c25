"""Scores of `fastmlp train` without options but --target, next to scikit-learn's: python out_of_the_box.py.

Eleven tables, three seeds each, which draw the same rows to test for all. scikit-learn's MLP is a pipeline that
standardizes numbers, encodes text and, for a regression, standardizes the target, as `fastmlp train` does; its settings
are its defaults. HistGradientBoosting, which is no network, shows what trees reach. The table, in Markdown, has the
means over the seeds: accuracies in % of the rows to test, or 100 R², and seconds.

python out_of_the_box.py --only wave,moons --libraries fastmlp -- --hidden 64   # other options of `fastmlp train`
"""

import argparse
import contextlib
import csv
import io
import re
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn import compose, datasets, ensemble, neural_network, preprocessing
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from fastmlp import cli
from fastmlp.cli import text
from fastmlp.tables.datasets import BUNDLED, load
from fastmlp.tables.preprocessing import split

LIBRARIES = "fastmlp", "MLP", "HistGradientBoosting"
TEST_FRACTION = 0.2  # the default of `fastmlp train`


def friedman1(rng):
    """5,000 rows of ten numbers, five of which matter."""
    return columns(*datasets.make_friedman1(5000, noise=1.0, random_state=0))


def wave(rng):
    """4,000 points of ten periods of a sine and a half, with noise."""
    x = rng.uniform(-1, 1, (4000, 1))
    return columns(x, np.sin(10 * x[:, 0]) + 0.05 * rng.standard_normal(4000))


def spirals(rng):
    """4,000 points of two spiral arms of one and a half turns, with noise."""
    arm, radius = rng.integers(0, 2, 4000), np.sqrt(rng.uniform(0.01, 1, 4000))
    angle = 2 * np.pi * (1.5 * radius + arm / 2)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return columns(points + 0.02 * rng.standard_normal((4000, 2)), np.array(["red", "blue"])[arm])


def moons(rng):
    """2,000 points of two half circles, with noise."""
    x, y = datasets.make_moons(2000, noise=0.2, random_state=0)
    return columns(x, np.array(["upper", "lower"])[y])


def five_classes(rng):
    """20,000 rows of twenty numbers, twelve of which matter, of five classes that overlap."""
    shape = {"n_features": 20, "n_informative": 12, "n_classes": 5, "n_clusters_per_class": 2}
    x, y = datasets.make_classification(20_000, random_state=0, **shape)
    return columns(x, np.array(list("abcde"))[y])


def towns(rng, rows=150_000):
    """150,000 rows of eight numbers and two text columns, on which the effects of some numbers depend."""
    x, town, kind = rng.standard_normal((rows, 8)), rng.integers(0, 12, rows), rng.integers(0, 5, rows)
    y = 10 * np.sin(x[:, 0] * x[:, 1]) + 5 * x[:, 2] * (kind - 2) + 3 * np.abs(x[:, 3])
    y += 4 * rng.standard_normal(12)[town] * x[:, 4] + np.exp(x[:, 5] / 2) + 0.5 * rng.standard_normal(rows)
    names = {"town": np.char.add("town ", town.astype(str)), "kind": np.array(list("vwxyz"))[kind]}
    return columns(x, y) | names


def columns(x, y):
    """Columns by name: x0, x1, ... and y."""
    return {f"x{i}": column for i, column in enumerate(x.T)} | {"y": y}


MADE = {
    "friedman1": friedman1,
    "wave": wave,
    "two spirals": spirals,
    "moons": moons,
    "five classes": five_classes,
    "towns": towns,
}


def source(name, folder):
    """Arguments of `fastmlp train` for a table, which is written to the folder if it is not a bundled one."""
    if name in BUNDLED:
        return [name]
    path = Path(folder) / f"{name.replace(' ', '-')}.csv"
    if not path.exists():
        table = MADE[name](np.random.default_rng(0))
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table)
            writer.writerows(zip(*table.values(), strict=True))
    return [str(path), "--target", "y"]


def ours(arguments, seed, options):
    """Test score of `fastmlp train`."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        status = cli.main(["train", *arguments, "--seed", str(seed), *options])
    if status:
        raise RuntimeError(f"fastmlp train {arguments} ended with {status}")
    return float(re.search(r"test (?:accuracy|R2) +(\S+)", said.getvalue())[1])


def theirs(kind, arguments, seed):
    """Test score of scikit-learn's MLP or HistGradientBoosting."""
    table = load(*arguments[::2])
    classes = table.task == "classification"
    labels = table.target if classes else None
    train, test = split(table.n_rows, TEST_FRACTION, seed, labels=labels)
    x, kinds = np.array(list(table.features.values()), object).T, [v.dtype.kind for v in table.features.values()]
    texts, numbers = ([i for i, kind in enumerate(kinds) if (kind == "O") == text] for text in (True, False))
    encoder = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    module = neural_network if kind == "MLP" else ensemble
    model = getattr(module, f"{kind}{'Classifier' if classes else 'Regressor'}")(random_state=seed)
    if not classes:
        model = compose.TransformedTargetRegressor(model, transformer=preprocessing.StandardScaler())
    scaler = preprocessing.StandardScaler()
    encoded = compose.ColumnTransformer([("numbers", scaler, numbers), ("texts", encoder, texts)])
    pipeline = make_pipeline(encoded, model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return pipeline.fit(x[train], table.target[train]).score(x[test], table.target[test])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=lambda text: text.split(","), default=[*BUNDLED, *MADE])
    parser.add_argument("--libraries", type=lambda text: text.split(","), default=LIBRARIES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("options", nargs="*", help="options of `fastmlp train`, after --")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only:
            arguments, cells = source(name, folder), []
            for library in args.libraries:
                scores, begin = [], time.perf_counter()
                for seed in range(args.seeds):
                    mine = library == "fastmlp"
                    scores.append(ours(arguments, seed, args.options) if mine else theirs(library, arguments, seed))
                cells += [f"{100 * np.mean(scores):.2f}", f"{(time.perf_counter() - begin) / args.seeds:.1f} s"]
            rows.append([name, *cells])
    text.markdown(["table", *(word for library in args.libraries for word in (library, ""))], rows)


if __name__ == "__main__":
    main()
