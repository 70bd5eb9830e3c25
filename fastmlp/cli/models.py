"""A model as `fastmlp train` leaves it: the network, and what turns tables into its inputs and outputs into answers."""

import dataclasses

import numpy as np

from fastmlp import MLP, losses
from fastmlp.checks import choice
from fastmlp.cli import names
from fastmlp.tables.preprocessing import Preprocessing

# By task, each loss with the outputs it is for; the first one is the default.
LOSSES = {task: {name: loss.output for name, loss in table.items()} for task, table in names.losses().items()}


def parse_loss(text, task):
    """Return the loss that `quantile`, or `quantile=0.9` with its setting, stands for in a task."""
    name, equals, value = text.partition("=")
    kind = losses.LOSSES[choice("--loss", name, LOSSES[task])]
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
        raise ValueError(f"{path} was not trained by `fastmlp train`: how to prepare its inputs is not known")
    return net, Preprocessing.from_dict(net.metadata["preprocessing"])


def arrays(preprocessing, table, loss, dtype):
    """Return the inputs (N, n_inputs) of a table and the targets: labels (N,) or values (N, n_outputs).

    Which of these depends on the name of the loss.
    """
    X, y = preprocessing.transform(table, dtype), preprocessing.encode_target(table, dtype)
    if preprocessing.task == "classification" and LOSSES["classification"][loss] != "softmax":
        y = np.eye(preprocessing.n_outputs, dtype=dtype)[y]
    return X, y
