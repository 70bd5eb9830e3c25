"""Scores that early stopping watches: R², and what scorers need, such as samples of every class."""

import inspect

import numpy as np


def r2(targets, outputs, sample_weight):
    """R² averaged over outputs, as sklearn.metrics.r2_score but without its checks, which take longer than an epoch."""
    residual = np.average((targets - outputs) ** 2, axis=0, weights=sample_weight)
    mean = np.average(targets, axis=0, weights=sample_weight)
    spread = np.average((targets - mean) ** 2, axis=0, weights=sample_weight)
    constant = np.where(residual > 0, 0.0, 1.0)  # as in scikit-learn, if all targets are the same
    return float(np.where(spread > 0, 1 - residual / np.where(spread > 0, spread, 1.0), constant).mean())


def represent_classes(train, held, classes, sample_weight):
    """Division of samples such that every class has one among those held out: scores of probabilities need that.

    The first training sample of a class that is missing there is moved. If it is the only one, it is in both parts.

    Parameters
    ----------
    train, held : (n_train,) and (n_held,) int arrays
        Samples to train on, and samples held out.
    classes : (n_samples, k) array
        Class of each sample, or 0 and 1 for each of k labels.
    sample_weight : (n_samples,) array or None
        Samples of weight 0 do not count.

    Returns
    -------
    train, held : int arrays
    """
    weighed = np.ones(len(classes), bool) if sample_weight is None else sample_weight > 0
    for column in classes.T:
        for missing in np.setdiff1d(column[train[weighed[train]]], column[held[weighed[held]]]):
            members = train[(column[train] == missing) & weighed[train]]
            held = np.append(held, members[0])
            if len(members) > 1:
                train = train[train != members[0]]
    return train, held


def takes_weights(scorer):
    """Whether a scorer, or the metric that scikit-learn made it from, takes the argument `sample_weight`."""
    try:
        inspect.signature(getattr(scorer, "_score_func", scorer)).bind_partial(sample_weight=None)
    except TypeError:
        return False
    return True
