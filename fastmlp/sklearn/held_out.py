"""Samples that early stopping watches: those that `fit` is given as `X_val` and `y_val`, or a share of all."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import unique_labels

from .. import checks
from .scoring import represent_classes


def check_given(estimator, validation):
    """Raise a ValueError unless the arguments of `fit` about such samples, a dict by name, are accepted together."""
    given = [name for name, value in validation.items() if value is not None]
    if not given:
        return
    for name in "X_val", "y_val":
        if name not in given:
            raise ValueError(f"{name} is None with {given[0]}; accepted: X_val and y_val, or neither")
    if estimator.solver == "lbfgs":
        raise ValueError("X_val is given with solver 'lbfgs'; accepted with solvers that take batches")
    if not estimator.early_stopping:
        raise ValueError(f"X_val is given with early_stopping {estimator.early_stopping}; accepted: True")


def given(estimator, X, y, X_val=None, y_val=None, sample_weight_val=None):
    """Samples that `fit` is given, checked: (X, targets, weights or None), or None if it is given none.

    `X` and `y` are the samples to train on, checked before.
    """
    if X_val is None:
        return None
    with checks.naming_overflow(X_val=X_val, y_val=y_val, sample_weight_val=sample_weight_val):
        X_val, y_val, weights = estimator._checked(X_val, y_val, sample_weight_val, X.dtype, reset=False)
    if y_val.shape[1:] != y.shape[1:]:
        raise ValueError(f"y_val has shape {y_val.shape} where y has {y.shape}; accepted: the same columns")
    if is_classifier(estimator) and len(unknown := np.setdiff1d(unique_labels(y_val), estimator.classes_)):
        raise ValueError(f"y_val has classes {unknown}; accepted: those of y, {estimator.classes_}")
    weights = estimator._weigh(y_val, weights, incremental=False, among=y)
    return X_val, estimator._targets(y_val, X.dtype), weights


def split(estimator, X, targets, sample_weight):
    """Split as in scikit-learn: samples to train on, and those held out, with all classes if it is for a scorer."""
    train, held = train_test_split(
        np.arange(X.shape[0]),
        random_state=estimator._random_state,
        test_size=estimator.validation_fraction,
        stratify=estimator._stratify(targets),
    )
    if len(held) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    if is_classifier(estimator) and estimator._has_scorer():
        train, held = represent_classes(train, held, targets.reshape(X.shape[0], -1), sample_weight)
    return train, held
