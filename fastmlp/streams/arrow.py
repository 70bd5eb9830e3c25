"""Sources of Arrow: data sets of Parquet files, whose row groups are blocks, and streams of record batches."""

from __future__ import annotations

import importlib
import sys

import numpy as np

from ..checks import nearest

BATCH_ROWS = 1 << 14  # rows of a piece that is read
READ_AHEAD = 4  # pieces that pyarrow may have ready


def pyarrow(module):
    """A module of pyarrow; an ImportError that says how to install it."""
    try:
        return importlib.import_module(f"pyarrow.{module}")
    except ImportError:
        raise ImportError("data of Arrow needs pyarrow: pip install 'fastmlp[data]'") from None


def is_dataset(X):
    """Whether X is a `pyarrow.dataset.Dataset`, without an import of pyarrow."""
    module = sys.modules.get("pyarrow.dataset")
    return module is not None and isinstance(X, module.Dataset)


class Columns:
    """Choice of the columns of a schema that are inputs, targets and weights.

    Parameters
    ----------
    schema : pyarrow.Schema
    y : str or list of str; names of the targets
    sample_weight : str, optional
    columns : list of str, optional
        Names of the inputs, in their order; by default all columns that are neither.
    """

    def __init__(self, schema, y, sample_weight=None, columns=None):
        if not is_named(y):
            raise TypeError(f"y is {type(y).__name__}; accepted: the name of a column of X, or a list of names")
        if not isinstance(sample_weight, str | None):
            raise TypeError(f"sample_weight is {type(sample_weight).__name__}; accepted: the name of a column of X")
        self.y = y if isinstance(y, str) else list(y)
        self.weight, taken = sample_weight, {sample_weight, *([y] if isinstance(y, str) else y)}
        self.x = [name for name in schema.names if name not in taken] if columns is None else list(columns)
        if not self.x:
            raise ValueError("columns is empty; accepted: at least one column of X besides y and sample_weight")
        self.all = list(dict.fromkeys([*self.x, *sorted(taken - {None})]))
        for name in self.all:
            _check_column(schema, name)
        both = sorted(taken & set(self.x))
        if both:
            raise ValueError(f"columns has {both[0]!r}, which is y or sample_weight; accepted: others")

    def arrays(self, batch):
        """X, y, and weights or None, of a pyarrow.RecordBatch."""
        y = _vector(batch, self.y) if isinstance(self.y, str) else _matrix(batch, self.y)
        return _matrix(batch, self.x), y, None if self.weight is None else _vector(batch, self.weight)


def is_named(y):
    """Whether targets are given as names of columns: a str, or a list of them."""
    several = isinstance(y, list | tuple) and len(y) > 0
    return isinstance(y, str) or (several and all(isinstance(name, str) for name in y))


def _check_column(schema, name):
    if schema.names.count(name) != 1:
        there = "several columns" if name in schema.names else "no column"
        raise ValueError(
            f"X has {there} {name!r}{nearest(name, schema.names)}; its columns are {', '.join(schema.names)}"
        )
    kind, types = schema.field(name).type, pyarrow("types")
    if not any(test(kind) for test in (types.is_floating, types.is_integer, types.is_boolean, types.is_decimal)):
        raise TypeError(f"column {name!r} has the type {kind}; accepted: numbers and booleans, or `columns` without it")


def _vector(batch, name):
    """A column of a record batch as an array, in which nulls become numbers that are not finite."""
    column = batch.column(name)
    if pyarrow("types").is_decimal(column.type):  # else an array of objects
        column = column.cast("float64")
    return column.to_numpy(zero_copy_only=False)


def _matrix(batch, names):
    """Columns of a record batch as an array (rows, columns) of a dtype that can hold them all.

    It is column-major: to transpose a block when it is copied to its place takes a sixth of the time of
    `pyarrow.RecordBatch.to_tensor`.
    """
    return np.stack([_vector(batch, name) for name in names]).T


class ArrowStream:
    """Source of an object with `__arrow_c_stream__`, such as a table or a reader of record batches.

    It is read once per epoch, from its beginning: a reader of batches, which can be read once, serves one epoch.
    """

    blocks = None

    def __init__(self, X, y, sample_weight=None, columns=None, rows=None):
        self._batches = pyarrow("lib").RecordBatchReader.from_stream
        schema = X.schema if hasattr(X, "schema") and hasattr(X.schema, "metadata") else self._batches(X).schema
        self._source, self._columns = X, Columns(schema, y, sample_weight, columns)
        self.rows = len(X) if rows is None and hasattr(X, "__len__") else rows

    def read(self, numbers=None):
        """See `sources`."""
        with self._batches(self._source) as batches:
            for number, batch in enumerate(batches):
                yield f"record batch {number}", *self._columns.arrays(batch)


class Dataset:
    """Source of a `pyarrow.dataset.Dataset`: its blocks are the row groups of Parquet files.

    Other data sets, and those that are filtered, are read from the beginning to the end.
    """

    def __init__(self, X, y, sample_weight=None, columns=None, rows=None):
        self._dataset, self._columns = X, Columns(X.schema, y, sample_weight, columns)
        self._groups, self.blocks, self.rows = self._row_groups(), None, rows
        if self._groups is not None:
            self.blocks = np.array([group.row_groups[0].num_rows for group in self._groups], np.int64)
            self.rows = int(self.blocks.sum())

    def _row_groups(self):
        """Fragments of a row group each; None if there are none, or a filter leaves part of their rows."""
        try:
            files = list(self._dataset.get_fragments())
        except ValueError:  # a filtered one
            return None
        if not all(isinstance(file, pyarrow("dataset").ParquetFileFragment) for file in files):
            return None
        groups = [group for file in files for group in file.split_by_row_group()]
        return [group for group in groups if group.row_groups[0].num_rows]

    def read(self, numbers=None):
        """See `sources`."""
        settings = {"columns": self._columns.all, "batch_size": BATCH_ROWS}
        ahead = {"batch_readahead": READ_AHEAD, "fragment_readahead": 1}
        if self._groups is None:
            for number, batch in enumerate(self._dataset.to_batches(**settings, **ahead)):
                yield f"record batch {number}", *self._columns.arrays(batch)
            return
        for group in (self._groups[number] for number in numbers):
            start = 0
            for batch in group.to_batches(schema=self._dataset.schema, **settings, **ahead):
                where = f"row group {group.row_groups[0].id} of {group.path} from row {start} on"
                start += batch.num_rows
                yield where, *self._columns.arrays(batch)
