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
LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
SEPARATOR_FOR_EXCEL = re.compile(r'sep=([^\w"\r\n])(?:\r\n?|\n)')  # a first line
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
    as_spelled = ids if request.target is None else ids | {names[position(source, names, request.target)]}
    for i, column in zip(wanted, table.columns, strict=True):
        name = names[i]
        if name in as_spelled:
            raw[name] = column
        column = spelling.without(column, missing)
        if name or name in ids:
            columns[name] = column
        elif column.null_count < len(column):
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
    encoding, text = _decoded(source, content, dialect.encoding)
    said = SEPARATOR_FOR_EXCEL.match(text)
    separator = dialect.delimiter or (said[1] if said else _separator(text[:HEADER_CHARACTERS]))
    before, ends = (1, [said.end()]) if said else (0, [0])  # lines before the header, and ends of lines
    lines = (ends.append(line.end()) or line[0] for line in LINE.finditer(text, ends[0]))
    rows = csv.reader(lines, delimiter=separator)
    names = [name.strip() for name in next(filter(None, rows), [])]
    header, characters = before + rows.line_num, ends[-1]
    if "\0" in "".join(names):
        raise ValueError("its first line has NUL characters; accepted: --encoding utf-16-le or utf-16-be")
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
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = encoding or ("utf-16" if marked else "utf-8")
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(content, final=len(content) < PEEKED_BYTES)
    except UnicodeDecodeError as error:
        byte = f"its byte {error.object[error.start]:#x} is no {encoding}"
        raise ValueError(f"{byte}; accepted: {MENDS['invalid UTF8']}") from None
    return encoding, text.removeprefix("\N{BYTE ORDER MARK}")


def _separator(text):
    """Separator that the header, at the beginning of a CSV file, has most often outside of quotes."""
    header = re.sub(r'(^|[,;\t|])"(?:[^"]|"")*("|$)', r"\1", text.lstrip("\r\n")).partition("\n")[0]
    return max(SEPARATORS, key=header.count)
