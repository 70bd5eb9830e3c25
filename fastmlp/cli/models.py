"""A model as `fastmlp train` leaves it: the network, and what turns tables into its inputs and outputs into answers."""

import numpy as np

from fastmlp import MLP
from fastmlp.preprocessing import Preprocessing

# By task, each loss with the outputs it is for; the first one is the default.
LOSSES = {
    "classification": {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid", "squared_error": "sigmoid"},
    "regression": {"squared_error": "identity"},
}


def load(path):
    """Return (MLP, Preprocessing) from a file, or raise ValueError if the command line did not train it."""
    net = MLP.load(path)
    if not {"preprocessing", "training"} <= net.metadata.keys():
        raise ValueError(f"{path} was not trained by `fastmlp train`: how to prepare its inputs is not known")
    return net, Preprocessing.from_dict(net.metadata["preprocessing"])


def arrays(preprocessing, table, loss, dtype):
    """Return the inputs (N, n_inputs) of a table and the targets for `loss`: labels (N,) or values (N, n_outputs)."""
    X, y = preprocessing.transform(table, dtype), preprocessing.encode_target(table, dtype)
    if preprocessing.task == "classification" and loss != "cross_entropy":
        y = np.eye(preprocessing.n_outputs, dtype=dtype)[y]
    return X, y
