"""What users should know about a table: values that are missing, columns that tell nothing, texts that are new."""

import numpy as np

from fastmlp.tables.columns import FEW, index, is_missing, listed


def missing(table, names=None):
    """Line that counts the rows of a table with missing values, in all columns and in each: "" if there are none.

    `names` are those of the features to look at, all by default: "3 of 10 rows have missing values: age (2), ...".
    """
    rows, counts = np.zeros(table.n_rows, bool), {}
    for name in table.features if names is None else names:
        lacking = is_missing(table.features[name])
        rows |= lacking
        counts[name] = lacking.sum()
    columns = listed(f"{name} ({count:,})" for name, count in counts.items() if count)
    return f"{rows.sum():,} of {table.n_rows:,} rows have missing values: {columns}" if columns else ""


def telling(table):
    """The table without the columns of a single value or none; and a line about these, "" if there are none.

    Columns without names, which are known by their positions, stay, and so do all if none tells anything.
    """
    left_out = {name: what for name, values in table.features.items() if (what := _monotony(values))}
    if not table.named or not left_out or len(left_out) == len(table.features):
        return table, ""
    features = {name: values for name, values in table.features.items() if name not in left_out}
    return table._replace(features=features), listed(f"{name} ({what})" for name, what in left_out.items())


def _monotony(values):
    """What is wrong with a column that tells nothing: "no values" or "one value"; "" for others."""
    lacking = is_missing(values)
    if lacking.all():
        return "no values"
    return "" if lacking.any() or (values != values[0]).any() else "one value"


def names(table):
    """Line about columns of text with hardly a text twice, as names have; "" if there are none."""
    texts = {name: len(set(values)) for name, values in table.features.items() if values.dtype.kind == "O"}
    return listed(f"{name} ({count:,})" for name, count in texts.items() if count > max(FEW, table.n_rows / 2))


def surprises(learned, table):
    """Lines about values of a table that the training of its `Preprocessing` did not know: missing, or other texts."""
    found = dict(zip(learned.columns, learned.find(table), strict=True))
    new = missing(table, [at for name, at in found.items() if name not in learned.with_missing])
    if new:
        yield f"{new}; none were missing there in training: taken for the mean, or for no category"
    for name, column in learned.columns.items():
        values = table.features[found[name]]
        if "categories" in column:
            unknown = (index(values, column["categories"]) < 0) & ~is_missing(values)
            if unknown.any():
                example, rows = str(values[unknown.argmax()]), f"{unknown.sum():,} of {table.n_rows:,} rows"
                yield (
                    f"{rows} have texts in column {name!r} that training did not, such as {example!r}: "
                    "taken for no category"
                )
