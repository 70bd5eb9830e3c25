"""Metrics: measures of predictions by name, for people to read; what training minimizes is a loss (see `losses`).

A metric is a function of the targets and the outputs of a network for N samples. Targets are (N,) class labels, or
(N, n_out) arrays: class numbers one-hot, or the numbers 0 and 1 for a single output of classes, or quantities.
"""

from collections.abc import Callable, Iterable

import numpy as np

from . import checks

LEAST_PROBABILITY = np.finfo(np.float64).tiny  # in a log loss, which would else be infinite


def accuracy(y: np.ndarray, outputs: np.ndarray) -> float:
    """Share of the samples whose class has the largest output, or the output on its side of 1/2."""
    labels, probabilities = _classes(y, outputs)
    return float(np.mean(labels == probabilities.argmax(1)))


def balanced_accuracy(y: np.ndarray, outputs: np.ndarray) -> float:
    """Mean of the accuracies over the samples of each class that occurs."""
    labels, probabilities = _classes(y, outputs)
    counts, right = np.bincount(labels), np.bincount(labels, labels == probabilities.argmax(1))
    return float(np.mean(right[counts > 0] / counts[counts > 0]))


def auc(y: np.ndarray, outputs: np.ndarray) -> float:
    """Area under the ROC curve of two classes, or its mean over more, each against the others.

    It is the probability that a random sample of the class has a larger output for it than a random other sample,
    where ties count half (J. A. Hanley, B. J. McNeil, Radiology 143, 29, 1982). Classes that no sample or every sample
    belongs to are left out; NaN if none is left.
    """
    labels, probabilities = _classes(y, outputs)
    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    areas = [_area(labels == k, probabilities[:, k]) for k in classes]
    areas = [area for area in areas if area == area]
    return float(np.mean(areas)) if areas else float("nan")


def log_loss(y: np.ndarray, outputs: np.ndarray) -> float:
    """Mean of -log p, where p is the probability that the outputs give the sample's class, in nats."""
    labels, probabilities = _classes(y, outputs)
    p = np.take_along_axis(probabilities, labels[:, None], 1) / probabilities.sum(1, keepdims=True)
    return float(-np.mean(np.log(np.maximum(p, LEAST_PROBABILITY))))


def r2(y: np.ndarray, outputs: np.ndarray) -> float:
    """Share of the variance that is explained, averaged over targets; NaN if one of them is constant."""
    truth, predicted, _ = _quantities(y, outputs)
    variance = truth.var(0)
    return float(np.mean(1 - np.mean((predicted - truth) ** 2, 0) / np.where(variance > 0, variance, np.nan)))


def rmse(y: np.ndarray, outputs: np.ndarray) -> float:
    """Root of the mean squared error, over all samples and targets."""
    truth, predicted, exponent = _quantities(y, outputs)
    return float(np.ldexp(np.sqrt(np.mean((predicted - truth) ** 2)), exponent))


def mae(y: np.ndarray, outputs: np.ndarray) -> float:
    """Mean absolute error, over all samples and targets."""
    truth, predicted, exponent = _quantities(y, outputs)
    return float(np.ldexp(np.mean(np.abs(predicted - truth)), exponent))


OF_CLASSES = {function.__name__: function for function in (accuracy, balanced_accuracy, auc, log_loss)}
METRICS = OF_CLASSES | {function.__name__: function for function in (r2, rmse, mae)}


def resolve(argument: str, metrics: str | Callable | Iterable) -> dict[str, Callable]:
    """Return metrics by name, from names in METRICS and functions of (y, outputs), or one of these."""
    listed = [metrics] if isinstance(metrics, str) or callable(metrics) else list(checks.sequence(argument, metrics))
    found = {}
    for metric in listed:
        name = getattr(metric, "__name__", type(metric).__name__) if callable(metric) else metric
        if name in found or name == "loss":
            taken = "that of another one" if name in found else "that of the validation loss"
            raise ValueError(
                f"{argument} has the name {name!r}, {taken}; accepted: functions with a `__name__` of their own"
            )
        found[name] = metric if callable(metric) else METRICS[checks.choice(argument, name, METRICS)]
    return found


def measured(name: str, metric: Callable, y: np.ndarray, outputs: np.ndarray) -> float:
    """Return the value of the metric of a name; a TypeError that names it if it is no number."""
    value = metric(y, outputs)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"metric {name} returned {value!r}; accepted: a number") from None


def _classes(y, outputs):
    """Labels (N,) and outputs (N, n_classes) of samples of classes; a single output p counts as (1 - p, p)."""
    if outputs.shape[1] == 1:
        outputs = np.hstack([1 - outputs, outputs])
        y = (y.reshape(-1) >= 0.5).astype(np.int64)
    if y.ndim == 2 and not np.array_equal((y > 0).sum(1), np.ones(len(y))):
        raise ValueError("y has rows with several classes, or with none; accepted by this metric: one of each sample")
    return y if y.ndim == 1 else y.argmax(1), outputs.astype(np.float64)


def _quantities(y, outputs):
    """Targets and their predictions as (N, n) float64 arrays, divided by a power of two; and its exponent, an int.

    It is the power next above all targets, so that squares neither overflow nor, for the largest, vanish; no digit is
    lost. Of two outputs for each target, the predictions are the first ones.
    """
    truth = np.asarray(y, np.float64).reshape(len(outputs), -1)
    exponent = int(np.frexp(np.abs(truth).max(initial=0))[1])
    return np.ldexp(truth, -exponent), np.ldexp(outputs[:, : truth.shape[1]].astype(np.float64), -exponent), exponent


def _area(is_positive, values):
    """Area under the ROC curve, from ranks; NaN without positive or without negative samples."""
    positive, negative = np.count_nonzero(is_positive), np.count_nonzero(~is_positive)
    if not positive or not negative:
        return float("nan")
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # mean rank of equal values, from 1
    return float((ranks[is_positive].sum() - positive * (positive + 1) / 2) / (positive * negative))
