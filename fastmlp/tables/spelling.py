"""Numbers and texts as CSV files spell them: pyarrow columns of text to arrays."""

import importlib
import re

import numpy as np

from fastmlp.tables.columns import FEW, TRUTH_VALUES, TableError, is_number, mostly

# Numbers with commas, as regular expressions: a decimal comma, or separators of thousands.
DECIMAL_COMMA = r"^\s*([-+]?\d*),(\d+(?:[eE][-+]?\d+)?)\s*$"
COMMAS = DECIMAL_COMMA + r"|^\s*[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?\s*$"
SIGNS = r"^\s*([-+]?)\s*\p{Sc}?\s*([-+]?[.,\d].*?)\s*[%\p{Sc}]?\s*$"  # of currencies and percent around a number
SPACES = " \u00a0\u202f"  # between thousands: all three are typed as the first


def texts(column):
    """(N,) object array of a pyarrow column of text, None where a value is missing; equal texts are one object."""
    pieces = [np.empty(0, object)]
    for chunk in column.dictionary_encode().chunks:
        distinct = np.array([*chunk.dictionary.to_pylist(), None], object)
        pieces.append(distinct[chunk.indices.fill_null(len(distinct) - 1).to_numpy()])
    return np.concatenate(pieces)


def without(column, missing):
    """A pyarrow column of text in which texts of `missing` are null, also with white space around them."""
    found = _are(column, missing)
    return _compute().if_else(found, None, column) if _compute().any(found).as_py() else column


def first(column, known):
    """The first text of a pyarrow column that is one of those `known`, also with white space around it, or None."""
    found = column.filter(_are(column, known))
    return found[0].as_py().strip() if len(found) else None


def _are(column, known):
    """Where a pyarrow column of text has one of the texts `known`, also with white space around it."""
    compute = _compute()
    values = importlib.import_module("pyarrow").array(known, "string")
    return compute.is_in(compute.utf8_trim_whitespace(column), value_set=values)


def arrays(source, columns, numbers, dialect, separator):
    """Arrays of pyarrow columns of text: float64 or bool where all values are numbers or truth values, or text.

    Parameters
    ----------
    source : str; begins the messages of errors
    columns : dict of str to pyarrow columns
    numbers : collection of str
        Names of columns that are known to be numbers: signs of currencies and of percent around them are left out.
    dialect : Dialect; of the file
    separator : str; the character between its cells

    Raises
    ------
    TableError
        If numbers have commas, the dialect does not say why, and it is not clear that they are decimal commas.
    """
    columns, pointed, values = dict(columns), {}, {}

    def read(name, decimal):
        pointed[name] = _with_points(columns[name], decimal, dialect.thousands)
        values[name] = _floats(pointed[name])

    for name in columns:
        read(name, dialect.decimal or ".")
        if name in numbers and values[name] is None:
            columns[name] = _compute().replace_substring_regex(columns[name], SIGNS, r"\1\2")
            read(name, dialect.decimal or ".")
    if not (dialect.decimal or dialect.thousands):
        for name in _decimal_commas(source, columns, values, separator):
            read(name, ",")
    unread = [name for name in columns if values[name] is None]
    return values | {name: _others(columns[name], pointed[name], name in numbers) for name in unread}


def _others(column, pointed, is_numeric):
    """Array of a pyarrow column of text that are not all numbers; those that are have decimal points in `pointed`."""
    values = texts(pointed)  # so that errors name those that are no numbers
    if pointed is not column and not is_numeric and not mostly(is_number, set(values) - {None}):
        values = texts(column)
    if TRUTH_VALUES.keys() >= set(values):
        return np.array([TRUTH_VALUES[value] for value in values], bool)
    return values


def _floats(column):
    """(N,) float64 array of a pyarrow column of text, NaN where a value is missing; None if a text is not a number."""
    try:
        values = _compute().utf8_trim_whitespace(column).cast("float64").to_numpy()
    except ValueError:
        return None
    return values if np.isnan(values).sum() == column.null_count else None  # NaN in a text is not a number


def _with_points(column, decimal, thousands):
    """A pyarrow column of text in which numbers have decimal points and no separators of thousands."""
    if decimal == "." and not thousands:
        return column
    compute = _compute()
    plain, whole, point = compute.utf8_trim_whitespace(column), r"\d+", re.escape(decimal)
    if thousands:
        between = f"[{SPACES}]" if thousands in SPACES else re.escape(thousands)
        plain, whole = compute.replace_substring_regex(plain, between, ""), rf"\d{{1,3}}(?:{between}\d{{3}})+|\d+"
    plain = compute.replace_substring(plain, decimal, ".")
    number = rf"^\s*[-+]?(?:(?:{whole})(?:{point}\d*)?|{point}\d+)(?:[eE][-+]?\d+)?\s*$"
    return compute.if_else(compute.match_substring_regex(column, number), plain, column)


def _decimal_commas(source, columns, values, separator):
    """Names of the columns with decimal commas; a TableError if there are commas, and it is not clear that they are.

    `values` has the arrays of columns that are numbers without commas, and None for others.
    """
    commas = {name: column for name, column in columns.items() if values[name] is None and _has_commas(column)}
    numeric = [name for name in columns if commas and values[name] is not None]
    points = [name for name in numeric if _matching(columns[name], r"\.")]
    if commas and (separator == "," or points):
        name, column = next(iter(commas.items()))
        numbers, also = _matching(column, COMMAS), f", column {points[0]!r} with points" if points else ""
        fractions, groups = _matching(numbers, r",(\d{1,2}|\d{4,})\D*$"), _matching(numbers, r"[,.].*[,.]")
        clear = "--decimal ," if len(fractions) else "--thousands ," if len(groups) else ""
        number = (fractions if len(fractions) else groups if len(groups) else numbers)[0].as_py()
        raise TableError(
            f"{source}: column {name!r} has numbers with commas, such as {number!r}{also}; accepted: decimal points, "
            f"{clear or '--thousands , or --decimal ,'}"
        )
    return list(commas)


def _has_commas(column):
    """Whether all distinct texts of a pyarrow column are numbers with commas, or most of more than `FEW`."""
    distinct = column.drop_null().unique()
    commas = len(_matching(distinct, COMMAS))
    return 0 < commas == len(distinct) or (len(distinct) > FEW and 2 * commas > len(distinct))


def _matching(column, pattern):
    """Values of a pyarrow column of text in which a regular expression is found, as a pyarrow column."""
    return column.filter(_compute().match_substring_regex(column, pattern))


def _compute():
    return importlib.import_module("pyarrow.compute")
