"""Readers of table files: Parquet, NPY and NPZ. The sizes that they claim are checked before memory is taken."""

import io
import math
import re
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from fastmlp.checks import nearest
from fastmlp.tables import spelling
from fastmlp.tables.columns import TableError, is_number, listed, option
from fastmlp.tables.compression import STANDARD_INPUT, SUFFIXES
from fastmlp.tables.contents import Content, check_columns, pyarrow, reading, selected
from fastmlp.tables.csv_files import name_of, read_csv

MOST_EXPANSION = 1032  # bytes that a byte of deflate can stand for, at most
# Types of pyarrow: numbers of a fixed size, dates, whose values are refused later, and text that is kept once.
PARQUET_TYPES = (
    r"(u?int|float|double|halffloat|decimal|bool|null|date|time|duration|(large_)?string$|dictionary<values=)"
)
SURROGATES, LAST_CHARACTER = (0xD800, 0xE000), 0x10FFFF  # of Unicode


def read(source, request):
    """Read what is asked of a file, or of CSV from standard input for "-": a `Content` whose values are not checked.

    Errors are those of `datasets.load`.
    """
    if source == STANDARD_INPUT:
        return _checked(source, read_csv(source, request))
    path = Path(source)
    if not path.is_file():
        raise TableError(f"{path} is not a file")
    kind = path.suffix.lower()
    if kind in SUFFIXES:
        kind = Path(path.stem).suffix.lower()
        kind = kind if _READERS.get(kind) is read_csv else "".join(path.suffixes[-2:])
    if kind not in EXTENSIONS:
        packed = f", and {', '.join(SUFFIXES)} after .csv and .tsv"
        raise TableError(f"{path}: unknown kind of file {kind!r}; accepted are {', '.join(EXTENSIONS)}{packed}")
    size = path.stat().st_size
    if size == 0:
        raise TableError(f"{path} is empty")
    content = _checked(path, _READERS[kind](path, request._replace(max_bytes=max(size, request.max_bytes))))
    if content.spelled:
        return content
    columns = {name: _without(values, request.dialect.na) for name, values in content.columns.items()}
    return content._replace(columns=columns | _spelled_numbers(path, columns, request))


def _checked(source, content):
    if not content.columns or len(next(iter(content.columns.values()))) == 0:
        raise TableError(f"{name_of(source)} has no data rows")
    return content


def _without(values, na):
    """A column in which values that are spelled as one of the texts `na` are missing."""
    if na and values.dtype.kind in "OU":
        return np.array([None if value in na else value for value in values.tolist()], object)
    numbers = [float(text) for text in na if is_number(text)]
    return np.where(np.isin(values, numbers), np.nan, values) if numbers and values.dtype.kind in "iuf" else values


def _spelled_numbers(source, columns, request):
    """Columns of text that are known to be numbers, read as those of a CSV file are."""
    text = {name: columns[name] for name in columns if name in request.numbers and columns[name].dtype.kind in "OU"}
    if not text:
        return {}
    arrow, missing = pyarrow(source, "lib"), request.dialect.missing
    with reading(source, "a table"):
        text = {name: arrow.chunked_array([arrow.array(values.tolist(), "string")]) for name, values in text.items()}
        text = {name: spelling.without(column, missing) for name, column in text.items()}
    return spelling.arrays(source, text, request.numbers, request.dialect, ",")


def _read_parquet(path, request):
    arrow = pyarrow(path, "parquet")
    with reading(path, "a Parquet file"), arrow.ParquetFile(path) as file:
        about, schema = file.metadata, file.schema_arrow
        check_columns(len(schema))
        groups = [about.row_group(group).total_byte_size for group in range(about.num_row_groups)]
        # Without row labels that pandas may have written.
        fields = {f.name.strip(): f for f in schema if not f.name.startswith("__index_level_")}
        names = [f.name.strip() for f in schema if f.name.strip() in fields]
        wanted = [names[i] for i in request.wanted(path, names)]
        for name in wanted:
            if not re.match(PARQUET_TYPES, str(fields[name].type)):
                found = f"column {name!r} has the type {fields[name].type}"
                raise ValueError(f"{found}; accepted: numbers, booleans and text, {option('--drop', name)}")
        _check_bytes(max(sum(groups), 8 * about.num_rows * len(wanted)), request.max_bytes)
        text_columns = [fields[name].name for name in wanted if str(fields[name].type).endswith("string")]
        # As dictionaries, not with a copy of a text in each row.
        columns = [fields[name].name for name in wanted]
        table = arrow.read_table(path, columns=columns, read_dictionary=text_columns)
        table.validate(full=True)
        return Content({name: _array(table[fields[name].name]) for name in wanted}, names)


def _array(column):
    """Array of a pyarrow column of any type, NaN or None where a value is missing."""
    kind = str(column.type)
    if kind.startswith("dictionary<values=string"):
        return spelling.texts(column)
    if kind == "bool" and column.null_count:
        column = column.cast("uint8")
    return (column.cast("float64") if kind.startswith("decimal") else column).to_numpy()


def _read_npy(path, request):
    with reading(path, "an NPY file"), open(path, "rb") as file:
        array = _read_array(file, path.stat().st_size)
    columns = _by_position(path, "the array", array)
    return Content(selected(path, columns, request, -1), list(columns), default=-1, named=False)


def _read_npz(path, request):
    """Read the columns of the array X by position, and the array of the target under its name if there is one."""
    target_array = "y" if request.target is None else request.target
    arrays = {}
    with reading(path, "an NPZ file"), ZipFile(path) as file:
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
    return Content(selected(path, columns, request, "y"), list(columns), default="y", named=False)


def _read_array(file, size):
    """Read an array from `size` bytes in NPY format, an open file."""
    version = np.lib.format.read_magic(file)
    if version not in NPY_HEADERS:
        raise ValueError(f"the version of the format is {version}; accepted: {', '.join(map(str, NPY_HEADERS))}")
    shape, _, dtype = NPY_HEADERS[version](file)
    if dtype.hasobject or dtype.itemsize == 0:
        raise ValueError(f"the array has the dtype {dtype}; accepted: numbers, booleans and text, not empty")
    check_columns(math.prod(shape[1:]))
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


def _check_bytes(found, most):
    if found > most:
        raise ValueError(f"it has {found:,} bytes once it is uncompressed; the limit is {most:,} (--max-bytes)")


NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# By extension: reader (path, Request) -> Content.
_READERS = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": _read_parquet,
    ".npy": _read_npy,
    ".npz": _read_npz,
}
EXTENSIONS = tuple(_READERS)
