"""Networks made of the arrays of their layers."""

from itertools import pairwise

import numpy as np


def check_layers(weights, biases):
    """Raise a ValueError if arrays do not make a chain of layers, or are not all float32, or all float64.

    Parameters
    ----------
    weights : list of (n_in, n_out) arrays
    biases : list of (n_out,) arrays, or None for layers that have none
    """
    dtypes = sorted({array.dtype.name for array in (*weights, *biases) if array is not None})
    if dtypes not in (["float32"], ["float64"]):
        raise ValueError(f"parameters are {' and '.join(dtypes)}; accepted: float32 or float64, all the same")
    for l, (before, after) in enumerate(pairwise(weights), 2):
        if before.shape[1] != len(after):
            raise ValueError(
                f"layer {l} has {len(after)} inputs; accepted: {before.shape[1]}, one for each unit before"
            )


def assembled(network, weights, biases, activations):
    """Return a network of class `network` with copies of these parameters, and the activations of its layers.

    Arrays are as `check_layers` accepts them. Biases are zeros where they are None, if others are not.
    """
    bias, dtype = any(array is not None for array in biases), weights[0].dtype
    sizes = [len(weights[0]), *(array.shape[1] for array in weights)]
    net = network(sizes, activations[:-1], activations[-1], dtype=dtype, bias=bias, init="zeros")
    net.weights = weights
    if bias:
        net.biases = [np.zeros(n, dtype) if b is None else b for n, b in zip(sizes[1:], biases, strict=True)]
    return net
