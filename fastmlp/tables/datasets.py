"""Tables of samples, read from a file or from one of the data sets that are bundled with scikit-learn.

In all functions `source` is the path of the file or the name of the data set; it begins the messages of errors.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastmlp.checks import choice, nearest
from fastmlp.tables.columns import FEW, TableError, as_text, checked, is_missing, known, listed
from fastmlp.tables.columns import numbers as as_numbers
from fastmlp.tables.compression import STANDARD_INPUT
from fastmlp.tables.contents import MAX_BYTES, Content, Request, position, selected
from fastmlp.tables.csv_files import name_of
from fastmlp.tables.dialects import Dialect
from fastmlp.tables.readers import EXTENSIONS, read

__all__ = [
    "BUNDLED",
    "EXTENSIONS",
    "MAX_BYTES",
    "TASKS",
    "Dialect",
    "Table",
    "TableError",
    "detect_task",
    "load",
    "load_features",
]

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
        Missing values are NaN or None. Columns of NPY and NPZ files are named "0", "1", ... by position.
    target : numpy.ndarray or None
        (N,) class names (object array of str) for classification, float64 for regression; None in a table to predict.
    target_name, task : str or None
        The target's column name; "classification" or "regression".
    named : bool
        Whether the columns have names, other than their positions.
    ids : dict[str, numpy.ndarray] or None
        Column name to (N,) object array of str, of columns that identify rows; they are no features.
    dialect : Dialect
        What the caller said about the file.
    without_target : int
        Number of rows that are left out, as they have no value of the target.
    taken : dict[str, str]
        Column name to a text that was taken for a missing value, such as "None"; of columns of text.
    data_rows : numpy.ndarray or None
        (N,) numbers of the rows in the file, from 1 on; None if they are 1 to N.
    """

    source: str
    features: dict
    target: np.ndarray | None = None
    target_name: str | None = None
    task: str | None = None
    named: bool = True
    ids: dict | None = None
    dialect: Dialect = Dialect()
    without_target: int = 0
    taken: dict = {}  # noqa: RUF012
    data_rows: np.ndarray | None = None

    @property
    def n_rows(self):
        """Number of samples N."""
        return len(next(iter(self.features.values())))

    def rows(self, indices):
        """Return a table of the given rows only; `indices` is an integer or Boolean array."""
        features, ids = (
            {name: values[indices] for name, values in (columns or {}).items()} for columns in (self.features, self.ids)
        )
        target = None if self.target is None else self.target[indices]
        data_rows = (np.arange(1, self.n_rows + 1) if self.data_rows is None else self.data_rows)[indices]
        return self._replace(features=features, ids=ids, target=target, data_rows=data_rows)

    def data_row(self, row):
        """Number in the file, from 1 on, of a row of the table, from 0 on."""
        return int(row) + 1 if self.data_rows is None else int(self.data_rows[row])


