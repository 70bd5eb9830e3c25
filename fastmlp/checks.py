"""Checks and conversions of users' arguments. Each error names the argument, its value and what is accepted.

In all functions `argument` is the name of the user's argument, for these messages.
"""

import contextlib
import difflib
import math
import numbers
import sys
from collections.abc import Iterable

import numpy as np

from ._kernels import SparseRows
from .hints import WORDS

MOST_BITS_SHOWN = 128  # of whole numbers in messages


def choice(argument, value, known, others=""):
    """Return `value` if it is one of the names `known`, else raise a ValueError that suggests what is meant.

    That is the name that other libraries have for it (see `hints.WORDS`), or the nearest. `others` is text for the end
    of the message, after the known names.
    """
    known = list(known)
    if isinstance(value, str) and value in known:
        return value
    words = next((table for kind, table in WORDS.items() if argument.endswith(kind)), {})
    raise ValueError(f"{argument} is {value!r}{nearest(value, known, words)}; accepted: {', '.join(known)}{others}")


def nearest(name, known, words=None):
    """Text " (did you mean 'relu'?)" with the known name that `words` has for `name`, or the nearest; "" if none is.

    Upper and lower case make no difference. `words` is a dict from names in lower case to known ones.
    """
    by_lower, name = {each.lower(): each for each in known}, str(name).lower()
    meant = (words or {}).get(name)
    if meant not in by_lower.values():
        near = difflib.get_close_matches(name, by_lower, n=1)
        meant = by_lower[near[0]] if near else None
    return f" (did you mean {meant!r}?)" if meant else ""


def count(argument, value, least=1):
    """Return `value` as an int, which must be `least` or more."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{argument} is {value!r}; accepted: a whole number from {least} on")
    if value < least:
        raise ValueError(f"{argument} is {shown(value)}; accepted: a whole number from {least} on")
    return int(value)


def sequence(argument, values):
    """Return `values` if it is iterable."""
    if isinstance(values, Iterable):
        return values
    raise TypeError(f"{argument} is {values!r}; accepted: a sequence")


def flag(argument, value):
    """Return `value` as a bool: True or False, of Python or NumPy, or the numbers 1 and 0."""
    if isinstance(value, bool | np.bool_) or (isinstance(value, numbers.Integral) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{argument} is {value!r}; accepted: True or False")


def not_a_class(argument, value):
    """Raise a TypeError if `value` is a class, where an object of it is meant."""
    if isinstance(value, type):
        raise TypeError(f"{argument} is the class {value.__name__}; accepted: an object, {value.__name__}(...)")


def function(argument, value):
    """Return `value` if it can be called, and None as it is."""
    if value is None or callable(value):
        return value
    raise TypeError(f"{argument} is {value!r}; accepted: a function")


def generator(argument, seed):
    """Return a random generator for a seed, as numpy.random.default_rng takes it."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ValueError(f"{argument} is {seed!r}; accepted: a whole number from 0 on") from None


def number(argument, value, least=0.0, below=math.inf, open_start=False, closed_end=False):
    """Return `value` as a float in [least, below); `open_start` excludes `least`, `closed_end` includes `below`."""
    accepted = f"a number in {'(' if open_start else '['}{least:g}, {below:g}{']' if closed_end else ')'}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{argument} is {value!r}; accepted: {accepted}")
    try:
        result = float(value)
    except OverflowError:  # a whole number beyond all of float64
        result = math.inf if value > 0 else -math.inf
    inside = least <= result < below or (closed_end and result == below)
    if not inside or (open_start and result == least):
        raise ValueError(f"{argument} is {shown(value)}; accepted: {accepted}")
    return result


def shown(value):
    """Text of a value for a message: a whole number of many digits, which Python may refuse to print, as a power."""
    if isinstance(value, int) and value.bit_length() > MOST_BITS_SHOWN:
        return f"about {'-' * (value < 0)}10**{int(value.bit_length() * math.log10(2))}"
    return str(value) if isinstance(value, numbers.Number) else repr(value)


def matrix(argument, values, columns, dtype):
    """Return `values` as a (rows, columns) array of `dtype` for the kernels: aligned, row-major, marked as writable.

    An array that is so already is not copied, even if it is read-only or mapped from a file: kernels only read it.
    """
    dense(argument, values)
    array = _numeric(argument, values, dtype)
    _check_shape(argument, array.shape, columns)
    return _writable(array)


def dense(argument, values):
    """Raise a TypeError if `values` are sparse."""
    if is_scipy_sparse(values):
        raise TypeError(f"{argument} is a sparse matrix; accepted: an array, for one X.toarray()")


