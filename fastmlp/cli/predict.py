"""`fastmlp predict`: predictions of a saved model for every row of a table, as CSV."""

import csv
import io
import sys

from fastmlp.cli.models import finite_prediction, load
from fastmlp.cli.tables import for_prediction, warn
from fastmlp.replacing import check_writable, replace
from fastmlp.tables.columns import is_number
from fastmlp.terminal import printable

FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # first characters of cells that spreadsheets run


def run(args):
    """Run the command."""
    if args.output:
        check_writable(args.output, args.model, args.data)
    net, preprocessing = load(args.model)
    if args.probabilities and preprocessing.task != "classification":
        raise ValueError(f"--probabilities: {args.model} predicts numbers, not classes")
    table = for_prediction(args, preprocessing)
    X = preprocessing.transform(table, net.dtype)
    outputs = net.predict(X, precision=args.precision)
    header = [*table.ids, preprocessing.target_name]
    columns = [*table.ids.values(), finite_prediction(args, preprocessing, outputs)]
    if args.probabilities:
        header += [f"P({name})" for name in preprocessing.classes]
        columns += list(outputs.T)
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow([_cell(name, args.formulas) for name in header])
    cells = ([_cell(value, args.formulas) for value in column] for column in columns)
    writer.writerows(zip(*cells, strict=True))
    if args.output:
        replace(args.output, lines.getvalue().encode())
    else:
        text = lines.getvalue()
        print("\n".join(map(printable, text.split("\n"))) if sys.stdout.isatty() else text, end="")
    warn(args, preprocessing, table)


def _cell(value, formulas):
    """Text of a cell: all digits of a number; a text that a spreadsheet would run after a ', unless `formulas`."""
    if not isinstance(value, str):
        return str(value)
    return f"'{value}" if value[:1] in FORMULAS and not (formulas or is_number(value)) else value
