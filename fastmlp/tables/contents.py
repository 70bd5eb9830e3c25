"""What is asked of a table file, what it gives, and the limits that all readers keep."""

import importlib
import re
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from typing import NamedTuple

from fastmlp.checks import nearest
from fastmlp.tables.columns import TableError, is_number, listed, option
from fastmlp.tables.dialects import Dialect

MAX_BYTES = 4_000_000_000  # of a compressed table's content, if nobody sets another limit
MOST_COLUMNS = 100_000  # the names and arrays of more would take much more memory than the file


class Content(NamedTuple):
    """Content of a table file.

    Attributes
    ----------
    columns : dict
        Column name to (N,) array, of the columns that are asked for.
    names : list of str
        Names of all columns of the file.
    default : str, int or None
        Name or position of the target, if nobody names another column.
    named : bool
        Whether the columns have names, other than their positions "0", "1", ...
    spelled : function or None
        Returns the column of a name as it is spelled in the file, (N,) object array of str. None if the file does not
        hold text.
    taken : dict
        Column name to a text that was taken for a missing value, as it is one of `dialects.DEFAULT_NA`; of columns of
        text.
    """

    columns: dict
    names: list
    default: str | int | None = None
    named: bool = True
    spelled: Callable | None = None
    taken: dict = {}  # noqa: RUF012


class Request(NamedTuple):
    """What is asked of a file; see `datasets.load` and `datasets.load_features`.

    Attributes
    ----------
    target : str, int or None
    texts, numbers : collections of str
    features, drop, ids : sequences of str or int
    only : collection of str; if some of these names are not there, or there are none, all are read
    dialect : Dialect
    max_bytes : int
    """

    target: str | int | None = None
    texts: tuple | set = ()
    numbers: tuple | set = ()
    features: tuple | list = ()
    drop: tuple | list = ()
    ids: tuple | list = ()
    only: tuple | dict = ()
    dialect: Dialect = Dialect()
    max_bytes: int = MAX_BYTES

    def wanted(self, source, names, default=None):
        """Positions of the columns to read of a file with these `names`.

        With `features`, the target is `default`, a name or position, if none is asked for.

        Raises
        ------
        TableError
            If there is no such column, or two have the same name and nobody says which is meant.
        """
        if not names:
            return []
        unique = distinct(names)

        def at(keys):
            return {position(source, unique, key) for key in keys}

        target = default if self.target is None and self.features else self.target
        target, drop = at([] if target is None else [target]), at(self.drop)
        ids = {position(source, unique, key, '--id "", if there is none' * bool(self.only)) for key in self.ids}
        if self.only and set(self.only) <= set(unique):
            return sorted(target | ids | {i for i, name in enumerate(unique) if name in self.only})
        chosen = sorted(ids | (target | at(self.features) if self.features else set(range(len(names))) - drop))
        if not chosen:
            raise TableError(f"{source}: no column is left; accepted: fewer columns in --drop")
        for name, times in Counter(names[i] for i in chosen).most_common(1):
            if times > 1 and name and not self.only:
                second = unique[[i for i in chosen if names[i] == name][1]]
                raise TableError(
                    f"{source}: {times} columns are called {name!r}; accepted: {option('--drop', second)}, the second"
                )
        return chosen


def distinct(names):
    """The names of a file's columns, in which the second "a" is "a.1", as pandas calls it; "" stays as it is."""
    taken, times, unique = set(names), Counter(), []
    for name in names:
        other = name
        while name and times[name] and other in taken:
            other = f"{name}.{times[name]}"
            times[name] += 1
        times[name] = times[name] or 1
        taken.add(other)
        unique.append(other)
    return unique


def numbered(names):
    """Names "0", "1", ... of as many columns."""
    return [str(i) for i in range(len(names))]


def position(source, names, key, mend=""):
    """Position of the column that `key`, a name or a position, refers to; a TableError if there is none.

    `mend` is what its message says to be accepted, too.
    """
    if key in names:
        return names.index(key)
    try:
        return range(len(names))[int(key)]
    except (ValueError, IndexError, OverflowError):
        hint = nearest(key, names) or _other_reading(names, str(key))
        also = f"; accepted: {mend}" if mend else ""
        raise TableError(f"{source}: no column {key!r}{hint}; columns are {listed(names)}{also}") from None


def _other_reading(names, wanted):
    """What may be wrong with the names of columns, as text for a message, if there is no column `wanted`."""
    for character in re.findall(r'[^\w"]', names[0]) if len(names) == 1 else ():
        if wanted in names[0].split(character):
            return f" (accepted: --delimiter {character!r})"
    numbers = names != numbered(names) and any(map(is_number, names))
    return " (accepted: --no-header, if the first line has no names)" if numbers else ""


def selected(source, columns, request, default):
    """The columns that are asked for, of a dict from names to arrays."""
    names = list(columns)
    return {names[i]: columns[names[i]] for i in request.wanted(source, names, default)}


@contextmanager
def reading(path, kind):
    """Context in which errors of a reader become a TableError, in one line that names the file."""
    try:
        yield
    except TableError:
        raise
    except MemoryError:
        raise TableError(f"{path} cannot be read as {kind}: it does not fit into memory") from None
    except Exception as error:  # readers have errors of many types
        reason = " ".join(str(error).replace("Row #", "line ").split())
        raise TableError(f"{path} cannot be read as {kind}: {reason or type(error).__name__}") from None


def check_columns(found):
    """Raise a ValueError if a file has too many columns."""
    if found > MOST_COLUMNS:
        raise ValueError(f"it has {found:,} columns; accepted are {MOST_COLUMNS:,}")


def pyarrow(path, module):
    """A module of pyarrow, which reads the file `path`; an ImportError that names the extra if there is none."""
    try:
        return importlib.import_module(f"pyarrow.{module}")
    except ImportError:
        raise ImportError(f"reading {path} needs pyarrow: pip install 'fastmlp[data]'") from None