def shaped(argument, values, columns, dtype, least=1):
    """Return `values` as an array (rows, columns) of a dtype that converts to `dtype`; a sparse matrix as it is.

    It must have `least` rows or more.
    """
    if not is_scipy_sparse(values):
        values = _array(argument, values, dtype)
        if values.dtype.kind not in "fiub":
            _numeric(argument, values, dtype)  # raises an exception if they are no numbers
    _check_shape(argument, values.shape, columns, least)
    return values


def unscaled(argument, values, columns):
    """Return `values` as `inputs` does, but in float64, or without a copy as a dense array of numbers of any dtype."""
    values = shaped(argument, values, columns, np.dtype(float))
    is_numeric = not is_scipy_sparse(values) and values.dtype.kind in "fiub"
    return values if is_numeric else inputs(argument, values, columns, np.dtype(float))


def inputs(argument, values, columns, dtype):
    """Return `values` as `matrix` does, but a sparse matrix of scipy as `SparseRows` of the kernels.

    It is never made dense. Of compressed rows (CSR) of `dtype` with sorted 32-bit indices and no duplicates, only the
    row starts are copied. Other sparse matrices are copied, with duplicates added up.
    """
    if not is_scipy_sparse(values):
        return matrix(argument, values, columns, dtype)
    _check_shape(argument, values.shape, columns)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{argument} has dtype {values.dtype}; accepted: numbers that convert to {dtype}")
    if columns > np.iinfo(np.int32).max:
        raise ValueError(f"{argument} has {columns} columns; accepted if sparse: up to {np.iinfo(np.int32).max}")
    rows = values.tocsr()
    try:
        rows.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(
            f"{argument} is not a valid sparse matrix: {error}; accepted: indices within its shape"
        ) from None
    with np.errstate(over="ignore"):
        rows = rows.astype(dtype, copy=False)
    if not rows.has_canonical_format:
        rows = rows.copy()  # so that the caller's matrix stays as it is
        rows.sum_duplicates()
    indptr, indices = (_numeric(argument, a, t) for a, t in ((rows.indptr, np.int64), (rows.indices, np.int32)))
    return SparseRows(*map(_writable, (indptr, indices, _numeric(argument, rows.data, dtype))))


def is_scipy_sparse(values):
    """Whether `values` is a sparse matrix or array of scipy, which need not be installed."""
    scipy = sys.modules.get("scipy.sparse")
    return scipy is not None and scipy.issparse(values)


def _check_shape(argument, shape, columns, least=1):
    if len(shape) != 2 or shape[1] != columns:
        hint = " (a single column needs reshape(-1, 1))" if len(shape) == 1 and columns == 1 else ""
        raise ValueError(f"{argument} has shape {shape}; accepted: (rows, {columns}){hint}")
    if shape[0] < least:
        raise ValueError(f"{argument} has no rows; accepted: at least one")


def vector(argument, values, rows, dtype):
    """Return `values` as a (rows,) array of `dtype` for the kernels (see `matrix`)."""
    array = _numeric(argument, values, dtype)
    if array.shape != (rows,):
        raise ValueError(f"{argument} has shape {array.shape}; accepted: ({rows},), one for each row of X")
    return _writable(array)


