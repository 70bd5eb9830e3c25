"""Weights of samples in the loss: sample weights and class weights. (Not the weights of layers.)

`Data`, from the kernels, has the samples of a call as arrays: inputs x, targets y or labels, order and weights; see
`fastmlp_kernels.layout.samples`.
"""

import numpy as np

from . import checks, losses


def sample_weights(argument, weights, rows, dtype):
    """Sample weights as a (rows,) array of `dtype`; an empty array for None.

    Parameters
    ----------
    argument : str; name of the user's argument, for messages
    weights : (rows,) array-like or None
    rows : int; number of samples
    dtype : dtype of the network

    Raises
    ------
    TypeError, ValueError
        If the shape is another, a weight is not finite or below 0, all are 0, or the largest is not a normal number of
        the dtype.
    """
    array = checked_weights(argument, weights, rows, dtype)
    if array.size and not array.any():
        raise ValueError(f"{argument} is 0 everywhere; accepted: at least one weight above 0")
    return array


def checked_weights(argument, weights, rows, dtype):
    """Sample weights as of `sample_weights`, for a part of the samples: all may be 0."""
    if weights is None:
        return np.empty(0, dtype)
    array, limits = checks.vector(argument, weights, rows, np.dtype(float)), np.finfo(dtype)
    wrong = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if wrong.size:
        raise ValueError(f"{argument} is {array[wrong[0]]} at position {wrong[0]}; accepted: finite numbers from 0 on")
    largest = array.max()
    if largest and not limits.tiny <= largest <= limits.max:
        raise ValueError(
            f"{argument} has the largest weight {largest:g}; accepted in {limits.dtype}: {limits.tiny:g} to "
            f"{limits.max:g} (weights may all be multiplied by the same number)"
        )
    return array.astype(dtype, copy=False)


def by_class(data, class_weight, kind, share=lambda value: [value]):
    """Data with each sample's weight multiplied by that of its class; a ValueError if no weight is left.

    Parameters
    ----------
    data : Data
    class_weight : dict or "balanced"
        Weights by label, 0 to n - 1; 1 for labels left out. "balanced" is samples / (classes * samples of the class),
        with which all classes that occur have the same total weight, unless `data` already has weights: samples are
        counted, whatever their weights.
    kind : str
        Kind of the targets (see `losses.target_kind`).
    share : function
        Gives the values that all processes have in place of one, a list, where each has some of the samples.
    """
    data = times_class_weights(data, class_weight, kind, share)
    if not any(share(data.weights.any())):
        raise ValueError("class_weight leaves no sample a weight; accepted: one above 0 for a class that occurs")
    return data


def times_class_weights(data, class_weight, kind, share=lambda value: [value]):
    """Data as of `by_class`, for a part of the samples: no weight need be left."""
    outputs = data.y.shape[1]
    if kind == losses.CLASSES:
        labels = data.labels if data.labels.size else data.y.argmax(axis=1)
    elif kind == losses.PROBABILITIES and outputs == 1:
        labels = (data.y[:, 0] >= 0.5).astype(int)
    else:
        raise ValueError(
            "class_weight is given, but targets are not classes; accepted with cross_entropy and focal, and with "
            "binary_cross_entropy of one output"
        )
    weights = _of_classes(class_weight, labels, max(outputs, 2), share).astype(data.weights.dtype)[labels]
    if data.weights.size:
        weights *= data.weights
    return data._replace(weights=weights)


def normalized(data):
    """Data whose weights are divided by a power of two, so that the largest is from 1 to 2; and that number, a float.

    For means, on which a common factor of all weights has no influence. Products with small weights could be subnormal,
    and these are zeros in the kernels. If there are no weights, the number is 1.
    """
    if not data.weights.size:
        return data, 1.0
    _, exponent = np.frexp(data.weights.max())
    return data._replace(weights=np.ldexp(data.weights, 1 - exponent)), float(np.ldexp(1.0, exponent - 1))


def _of_classes(class_weight, labels, classes, share):
    """Weight of each class, in the order of the labels: (classes,) float64 array."""
    if isinstance(class_weight, str) and class_weight == "balanced":
        counts = sum(share(np.bincount(labels, minlength=classes)))
        return counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    if not isinstance(class_weight, dict):
        raise TypeError(f"class_weight is {class_weight!r}; accepted: a dict of labels to weights, or 'balanced'")
    weights = np.ones(classes)
    for label, weight in class_weight.items():
        if label not in range(classes):
            raise ValueError(f"class_weight has label {checks.shown(label)}; accepted: 0 to {classes - 1}")
        weights[int(label)] = checks.number(f"class_weight[{label!r}]", weight)
    return weights


def total(data, start, stop):
    """Sum of the weights of samples start..stop, in the order in which they are taken; their number if unweighted."""
    if not data.weights.size:
        return stop - start
    taken = data.order[start:stop] if data.order.size else slice(start, stop)
    return float(data.weights[taken].sum(dtype=float))
