"""Scores of predictions: for classes from a confusion matrix, for numbers from their errors."""

import numpy as np

from fastmlp import metrics

CLASS_SCORES = {
    "accuracy": metrics.accuracy,
    "balanced accuracy": metrics.balanced_accuracy,
    "AUC": metrics.auc,
    "log loss": metrics.log_loss,
}


def confusion_matrix(truth, predicted, n_classes):
    """Count samples by true class (row) and predicted class (column): (n_classes, n_classes), from (N,) labels."""
    return np.bincount(truth * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def precision_recall_f1(confusion):
    """Precision, recall and F1 of each class, from a confusion matrix: three (n_classes,) arrays.

    Precision is the share of the samples predicted as the class that are of it, recall the share of the samples of the
    class that are predicted as it, F1 their harmonic mean. They are 0 if there are no such samples.
    """
    right, predicted, true = np.diag(confusion), confusion.sum(0), confusion.sum(1)
    return tuple(
        part / np.maximum(whole, 1)
        for part, whole in ((right, predicted), (right, true), (2 * right, predicted + true))
    )


def regression_scores(truth, predicted):
    """R2, RMSE and MAE of (N,) predictions, as a dict. R2 is NaN if all true values are the same."""
    exponent = magnitude(truth)
    truth, predicted = (np.ldexp(np.asarray(values, np.float64), -exponent) for values in (truth, predicted))
    error = predicted - truth
    variance = np.var(truth)
    return {
        "R2": float(1 - np.mean(error**2) / variance) if variance > 0 else float("nan"),
        "RMSE": float(np.ldexp(np.sqrt(np.mean(error**2)), exponent)),
        "MAE": float(np.ldexp(np.mean(np.abs(error)), exponent)),
    }


def magnitude(values):
    """Exponent of the power of two next above all absolute values: an int; 0 if all are 0.

    Squares of numbers divided by that power neither overflow nor, for the largest, vanish; no digit is lost.
    """
    return int(np.frexp(np.abs(np.asarray(values, np.float64)).max(initial=0))[1])


def score(preprocessing, table, outputs):
    """Scores of a network's `outputs` for the rows of `table`, as a dict; the most important one is the first."""
    if preprocessing.task == "classification":
        labels = preprocessing.encode_target(table)
        return {name: metric(labels, outputs) for name, metric in CLASS_SCORES.items()}
    return regression_scores(table.target, preprocessing.decode_prediction(outputs))
