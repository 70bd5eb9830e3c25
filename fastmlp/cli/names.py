"""Names of activations, optimizers and losses, read from the sources of the kernels' tables.

Importing these tables would make `--help` wait for Numba. `models` takes the losses of each task from here too, so that
the help and what is accepted are the same.
"""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple


@cache
def rows(source, table):
    """Read a table of the kernels from its source.

    Parameters
    ----------
    source : str; path of the file in `fastmlp_kernels`
    table : str; name of the table, a dictionary whose values are calls

    Returns
    -------
    dict
        By key, those keyword arguments of the row that are constants: a dict.

    Raises
    ------
    LookupError
        If the file has no such table.
    """
    path = Path(find_spec("fastmlp_kernels").origin).parent / source
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == table:
            pairs = zip(node.value.keys, node.value.values, strict=True)
            return {ast.literal_eval(key): _literals(row.keywords) for key, row in pairs}
    raise LookupError(f"{path} has no {table}")


def _literals(keywords):
    return {k.arg: k.value.value for k in keywords if isinstance(k.value, ast.Constant)}


def activations():
    """Names of the activations that can be trained."""
    table = rows("functions/activations.py", "ACTIVATIONS")
    return [name for name, row in table.items() if row.get("differentiable", True)]


def optimizers():
    """Names of the optimizers."""
    return list(rows("functions/updates.py", "RULES"))


class LossProperties(NamedTuple):
    """Properties of a loss that the command line uses.

    Attributes
    ----------
    output : str; activation of the outputs that it is for
    setting : str; name of its setting, or "" if it has none
    targets : str; kind of its targets (see `LossFunction` of `fastmlp_kernels.panelwise.losses`)
    """

    output: str
    setting: str = ""
    targets: str = "numbers"


def losses():
    """Losses by task and name: {task: {name: LossProperties}}; the first of a task is its default.

    Rows of the kernels' table look like ::

        ("huber", "elementwise"): LossFunction(..., setting="delta", parameter=1.0),
        ("focal", "softmax"): LossFunction(..., targets="classes", setting="gamma", parameter=2.0),

    where "elementwise" means every activation but softmax; of these, numbers are predicted with "identity". If a loss
    has several rows for a task, the first counts: "focal" has one for softmax and one for sigmoid, and classes that
    exclude each other take the softmax.
    """
    tasks = {"classification": {}, "regression": {}}
    for (name, output), row in rows("panelwise/losses.py", "LOSSES").items():
        said = {field: row[field] for field in ("setting", "targets") if field in row}
        loss = LossProperties("identity" if output == "elementwise" else output, **said)
        task = "classification" if loss.targets in ("classes", "probabilities") else "regression"
        tasks[task].setdefault(name, loss)
    tasks["classification"]["squared_error"] = LossProperties("sigmoid")  # the Brier score, of one-hot rows
    return tasks
