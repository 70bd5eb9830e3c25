"""Readers of table files: CSV, Parquet, NPY and NPZ. The sizes that a file claims are checked before memory is taken.

A CSV file says nowhere what its columns hold. So they are read as text, and become numbers if all of their values are;
unless the caller knows them as text, as the same text must mean the same alone and among others.
"""

import csv
import importlib
import io
import math
import re
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np

from fastmlp.checks import nearest
from fastmlp.tables.columns import FEW, TRUTH_VALUES, TableError, is_number, listed

MISSING = ("", "?", "NA", "N/A", "#N/A", "n/a", "NaN", "nan", "NULL", "null")  # texts for a missing value in CSV files
MAX_BYTES = 4_000_000_000  # of a compressed table's content, if nobody sets another limit
MOST_COLUMNS = 100_000  # the names and arrays of more would take much more memory than the file
MOST_EXPANSION = 1032  # bytes that a byte of deflate can stand for, at most
HEADER_CHARACTERS = 1 << 20  # of a CSV file, in which its separator is looked for
BLOCK_BYTES = 1 << 20  # of a CSV file that are read at a time, at least
# Types of pyarrow: numbers of a fixed size, dates, whose values are refused later, and text that is kept once.
PARQUET_TYPES = (
    r"(u?int|float|double|halffloat|decimal|bool|null|date|time|duration|(large_)?string$|dictionary<values=)"
)
SURROGATES, LAST_CHARACTER = (0xD800, 0xE000), 0x10FFFF  # of Unicode
# Numbers with commas, as regular expressions: a decimal comma, or separators of thousands.
DECIMAL_COMMA = r"^\s*([-+]?\d*),(\d+(?:[eE][-+]?\d+)?)\s*$"
COMMAS = DECIMAL_COMMA + r"|^\s*[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?\s*$"


class Content(NamedTuple):
    """Content of a table file.

    Attributes
    ----------
    columns : dict
        Column name to (N,) array.
    default : str, int or None
        Name or position of the target, if nobody names another column.
    named : bool
        Whether the columns have names, other than their positions "0", "1", ...
    spelled : function or None
        Returns the column of a name as it is spelled in the file, (N,) object array of str, None where a value is
        missing. None if the file does not hold text.
    """

    columns: dict
    default: str | int | None = None
    named: bool = True
    spelled: Callable | None = None


class Request(NamedTuple):
    """What is asked of a file; see `datasets.load` and `datasets.load_features`.

    Attributes
    ----------
    target : str, int or None
    texts, only : collections of str; if some of the names in `only` are not there, or there are none, all are read
    max_bytes : int
    """

    target: str | int | None
    texts: tuple | set
    only: tuple | dict
    max_bytes: int

    def wanted(self, names):
        """Those of the names of a file's columns that are asked for."""
        return [name for name in names if name in self.only] if self.only and set(self.only) <= set(names) else names


def read(path, request):
    """Read what is asked of a file; errors are those of `datasets.load`. The values are not checked."""
    path = Path(path)
    if not path.is_file():
        raise TableError(f"{path} is not a file")
    if path.suffix.lower() not in EXTENSIONS:
        raise TableError(f"{path}: unknown kind of file {path.suffix!r}; accepted are {', '.join(EXTENSIONS)}")
    size = path.stat().st_size
    if size == 0:
        raise TableError(f"{path} is empty")
    content = _READERS[path.suffix.lower()](path, request._replace(max_bytes=max(size, request.max_bytes)))
    if not content.columns or len(next(iter(content.columns.values()))) == 0:
        raise TableError(f"{path} has no data rows")
    return content


@contextmanager
def _reading(path, kind):
    """Context in which errors of a reader become a TableError, in one line that names the file."""
    try:
        yield
    except MemoryError:
        raise TableError(f"{path} cannot be read as {kind}: it does not fit into memory") from None
    except Exception as error:  # readers have errors of many types
        reason = " ".join(str(error).replace("Row #", "line ").split())
        raise TableError(f"{path} cannot be read as {kind}: {reason or type(error).__name__}") from None


def _read_csv(path, request):
    arrow = _pyarrow(path, "csv")
    with _reading(path, "a CSV file"), open(path, encoding="utf-8-sig", newline="") as file:
        separator = _separator(file.read(HEADER_CHARACTERS))
        file.seek(0)
        header = next(csv.reader(file, delimiter=separator), [])
        _check_columns(len(header))
        block = max(BLOCK_BYTES, 8 * sum(map(len, header)))  # in which the reader must find the whole header
        table = arrow.read_csv(
            path,
            read_options=arrow.ReadOptions(
                use_threads=False, block_size=block
            ),  # messages give the line without threads
            parse_options=arrow.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(header, "string"), strings_can_be_null=True, null_values=MISSING
            ),
        )
    if all(map(is_number, header)) and header != [str(i) for i in range(len(header))]:
        line = separator.join(header).strip()
        raise TableError(f"{path}: the first line must hold column names; got the numbers {line[:60]}")
    columns = _named(path, table)
    columns = {name: columns[name] for name in request.wanted(list(columns))}
    open_ = {name: column for name, column in columns.items() if name not in request.texts}
    guessed = _guessed(path, open_, separator)
    arrays = {name: guessed[name] if name in guessed else _text(column) for name, column in columns.items()}
    return Content(arrays, spelled=lambda name: _text(columns[name]))


