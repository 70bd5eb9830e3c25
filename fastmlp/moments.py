"""Means and standard deviations of columns of numbers, whatever their size, learned from blocks of rows."""

import numpy as np

from ._kernels import SparseRows, row_count

LEAST_EXPONENT = -2000  # of a power of two below all numbers


class Moments:
    """Means and standard deviations of columns, learned from blocks of rows, one after another.

    What is summed up are deviations from the first row, divided by a power of two above all numbers of the column: a
    large mean costs no digits, nothing overflows, and those of a constant column are exactly 0. Blocks are merged as in
    T. F. Chan, G. H. Golub & R. J. LeVeque, Algorithms for computing the sample variance, The American Statistician 37
    (1983).

    Parameters
    ----------
    columns : int
    """

    def __init__(self, columns):
        self._rows, self._first, self._exponent = 0, None, np.full(columns, LEAST_EXPONENT, np.int32)
        self._mean, self._squares = np.zeros((2, columns))  # mean deviation, and sum of squares around the mean

    def add(self, block):
        """Learn from one or more rows: an array (rows, columns), or `SparseRows`."""
        rows, columns = row_count(block), len(self._mean)
        with np.errstate(invalid="ignore"):  # see `learned`
            if isinstance(block, SparseRows):
                largest, first = np.zeros((2, columns))
                np.maximum.at(largest, block.indices, np.abs(block.values))
                first[block.indices[: block.indptr[1]]] = block.values[: block.indptr[1]]
            else:
                block = np.asarray(block, float)
                largest, first = np.abs(block).max(axis=0), block[0]
            if self._first is None:
                self._first = first.copy()
            exponent = np.maximum(self._exponent, np.where(largest, np.frexp(largest)[1], LEAST_EXPONENT))
            self._rescale(exponent)
            first = np.ldexp(self._first, -exponent)
            block = _ldexp(block, -exponent)
            mean = _sum(block, rows, first, 1) / rows
            squares = _sum(block, rows, first + mean, 2)
            self._merge(rows, mean, squares)

    def merge(self, other):
        """Learn from the rows that another object has learned from."""
        if other._first is None:
            return
        if self._first is None:
            vars(self).update(vars(other))
            return
        with np.errstate(invalid="ignore"):
            exponent = np.maximum(self._exponent, other._exponent)
            for moments in self, other:
                moments._rescale(exponent)
            apart = np.ldexp(other._first, -exponent) - np.ldexp(self._first, -exponent)
            self._merge(other._rows, other._mean + apart, other._squares)

    def _rescale(self, exponent):
        """Divide by powers of two with these exponents from now on."""
        shift, self._exponent = self._exponent - exponent, exponent
        self._mean, self._squares = np.ldexp(self._mean, shift), np.ldexp(self._squares, 2 * shift)

    def _merge(self, rows, mean, squares):
        """Add rows with a mean deviation from the first row, and a sum of squares around it."""
        self._rows, before = self._rows + rows, self._rows
        difference = mean - self._mean
        self._mean += difference * (rows / self._rows)
        self._squares += squares + difference**2 * (before * rows / self._rows)

    def learned(self):
        """Means and standard deviations, the latter 1 for constant columns: two arrays; not finite as numbers were."""
        mean = np.ldexp(np.ldexp(self._first, -self._exponent) + self._mean, self._exponent)
        scale = np.ldexp(np.sqrt(self._squares / self._rows), self._exponent)
        return mean, np.where(scale == 0, 1.0, scale)


def merged(parts):
    """Moments of all rows of several `Moments`, of which the first is changed."""
    whole, *others = parts
    for part in others:
        whole.merge(part)
    return whole


def _ldexp(block, exponent):
    """A block with its columns multiplied by powers of two."""
    if isinstance(block, SparseRows):
        return block._replace(values=np.ldexp(block.values, exponent[block.indices]))
    return np.ldexp(block, exponent)


def _sum(block, rows, origin, power):
    """Sums over all rows of a block of (value - origin)^power, by column."""
    if not isinstance(block, SparseRows):
        return ((block - origin) ** power).sum(axis=0)
    deviations, columns = block.values - origin[block.indices], len(origin)
    zeros = rows - np.bincount(block.indices, minlength=columns)
    return np.bincount(block.indices, deviations**power, columns) + zeros * (-origin) ** power
