"""Kinds of values of options: functions that read the text of a value, each with its `metavar` in the help.

Of a text that is none, they raise an `argparse.ArgumentTypeError`, which says what is accepted.
"""

import csv
from argparse import ArgumentTypeError
from collections import Counter
from functools import wraps
from pathlib import Path


def _kind(metavar, accepted=""):
    """Decorator of a function that reads a text; its ValueErrors become errors that say what is `accepted`."""

    def decorate(read):
        @wraps(read)
        def kind(text):
            try:
                return read(text)
            except ValueError:
                raise ArgumentTypeError(f"is {text!r}; accepted: {accepted}") from None

        kind.metavar = metavar
        return kind

    return decorate


def _at_least(least, number):
    if not number >= least:
        raise ValueError
    return number


@_kind("NAME")
def text(text):
    """Return the text."""
    return text


@_kind("FILE", "the name of a file")
def path(text):
    """Return the path of a file or folder."""
    if not text:
        raise ValueError
    return Path(text)


@_kind("N", "a whole number")
def whole(text):
    """Return a whole number."""
    return int(text)


@_kind("N", "a whole number from 1 on")
def positive(text):
    """Return a whole number from 1 on."""
    return _at_least(1, int(text))


@_kind("N", "a whole number from 2 on")
def folds(text):
    """Return a number of parts of a table, of which one is held out."""
    return _at_least(2, int(text))


@_kind("X", "a number with a decimal point, such as 0.1")
def number(text):
    """Return a number."""
    return float(text)


@_kind("X", "a positive number with a decimal point, such as 1.5")
def minutes(text):
    """Return a positive, finite number."""
    if not 0 < float(text) < float("inf"):
        raise ValueError
    return float(text)


@_kind("N,N,...", "whole numbers from 1 on, such as 128,64, or none")
def widths(text):
    """Return the text `128,64` or `128-64` as [128, 64], and `none` as []."""
    return [] if text == "none" else [_at_least(1, int(width)) for width in text.replace("-", ",").split(",")]


@_kind("NAME,...")
def names(text):
    """Return the text `relu` as it is, and `relu,tanh` as a list."""
    return text.split(",") if "," in text else text


@_kind("NAME,...")
def peers(text):
    """Return the text `numpy,torch` as a list, and `none` as an empty one."""
    return [] if text == "none" else text.split(",")


@_kind("NAME,...")
def listed(text):
    """Return the text `age,"b, c"` as a list of two names."""
    return next(csv.reader([text], skipinitialspace=True), [])


@_kind("NAME=TYPE,...", "columns and their types, such as zip=category,price=number")
def types(text):
    """Return the text `zip=category,price=number` as a dict from names to types."""
    pairs = [pair.rpartition("=") for pair in listed(text)]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError
    for name, times in Counter(name for name, _, _ in pairs).items():
        if times > 1:
            raise ArgumentTypeError(f"is {text!r}; accepted: one type for each column, and {name!r} has {times}")
    return {name: kind for name, _, kind in pairs}


@_kind("X")
def character(text):
    """Return the text, and `tab` as that character."""
    return {"tab": "\t", "\\t": "\t"}.get(text, text)
