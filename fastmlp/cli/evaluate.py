"""`fastmlp evaluate`: scores of a saved model on a table with the true target."""

from pathlib import Path

from fastmlp.cli import text
from fastmlp.cli.models import arrays, finite_prediction, load, parse_loss
from fastmlp.cli.tables import for_evaluation, warn
from fastmlp.tables.scores import confusion_matrix, precision_recall_f1, score


def run(args):
    """Run the command."""
    net, preprocessing = load(args.model)
    training = net.metadata["training"]
    table = for_evaluation(args, preprocessing)
    loss = parse_loss(training["loss"], preprocessing.task)
    X, y = arrays(preprocessing, table, loss.name, net.dtype)
    outputs = net.predict(X)
    finite_prediction(args, preprocessing, outputs)

    print(f"{args.data}: {table.n_rows:,} rows")
    if Path(args.data).name == Path(training["source"]).name:
        print("These may include rows that the model was trained on; `fastmlp info` shows its score on rows held out.")
    print()
    named = score(preprocessing, table, outputs)
    named[training["loss"]] = net.evaluate(X, y, loss)
    text.facts((name, f"{value:.5g}") for name, value in named.items())
    if preprocessing.task == "classification":
        labels = preprocessing.encode_target(table)  # y has one-hot rows with some losses
        _by_class(preprocessing, labels, outputs.argmax(1))
    warn(args, preprocessing, table)


def _by_class(preprocessing, truth, predicted):
    """Print precision, recall and F1 of each class, and the confusion matrix, from (N,) labels."""
    names = preprocessing.classes
    confusion = confusion_matrix(truth, predicted, len(names))
    print()
    lines = zip(names, *precision_recall_f1(confusion), confusion.sum(1), strict=True)
    shares = [(name, *(f"{share:.4f}" for share in shares), str(rows)) for name, *shares, rows in lines]
    text.table(("class", "precision", "recall", "F1", "rows"), shares)
    print("\nconfusion: a row for each true class, a column for each predicted")
    counts = [(name, *(str(count or ".") for count in row)) for name, row in zip(names, confusion, strict=True)]
    text.table(("", *names), counts)
