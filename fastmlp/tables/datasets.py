"""Tables of samples, read from a file or from one of the data sets that are bundled with scikit-learn.

In all functions `source` is the path of the file or the name of the data set; it begins the messages of errors.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastmlp.checks import choice, nearest
from fastmlp.tables.columns import FEW, TableError, as_text, checked, complete, listed, numbers
from fastmlp.tables.readers import EXTENSIONS, MAX_BYTES, Content, Request, read

__all__ = ["BUNDLED", "EXTENSIONS", "MAX_BYTES", "TASKS", "Table", "TableError", "detect_task", "load", "load_features"]

TASKS = ("classification", "regression")
BUNDLED = ("digits", "iris", "wine", "breast_cancer", "diabetes")


class Table(NamedTuple):
    """Samples as columns, all of the same length N.

    Attributes
    ----------
    source : str
        Where the table was read from, for messages.
    features : dict[str, numpy.ndarray]
        Column name to (N,) values: numeric columns hold numbers or booleans, categorical ones are object arrays of str.
        Columns of NPY and NPZ files are named "0", "1", ... by position.
    target : numpy.ndarray or None
        (N,) class names (object array of str) for classification, float64 for regression; None in a table to predict.
    target_name, task : str or None
        The target's column name; "classification" or "regression".
    named : bool
        Whether the columns have names, other than their positions.
    """

    source: str
    features: dict
    target: np.ndarray | None = None
    target_name: str | None = None
    task: str | None = None
    named: bool = True

    @property
    def n_rows(self):
        """Number of samples N."""
        return len(next(iter(self.features.values())))

    def rows(self, indices):
        """Return a table of the given rows only; `indices` is an integer or Boolean array."""
        features = {name: values[indices] for name, values in self.features.items()}
        return self._replace(features=features, target=None if self.target is None else self.target[indices])


def load(source, target=None, task=None, *, texts=(), max_bytes=MAX_BYTES):
    """Read samples and their target; every column but the target is a feature.

    Parameters
    ----------
    source : str or path
        A CSV file (separated by commas, semicolons or tabs; the first line holds the column names), a Parquet file, an
        NPY file (one 2-D array), an NPZ file (a 2-D array ``X`` and 1-D targets), or a name in `BUNDLED`.
    target : str or int, optional
        Name or position of the target column; for NPZ files the name of the target array. By default the target of a
        bundled set, the last column of an NPY file, or the array ``y`` of an NPZ file; other files have no default.
    task : {"classification", "regression"}, optional
        By default it is detected (see `detect_task`).
    texts : collection of str
        Names of columns of a CSV file that are text even if all of their values look like numbers or truth values, such
        as those that were text in training (see `Preprocessing.texts`).
    max_bytes : int
        Largest size of a compressed table once it is uncompressed. A table of the size of its file is always read.

    Returns
    -------
    Table

    Raises
    ------
    FileNotFoundError
        If there is no such file or bundled data set.
    TableError
        A ValueError: if there is no such column, or the file cannot be read as a complete table.
    ImportError
        If the library that reads this kind of file is not installed.
    """
    if task is not None:
        choice("task", task, TASKS)
    content = _read(source, Request(target, texts, (), max_bytes))
    name = _resolve(source, content.default if target is None else target, list(content.columns))
    columns = {
        key: (complete if key in texts else checked)(source, key, values) for key, values in content.columns.items()
    }
    values = columns.pop(name)
    if not columns:
        raise TableError(f"{source}: no feature column beside the target {name!r}; columns are separated by , ; or tab")
    task = task or detect_task(values)
    if task == "regression":
        values = numbers(source, name, values).astype(np.float64)
    else:  # as the classes are spelled in the file
        spelled = content.spelled(name) if content.spelled else content.columns[name]
        values = as_text(complete(source, name, spelled))
    return Table(str(source), columns, values, name, task, content.named)


def load_features(source, *, texts=(), only=(), max_bytes=MAX_BYTES):
    """Read samples to predict: a `Table` without a target, whose values are not checked yet.

    If all columns named in `only` are there, others may be left out. Other arguments and errors are those of `load`.
    """
    content = _read(source, Request(None, texts, only, max_bytes))
    return Table(str(source), content.columns, named=content.named)


def detect_task(values):
    """Return "classification" for text, booleans, and few distinct whole numbers, otherwise "regression".

    Few means at most `FEW`, each of them twice on average. Whether they are stored as integers does not matter, because
    an array has one dtype for all columns.
    """
    if values.dtype.kind in "bO":
        return "classification"
    distinct = np.unique(values)
    classes = len(distinct) <= min(FEW, len(values) // 2) and np.all(distinct == np.rint(distinct))
    return "classification" if classes else "regression"


def _read(source, request):
    """`Content` of a file or bundled set; errors are those of `load`."""
    if source in BUNDLED:
        return Content(_read_bundled(source), default="target")
    if not Path(source).exists():
        known = f"{nearest(source, BUNDLED)}; bundled are {', '.join(BUNDLED)}"
        raise FileNotFoundError(f"no file or bundled data set {str(source)!r}{known}")
    return read(source, request)


def _resolve(source, target, names):
    """Return the column of `names` that `target`, a name or a position, refers to; a TableError if there is none."""
    if target in names:
        return target
    if target is None:
        raise TableError(f"{source}: target needed, one of the columns {listed(names)}")
    try:
        return names[int(target)]
    except (ValueError, IndexError, OverflowError):
        raise TableError(
            f"{source}: no column {target!r}{nearest(target, names)}; columns are {listed(names)}"
        ) from None


def _read_bundled(name):
    try:
        from sklearn import datasets
    except ImportError:
        raise ImportError(f"the data set {name} needs scikit-learn: pip install 'fastmlp[data]'") from None
    bunch = getattr(datasets, f"load_{name}")()
    target = bunch.target
    if "target_names" in bunch:
        target = np.array([str(name) for name in bunch.target_names], dtype=object)[target]
    return {**dict(zip(map(str, bunch.feature_names), bunch.data.T, strict=True)), "target": target}
