"""Networks as source code describes them: names, sizes, preparation of columns, and what cannot be written."""

import re

import numpy as np

from ..tables.preprocessing import Preprocessing
from ..terminal import printable

MOST_UNITS = 2**15  # of a layer: two layers of float64 numbers are half of the 1 MiB stack of a program on Windows
MOST_CHARACTERS = 40  # of a name: with what is appended, compilers must tell only the first 63 characters apart


class Model:
    """A network that is to be written, checked.

    Parameters
    ----------
    net : MLP
    path : pathlib.Path
        Of the file, whose name gives that of the model (see `identifier`).
    accepted : collection of str
        Activations that can be written.

    Attributes
    ----------
    net : MLP
    name : str
    real : str
        Type of the numbers in C: float or double.
    columns : dict[str, dict]
        What `fastmlp train` saved about the columns of inputs (see `Preprocessing`); empty for other networks.
    with_missing : list of int
        Numbers of those columns that had missing values in training.
    texts : dict[int, list of str]
        Categories of those columns that are text, by the number of the column.
    classes : tuple of str
        Class names; empty unless `fastmlp train` saved the network, for classification.
    target : tuple (name, mean, scale), or None
        What `fastmlp train` saved about the target.
    n_inputs, n_outputs : int
        Numbers of one sample: columns if their preparation is known, else inputs of the network; classes, or outputs.

    Raises
    ------
    ValueError
        See `c_source.write_c`.
    """

    def __init__(self, net, path, accepted):
        for l, used in enumerate(net.activations, 1):
            if used not in accepted:
                known = ", ".join(accepted)
                raise ValueError(f"activation of layer {l} is {used!r}, a registered one; accepted: {known}")
        if max(net.sizes) > MOST_UNITS:
            raise ValueError(f"sizes has a layer of {max(net.sizes)} units; accepted: up to {MOST_UNITS}")
        if not np.isfinite(net.params).all():
            raise ValueError("net.params has numbers that are not finite; accepted: finite numbers")
        self.net, self.name = net, identifier(path.stem)
        self.real = "float" if net.dtype == np.float32 else "double"
        learned = Preprocessing.of(net) if "preprocessing" in net.metadata else None
        self.columns = learned.columns if learned else {}
        self.with_missing = [k for k, column in enumerate(self.columns.values()) if "missing" in column]
        categories = enumerate(column.get("categories") for column in self.columns.values())
        self.texts = {k: texts for k, texts in categories if texts}
        self.classes = learned.classes if learned else ()
        self.target = (learned.target_name, learned.target_mean, learned.target_scale) if learned else None
        self.n_inputs = len(self.columns) or net.sizes[0]
        self.n_outputs = learned.n_outputs if learned else net.sizes[-1]

    def fill(self, code, **words):
        """Code with the name of the model in place of NAME, its type in that of REAL, and other `words`."""
        for word, text in (words | {"REAL": self.real, "NAME": self.name}).items():
            code = code.replace(word, text)
        return code

    def described(self, first=0):
        """Lines of text about the network, its inputs and its outputs, which are numbered from `first` on."""
        net, layers = self.net, "-".join(map(str, self.net.sizes))
        lines = [
            f"Multilayer perceptron {layers} ({', '.join(net.activations)}) in {self.real}, written by fastmlp.",
            "",
        ]
        if not self.target:
            return [*lines, f"The {self.n_inputs} inputs and {self.n_outputs} outputs are those of MLP.predict."]
        lines.append(
            "Inputs, as in the table, NaN if missing; of a text the number among those of its column, -1 if it is none:"
        )
        for k, column in enumerate(self.columns):
            texts = f", one of {len(self.texts[k])} texts" if k in self.texts else ""
            lines.append(f"  {k + first}  {quoted(column)}{texts}")
        target = quoted(self.target[0])
        if not self.classes:
            return [*lines, f"Output: {target}"]
        what = "probability" if self.net.output_activation == "softmax" else "score"
        lines.append(f"Outputs, the {what} of each class of {target}:")
        return lines + [f"  {k}  {quoted(label)}" for k, label in enumerate(self.classes, first)]


def identifier(stem):
    """Name for C and Fortran of a file without its suffix: ``my-model 2`` gives ``my_model_2``.

    Other characters than ASCII letters and digits become single underscores, with none at the ends. ``model_`` is put
    before a digit, ``model`` is used if nothing is left, and of more than 40 characters the first 40 are.
    """
    name = re.sub("[^A-Za-z0-9]+", "_", stem).strip("_")
    name = name if name[:1].isalpha() else f"model_{name}".strip("_")
    return name[:MOST_CHARACTERS].strip("_")


def quoted(text):
    """Text in quotes for a line of a comment: without control characters, and with nothing that would end it."""
    shown = printable(text).replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")
    return f'"{shown}"'


def encoded(text):
    """Bytes of a text in UTF-8; half a pair of UTF-16 surrogates, which JSON can hold, is encoded like a character."""
    return text.encode("utf-8", "surrogatepass")