def targets(argument, y, rows, outputs, dtype, loss, kind):
    """Check and convert targets.

    Parameters
    ----------
    argument : str; name of the user's argument
    y : (rows, outputs) array-like; also (rows,) for one output, or (rows,) or (rows, 1) integer labels if `kind` is
        "classes"
    rows : int; number of samples
    outputs : int; number of targets of a sample
    dtype : dtype of the network
    loss : str; name of the loss, for messages
    kind : str; kind of the targets (see `losses.target_kind`)

    Returns
    -------
    y : (rows, outputs) array of `dtype`, or (0, outputs) if there are labels
    labels : (rows,) int64 array of labels, which stand for one-hot rows, or (0,)
    """
    labels = np.empty(0, np.int64)
    array = _array(argument, y, dtype)
    integers, column = array.dtype.kind in "iub", outputs > 1 and array.shape[1:] == (1,)
    if kind == "classes" and integers and column:
        array = array[:, 0]
    if kind == "classes" and array.ndim == 1 and integers:
        _same_rows(argument, array, rows)
        outside = np.flatnonzero((array < 0) | (array >= outputs))
        if outside.size:
            raise ValueError(
                f"{argument} has label {array[outside[0]]} at position {outside[0]}; accepted: 0 to {outputs - 1}"
            )
        return np.empty((0, outputs), dtype), array.astype(np.int64)
    if array.ndim == 1 and outputs == 1:
        array = array.reshape(-1, 1)
    elif kind == "classes" and (array.ndim == 1 or column):
        raise ValueError(
            f"{argument} has shape {array.shape} and dtype {array.dtype}; accepted: integer labels (rows,), "
            f"or one-hot rows (rows, {outputs})"
        )
    _same_rows(argument, array, rows)
    if integers and (array.ndim == 1 or column):
        raise ValueError(
            f"{argument} has shape {array.shape} and dtype {array.dtype}; accepted: (rows, {outputs}), or labels of "
            'classes with output_activation="softmax"'
        )
    array = matrix(argument, array, outputs, dtype)
    finite(argument, array)
    most = {"probabilities": 1, "counts": math.inf}.get(kind)
    if most is not None and not (array.min() >= 0 and array.max() <= most):
        i, j = np.argwhere((array < 0) | (array > most))[0]
        accepted = "0 to 1" if most == 1 else "0 or more"
        raise ValueError(f"{argument} is {array[i, j]:g} at row {i}, column {j}; accepted with {loss}: {accepted}")
    if kind == "classes":
        wrong = np.flatnonzero((abs(array.sum(axis=1) - 1) > 1e-3) | (array.min(axis=1) < 0))
        if wrong.size:
            raise ValueError(
                f"{argument} has row {wrong[0]} adding up to {array[wrong[0]].sum():g}; accepted with {loss}: "
                "integer labels, or rows of probabilities that add up to 1"
            )
    return array, labels


def finite(argument, array):
    """Raise a ValueError with the position of the first value that is not finite, in an array or `SparseRows`."""
    values = array.values if isinstance(array, SparseRows) else array.reshape(-1)
    step = 1 << 20  # a few megabytes at a time
    for start in range(0, len(values), step):
        are_finite = np.isfinite(values[start : start + step])
        if not are_finite.all():
            place = start + int(np.argmin(are_finite))
            if isinstance(array, SparseRows):
                i, j = np.searchsorted(array.indptr, place, "right") - 1, array.indices[place]
            else:
                i, j = divmod(place, array.shape[1])
            raise ValueError(
                f"{argument} is {values[place]} at row {i}, column {j}; accepted: finite {values.dtype} values"
            )


def _same_rows(argument, array, rows):
    if array.ndim == 0 or len(array) != rows:
        raise ValueError(f"{argument} has shape {array.shape}; accepted: {rows} rows, as many as X")


def _array(argument, values, dtype):
    if np.ma.is_masked(values):
        where = ", ".join(str(index[0]) for index in np.nonzero(np.ma.getmaskarray(values)))
        raise ValueError(f"{argument} is masked at position ({where}); accepted: arrays in which nothing is masked")
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:  # for example rows of different lengths
        raise TypeError(f"{argument} does not convert to {dtype}: {error}; accepted: an array of numbers") from None


def _numeric(argument, values, dtype):
    """Return `values` as an aligned, row-major array of `dtype`, or raise a TypeError if they are not numbers."""
    array = _array(argument, values, dtype)
    if array.dtype.kind not in "fiub" and array.dtype.kind != "O":
        raise TypeError(f"{argument} has dtype {array.dtype}; accepted: numbers that convert to {dtype}")
    try:
        with np.errstate(over="ignore"):  # too large numbers become infinite: see `finite`
            return np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED", "ENSUREARRAY"])
    except OverflowError:
        _refuse_beyond(argument, array)
        raise
    except (TypeError, ValueError) as error:
        raise TypeError(f"{argument} does not convert to {dtype}: {error}; accepted: an array of numbers") from None


def _refuse_beyond(argument, values):
    """Raise a ValueError with the position of the first whole number beyond all of float64, if there is one."""
    for place, value in np.ndenumerate(np.asarray(values, object)):
        try:
            float(value)
        except OverflowError:
            where = ", ".join(map(str, place))
            raise ValueError(
                f"{argument} is {shown(value)} at position ({where}); accepted: finite float64 values"
            ) from None
        except (TypeError, ValueError):  # no number
            continue


@contextlib.contextmanager
def naming_overflow(**arguments):
    """Context in which other libraries convert `arguments`: their OverflowError becomes one that names the argument."""
    try:
        yield
    except OverflowError:
        for argument, values in arguments.items():
            _refuse_beyond(argument, values)
        raise


class _Writable:
    """View of a read-only array marked as writable, because the mark is part of the type that Numba compiles for."""

    def __init__(self, array):
        self.array = array  # keeps the memory alive
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def _writable(array):
    return array if array.flags.writeable else np.asarray(_Writable(array))
