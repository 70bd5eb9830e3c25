"""Tables of samples, read from a file or from one of the data sets that are bundled with scikit-learn.

In all functions `source` is the path of the file or the name of the data set; it begins the messages of errors.
"""

import csv
import importlib
import math
import zlib
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np

from fastmlp.checks import choice, nearest

TASKS = ("classification", "regression")
BUNDLED = ("digits", "iris", "wine", "breast_cancer", "diabetes")
# Up to so many distinct values, whole numbers in a target are taken as classes (digits and grades, not ages), and texts
# that are numbers as categories.
FEW = 20
MISSING = ("", "?", "NA", "N/A", "#N/A", "n/a", "NaN", "nan", "NULL", "null")  # texts for a missing value in CSV files


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
    """

    source: str
    features: dict
    target: np.ndarray | None = None
    target_name: str | None = None
    task: str | None = None

    @property
    def n_rows(self):
        """Number of samples N."""
        return len(next(iter(self.features.values())))

    def rows(self, indices):
        """Return a table of the given rows only; `indices` is an integer or Boolean array."""
        features = {name: values[indices] for name, values in self.features.items()}
        return self._replace(features=features, target=None if self.target is None else self.target[indices])


def load(source, target=None, task=None):
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

    Returns
    -------
    Table

    Raises
    ------
    FileNotFoundError
        If there is no such file or bundled data set.
    ValueError
        If there is no such column, or the file cannot be read as a complete table.
    ImportError
        If the library that reads this kind of file is not installed.
    """
    if task is not None:
        choice("task", task, TASKS)
    columns, default = _read(source, target)
    name = _resolve(source, default if target is None else target, list(columns))
    columns = {key: checked(source, key, values) for key, values in columns.items()}
    values = columns.pop(name)
    if not columns:
        raise ValueError(f"{source}: no feature column beside the target {name!r}; columns are separated by , ; or tab")
    task = task or detect_task(values)
    values = class_names(values) if task == "classification" else numbers(source, name, values).astype(np.float64)
    return Table(str(source), columns, values, name, task)


def load_features(source):
    """Read samples to predict: a `Table` without a target, whose values are not checked yet.

    `source` and the errors are those of `load`.
    """
    return Table(str(source), _read(source, None)[0])


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


def class_names(values):
    """Return (N,) values as an object array of str; whole numbers are written without a decimal point."""
    if values.dtype.kind == "O":
        return values
    distinct, inverse = np.unique(values, return_inverse=True)
    names = [str(int(v) if distinct.dtype.kind == "f" and v.is_integer() else v) for v in distinct]
    return np.array(names, dtype=object)[inverse]


def numbers(source, name, values):
    """Return the column `values`, called `name`, as numbers; a ValueError names the first text that is not a number."""
    if values.dtype.kind != "O":
        return values
    for row, value in enumerate(values):
        if not is_number(value):
            raise ValueError(f"{source}: column {name!r} must hold numbers; got {value!r} in data row {row + 1}")
    return values.astype(np.float64)


def listed(names):
    """Return the first ten names as text for a message."""
    names = list(names)
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def checked(source, name, values):
    """Return the column `values`, called `name`: finite numbers, booleans, or text (as an object array of str).

    A text column becomes numbers if it has more than `FEW` distinct texts and all of them are numbers.

    Raises
    ------
    ValueError
        If a value is missing, infinite or of another type, or if a text is not a number in a column with more than
        `FEW` distinct texts of which most are numbers. The message counts data rows from 1, without the header.
    """
    where = f"{source}: column {name!r}"
    if values.dtype.kind in "biuf":
        wrong = ~np.isfinite(values)
        if wrong.any():
            row = int(wrong.argmax())
            what = "no value" if np.isnan(values[row]) else f"the infinite value {values[row]}"
            raise ValueError(f"{where} has {what} in data row {row + 1}")
        return values
    values = values.astype(object)
    kinds = [type(value) for value in values]
    if type(None) in kinds:
        raise ValueError(f"{where} has no value in data row {kinds.index(type(None)) + 1}")
    for row, kind in enumerate(kinds):
        if kind is not str:
            wanted = "must hold numbers, booleans or text"
            raise ValueError(f"{where} {wanted}; got type {kind.__name__} in data row {row + 1}")
    distinct = set(values)
    if len(distinct) > FEW and 2 * sum(map(is_number, distinct)) > len(distinct):
        return numbers(source, name, values)
    return values