def _separator(text):
    """Separator that the header, at the beginning of a CSV file, has most often outside of quotes."""
    header = re.sub(r'(^|[,;\t])"(?:[^"]|"")*("|$)', r"\1", text.lstrip("\r\n")).partition("\n")[0]
    return max(",;\t", key=header.count)


def _guessed(path, columns, separator):
    """Arrays for pyarrow columns of text: float64 or bool where all values are numbers or truth values, dates, or text.

    A TableError if numbers are written with commas, and it is not clear that these are decimal commas.
    """
    arrays = {name: _numbers(column) for name, column in columns.items()}
    commas = {name: column for name, column in columns.items() if arrays[name] is None and _has_commas(column)}
    numeric = [name for name in columns if commas and arrays[name] is not None]
    points = [name for name in numeric if _matching(columns[name], r"\.")]
    if commas and (separator == "," or points):
        name, column = next(iter(commas.items()))
        number, also = _matching(column, COMMAS)[0].as_py(), f", column {points[0]!r} with points" if points else ""
        raise TableError(
            f"{path}: column {name!r} has numbers with commas, such as {number!r}{also}; accepted: decimal points, or "
            "decimal commas in a file with other separators, and no separators of thousands"
        )
    for name, column in commas.items():
        columns[name] = _compute().replace_substring_regex(column, DECIMAL_COMMA, r"\1.\2")
        arrays[name] = _numbers(columns[name])
    return {name: _other(columns[name]) if array is None else array for name, array in arrays.items()}


def _has_commas(column):
    """Whether all distinct texts of a pyarrow column are numbers with commas, or most of more than `FEW`."""
    distinct = column.drop_null().unique()
    commas = len(_matching(distinct, COMMAS))
    return commas == len(distinct) or (len(distinct) > FEW and 2 * commas > len(distinct))


def _matching(column, pattern):
    """Values of a pyarrow column of text in which a regular expression is found, as a pyarrow column."""
    return column.filter(_compute().match_substring_regex(column, pattern))


def _numbers(column):
    """(N,) float64 array of a pyarrow column of text, NaN where a value is missing; None if a text is not a number."""
    try:
        return _compute().utf8_trim_whitespace(column).cast("float64").to_numpy()
    except ValueError:
        return None


def _other(column):
    """Array of a pyarrow column of text that does not hold numbers: booleans, dates, or text."""
    values = _text(column)
    if TRUTH_VALUES.keys() >= set(values):
        return np.array([TRUTH_VALUES[value] for value in values], bool)
    try:
        column.unique().cast("timestamp[us]")
    except ValueError:
        return values
    return column.cast("timestamp[us]").to_numpy()


def _text(column):
    """(N,) object array of a pyarrow column of text, None where a value is missing; equal texts are one object."""
    pieces = [np.empty(0, object)]
    for chunk in column.dictionary_encode().chunks:
        distinct = np.array([*chunk.dictionary.to_pylist(), None], object)
        pieces.append(distinct[chunk.indices.fill_null(len(distinct) - 1).to_numpy()])
    return np.concatenate(pieces)


def _read_parquet(path, request):
    arrow = _pyarrow(path, "parquet")
    with _reading(path, "a Parquet file"), arrow.ParquetFile(path) as file:
        about, schema = file.metadata, file.schema_arrow
        _check_columns(len(schema))
        groups = [about.row_group(group).total_byte_size for group in range(about.num_row_groups)]
        fields = {field.name: str(field.type) for field in schema}
        wanted = request.wanted(list(fields))
        for name in wanted:
            if not re.match(PARQUET_TYPES, fields[name]):
                raise ValueError(f"column {name!r} has the type {fields[name]}; accepted: numbers, booleans and text")
        _check_bytes(max(sum(groups), 8 * about.num_rows * len(wanted)), request.max_bytes)
        text_columns = [name for name in wanted if fields[name].endswith("string")]
        # As dictionaries, not with a copy of a text in each row.
        table = arrow.read_table(path, columns=wanted, read_dictionary=text_columns)
        table.validate(full=True)
    columns = _named(path, table)
    with _reading(path, "a Parquet file"):
        return Content({name: _array(column) for name, column in columns.items()})


def _array(column):
    """Array of a pyarrow column of any type."""
    kind = str(column.type)
    if kind.startswith("dictionary<values=string"):
        return _text(column)
    return (column.cast("float64") if kind.startswith("decimal") else column).to_numpy()


