"""Comparison of scikit-learn's estimators and fastmlp's with the same settings: scores, times, memory (see README.md).

python sklearn_pairs.py scores           # 5 folds of each data set, 10 seeds
python sklearn_pairs.py times            # warm fits that take turns
python sklearn_pairs.py sparse --rows 100000
"""

import argparse
import itertools
import resource
import statistics
import time
import warnings

import numpy as np
from sklearn import datasets, neural_network
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

import fastmlp.sklearn

CLASSIFIERS = neural_network.MLPClassifier, fastmlp.sklearn.MLPClassifier
REGRESSORS = neural_network.MLPRegressor, fastmlp.sklearn.MLPRegressor
FOLDS = 5
# By name: (X, y), and the two estimators that suit it. Targets of regressions are scaled to unit variance.
SETS = {
    "digits": (datasets.load_digits(return_X_y=True), CLASSIFIERS),
    "wine": (datasets.load_wine(return_X_y=True), CLASSIFIERS),
    "breast_cancer": (datasets.load_breast_cancer(return_X_y=True), CLASSIFIERS),
    "iris": (datasets.load_iris(return_X_y=True), CLASSIFIERS),
    "moons": (datasets.make_moons(500, noise=0.3, random_state=0), CLASSIFIERS),
    "classification": (
        datasets.make_classification(1000, 20, n_informative=8, n_classes=3, random_state=0),
        CLASSIFIERS,
    ),
    "diabetes": (datasets.load_diabetes(return_X_y=True), REGRESSORS),
    "friedman1": (datasets.make_friedman1(500, noise=1.0, random_state=0), REGRESSORS),
    "regression": (datasets.make_regression(500, 20, noise=10.0, random_state=0), REGRESSORS),
}


def scaled(targets, classify):
    """Targets scaled to mean 0 and variance 1, or class labels as they are."""
    return targets if classify else (targets - targets.mean()) / targets.std()


def scores(options):
    """Print scores on held-out folds, as a table in Markdown."""
    print("| data | rows | score | scikit-learn | fastmlp | difference | largest of a fold |")
    print("|---|--:|---|--:|--:|--:|--:|")
    for name, ((x, y), kinds) in SETS.items():
        classify = is_classifier(kinds[0]())
        y, found = scaled(y, classify), ([], [])
        for seed in range(options.seeds):
            folds = (StratifiedKFold if classify else KFold)(FOLDS, shuffle=True, random_state=seed)
            for train, test in folds.split(x, y):
                scale = StandardScaler().fit(x[train])
                for kind, results in zip(kinds, found, strict=True):
                    model = kind(random_state=seed).fit(scale.transform(x[train]), y[train])
                    results.append(model.score(scale.transform(x[test]), y[test]))
        differences = np.subtract(found[1], found[0])
        means = " | ".join(f"{np.mean(results):.4f}" for results in found)
        score, largest = "accuracy" if classify else "R²", abs(differences).max()
        print(
            f"| {name} | {len(x)} | {score} | {means} | {differences.mean():+.4f} | {largest:.4f} |",
            flush=True,
        )


def paired_seconds(models, x, y, rounds):
    """Median seconds of a fit of each of two models, which take turns; the first fit of each does not count."""
    seconds = [], []
    for round_, side in itertools.product(range(rounds + 1), range(2)):
        start = time.perf_counter()
        models[side].fit(x, y)
        if round_:
            seconds[side].append(time.perf_counter() - start)
    return [statistics.median(entries) for entries in seconds]


def times(options):
    """Print the seconds of warm fits, as a table in Markdown."""
    rng = np.random.default_rng(0)
    digits, large = SETS["digits"][0], rng.standard_normal((100_000, 100), dtype=np.float32)
    labels = (large[:, :10].sum(axis=1) > 0).astype(int)
    small, small_y = rng.standard_normal((200, 20)), rng.standard_normal(200)
    cases = {
        "digits, classifier": (CLASSIFIERS, digits, {}),
        "10^5 x 100, classifier, 10 epochs": (CLASSIFIERS, (large, labels), {"max_iter": 10}),
        "200 x 20, classifier": (CLASSIFIERS, (small, small_y > 0), {}),
        "200 x 20, regressor": (REGRESSORS, (small, small_y), {}),
        "200 x 20, regressor, lbfgs": (REGRESSORS, (small, small_y), {"solver": "lbfgs"}),
        "150 x 4 (iris), classifier": (CLASSIFIERS, SETS["iris"][0], {}),
    }
    print("| fit | scikit-learn, s | fastmlp, s | ratio |\n|---|--:|--:|--:|")
    for name, (kinds, (x, y), settings) in cases.items():
        before, after = paired_seconds([kind(random_state=0, **settings) for kind in kinds], x, y, options.rounds)
        print(f"| {name} | {before:.3f} | {after:.3f} | {before / after:.1f} |", flush=True)


def sparse(options):
    """Print the seconds of one epoch on sparse rows, and how much the peak memory of this process grew."""
    import scipy.sparse

    rng, columns, filled = np.random.default_rng(0), 100_000, 50
    indices = rng.integers(0, columns, (options.rows, filled), dtype=np.int32).ravel()
    x = scipy.sparse.csr_matrix(
        (np.ones(indices.size, np.float32), indices, np.arange(0, indices.size + 1, filled)), (options.rows, columns)
    )
    y = rng.integers(0, 2, options.rows)
    kinds = CLASSIFIERS if options.only is None else [CLASSIFIERS[options.only == "fastmlp"]]
    for kind in kinds:
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        kind(max_iter=1, random_state=0).fit(x, y)
        seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"{kind.__module__}: {seconds:.1f} s an epoch, {(peak - before) / 1024:.0f} MB more at the peak", flush=True
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["scores", "times", "sparse"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--only", choices=["sklearn", "fastmlp"], help="sparse: only that one")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    {"scores": scores, "times": times, "sparse": sparse}[options.what](options)


if __name__ == "__main__":
    main()
