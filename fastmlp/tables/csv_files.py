"""Reading CSV files, which say nowhere how they are written nor what their columns hold.

Columns are read as text, and become numbers if all of their values are; unless the caller knows what they are, as the
same text must mean the same alone and among others.
"""

import codecs
import csv
import io
import re
from contextlib import suppress
from typing import NamedTuple

from fastmlp.tables import spelling
from fastmlp.tables.columns import TableError, is_number
from fastmlp.tables.contents import Content, check_columns, distinct, numbered, position, pyarrow, reading
from fastmlp.tables.streams import PEEKED_BYTES, STANDARD_INPUT, uncompressed

# Texts for a missing value: those of pandas, and "?".
MISSING = (
    *("", "?", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "<NA>"),
    *("#N/A", "#N/A N/A", "#NA", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
SEPARATORS = ",;\t|"
HEADER_CHARACTERS = 1 << 20  # in which the separator is looked for
BLOCK_BYTES = 1 << 20  # that are read at a time, at least
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # first bytes of Excel's files, and of ZIP archives
MENDS = {  # by words of pyarrow's errors
    "invalid UTF8": "--encoding latin-1, or what else the file is written in",
    "can't decode": "another --encoding",
    "Expected ": "as many cells in each line as in the first, or --delimiter",
}


class Start(NamedTuple):
    """What the beginning of a CSV file says.

    Attributes
    ----------
    encoding, separator : str
    names : list of str
        Names of the columns: positions if the file has no header.
    has_header : bool
    lines, characters : int
        What comes before the first data row.
    """

    encoding: str
    separator: str
    names: list
    has_header: bool
    lines: int
    characters: int


def read_csv(path, request):
    """Read what is asked of a CSV file, "-" for standard input: a `Content`. Errors are those of `datasets.load`."""
    source, dialect = name_of(path), request.dialect
    arrow = pyarrow(source, "csv")
    with reading(source, "a CSV file"), uncompressed(path, request.max_bytes) as stream:
        start = _start(source, stream.peek(), dialect)
        check_columns(len(start.names))
        wanted = request.wanted(source, start.names)
        table = _arrow_table(arrow, stream, start, wanted)
    names = distinct(start.names)
    ids = {names[position(source, names, key)] for key in request.ids}
    columns, raw, missing = {}, {}, [*MISSING, *dialect.na]
    for i, column in zip(wanted, table.columns, strict=True):
        name, complete = names[i], spelling.without(column, missing)
        if name or name in ids:
            columns[name], raw[name] = complete, column
        elif complete.null_count < len(complete):
            raise TableError(f"{source}: column {i + 1} has no name (row labels?); accepted: --drop {i} or --id {i}")
    as_text = {name for name in columns if name in request.texts or (name in ids and name not in request.only)}
    others = {name: column for name, column in columns.items() if name not in as_text}
    arrays = spelling.arrays(source, others, request.numbers, dialect, start.separator)
    return Content(
        {name: arrays[name] if name in arrays else spelling.texts(column) for name, column in columns.items()},
        names,
        named=start.has_header,
        spelled=lambda name: spelling.texts(raw[name]),
    )


def _arrow_table(arrow, stream, start, wanted):
    """Columns of a CSV file, of text, at the positions `wanted`: a table of pyarrow."""
    names = numbered(start.names)  # pyarrow needs names that differ
    try:
        return arrow.read_csv(
            stream,
            read_options=arrow.ReadOptions(
                use_threads=False,  # messages give the line without threads
                block_size=max(BLOCK_BYTES, 8 * start.characters),  # the first must reach beyond the header
                column_names=names,
                skip_rows=start.lines,
                encoding=start.encoding,
            ),
            parse_options=arrow.ParseOptions(delimiter=start.separator, newlines_in_values=True),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(names, "string"),
                include_columns=[names[i] for i in wanted],
                strings_can_be_null=False,
            ),
        )
    except ValueError as error:
        mends = [f"; accepted: {mend}" for words, mend in MENDS.items() if words in str(error)]
        raise ValueError(f"{error}{''.join(mends)}") from None


def name_of(path):
    """Name of a table file in messages."""
    return "standard input" if path == STANDARD_INPUT else path


def _start(source, content, dialect):
    """`Start` of a file that begins with the bytes `content`."""
    if not content:
        raise TableError(f"{source} is empty")
    if content.startswith(WORKBOOKS):
        raise ValueError("it is an Excel workbook or an archive; accepted: its sheet, saved as CSV")
    encoding = dialect.encoding or (
        "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    )
    whole = len(content) < PEEKED_BYTES
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(content, whole).removeprefix("\N{BYTE ORDER MARK}")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"its byte {error.object[error.start]:#x} is no {encoding}; accepted: {MENDS['invalid UTF8']}"
        ) from None
    lines, said = io.StringIO(text, newline=""), re.match(r'sep=([^\w"\r\n])[\r\n]', text)
    if said:  # for Excel
        lines.readline()
    separator = dialect.delimiter or (said[1] if said else _separator(text[:HEADER_CHARACTERS]))
    rows = csv.reader(lines, delimiter=separator)
    names = [name.strip() for name in next(filter(None, rows), [])]
    if "\0" in "".join(names):
        raise ValueError("its first line has NUL characters; accepted: --encoding utf-16-le or utf-16-be")
    skipped, characters = int(bool(said)) + rows.line_num, lines.tell()
    if characters == len(text) and not whole:
        raise ValueError(f"its first line is longer than {PEEKED_BYTES:,} bytes")
    if not names or (characters == len(text) and dialect.header is not False):
        raise TableError(f"{source} has no data rows")
    if dialect.header is False:
        return Start(encoding, separator, numbered(names), False, int(bool(said)), characters)
    if dialect.header is None and all(map(is_number, names)) and names != numbered(names):
        line = separator.join(names)[:60]
        raise TableError(
            f"{source}: the first line must hold column names; got the numbers {line}; accepted: --no-header"
        )
    with suppress(csv.Error):  # of a long text
        first = next(filter(None, rows), [])
        if len(first) == len(names) + 1 and not first[-1]:  # rows end with a separator, and the header does not
            names.append("")
    return Start(encoding, separator, names, True, skipped, characters)


def _separator(text):
    """Separator that the header, at the beginning of a CSV file, has most often outside of quotes."""
    header = re.sub(r'(^|[,;\t|])"(?:[^"]|"")*("|$)', r"\1", text.lstrip("\r\n")).partition("\n")[0]
    return max(SEPARATORS, key=header.count)
