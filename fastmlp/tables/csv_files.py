"""Reading CSV files, which say nowhere how they are written nor what their columns hold.

Columns are read as text, and become numbers if all of their values are; unless the caller knows what they are, as the
same text must mean the same alone and among others.
"""

import codecs
import csv
import re
from contextlib import suppress
from typing import NamedTuple

from fastmlp.tables import spelling
from fastmlp.tables.columns import TableError, is_missing, is_number
from fastmlp.tables.compression import PEEKED_BYTES, STANDARD_INPUT, uncompressed
from fastmlp.tables.contents import Content, check_columns, distinct, numbered, position, pyarrow, reading
from fastmlp.tables.dialects import DEFAULT_NA

SEPARATORS = ",;\t|"
HEADER_CHARACTERS = 1 << 20  # in which the separator is looked for
LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
SEPARATOR_FOR_EXCEL = re.compile(r'sep=([^\w"\r\n])(?:\r\n?|\n)')  # a first line
# Encodings without a byte order mark, by those bytes of each four that are 0 in Latin letters, digits and separators.
WIDE = {(1, 3): "utf-16-le", (0, 2): "utf-16-be", (1, 2, 3): "utf-32-le", (0, 1, 2): "utf-32-be"}
WIDE_BYTES, WIDE_SHARE = 1 << 12, 0.1  # bytes to look at, and how many of them are 0
BLOCK_BYTES = 1 << 20  # that are read at a time, at least
MARKS = {  # byte order marks, the longer first, as it begins with another
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
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
    columns, raw = {}, {}
    for i, column in zip(wanted, table.columns, strict=True):
        name = names[i]
        raw[name] = column
        column = spelling.without(column, dialect.missing)
        if name or name in ids:
            columns[name] = column
        elif column.null_count < len(column) and not request.only:
            raise TableError(f"{source}: column {i + 1} has no name (row labels?); accepted: --drop {i} or --id {i}")
    as_text = {name for name in columns if name in request.texts or (name in ids and name not in request.only)}
    others = {name: column for name, column in columns.items() if name not in as_text}
    arrays = spelling.arrays(source, others, request.numbers, dialect, start.separator)
    taken = {name: spelling.first(raw[name], DEFAULT_NA) for name in columns if _may_be_text(arrays.get(name))}
    as_spelled = ids if request.target is None else ids | {names[position(source, names, request.target)]}
    raw = {name: column for name, column in raw.items() if name in as_spelled}
    return Content(
        {name: arrays[name] if name in arrays else spelling.texts(column) for name, column in columns.items()},
        names,
        named=start.has_header,
        spelled=lambda name: spelling.texts(raw[name]),
        taken={name: text for name, text in taken.items() if text and dialect.default_na},
    )


def _may_be_text(array):
    """Whether the array of a column is not of numbers, or empty; None stands for one that is known to be text."""
    return array is None or array.dtype.kind == "O" or is_missing(array).all()


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
    encoding, text = _decoded(source, content, dialect.encoding)
    said = SEPARATOR_FOR_EXCEL.match(text)
    separator = dialect.delimiter or (said[1] if said else _separator(text[:HEADER_CHARACTERS]))
    before, ends = (1, [said.end()]) if said else (0, [0])  # lines before the header, and ends of lines
    lines = (ends.append(line.end()) or line[0] for line in LINE.finditer(text, ends[0]))
    rows = csv.reader(lines, delimiter=separator)
    names = [name.strip() for name in next(filter(None, rows), [])]
    header, characters = before + rows.line_num, ends[-1]
    if "\0" in "".join(names):
        raise ValueError("its first line has NUL characters; accepted: --encoding utf-16-le, or what else it is in")
    if characters == len(text) and len(content) == PEEKED_BYTES:
        raise ValueError(f"its first line is longer than {PEEKED_BYTES:,} bytes")
    if not names or (characters == len(text) and dialect.header is not False):
        raise TableError(f"{source} has no data rows")
    if dialect.header is False:
        return Start(encoding, separator, numbered(names), False, before, characters)
    if dialect.header is None and all(map(is_number, names)) and names != numbered(names):
        got = f"got the numbers {separator.join(names)[:60]}"
        raise TableError(f"{source}: the first line must hold column names; {got}; accepted: --no-header")
    with suppress(csv.Error):  # of a long text
        first = next(filter(None, rows), [])
        if len(first) == len(names) + 1 and not first[-1]:  # rows end with a separator, and the header does not
            names.append("")
    return Start(encoding, separator, names, True, header, characters)


def _decoded(source, content, encoding):
    """Encoding of a file that begins with the bytes `content`, and these as text without a byte order mark."""
    if not content:
        raise TableError(f"{source} is empty")
    if content.startswith(WORKBOOKS):
        raise ValueError("it is an Excel workbook or an archive; accepted: its sheet, saved as CSV")
    if encoding is None and (wide := WIDE.get(_zeros(content[:WIDE_BYTES]))) and not content.startswith(tuple(MARKS)):
        raise ValueError(f"many of its bytes are 0, as in {wide}; accepted: --encoding {wide}")
    marked = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    encoding = encoding or marked
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(content, final=len(content) < PEEKED_BYTES)
    except UnicodeDecodeError as error:
        byte = f"its byte {error.object[error.start]:#x} is no {encoding}"
        raise ValueError(f"{byte}; accepted: {MENDS['invalid UTF8']}") from None
    return encoding, text.removeprefix("\N{BYTE ORDER MARK}")


def _zeros(content):
    """Which of each four bytes are often 0: a tuple of numbers from 0 to 3."""
    return tuple(i for i in range(4) if content[i::4].count(0) > WIDE_SHARE * len(content) / 4)


def _separator(text):
    """Separator that the header, at the beginning of a CSV file, has most often outside of quotes."""
    header = re.sub(r'(^|[,;\t|])"(?:[^"]|"")*("|$)', r"\1", text.lstrip("\r\n")).partition("\n")[0]
    return max(SEPARATORS, key=header.count)
