"""Models as `fastmlp train` saves them: a network, and the `Preprocessing` of its inputs and outputs."""

import dataclasses

import numpy as np

from fastmlp import MLP, losses
from fastmlp.checks import choice
from fastmlp.cli import names
from fastmlp.files import ModelFileError
from fastmlp.tables.columns import TableError
from fastmlp.tables.preprocessing import Preprocessing

# {task: {name of a loss: the output activation that it is for}}; the first loss of a task is its default.
OUTPUT_ACTIVATIONS = {
    task: {name: loss.output for name, loss in table.items()} for task, table in names.losses().items()
}


def parse_loss(text, task):
    """Return the object of `fastmlp.losses` for the text of `--loss`.

    Parameters
    ----------
    text : str
        Name of a loss, such as `quantile`, or name and value of its setting, such as `quantile=0.9`.
    task : {"classification", "regression"}

    Raises
    ------
    ValueError
        If the task has no such loss, the loss no setting, or the setting cannot have this value.
    """
    name, equals, value = text.partition("=")
    kind = losses.LOSSES[choice("--loss", name, OUTPUT_ACTIVATIONS[task])]
    if not equals:
        return kind()
    settings = [field.name for field in dataclasses.fields(kind) if field.name != "label_smoothing"]
    if not settings:
        raise ValueError(f"--loss is {text}; accepted: {name}, which has no setting")
    try:
        return kind(**{setting: float(value) for setting in settings})
    except ValueError as error:
        raise ValueError(f"--loss is {text}: {error}") from None


def load(path):
    """Return (MLP, Preprocessing) from a file, or raise ValueError if the command line did not train it."""
    net = MLP.load(path)
    if not {"preprocessing", "training"} <= net.metadata.keys():
        raise ValueError(f"{path} was not trained by `fastmlp train`: the preparation of its inputs is not known")
    return net, preprocessing_of(path, net)


def preprocessing_of(path, net):
    """Preprocessing that a network was trained with; a ModelFileError if it is damaged. `path` is for messages."""
    try:
        return Preprocessing.of(net)
    except ValueError as error:
        raise ModelFileError(f"{path} is damaged: {error}") from None


def finite_prediction(args, preprocessing, outputs):
    """Predictions for a network's outputs, of a command with a model and data; a ValueError if some are not finite."""
    with np.errstate(over="ignore"):
        predicted = preprocessing.decode_prediction(outputs)
    if not np.isfinite(outputs).all() or (predicted.dtype != object and not np.isfinite(predicted).all()):
        raise ValueError(f"{args.model} predicts numbers that are not finite for {args.data}")
    return predicted


def arrays(preprocessing, table, loss, dtype):
    """Return the inputs and the targets of a table for training or evaluation.

    Parameters
    ----------
    preprocessing : Preprocessing
    table : Table
    loss : str
        Name of the loss.
    dtype : str or dtype
        Type of the network.

    Returns
    -------
    X : (N, n_inputs) array
    y : (N,) int64 array, or (N, n_outputs) array of `dtype`
        Labels of classes if the loss is for softmax outputs, and one-hot rows if it is not; for a regression, numbers
        as `Preprocessing.encode_target` scales them.

    Raises
    ------
    TableError
        If the loss is of counts, and one is negative; or as `Preprocessing.transform` and `encode_target` do.
    """
    if preprocessing.task == "regression" and names.losses()["regression"][loss].targets == "counts":
        _check_counts(table, loss)
    X, y = preprocessing.transform(table, dtype), preprocessing.encode_target(table, dtype)
    if preprocessing.task == "classification" and OUTPUT_ACTIVATIONS["classification"][loss] != "softmax":
        y = np.eye(preprocessing.n_outputs, dtype=dtype)[y]
    return X, y


def _check_counts(table, loss):
    if table.target.min() < 0:
        row = table.target.argmin()
        found = f"column {table.target_name!r} has {table.target[row]:g} in data row {table.data_row(row)}"
        raise TableError(f"{table.source}: {found}; accepted for --loss {loss}: numbers from 0 on")