def load(
    source,
    target=None,
    task=None,
    *,
    texts=(),
    numbers=(),
    features=(),
    drop=(),
    ids=(),
    only=(),
    dialect=Dialect(),  # noqa: B008
    max_bytes=MAX_BYTES,
):
    """Read samples and their target; every other column is a feature, unless `features`, `drop` or `ids` say otherwise.

    Rows without a value of the target are left out and counted. Messages of errors name options of the command line,
    which are called as the arguments here.

    Parameters
    ----------
    source : str or path
        A CSV file, which may be compressed by gzip, bzip2 or zstd, or "-" for one from standard input; a Parquet file;
        an NPY file (one 2-D array); an NPZ file (a 2-D array ``X`` and 1-D targets); or a name in `BUNDLED`.
    target : str or int, optional
        Name or position of the target column; for NPZ files the name of the target array. By default the target of a
        bundled set, the last column of an NPY file, or the array ``y`` of an NPZ file; other files have no default.
    task : {"classification", "regression"}, optional
        By default it is detected (see `detect_task`).
    texts : collection of str
        Names of columns of a CSV file that are text even if all of their values look like numbers or truth values, such
        as those that were text in training (see `Preprocessing.texts`). Names of other columns are ignored.
    numbers : collection of str
        Names of columns that are numbers, or an error. In texts, signs of currencies and of percent around them are
        left out: "$5" and "5 %" are 5. Names of other columns are ignored.
    features, drop, ids : sequences of str or int
        Names or positions of the only features, of columns to leave out, of columns that identify rows.
    only : collection of str
        Names of columns, such as the features of a model. If all are there, others but the target are left out.
    dialect : Dialect
        How a CSV file is written, as far as it shall not be found out.
    max_bytes : int
        Largest size of a compressed table, or one from standard input, once it is uncompressed. A file is always read
        if it is not compressed.

    Returns
    -------
    Table

    Raises
    ------
    FileNotFoundError
        If there is no such file or bundled data set.
    TableError
        A ValueError: if there is no such column, or the file cannot be read as a table.
    ValueError
        If `features` and `drop` are both given.
    ImportError
        If the library that reads this kind of file is not installed.
    """
    if task is not None:
        choice("task", task, TASKS)
    if features and drop:
        raise ValueError(f"--drop is {listed(drop)}, with --features; accepted: one of them")
    content = _read(source, Request(target, texts, numbers, features, drop, ids, only, dialect, max_bytes))
    source = str(name_of(source))
    target = content.default if target is None else target
    if target is None:
        raise TableError(
            f"{source}: target needed, one of the columns {listed(content.names)}; accepted: --target NAME"
        )
    name = content.names[position(source, content.names, target)]
    identify = _ids(source, content, ids)
    if name not in content.columns or name in identify:
        raise TableError(f"{source}: the target {name!r} is among the columns of --drop or --id; accepted: others")
    values = {key: column for key, column in content.columns.items() if key not in identify}
    values = {key: _column(source, key, column, texts, numbers, bool(only)) for key, column in values.items()}
    targets = values.pop(name)
    if not values:
        raise TableError(
            f"{source}: no feature column beside the target {name!r}; columns are separated by , ; tab or "
            "|, or what --delimiter says"
        )
    there = ~is_missing(targets)
    if not there.any():
        mend = f" but {content.taken[name]!r}; accepted: --no-default-na" if name in content.taken else ""
        raise TableError(f"{source}: column {name!r}, the target, has no values{mend}")
    task = task or detect_task(targets[there])
    if task == "regression":
        targets = as_numbers(source, name, targets, bool(only))[there].astype(np.float64)
    else:  # as the classes are spelled in the file
        spelled = content.spelled(name) if content.spelled else content.columns[name]
        targets = as_text(known(source, name, spelled[there]))
    left_out = int((~there).sum())
    table = Table(source, values, None, name, task, content.named, identify, dialect, left_out, content.taken)
    return (table if there.all() else table.rows(there))._replace(target=targets)


def load_features(source, *, texts=(), numbers=(), only=(), ids=(), dialect=Dialect(), max_bytes=MAX_BYTES):  # noqa: B008
    """Read samples to predict: a `Table` without a target, whose values are not checked yet.

    Arguments and errors are those of `load`.
    """
    content = _read(source, Request(None, texts, numbers, (), (), ids, only, dialect, max_bytes))
    source = str(name_of(source))
    identify = _ids(source, content, ids)
    features = {key: values for key, values in content.columns.items() if key in only or key not in identify}
    return Table(source, features, named=content.named, ids=identify, dialect=dialect)


def _column(source, name, values, texts, numbers, learned):
    """The column `values`, called `name`, checked, as what it is known to be, by a model if it is `learned`."""
    if name in numbers:
        return as_numbers(source, name, known(source, name, values, learned), learned)
    return known(source, name, values, learned) if learned or name in texts else checked(source, name, values)


def _ids(source, content, ids):
    """Columns that identify rows, as they are spelled in a file: a dict of object arrays of str."""
    names = [content.names[position(source, content.names, key)] for key in ids]
    spelled = content.spelled or (lambda name: content.columns[name])
    columns = {name: spelled(name) for name in names}
    columns = {name: known(source, name, v) if v.dtype.kind == "O" else v for name, v in columns.items()}
    return {name: np.where(is_missing(values), "", as_text(values)) for name, values in columns.items()}


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
        columns = _read_bundled(source)
        return Content(selected(source, columns, request, "target"), list(columns), default="target")
    if source != STANDARD_INPUT and not Path(source).exists():
        known = f"{nearest(source, BUNDLED)}; bundled are {', '.join(BUNDLED)}"
        raise FileNotFoundError(f"no file or bundled data set {str(source)!r}{known}")
    return read(source, request)


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
