"""How a CSV file is written, as far as somebody says it; the rest is found out in the file."""

import codecs
from dataclasses import dataclass

from fastmlp.checks import choice

ESSENTIAL = '"\r\n'  # characters that separate no cells: they have another meaning in all CSV files
SLOW = ("idna", "punycode")  # encodings of host names, whose decoders take the square of the time
# Texts for a missing value besides the empty one: those of pandas, and "?".
DEFAULT_NA = (
    *("?", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "<NA>"),
    *("#N/A", "#N/A N/A", "#NA", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)


@dataclass(frozen=True)
class Dialect:
    """Ways in which a CSV file is written. Names are those of the options of the command line.

    Attributes
    ----------
    delimiter : str, optional
        ASCII character between cells. By default, that of comma, semicolon, tab and ``|`` which the first line has most
        often.
    decimal : {".", ","}, optional
        Character before the fraction of a number. By default a comma, where a file without commas between cells has
        numbers that are clear then; else a point.
    thousands : str, optional
        Character between groups of three digits, such as "," in 1,234.5. A space stands for no-break spaces too. By
        default there is none.
    encoding : str, optional
        Name that Python has for the encoding. By default UTF-8, or UTF-16 if the file begins with its byte order mark.
    na : tuple of str
        Texts that stand for missing values, besides empty cells and `DEFAULT_NA`. In files of arrays and Parquet files
        they are texts or numbers of this value.
    default_na : bool
        Whether the texts of `DEFAULT_NA` stand for missing values too.
    header : bool, optional
        Whether the first line holds the names of columns. By default it must; a line of numbers alone is refused then.
        Without a header, names are "0", "1", ... by position.

    Raises
    ------
    ValueError
        If a value is not accepted; the message names the option.
    """

    delimiter: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    na: tuple = ()
    default_na: bool = True
    header: bool | None = None

    def __post_init__(self):
        one = "one ASCII character, or tab"
        given, delimiter = self.delimiter is not None, self.delimiter
        if given and not (_is_character(delimiter) and delimiter.isascii() and delimiter not in ESSENTIAL):
            raise ValueError(f"--delimiter is {self.delimiter!r}; accepted: {one}, but no quote")
        if self.decimal is not None:
            choice("--decimal", self.decimal, [".", ","])
        if self.thousands is not None and (
            not _is_character(self.thousands) or self.thousands.isalnum() or self.thousands in (*ESSENTIAL, "+", "-")
        ):
            raise ValueError(
                f"--thousands is {self.thousands!r}; accepted: one character that is no letter, digit or sign, or none"
            )
        if self.thousands is not None and self.thousands == (self.decimal or "."):
            raise ValueError(
                f"{self.thousands!r} is both between thousands and before fractions; accepted: another --thousands, or "
                f"none, or --decimal {',' if self.thousands == '.' else '.'}"
            )
        if self.encoding is not None and not _is_encoding(self.encoding):
            known = "utf-8, utf-16, latin-1, cp1252, and others that Python knows"
            raise ValueError(f"--encoding is {self.encoding!r}; accepted: {known}")
        if not (isinstance(self.na, list | tuple) and all(isinstance(text, str) for text in self.na)):
            raise ValueError(f"--na is {self.na!r}; accepted: texts")
        object.__setattr__(self, "na", tuple(self.na))
        if self.default_na not in (True, False):
            raise ValueError(f"default_na is {self.default_na!r}; accepted: True, False")
        if self.header not in (None, True, False):
            raise ValueError(f"header is {self.header!r}; accepted: True, False, None")

    @property
    def missing(self):
        """Texts that stand for missing values: a tuple."""
        return ("", *(DEFAULT_NA if self.default_na else ()), *self.na)


def _is_character(value):
    return isinstance(value, str) and len(value) == 1


def _is_encoding(name):
    """Whether `name` is that of an encoding of text, which is not one of `SLOW`."""
    try:
        "".encode(name)
        return codecs.lookup(name).name not in SLOW
    except (LookupError, TypeError, ValueError):
        return False
