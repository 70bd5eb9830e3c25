"""Small networks to work through by hand: the four built-in EXAMPLES, and any that a JSON file describes."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from fastmlp.checks import choice
from fastmlp.network import MLP
from fastmlp.trainer import DivergenceError, Trainer

_A = {
    "weights": [[[0.15, 0.25], [0.20, 0.30]], [[0.40, 0.50], [0.45, 0.55]]],
    "biases": [[0.35, 0.35], [0.60, 0.60]],
    "activation": "sigmoid",
    "output_activation": "sigmoid",
    "x": [[0.05, 0.10]],
    "y": [[0.01, 0.99]],
    "learning_rate": 0.5,
}
EXAMPLES = {
    "a": _A | {"update_biases": False},
    "a-biases": _A,
    "b": {
        "weights": [[[0.4], [-0.2]], [[0.1]]],
        "activation": "sigmoid",
        "output_activation": "sigmoid",
        "x": [[0.1, 0.3]],
        "y": [[1.0]],
        "learning_rate": 0.5,
    },
    "c": {
        "weights": [[[0.3, -0.5], [0.8, 0.2]], [[0.6, -0.4], [-0.7, 0.9]], [[0.5], [-1.1]]],
        "biases": [[0.1, -0.2], [0.05, 0.15], [0.2]],
        "activation": "sigmoid",
        "output_activation": "sigmoid",
        "x": [[0.5, -1.0]],
        "y": [[1.0]],
        "learning_rate": 0.5,
        "check": True,
    },
}


@dataclasses.dataclass(frozen=True)
class Example:
    """Network with data and settings of its training. A JSON file has the same fields, without `name`, arrays as lists.

    Attributes
    ----------
    name : str
        Name of the built-in example, or path of the file.
    weights : list of (n_in, n_out) float64 arrays
        One array per layer; `weights[l][i][j]` is the weight from unit i to unit j.
    activation, output_activation : str
        As for `MLP`: activation of the hidden layers (or a list, one name per hidden layer) and of the outputs.
    x, y : (N, n_in) and (N, n_out) float64 arrays
        Inputs and targets, one row per sample; every step is one update on all of them.
    learning_rate : float
    biases : list of (n_out,) float64 arrays, or None
        One array per layer, or None for a network without biases.
    loss, reduction, update_biases
        As for `Trainer`.
    steps : int
        Number of updates to show.
    check : bool
        Whether to show central differences of the loss beside every gradient.
    """

    name: str
    weights: list
    activation: str | list
    output_activation: str
    x: np.ndarray
    y: np.ndarray
    learning_rate: float
    biases: list | None = None
    loss: str = "squared_error"
    reduction: str = "mean"
    update_biases: bool = True
    steps: int = 1
    check: bool = False

    def network(self):
        """Return a float64 `MLP` with the weights and biases of this example."""
        sizes = [self.weights[0].shape[0], *(weight.shape[1] for weight in self.weights)]
        net = MLP(sizes, self.activation, self.output_activation, dtype="float64", bias=self.biases is not None)
        for view, given in zip([*net.weights, *net.biases], [*self.weights, *(self.biases or [])], strict=True):
            view[...] = given
        return net

    def trainer(self, net):
        """Return the `Trainer` that makes the updates of this example on `net`, by plain gradient descent."""
        return Trainer(
            net,
            loss=self.loss,
            optimizer="sgd",
            learning_rate=self.learning_rate,
            reduction=self.reduction,
            update_biases=self.update_biases,
        )

    def backpropagate(self, net):
        """Return the `Backpropagation` of all samples through `net`, which is not updated."""
        return net.backpropagate(self.x, self.y, loss=self.loss, reduction=self.reduction)


def load_example(name_or_path):
    """Return the built-in example of that name ("a", "a-biases", "b", "c"), or read one from a JSON file.

    The file has one object with the fields of `Example`, for instance ::

        {"weights": [[[0.15, 0.25], [0.20, 0.30]], [[0.40], [0.45]]], "biases": [[0.35, 0.35], [0.60]],
         "activation": "tanh", "output_activation": "sigmoid", "x": [[0.05, 0.10]], "y": [[0.99]],
         "loss": "squared_error", "reduction": "mean", "learning_rate": 0.5, "update_biases": true, "steps": 1}

    `weights`, `activation`, `output_activation`, `x`, `y` and `learning_rate` are required. Without `biases` the
    network has none. A field that is null counts as left out.

    Raises
    ------
    ValueError
        If the file cannot be read or a field is wrong; the message, in one line, names them.
    DivergenceError
        If a first update, made as a check, meets values that are not finite.
    """
    name = str(name_or_path)
    if name in EXAMPLES:
        return _example(name, EXAMPLES[name])
    try:
        return _example(name, json.loads(Path(name).read_text(encoding="utf-8")))
    except OSError as error:
        known = ", ".join(EXAMPLES)
        raise ValueError(f"{name}: {error.strerror}; neither a file nor a built-in example ({known})") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: not JSON: {error}") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None
    except DivergenceError as error:
        raise DivergenceError(f"{name}: {error}") from None


def _example(name, fields):
    """Return the `Example` with the fields of a JSON object; a ValueError or TypeError if one is wrong.

    The constructors of MLP and Trainer, and a first training step, check most of the fields.
    """
    if not isinstance(fields, dict):
        raise ValueError(f"expected one JSON object, got {type(fields).__name__}")
    known = {field.name: field for field in dataclasses.fields(Example) if field.name != "name"}
    for field in fields:
        choice("field", field, known)
    fields = {field: value for field, value in fields.items() if value is not None}
    if missing := [k for k, field in known.items() if field.default is dataclasses.MISSING and k not in fields]:
        raise ValueError(f"missing field {missing[0]!r}")
    arrays = {"x": _array("x", fields["x"], 2), "y": _array("y", fields["y"], 2)}
    for field, ndim in {"weights": 2, "biases": 1}.items():
        if field in fields:
            if not isinstance(fields[field], list) or not fields[field]:
                raise ValueError(f"{field} must be a list with one entry per layer")
            arrays[field] = [_array(f"{field}[{k}]", value, ndim) for k, value in enumerate(fields[field])]
    _check_shapes(**arrays)
    example = Example(name, **(fields | arrays))
    for field in ("update_biases", "check"):
        if not isinstance(fields.get(field, True), bool):
            raise ValueError(f"{field} must be true or false, got {fields[field]!r}")
    check_steps(example.steps)
    net = example.network()
    example.trainer(net).step(example.x, example.y)
    return example


def _array(field, value, ndim):
    """Return the value of a field as a float64 array with `ndim` dimensions, or raise a ValueError."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != ndim or array.size == 0 or not np.isfinite(array).all():
        shape = {1: "a list of finite numbers", 2: "a list of rows of finite numbers, all of one length"}[ndim]
        raise ValueError(f"{field} must be {shape}")
    return array


def _check_shapes(weights, x, y, biases=None):
    """Raise a ValueError if the layers do not fit together, from the columns of x to those of y."""
    width, of = x.shape[1], "the columns of x"
    for k, weight in enumerate(weights):
        if len(weight) != width:
            raise ValueError(f"weights[{k}] has {len(weight)} rows, expected {width} ({of})")
        width, of = weight.shape[1], f"the columns of weights[{k}]"
    if y.shape != (len(x), width):
        raise ValueError(f"y has shape {y.shape}, expected {(len(x), width)} (the rows of x, {of})")
    widths = [weight.shape[1] for weight in weights]
    if biases is not None and [len(bias) for bias in biases] != widths:
        lengths = [len(bias) for bias in biases]
        raise ValueError(f"biases have lengths {lengths}, expected {widths} (the columns of weights)")


def check_steps(steps):
    """Raise a ValueError unless `steps` is a whole number from 1 on."""
    if type(steps) is not int or steps < 1:
        raise ValueError(f"steps must be a whole number from 1 on, got {steps!r}")
