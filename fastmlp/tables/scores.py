"""Scores of predictions of tables: metrics, and for classes what a confusion matrix tells."""

import numpy as np

from fastmlp import metrics

CLASS_SCORES = {
    "accuracy": metrics.accuracy,
    "balanced accuracy": metrics.balanced_accuracy,
    "AUC": metrics.auc,
    "log loss": metrics.log_loss,
}
QUANTITY_SCORES = {"R2": metrics.r2, "RMSE": metrics.rmse, "MAE": metrics.mae}


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


def score(preprocessing, table, outputs):
    """Scores of a network's `outputs` for the rows of `table`, as a dict; the most important one is the first."""
    if preprocessing.task == "classification":
        truth, scores = preprocessing.encode_target(table), CLASS_SCORES
    else:
        truth, scores = table.target, QUANTITY_SCORES
        outputs = preprocessing.decode_prediction(outputs)[:, None]
    return {name: metric(truth, outputs) for name, metric in scores.items()}