def _pyarrow(path, module):
    try:
        return importlib.import_module(f"pyarrow.{module}")
    except ImportError:
        raise ImportError(f"reading {path} needs pyarrow: pip install 'fastmlp[data]'") from None


def _compute():
    return importlib.import_module("pyarrow.compute")


def _named(path, table):
    """Columns of a pyarrow table by name, without row labels that pandas may have written to the file."""
    names = [name.strip() for name in table.column_names]
    for name, times in Counter(names).most_common(1):
        if times > 1:
            raise TableError(f"{path}: {times} columns are called {name!r}")
    if "" in names:
        raise TableError(f"{path}: column {names.index('') + 1} has no name (row labels? write the file without them)")
    columns = zip(names, table.columns, strict=True)
    return {name: column for name, column in columns if not name.startswith("__index_level_")}


def _read_npy(path, request):
    with _reading(path, "an NPY file"), open(path, "rb") as file:
        array = _read_array(file, path.stat().st_size)
    return Content(_by_position(path, "the array", array), default=-1, named=False)


def _read_npz(path, request):
    """Read the columns of the array X by position, and the array of the target under its name if there is one."""
    target_array = "y" if request.target is None else request.target
    arrays = {}
    with _reading(path, "an NPZ file"), ZipFile(path) as file:
        known = {about.filename.removesuffix(".npy"): about for about in file.infolist()}
        members = [known[name] for name in ("X", target_array) if name in known]
        _check_bytes(sum(about.file_size for about in members), request.max_bytes)
        for about in members:
            if about.file_size > MOST_EXPANSION * (about.compress_size + 1):
                raise ValueError(f"{about.filename} cannot have {about.file_size:,} bytes")
            content = file.read(about)  # all of it at once, as many bytes as there are
            arrays[about.filename.removesuffix(".npy")] = _read_array(io.BytesIO(content), len(content))
    for needed in ["X"] if request.target is None else ["X", target_array]:
        if needed not in known:
            raise TableError(f"{path}: no array {needed!r}{nearest(needed, known)}; arrays are {listed(known)}")
    columns = _by_position(path, "array 'X'", arrays["X"])
    if target_array in arrays:
        if target_array in columns:
            raise TableError(f"{path}: array {target_array!r} has the name of a column of X; accepted: another name")
        columns[target_array] = arrays[target_array]
        if columns[target_array].shape != (len(arrays["X"]),):
            shapes = f"X {arrays['X'].shape}, {target_array} {columns[target_array].shape}"
            raise TableError(f"{path}: the target must have one value for each row of X; got the shapes {shapes}")
    return Content(columns, default="y", named=False)


def _read_array(file, size):
    """Read an array from `size` bytes in NPY format, an open file."""
    version = np.lib.format.read_magic(file)
    if version not in NPY_HEADERS:
        raise ValueError(f"the version of the format is {version}; accepted: {', '.join(map(str, NPY_HEADERS))}")
    shape, _, dtype = NPY_HEADERS[version](file)
    if dtype.hasobject or dtype.itemsize == 0:
        raise ValueError(f"the array has the dtype {dtype}; accepted: numbers, booleans and text, not empty")
    _check_columns(math.prod(shape[1:]))
    bytes_, held = math.prod(shape) * dtype.itemsize, size - file.tell()
    if min(shape, default=0) < 0 or bytes_ > held:
        raise ValueError(
            f"an array of the shape {shape} and dtype {dtype} has {bytes_:,} bytes; the file holds {held:,}"
        )
    file.seek(0)
    array = np.lib.format.read_array(file)
    if dtype.kind == "U":  # text of 4 bytes a character
        codes = np.ascontiguousarray(array).view(f"{dtype.byteorder}u4")
        if ((codes > LAST_CHARACTER) | ((codes >= SURROGATES[0]) & (codes < SURROGATES[1]))).any():
            raise ValueError("it has characters that are not in Unicode")
    return array


def _by_position(path, what, array):
    """Return the columns of a 2-D array, named "0", "1", ...; `what` is its name in messages."""
    if array.ndim != 2:
        raise TableError(f"{path}: {what} must be 2-D, samples as rows; got the shape {array.shape}")
    return {str(i): array[:, i] for i in range(array.shape[1])}


def _check_columns(found):
    if found > MOST_COLUMNS:
        raise ValueError(f"it has {found:,} columns; accepted are {MOST_COLUMNS:,}")


def _check_bytes(found, most):
    if found > most:
        raise ValueError(f"it has {found:,} bytes once it is uncompressed; the limit is {most:,} (max_bytes)")


NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# By extension: reader (path, Request) -> Content.
_READERS = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".npy": _read_npy,
    ".npz": _read_npz,
}
EXTENSIONS = tuple(_READERS)
