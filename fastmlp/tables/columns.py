"""Columns of tables: what their values are taken for, and conversion to numbers or text.

In all functions `source` and `name`, of the file and of the column, begin the messages of errors, which count data rows
from 1, without the header.
"""

import math
from collections import Counter

import numpy as np

from fastmlp.terminal import LineError

# Up to so many distinct values, whole numbers in a target are taken as classes (digits and grades, not ages), and texts
# that are numbers as categories.
FEW = 20
TRUTH_VALUES = dict.fromkeys(("true", "True", "TRUE"), 1.0) | dict.fromkeys(("false", "False", "FALSE"), 0.0)


class TableError(LineError):
    """Error of a table that cannot be read or used: a ValueError of one line of printable characters."""


def is_number(text):
    """Whether `text` is a finite number, with a point before its fraction."""
    try:
        return text.isascii() and "_" not in text and math.isfinite(float(text))
    except ValueError:
        return False


def checked(source, name, values):
    """Return the column `values`, called `name`: finite numbers, booleans, or text (as an object array of str).

    A text column becomes numbers if it has more than `FEW` distinct texts and all of them are numbers.

    Raises
    ------
    TableError
        As `complete` does; or if a text is not a number in a column with more than `FEW` distinct texts of which most
        are numbers.
    """
    values = complete(source, name, values)
    if values.dtype.kind != "O":
        return values
    distinct = set(values)
    if len(distinct) > FEW and 2 * sum(map(is_number, distinct)) > len(distinct):
        return numbers(source, name, values)
    return values


def complete(source, name, values):
    """Return the column `values`, called `name`, with text as an object array of str.

    Raises
    ------
    TableError
        If a value is missing, infinite, or no number, boolean or text.
    """
    where = f"{source}: column {name!r}"
    if values.dtype.kind in "biuf":
        wrong = ~np.isfinite(values)
        if wrong.any():
            row = int(wrong.argmax())
            what = "no value" if np.isnan(values[row]) else f"the infinite value {values[row]}"
            raise TableError(f"{where} has {what} in data row {row + 1}")
        return values
    values = values.astype(object, copy=False)
    if {str}.issuperset(map(type, values)):
        return values
    row = next(row for row, value in enumerate(values) if type(value) is not str)
    if values[row] is None:
        raise TableError(f"{where} has no value in data row {row + 1}")
    got = f"got type {type(values[row]).__name__} in data row {row + 1}"
    raise TableError(f"{where} must hold numbers, booleans or text; {got}")


def numbers(source, name, values):
    """Return the `complete` column `values`, called `name`, as numbers, truth values in a text column as 1 and 0.

    Raises
    ------
    TableError
        If a text is not a number; the first is named.
    """
    if values.dtype.kind != "O":
        return values
    for row, value in enumerate(values):
        if value not in TRUTH_VALUES and not is_number(value):
            raise TableError(f"{source}: column {name!r} must hold numbers; got {value!r} in data row {row + 1}")
    return np.array([TRUTH_VALUES[value] if value in TRUTH_VALUES else float(value) for value in values])


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
