"""Columns of tables: what their values are taken for, and conversion to numbers or text.

In all functions `source` and `name`, of the file and of the column, begin the messages of errors, which count data rows
from 1, without the header.
"""

import math
import re
import shlex
from collections import Counter

import numpy as np

from fastmlp.terminal import LineError

# Up to so many distinct values, whole numbers in a target are taken as classes (digits and grades, not ages), and texts
# that are numbers as categories.
FEW = 20
MAX_CATEGORIES = 1000  # limit for a text column, each an input; more are names or identifiers, only to be memorized
LONG = 80  # characters of a cell, of which no more is quoted in messages
# Texts that are a date, perhaps with a time; and a number with the sign of a currency or of percent.
DATE = re.compile(r"\s*(\d{4}([-/.])\d{1,2}\2\d{1,2}|\d{1,2}([-/.])\d{1,2}\3(\d{4}|\d{2}))([T ]\d{1,2}:\d{2}.*|\s*)$")
SIGNED = re.compile(r"\s*([-+]\s*)?([$¢-¥₠-⃀]\s*[-+]?\d[\d.,' ]*|\d[\d.,' ]*[%$¢-¥₠-⃀]\s*)$")
# Numbers with separators between groups of three digits, and others with a decimal comma.
GROUPED = re.compile(r"\s*[-+]?\d{1,3}([., '’\u00a0\u202f])\d{3}(?:\1\d{3})*(?:(?!\1)([.,])\d+)?\s*$")
DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+\s*$")
TRUTH_VALUES = dict.fromkeys(("true", "True", "TRUE"), 1.0) | dict.fromkeys(("false", "False", "FALSE"), 0.0)


class TableError(LineError):
    """Error of a table that cannot be read or used: a ValueError of one line of printable characters."""


def is_number(text):
    """Whether `text` is a finite number, with a point before its fraction."""
    try:
        return text.isascii() and "_" not in text and math.isfinite(float(text))
    except ValueError:
        return False


def is_missing(values):
    """Where a column has no value, NaN or None: (N,) bool."""
    if values.dtype.kind == "O":
        return np.fromiter((value is None for value in values), bool, len(values))
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)


def checked(source, name, values):
    """Return the column `values`, called `name`: numbers, booleans, or text (as an object array of str).

    Values that are missing stay NaN or None. A text column becomes numbers if it has more than `FEW` distinct texts and
    all of them are numbers.

    Raises
    ------
    TableError
        As `known` does; if all texts are dates; or if, in a column with more than `FEW` distinct texts, most are
        numbers but not all, or they have separators of thousands or signs of currencies or percent.
    """
    values = known(source, name, values)
    if values.dtype.kind != "O":
        return values
    distinct = set(values) - {None}
    grouped = min(filter(GROUPED.match, distinct), default=None)
    if mostly(is_number, distinct) or (grouped and mostly(_is_like_a_number, distinct)):
        return numbers(source, name, values)
    where, example = f"{source}: column {name!r}", min(distinct, default="")
    if distinct and all(map(DATE.match, distinct)):
        raise TableError(
            f"{where} must hold numbers, booleans or text; got dates such as {example!r}; "
            f"accepted: {option('--drop', name)} or {option('--types', f'{name}=category')}"
        )
    if mostly(SIGNED.match, distinct):
        raise TableError(
            f"{where} has numbers with signs, such as {example!r}; accepted: {option('--types', f'{name}=number')}"
        )
    return values


def _is_like_a_number(text):
    return is_number(text) or GROUPED.match(text) or DECIMAL_COMMA.match(text)


def mostly(test, distinct):
    """Whether there are more than `FEW` distinct texts, most of which pass a test."""
    return len(distinct) > FEW and 2 * sum(map(bool, map(test, distinct))) > len(distinct)


