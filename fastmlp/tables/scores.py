"""How good predictions are: of classes by a confusion matrix, of numbers by their errors."""

import numpy as np


def confusion_matrix(truth, predicted, n_classes):
    """Count the rows of each true class (row) by predicted class (column), given both as (N,) integer labels."""
    return np.bincount(truth * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def precision_recall_f1(confusion):
    """Per class, each (n_classes,): of those predicted and of those true, the share that is right; their harmonic mean.

    0 where a class was never predicted or never occurs.
    """
    right, predicted, true = np.diag(confusion), confusion.sum(0), confusion.sum(1)
    return tuple(
        part / np.maximum(whole, 1)
        for part, whole in ((right, predicted), (right, true), (2 * right, predicted + true))
    )


def regression_scores(truth, predicted):
    """R2, RMSE and MAE of (N,) predictions. R2 is NaN where the truth does not vary."""
    error = predicted - truth
    variance = np.var(truth)
    return {
        "R2": float(1 - np.mean(error**2) / variance) if variance > 0 else float("nan"),
        "RMSE": float(np.sqrt(np.mean(error**2))),
        "MAE": float(np.mean(np.abs(error))),
    }


def score(preprocessing, table, outputs):
    """The scores of a network's `outputs` for the rows of `table`, by name, the one to quote first."""
    predicted = preprocessing.decode_prediction(outputs)
    if preprocessing.task == "classification":
        return {"accuracy": float(np.mean(predicted == table.target))}
    return regression_scores(table.target, predicted)
