"""`fastmlp predict`: predictions of a saved model for every row of a table, as CSV."""

import csv
import io

from fastmlp.cli.models import load
from fastmlp.cli.text import check_writable
from fastmlp.files import replace
from fastmlp.tables import datasets


def run(args):
    """Run the command."""
    if args.output:
        check_writable(args.output)
    net, preprocessing = load(args.model)
    if args.probabilities and preprocessing.task != "classification":
        raise ValueError(f"--probabilities: {args.model} predicts numbers, not classes")
    X = preprocessing.transform(datasets.load_features(args.data), net.dtype)
    outputs = net.predict(X, precision=args.precision)
    header = [preprocessing.target_name]
    columns = [preprocessing.decode_prediction(outputs)]
    if args.probabilities:
        header += [f"P({name})" for name in preprocessing.classes]
        columns += list(outputs.T)
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*(map(_text, column) for column in columns), strict=True))
    if args.output:
        replace(args.output, lines.getvalue().encode())
    else:
        print(lines.getvalue(), end="")


def _text(value):
    return value if isinstance(value, str) else f"{value:.7g}"