def known(source, name, values, learned=False):
    """Return the column `values`, called `name`, with text as an object array of str; missing values stay NaN or None.

    If the column is `learned`, that is one of a model, errors name no option of training.

    Raises
    ------
    TableError
        If a value is infinite, or no number, boolean or text.
    """
    where = f"{source}: column {name!r}"
    if values.dtype.kind in "biuf":
        wrong = np.isinf(values)
        if wrong.any():
            row = int(wrong.argmax())
            mend = f"accepted: finite numbers, --na {values[row]}, as it is spelled"
            raise TableError(f"{where} has the infinite value {values[row]} in data row {row + 1}; {mend}")
        return values
    values = values.astype(object, copy=False)
    if {str, type(None)}.issuperset(map(type, values)):
        return values
    row = next(row for row, value in enumerate(values) if type(value) not in (str, type(None)))
    got = f"got type {type(values[row]).__name__} in data row {row + 1}"
    mend = "" if learned else f"; accepted: {option('--drop', name)}"
    raise TableError(f"{where} must hold numbers, booleans or text; {got}{mend}")


def numbers(source, name, values, learned=False):
    """Return the `known` column `values`, called `name`, as numbers, truth values in a text column as 1 and 0.

    Missing values are NaN. For `learned` see `known`.

    Raises
    ------
    TableError
        If a text is not a number; the first is named.
    """
    if values.dtype.kind != "O":
        return values
    for row, value in enumerate(values):
        if value is not None and value not in TRUTH_VALUES and not is_number(value):
            shown = value if len(value) <= LONG else f"{value[:LONG]} ..."
            raise TableError(
                f"{source}: column {name!r} must hold numbers; got {shown!r} in data row {row + 1}; "
                f"accepted: {_mends(name, value, learned or len(set(values)) > MAX_CATEGORIES)}"
            )
    worth = TRUTH_VALUES | {None: math.nan}
    return np.array([worth[value] if value in worth else float(value) for value in values], np.float64)


def _mends(name, text, must_be_numbers):
    """Options with which a text of the column `name` becomes a number, or none is needed unless it must be one."""
    if SIGNED.match(text) and not must_be_numbers:
        return option("--types", f"{name}=number")
    as_text = "" if must_be_numbers else f" or {option('--types', f'{name}=category')}"
    if grouped := GROUPED.match(text):
        separator, point = grouped.groups()
        decimal = "--decimal , with " * (point == "," or separator == ".")
        typed = {"'": '"\'"'}.get(separator, shlex.quote(separator if separator.isprintable() else " "))
        return f"{decimal}--thousands {typed}{as_text}"
    if DECIMAL_COMMA.match(text):
        return "--decimal ,"
    text = text.strip()  # as the texts that stand for missing values are compared
    return f"{option('--na', text) if len(text) <= LONG else '--na with the whole text'}{as_text}"


def option(flag, text):
    """An option for a list that has this text, as it is typed in a shell."""
    quoted = f'"{text.replace(chr(34), 2 * chr(34))}"' if {",", '"'} & set(text) else text
    return f"{flag} {shlex.quote(quoted)}"


def as_text(values):
    """Return the (N,) values of a column as an object array of str; whole numbers are written without a point."""
    if values.dtype.kind == "O":
        return values
    distinct, inverse = np.unique(values, return_inverse=True)
    spelled = [str(int(v) if distinct.dtype.kind == "f" and v.is_integer() else v) for v in distinct]
    return np.array(spelled, dtype=object)[inverse]


def index(values, known):
    """Return the position of each value of a column among the names `known`, -1 if it is not there: (N,) int64.

    Text must be spelled as in `known`. A number or boolean of an array is looked up as `as_text` writes it or, failing
    that, by its value, if one name alone has it: 1 finds "01" or "true".
    """
    position = {name: i for i, name in enumerate(known)}
    if values.dtype.kind != "O":
        distinct = np.unique(values)
        worth = [TRUTH_VALUES.get(name, float(name) if is_number(name) else None) for name in known]
        times, place = Counter(worth), {value: i for i, value in enumerate(worth)}
        for value, name in zip(distinct.tolist(), as_text(distinct), strict=True):
            if times[value] == 1:
                position.setdefault(name, place[value])
    return np.array([position.get(name, -1) for name in as_text(values)], np.int64)


def listed(names):
    """Return the first ten names as text for a message."""
    names = list(names)
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
