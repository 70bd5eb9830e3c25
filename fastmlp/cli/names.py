"""The names that the kernels' tables have for the help, read from their sources.

Importing the tables would keep `--help` waiting for Numba.
"""

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple


def rows(source, table):
    """Read a table, a dictionary in a file of the kernels: {key: keyword arguments of its row that are literals}."""
    path = Path(find_spec("fastmlp_kernels").origin).parent / source
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == table:
            pairs = zip(node.value.keys, node.value.values, strict=True)
            return {ast.literal_eval(key): _literals(row.keywords) for key, row in pairs}
    raise LookupError(f"{path} has no {table}")


def _literals(keywords):
    return {k.arg: k.value.value for k in keywords if isinstance(k.value, ast.Constant)}


def activations():
    """Name the activations that can be trained."""
    table = rows("functions/activations.py", "ACTIVATIONS")
    return [name for name, row in table.items() if row.get("differentiable", True)]


def optimizers():
    """Name the optimizers."""
    return list(rows("functions/updates.py", "RULES"))


class Loss(NamedTuple):
    """What the command line has to know of a loss.

    Attributes
    ----------
    output : str; the activation of the outputs that it is for
    setting : str; what its setting is called; empty: it has none
    targets : str; what its targets are
    """

    output: str
    setting: str = ""
    targets: str = "numbers"


def losses():
    """Return {task: {name: Loss}}; the first loss of a task is its default."""
    tasks = {"classification": {}, "regression": {}}
    for (name, output), row in rows("panelwise/losses.py", "LOSSES").items():
        said = {field: row[field] for field in ("setting", "targets") if field in row}
        loss = Loss("identity" if output == "elementwise" else output, **said)
        task = "classification" if loss.targets in ("classes", "probabilities") else "regression"
        tasks[task].setdefault(name, loss)
    tasks["classification"]["squared_error"] = Loss("sigmoid")  # the Brier score
    return tasks