def _read(source, target):
    """Return the columns of a file or bundled set, {name: (N,) array}, and name or position of the default target."""
    if source in BUNDLED:
        return _read_bundled(source), "target"
    path = Path(source)
    if not path.exists():
        known = f"{nearest(source, BUNDLED)}; bundled are {', '.join(BUNDLED)}"
        raise FileNotFoundError(f"no file or bundled data set {str(source)!r}{known}")
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    if path.suffix.lower() not in EXTENSIONS:
        raise ValueError(f"{path}: unknown kind of file {path.suffix!r}; accepted are {', '.join(EXTENSIONS)}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    read, default = _READERS[path.suffix.lower()]
    columns = read(path, target)
    if not columns or len(next(iter(columns.values()))) == 0:
        raise ValueError(f"{path} has no data rows")
    return columns, default


def _resolve(source, target, names):
    """Return the column of `names` that `target`, a name or a position, refers to; a ValueError if there is none."""
    if target in names:
        return target
    if target is None:
        raise ValueError(f"{source}: target needed, one of the columns {listed(names)}")
    try:
        return names[int(target)]
    except (ValueError, IndexError):
        raise ValueError(
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


def _read_csv(path, target):
    arrow = _pyarrow(path, "csv")
    with _reading(path, "a CSV file"), open(path, encoding="utf-8-sig", newline="") as file:
        line = file.readline()
        separator = max(",;\t", key=line.count)
        file.seek(0)
        header = next(csv.reader(file, delimiter=separator), [])
        table = arrow.read_csv(
            path,
            read_options=arrow.ReadOptions(use_threads=False),  # only then do messages give the line
            parse_options=arrow.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=arrow.ConvertOptions(strings_can_be_null=True, null_values=MISSING),
        )
    if all(map(is_number, header)) and header != [str(i) for i in range(len(header))]:
        raise ValueError(f"{path}: the first line must hold column names; got the numbers {line.strip()[:60]}")
    return _arrow_columns(path, table)


def _read_parquet(path, target):
    arrow = _pyarrow(path, "parquet")
    with _reading(path, "a Parquet file"):
        table = arrow.read_table(path)
    return _arrow_columns(path, table)


def _pyarrow(path, module):
    try:
        return importlib.import_module(f"pyarrow.{module}")
    except ImportError:
        raise ImportError(f"reading {path} needs pyarrow: pip install 'fastmlp[data]'") from None


@contextmanager
def _reading(path, kind):
    """Context in which errors of a reader become a ValueError, in one line that names the file."""
    try:
        yield
    except (ValueError, OSError, EOFError, csv.Error, BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).replace("Row #", "line ").split())
        raise ValueError(f"{path} cannot be read as {kind}: {reason[:200]}") from None


def _arrow_columns(path, table):
    """Return the columns of a pyarrow table as arrays, without row labels that pandas may have written to the file."""
    names = [name.strip() for name in table.column_names]
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{path}: {times} columns are called {name!r}")
    if "" in names:
        raise ValueError(f"{path}: column {names.index('') + 1} has no name (row labels? write the file without them)")
    columns = zip(names, table.columns, strict=True)
    return {name: _arrow_values(column) for name, column in columns if not name.startswith("__index_level_")}


def _arrow_values(column):
    if str(column.type).startswith("decimal"):
        column = column.cast("float64")
    return column.to_numpy()


def _read_npy(path, target):
    with _reading(path, "an NPY file"), open(path, "rb") as file:
        array = np.lib.format.read_array(file)
    return _by_position(path, "the array", array)


def _read_npz(path, target):
    """Return the columns of the array X by position, and the array of the target under its name if there is one."""
    target_array = "y" if target is None else target
    with _reading(path, "an NPZ file"), np.lib.npyio.NpzFile(path) as file:
        known = list(file)
        arrays = {name: file[name] for name in ("X", target_array) if name in known}
    for needed in ["X"] if target is None else ["X", target]:
        if needed not in known:
            raise ValueError(f"{path}: no array {needed!r}{nearest(needed, known)}; arrays are {listed(known)}")
    columns = _by_position(path, "array 'X'", arrays["X"])
    if target_array in arrays:
        columns[target_array] = arrays[target_array]
        if columns[target_array].shape != (len(arrays["X"]),):
            shapes = f"X {arrays['X'].shape}, {target_array} {columns[target_array].shape}"
            raise ValueError(f"{path}: the target must have one value for each row of X; got the shapes {shapes}")
    return columns


def _by_position(path, what, array):
    """Return the columns of a 2-D array, named "0", "1", ...; `what` is its name in messages."""
    if array.ndim != 2:
        raise ValueError(f"{path}: {what} must be 2-D, samples as rows; got the shape {array.shape}")
    return {str(i): array[:, i] for i in range(array.shape[1])}


def is_number(text):
    """Return whether `text` is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


# By extension: reader (path, target) -> {name: (N,) values}, and the name or position of the default target.
_READERS = {
    ".csv": (_read_csv, None),
    ".tsv": (_read_csv, None),
    ".parquet": (_read_parquet, None),
    ".npy": (_read_npy, -1),
    ".npz": (_read_npz, "y"),
}
EXTENSIONS = tuple(_READERS)
