"""Samples to learn from or to predict: dense inputs are an array, sparse ones are `SparseRows`."""

from typing import NamedTuple

import numpy as np


class SparseRows(NamedTuple):
    """A matrix by the non-zeros of its rows (compressed sparse rows).

    Attributes
    ----------
    indptr : (N + 1,) int64 array; row i has the non-zeros indptr[i] to indptr[i + 1]
    indices : (n,) int32 array; their columns, in any order
    values : (n,) array of the network's dtype
    """

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray


class Data(NamedTuple):
    """Samples to learn from.

    Attributes
    ----------
    x : (N, n_in) array; or SparseRows, with a network made for them (see `network_for`)
    y : (N, n_out) array, or (0, n_out) where `labels` are given
    labels : (N,) or (0,) int64 array; class numbers
    order : (n,) int64 array; the samples to take, in this order; empty: all, as they come
    weights : (N,) or (0,) array; of each sample in the loss; empty: 1
    """

    x: np.ndarray | SparseRows
    y: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    weights: np.ndarray


def most_entries(x, rows):
    """How many non-zeros `rows` rows of `x` have at most, whichever they are."""
    counts = np.diff(x.indptr)
    return int(counts.sum() if rows >= len(counts) else np.partition(counts, -rows)[-rows:].sum())
