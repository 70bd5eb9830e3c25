"""C source of a network: a header that predicts one sample, with the parameters inside."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..replacing import replace
from ..tables.preprocessing import Preprocessing
from ..terminal import printable

MOST_UNITS = 2**15  # of a layer: two layers of float64 numbers are half of the 1 MiB stack of a program on Windows
MOST_CHARACTERS = 40  # of a name: with what is appended, compilers must tell only the first 63 characters apart
NUMBERS_PER_LINE = 8

# Activations as C expressions of the net input z, with the errors of those in `fastmlp_kernels.functions.activations`;
# NaN gives NaN. An @ stands for the suffix f of float functions and constants, or for nothing.
EXPRESSIONS = {
    "identity": "z",
    "threshold": "z >= 0 ? 1 : z < 0 ? 0 : z",
    "sigmoid": "1 / (1 + exp@(-z))",
    "tanh": "tanh@(z)",
    "relu": "z <= 0 ? 0 : z",
    "leaky_relu": "z <= 0 ? 0.01@ * z : z",
    "elu": "z <= 0 ? expm1@(z) : z",
    "selu": "1.0507009873554805@ * (z <= 0 ? 1.6732632423543772@ * expm1@(z) : z)",
    "exp": "exp@(z)",
    "softplus": "(z <= 0 ? 0 : z) + log1p@(exp@(-fabs@(z)))",
    # The bounds keep infinite net inputs from giving NaN, as 0 times infinity or one infinity over another.
    "silu": "(z < -1000 ? -1000 : z) / (1 + exp@(-z))",
    "gelu": "0.5@ * (z < -1000 ? -1000 : z) * erfc@(-0.70710678118654752@ * z)",
    "mish": "(z < -1000 ? -1000 : z) * tanh@(log1p@(exp@(z)))",
    "hard_swish": "z <= -3 ? 0 : z >= 3 ? z : z * (z + 3) / 6",
    "softsign": "fabs@(z) > 1e30@ ? copysign@(1, z) : z / (1 + fabs@(z))",
}

SOFTMAX = """\
static inline void NAME_softmax(REAL *z, int n)
{
    REAL largest = z[0], sum = 0;
    for (int j = 1; j < n; j++)
        largest = z[j] > largest ? z[j] : largest;
    for (int j = 0; j < n; j++)
        z[j] = exp@(z[j] - largest);
    for (int j = 0; j < n; j++)
        sum += z[j];
    for (int j = 0; j < n; j++)
        z[j] /= sum;
}"""

LABEL = """\
/* Number of the class with the largest output. */
static inline int NAME_label(const REAL *inputs)
{
    REAL outputs[NAME_n_outputs];
    int label = 0;
    NAME_predict(inputs, outputs);
    for (int k = 1; k < NAME_n_outputs; k++)
        label = outputs[k] > outputs[label] ? k : label;
    return label;
}"""

CATEGORY = """\
/* Number of a text, in UTF-8, among those of an input; -1 if it is none of them. */
static inline int NAME_category(int input, const char *text)
{
    const char *const *names = NAME_categories;
    for (int k = 0; k < input; k++)
        names += NAME_n_categories[k];
    for (int i = 0; i < NAME_n_categories[input]; i++) {
        int c = 0;
        while (text[c] && text[c] == names[i][c])
            c++;
        if (text[c] == names[i][c])
            return i;
    }
    return -1;
}"""

COPY_INPUTS = """\
    for (int k = 0; k < NAME_n_inputs; k++)
        x[k] = inputs[k];"""

SCALE_INPUTS = """\
    for (int k = 0; k < NAME_n_inputs; k++)
        x[k] = (REAL)((inputs[k] - NAME_means[k]) / NAME_scales[k]);"""

ENCODE_INPUTS = """\
    REAL *end = x;
    for (int k = 0; k < NAME_n_inputs; k++)
        if (NAME_n_categories[k] == 0)
            *end++ = (REAL)((inputs[k] - NAME_means[k]) / NAME_scales[k]);
        else
            for (int i = 0; i < NAME_n_categories[k]; i++)
                *end++ = inputs[k] == i;"""


def write_c(net, path):
    """Write a network as a C99 header, which is valid C++ too; a file that was there is replaced whole or not at all.

    For a file ``model.h`` the header has these names; `real` is float or double, the network's dtype. Other file names
    give other names (see `identifier`).

    - ``void model_predict(const real *inputs, real *outputs)``: outputs of one sample.
    - ``model_n_inputs``, ``model_n_outputs``: the lengths of both arrays.

    If `fastmlp train` saved the network, the preparation of its columns is inside: an input is a number as in the
    table, or for a column of texts the number of the category, from 0 on; any other number stands for a text that did
    not occur in training. The output of a regression is in units of the target. There are two more functions:

    - ``int model_category(int input, const char *text)``: the number of a text (UTF-8) among the categories of an
      input, -1 if it is none of them. Only where a column is text.
    - ``int model_label(const real *inputs)``: the number of the predicted class in ``const char *model_classes[]``.
      Only for classification.

    The functions need the C library's ``math.h`` and nothing else, allocate nothing, and may be called from several
    threads. Two layers lie on the stack. The same network gives the same bytes; parameters are the same to the bit.

    Parameters
    ----------
    net : MLP
    path : str or path
        Commonly with the suffix ``.h``.

    Raises
    ------
    ValueError
        If an activation is a registered one, a parameter is not finite, or a layer (inputs included) has more than
        32768 units; if ``net.metadata`` has a preprocessing that does not fit the network; or if `path` exists and is
        not a file.
    OSError
        If the file cannot be written.
    """
    path = Path(path)
    replace(path, header(net, identifier(path.stem)).encode())


def identifier(stem):
    """Name for C and Fortran of a file without its suffix: ``my-model 2`` gives ``my_model_2``.

    Other characters than ASCII letters and digits become single underscores, with none at the ends. ``model_`` is put
    before a digit, ``model`` is used if nothing is left, and of more than 40 characters the first 40 are.
    """
    name = re.sub("[^A-Za-z0-9]+", "_", stem).strip("_")
    name = name if name[:1].isalpha() else f"model_{name}".strip("_")
    return name[:MOST_CHARACTERS].strip("_")


def header(net, name):
    """Text of the header that `write_c` writes, with names that begin with `name`; arguments and errors as there."""
    _check(net)
    preprocessing = preprocessing_of(net)
    parts = [f"#ifndef {name}_H\n#define {name}_H\n\n#include <math.h>"]
    parts.append(_constants(net, name, preprocessing))
    parts += _parameters(net, name)
    parts += [_filled(SOFTMAX if used == "softmax" else _function(used), net, name) for used in _used(net)]
    parts.append(_predict(net, name, preprocessing))
    if preprocessing and preprocessing.classes:
        parts.append(_filled(LABEL, net, name))
    if preprocessing and has_texts(preprocessing):
        parts.append(_filled(CATEGORY, net, name))
    comment = "\n".join(f" * {line}".rstrip() for line in described(net, name, preprocessing))
    return "\n\n".join([f"/*\n{comment}\n */", *parts, "#endif"]) + "\n"


def preprocessing_of(net):
    """`Preprocessing` that `fastmlp train` saved with a network, None for other networks.

    Raises
    ------
    ValueError
        If it is damaged, or does not fit the network.
    """
    if not {"preprocessing", "training"} <= net.metadata.keys():
        return None
    try:
        preprocessing = Preprocessing.from_dict(net.metadata["preprocessing"])
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"net.metadata is damaged: {error}") from None
    # "gaussian_nll" has a second output, the logarithm of the variance, which is left out as `fastmlp predict` does.
    widths = [len(preprocessing.classes)] if preprocessing.classes else [1, 2]
    if preprocessing.n_inputs != net.sizes[0] or net.sizes[-1] not in widths:
        raise ValueError(
            f"net.metadata has a preprocessing for {preprocessing.n_inputs} inputs and {preprocessing.n_outputs} "
            f"outputs; accepted: one for {net!r}"
        )
    return preprocessing


def has_texts(preprocessing):
    """Whether some columns are text."""
    return any("categories" in column for column in preprocessing.columns.values())


def described(net, name, preprocessing):
    """Lines of the comment at the head of a file: what the network is, its inputs and outputs, and how to use it."""
    real = _real(net)
    layers, activations = "-".join(map(str, net.sizes)), ", ".join(net.activations)
    lines = [f"Multilayer perceptron {layers} ({activations}) in {real}, written by fastmlp.", ""]
    lines += described_columns(net, preprocessing)
    lines += [
        "",
        f"Use, with {2 * max(net.sizes) * net.dtype.itemsize} bytes of the stack and from any number of threads:",
        f"  {real} inputs[{name}_n_inputs] = {{0}}, outputs[{name}_n_outputs];",
    ]
    if preprocessing and has_texts(preprocessing):
        at, column = next((k, c) for k, c in enumerate(preprocessing.columns.values()) if "categories" in c)
        lines.append(f"  inputs[{at}] = ({real}){name}_category({at}, {commented(column['categories'][0])});")
    lines.append(f"  {name}_predict(inputs, outputs);")
    if preprocessing and preprocessing.classes:
        lines.append(f"  puts({name}_classes[{name}_label(inputs)]);")
    return lines


def described_columns(net, preprocessing, first=0):
    """Lines about the inputs and outputs, which are numbered from `first` on."""
    if not preprocessing:
        return [f"The {net.sizes[0]} inputs and {net.sizes[-1]} outputs are those of the bare network."]
    lines = ["Inputs, numbers as in the table; for a text, its number among its input's categories, or -1 for others:"]
    for k, (column, learned) in enumerate(preprocessing.columns.items(), first):
        texts = f", one of {len(learned['categories'])} texts" if "categories" in learned else ""
        lines.append(f"  {k}  {commented(column)}{texts}")
    target = commented(preprocessing.target_name)
    if not preprocessing.classes:
        return [*lines, f"Output: {target}"]
    what = "probability" if net.output_activation == "softmax" else "score"
    lines.append(f"Outputs, the {what} of each class of {target}:")
    return lines + [f"  {k}  {commented(label)}" for k, label in enumerate(preprocessing.classes, first)]


def commented(text):
    """Text in quotes for a line of a comment: without control characters, and with nothing that would end it."""
    shown = printable(text).replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")
    return f'"{shown}"'


def literal(text):
    """C string constant with the bytes of a text in UTF-8: all but printable ASCII as octal numbers, no trigraphs."""
    characters = (chr(b) if 32 <= b < 127 else f"\\{b:03o}" for b in encoded(text))
    return '"' + "".join(f"\\{c}" if c in '"\\?' else c for c in characters) + '"'


def encoded(text):
    """Bytes of a text in UTF-8; half a pair of UTF-16 surrogates, which JSON can hold, is encoded like a character."""
    return text.encode("utf-8", "surrogatepass")


def _check(net):
    """Raise a ValueError if a network cannot be written."""
    for l, used in enumerate(net.activations, 1):
        if used not in EXPRESSIONS and used != "softmax":
            known = ", ".join([*EXPRESSIONS, "softmax"])
            raise ValueError(f"activation of layer {l} is {used!r}, a registered one; accepted: {known}")
    if max(net.sizes) > MOST_UNITS:
        raise ValueError(f"sizes has a layer of {max(net.sizes)} units; accepted: up to {MOST_UNITS}")
    if not np.isfinite(net.params).all():
        raise ValueError("net.params has numbers that are not finite; accepted: finite numbers")


def _real(net):
    return "float" if net.dtype == np.float32 else "double"


def _filled(code, net, name):
    """C code with the names of one network in place of NAME and REAL, and the suffix of its functions in that of @."""
    real = _real(net)
    return code.replace("NAME", name).replace("REAL", real).replace("@", "f" if real == "float" else "")


def _used(net):
    """Activations for which there is a function, in the order of the layers."""
    return [used for used in dict.fromkeys(net.activations) if used != "identity"]


def _function(activation):
    return f"static inline REAL NAME_{activation}(REAL z)\n{{\n    return {EXPRESSIONS[activation]};\n}}"


def _number(value, dtype):
    """C constant that is read as the same number of a dtype."""
    return f"{value:#.9g}f" if dtype == np.float32 else repr(float(value))


def _array(kind, name, constants):
    """Definition of an array, of constants written in C."""
    lines = [", ".join(constants[i : i + NUMBERS_PER_LINE]) for i in range(0, len(constants), NUMBERS_PER_LINE)]
    return f"static const {kind} {name}[{len(constants)}] = {{\n    " + ",\n    ".join(lines) + "\n};"


def _names(name, texts):
    """Definition of an array of strings; each has its number in a comment, and its text if it is not plain ASCII."""
    lines = []
    for k, text in enumerate(texts):
        shown = "" if text.isascii() and text.isprintable() else f" {commented(text)}"
        lines.append(f"    {literal(text)}, /* {k}{shown} */")
    return "\n".join([f"static const char *const {name}[{len(texts)}] = {{", *lines, "};"])


def _constants(net, name, preprocessing):
    """Definitions of the lengths of inputs and outputs, and of what the preprocessing needs."""
    n_inputs, n_outputs = (net.sizes[0], net.sizes[-1])
    if preprocessing:
        n_inputs, n_outputs = len(preprocessing.columns), preprocessing.n_outputs
    parts = [f"enum {{ {name}_n_inputs = {n_inputs}, {name}_n_outputs = {n_outputs} }};"]
    if not preprocessing:
        return parts[0]
    if preprocessing.classes:
        parts.append(_names(f"{name}_classes", preprocessing.classes))
    columns = preprocessing.columns.values()
    for key, standing_in in ("mean", 0.0), ("scale", 1.0):  # for columns of texts
        scaling = [_number(column.get(key, standing_in), np.float64) for column in columns]
        parts.append(_array("double", f"{name}_{key}s", scaling))
    if has_texts(preprocessing):
        lists = [column.get("categories", []) for column in columns]
        counts = _array("int", f"{name}_n_categories", [str(len(texts)) for texts in lists])
        parts.append(f"/* Number of texts of each input, 0 for a number; then the texts of all inputs. */\n{counts}")
        parts.append(_names(f"{name}_categories", [text for texts in lists for text in texts]))
    return "\n\n".join(parts)


def _parameters(net, name):
    """Definitions of the weights, a row for each unit of the layer before, and of the biases."""
    kind = _real(net)
    for l, weights in enumerate(net.weights, 1):
        if net.bias:
            yield _array(kind, f"{name}_biases_{l}", [_number(b, net.dtype) for b in net.biases[l - 1].tolist()])
        rows = []
        for row in weights.tolist():
            numbers = [_number(w, net.dtype) for w in row]
            lines = (", ".join(numbers[i : i + NUMBERS_PER_LINE]) for i in range(0, len(row), NUMBERS_PER_LINE))
            rows.append("    {" + ",\n     ".join(lines) + "}")
        n_in, n_out = weights.shape
        yield f"static const {kind} {name}_weights_{l}[{n_in}][{n_out}] = {{\n" + ",\n".join(rows) + "\n};"


def _predict(net, name, preprocessing):
    """Definition of the function that predicts: layers are computed from x to y, then from y to x, and so on."""
    code = ["static inline void NAME_predict(const REAL *inputs, REAL *outputs)", "{"]
    code.append(f"    REAL x[{max(net.sizes)}], y[{max(net.sizes)}];")
    if not preprocessing:
        code.append(COPY_INPUTS)
    else:
        code.append(ENCODE_INPUTS if has_texts(preprocessing) else SCALE_INPUTS)
    source, target = "x", "y"
    for l, (n_in, n_out) in enumerate(pairwise(net.sizes), 1):
        code.append(_layer(l, n_in, n_out, net.activations[l - 1], net.bias, source, target))
        source, target = target, source
    if preprocessing and not preprocessing.classes:
        mean, scale = (_number(n, np.float64) for n in (preprocessing.target_mean, preprocessing.target_scale))
        code.append(f"\n    outputs[0] = (REAL)({mean} + {scale} * {source}[0]);")
    else:
        code.append(f"\n    for (int k = 0; k < NAME_n_outputs; k++)\n        outputs[k] = {source}[k];")
    return _filled("\n".join([*code, "}"]), net, name)


def _layer(l, n_in, n_out, activation, bias, source, target):
    """C code of one layer. Its inner loop is over units, whose weights lie side by side: it becomes vector code."""
    units = f"for (int j = 0; j < {n_out}; j++)"
    code = f"""
    /* layer {l}: {n_out} units, {activation} */
    {units}
        {target}[j] = {f"NAME_biases_{l}[j]" if bias else 0};
    for (int i = 0; i < {n_in}; i++)
        {units}
            {target}[j] += {source}[i] * NAME_weights_{l}[i][j];"""
    if activation == "softmax":
        code += f"\n    NAME_softmax({target}, {n_out});"
    elif activation != "identity":
        code += f"\n    {units}\n        {target}[j] = NAME_{activation}({target}[j]);"
    return code
