"""Networks as `fastmlp train` saves them."""

import numpy as np

from fastmlp import MLP
from fastmlp.tables.datasets import Table
from fastmlp.tables.preprocessing import Preprocessing


def trained(columns, target, dtype="float32"):
    """Table, its `Preprocessing` and a network with random weights, for columns that are lists of float or of str."""
    columns = {name: _column(values) for name, values in columns.items()}
    target = _column(target)
    table = Table("test", columns, target, "*/ target", "regression" if target.dtype == float else "classification")
    learned = Preprocessing.fit(table)
    output_activation = "softmax" if learned.classes else "identity"
    net = MLP([learned.n_inputs, 9, learned.n_outputs], "tanh", output_activation, dtype=dtype, seed=3)
    net.metadata = {"preprocessing": learned.to_dict(), "training": {}}
    return table, learned, net


def _column(values):
    return np.array(values, float if isinstance(values[0], float) else object)
