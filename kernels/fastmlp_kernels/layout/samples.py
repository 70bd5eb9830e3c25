"""Samples to train on or to predict: dense inputs are an array, sparse inputs are `SparseRows`."""

from typing import NamedTuple

import numpy as np


class SparseRows(NamedTuple):
    """Sparse matrix of N rows, as compressed sparse rows (CSR).

    Attributes
    ----------
    indptr : (N + 1,) int64 array; the non-zeros of row i are those from indptr[i] to indptr[i + 1], excluded
    indices : (n,) int32 array; column of each non-zero; within a row in any order
    values : (n,) array of the network's dtype; value of each non-zero
    """

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray


class Data(NamedTuple):
    """Samples with their targets, to train on or to evaluate.

    Attributes
    ----------
    x : (N, n_in) array, or SparseRows, with a network made for them (see `products.first_layer.network_for`)
    y : (N, n_out) array of targets (for "gaussian_nll", (N, n_out / 2)), or (0, n_out) if `labels` are given
    labels : (N,) int64 array of class numbers, or (0,)
    order : (n,) int64 array; numbers of the samples to take, in this order; empty: all N, from the first to the last.
        They are not checked: each is at least 0 and less than N. To train on sparse inputs none may be there twice, as
        slots have room for the non-zeros of different samples (see `drivers.plan.most_nonzeros`).
    weights : (N,) array of the samples' weights in the loss; empty: all are 1
    """

    x: np.ndarray | SparseRows
    y: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    weights: np.ndarray


def most_nonzeros_in(x, rows):
    """Largest number of non-zeros that any `rows` rows of the SparseRows `x` have together."""
    counts = np.diff(x.indptr)
    return int(counts.sum() if rows >= len(counts) else np.partition(counts, -rows)[-rows:].sum())
