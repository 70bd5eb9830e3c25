"""Models as `fastmlp train` saves them: a network, and the `Preprocessing` of its inputs and outputs."""

import dataclasses

import numpy as np

from fastmlp import MLP, losses
from fastmlp.checks import choice
from fastmlp.cli import names
from fastmlp.tables.preprocessing import Preprocessing

# By task and name of a loss, the output activation that it is for; the first loss is the default.
LOSSES = {task: {name: loss.output for name, loss in table.items()} for task, table in names.losses().items()}


def parse_loss(text, task):
    """Return the object of `fastmlp.losses` for text such as `quantile`, or `quantile=0.9` with a setting."""
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
        raise ValueError(f"{path} was not trained by `fastmlp train`: the preparation of its inputs is not known")
    return net, Preprocessing.from_dict(net.metadata["preprocessing"])


def arrays(preprocessing, table, loss, dtype):
    """Return the inputs (N, n_inputs) of a table, and its targets: labels (N,) or numbers (N, n_outputs).

    Labels are for classification with a loss of softmax outputs; `loss` is its name. Other classes are one-hot rows.
    """
    X, y = preprocessing.transform(table, dtype), preprocessing.encode_target(table, dtype)
    if preprocessing.task == "classification" and LOSSES["classification"][loss] != "softmax":
        y = np.eye(preprocessing.n_outputs, dtype=dtype)[y]
    return X, y
