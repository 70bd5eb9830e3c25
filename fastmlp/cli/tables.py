"""Tables as the commands read them: what their options say, and what users should know about the result."""

from dataclasses import fields, replace

from fastmlp.checks import choice, nearest
from fastmlp.cli import text
from fastmlp.tables import datasets, notes
from fastmlp.tables.columns import listed
from fastmlp.tables.dialects import Dialect
from fastmlp.terminal import printable

TYPES = ("number", "category")


def for_training(args):
    """The table that a network is trained on. What is left out of it or imputed is printed."""
    named = {
        kind: [name for name, type in args.types.items() if choice("--types", type, TYPES) == kind] for kind in TYPES
    }
    table = datasets.load(
        args.source,
        args.target,
        args.task,
        texts=named["category"],
        numbers=named["number"],
        features=args.features,
        drop=args.drop,
        ids=args.id,
        dialect=Dialect(**_given(args)),
        max_bytes=args.max_bytes,
    )
    known = [*table.features, *table.ids, table.target_name]
    for name in args.types:
        if name not in known:
            raise ValueError(f"--types has {name!r}{nearest(name, known)}; accepted: the columns {listed(known)}")
    if args.source not in datasets.BUNDLED:
        table, left_out = notes.telling(table)
        text.facts([("left out", f"columns that tell nothing: {left_out}")] * bool(left_out))
    if table.without_target:
        text.facts([("left out", _without_target(table))])
    taken = listed(f"{value!r} in {name}" for name, value in table.taken.items())
    text.facts([("note", f"taken for missing: {taken}; --no-default-na keeps such texts")] * bool(taken))
    names = notes.names(table)
    text.facts([("note", f"most rows have other texts, as names are, in {names}: --id, --drop?")] * bool(names))
    missing = notes.missing(table)
    text.facts([("missing", f"{missing}: imputed")] * bool(missing))
    return table


def for_prediction(args, preprocessing):
    """The table to predict for a model."""
    ids = preprocessing.ids if args.id is None else args.id
    return datasets.load_features(args.data, ids=ids, **_as_in_training(args, preprocessing))


def for_evaluation(args, preprocessing):
    """The table to score a model on."""
    target = args.target or preprocessing.target_name
    return datasets.load(args.data, target, preprocessing.task, **_as_in_training(args, preprocessing))


def warn(args, preprocessing, table):
    """Write lines on standard error about what is left out of a table, or was not known in the training of a model."""
    taken = table.taken.get(table.target_name)
    kept = f"; --no-default-na keeps texts such as {taken!r}" if taken else ""
    left_out = [_without_target(table) + kept] * bool(table.without_target)
    for line in (*left_out, *notes.surprises(preprocessing, table)):
        text.tell(printable(f"fastmlp {args.command}: warning: {line}"))


def _without_target(table):
    rows = table.n_rows + table.without_target
    return f"{table.without_target:,} of {rows:,} rows have no value of {table.target_name!r}: left out"


def _given(args):
    """The options about the dialect of a file that are given, by name; None for "none", which takes one back."""
    given = {field.name: getattr(args, field.name) for field in fields(Dialect)}
    return {name: None if value == "none" else value for name, value in given.items() if value is not None}


def _as_in_training(args, preprocessing):
    return {
        "texts": preprocessing.texts,
        "numbers": preprocessing.numbers,
        "only": preprocessing.columns,
        "dialect": replace(preprocessing.dialect, **_given(args)),
        "max_bytes": args.max_bytes,
    }
