"""C source of a network: a header that predicts one sample, with the parameters inside."""

from itertools import pairwise
from pathlib import Path

from .._kernels import LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE
from ..replacing import replace
from .model import Model, encoded, quoted

NUMBERS_PER_LINE = 8

# Activations as C expressions of the net input z, with the errors of those in `fastmlp_kernels.functions.activations`.
# NaN gives NaN. An @ stands for the suffix f of float functions and constants, or for nothing.
EXPRESSIONS = {
    "identity": "z",
    "threshold": "z >= 0 ? 1 : z < 0 ? 0 : z",
    "sigmoid": "1 / (1 + exp@(-z))",
    "tanh": "tanh@(z)",
    "relu": "z <= 0 ? 0 : z",
    "leaky_relu": f"z <= 0 ? {LEAKY_SLOPE!r}@ * z : z",
    "elu": "z <= 0 ? expm1@(z) : z",
    "selu": f"{SELU_SCALE!r}@ * (z <= 0 ? {SELU_ALPHA!r}@ * expm1@(z) : z)",
    "exp": "exp@(z)",
    "softplus": "(z <= 0 ? 0 : z) + log1p@(exp@(-fabs@(z)))",
    # The bounds keep infinite net inputs from giving NaN, as 0 times infinity or one infinity over another.
    "silu": "(z < -1000 ? -1000 : z) / (1 + exp@(-z))",
    "gelu": "0.5@ * (z < -1000 ? -1000 : z) * erfc@(-0.70710678118654752@ * z)",
    "mish": "(z < -1000 ? -1000 : z) * tanh@(log1p@(exp@(z)))",
    "hard_swish": "z <= -3 ? 0 : z >= 3 ? z : z * (z + 3) / 6",
    "softsign": "fabs@(z) > 1e30@ ? copysign@(1, z) : z / (1 + fabs@(z))",
}
ACCEPTED = *EXPRESSIONS, "softmax"

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

INDICATE_MISSING = """\
    for (int i = 0; i < N_MISSING; i++)
        x[FIRST + i] = inputs[NAME_with_missing[i]] == inputs[NAME_with_missing[i]] ? 0 : 1;"""

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

SCALED = """\
/* Number of a column, standardized; 0, the mean, for NaN. */
static inline REAL NAME_scaled(int input, REAL number)
{
    return number == number ? (REAL)(((double)number - NAME_means[input]) / NAME_scales[input]) : 0;
}"""

COPY_INPUTS = """\
    for (int k = 0; k < NAME_n_inputs; k++)
        x[k] = inputs[k];"""

SCALE_INPUTS = """\
    for (int k = 0; k < NAME_n_inputs; k++)
        x[k] = NAME_scaled(k, inputs[k]);"""

ENCODE_INPUTS = """\
    REAL *end = x;
    for (int k = 0; k < NAME_n_inputs; k++)
        if (NAME_n_categories[k] == 0)
            *end++ = NAME_scaled(k, inputs[k]);
        else
            for (int i = 0; i < NAME_n_categories[k]; i++)
                *end++ = inputs[k] == (REAL)i ? 1 : 0;"""


def write_c(net, path):
    """Write a network as a C99 header, which is valid C++ too; a file that was there is replaced whole or not at all.

    For a file ``model.h`` the header has these names (for other files see `model.identifier`), where `real` is float
    or double, the network's dtype:

    - ``void model_predict(const real *inputs, real *outputs)``: outputs of one sample.
    - ``model_n_inputs``, ``model_n_outputs``: the lengths of both arrays.

    If `fastmlp train` saved the network, the preparation of its columns is inside: an input is a number as in the
    table, or for a column of texts the number of the category, from 0 on; any other number stands for a text that did
    not occur in training, and NaN for a missing value of either kind. The output of a regression is in units of the
    target. There are two more functions:

    - ``int model_category(int input, const char *text)``: the number of a text (UTF-8) among the categories of an
      input, -1 if it is none of them. Only where a column is text.
    - ``int model_label(const real *inputs)``: the number of the predicted class in ``const char *model_classes[]``.
      Only for classification.

    The functions need the C library's ``math.h`` and nothing else, allocate nothing, and may be called from several
    threads. Inputs and outputs have the units of `MLP.predict`, also if the network has a scaling. Two layers lie on
    the stack. The same network gives the same bytes; parameters are the same to the bit.
    Results differ from those of `MLP.predict` by rounding. Where columns have more digits than a float, such as times
    in seconds, ``net.astype("float64")`` can be written.

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
    replace(path, header(Model(net, path, ACCEPTED)).encode())


def header(model):
    """Text of the header that `write_c` writes for a `Model`."""
    comment = "\n".join(f" * {line}".rstrip() for line in [*model.described(), "", *_usage(model)])
    guard = model.fill("#ifndef NAME_H\n#define NAME_H\n\n#include <math.h>")
    suffix = "f" if model.real == "float" else ""
    functions = [model.fill(code, **{"@": suffix}) for code in _functions(model)]
    parts = [f"/*\n{comment}\n */", guard, *_constants(model), *_parameters(model), *functions, "#endif"]
    return "\n\n".join(parts) + "\n"


def literal(text):
    """C string constant with the bytes of a text in UTF-8: all but printable ASCII as octal numbers, no trigraphs."""
    characters = (chr(b) if 32 <= b < 127 else f"\\{b:03o}" for b in encoded(text))
    return '"' + "".join(f"\\{c}" if c in '"\\?' else c for c in characters) + '"'


def _usage(model):
    """Lines of text that show a use of the functions."""
    size = 2 * max(model.net.sizes) * model.net.dtype.itemsize
    lines = [f"Use, with {size} bytes of the stack and from any number of threads:"]
    lines.append(model.fill("  REAL inputs[NAME_n_inputs] = {0}, outputs[NAME_n_outputs];"))
    for k, (text, *_) in list(model.texts.items())[:1]:
        lines.append(f"  inputs[{k}] = ({model.real}){model.name}_category({k}, {quoted(text)});")
    lines.append(model.fill("  NAME_predict(inputs, outputs);"))
    if model.classes:
        lines.append(model.fill("  puts(NAME_classes[NAME_label(inputs)]);"))
    return lines


def _number(value, real):
    """C constant that is read as the same number of the type `real`."""
    return f"{value:#.9g}f" if real == "float" else repr(float(value))


def _lines(constants, indent):
    """Constants written in C, a few on each line; all lines but the first begin with `indent`."""
    groups = range(0, len(constants), NUMBERS_PER_LINE)
    return f",\n{indent}".join(", ".join(constants[i : i + NUMBERS_PER_LINE]) for i in groups)


def _array(kind, name, constants):
    """Definition of an array, of constants written in C."""
    return f"static const {kind} {name}[{len(constants)}] = {{\n    {_lines(constants, '    ')}\n}};"


def _strings(name, texts):
    """Definition of an array of strings; each has its number in a comment, and its text if it is not plain ASCII."""
    lines = [f"static const char *const {name}[{len(texts)}] = {{"]
    for k, text in enumerate(texts):
        shown = "" if text.isascii() and text.isprintable() else f" {quoted(text)}"
        lines.append(f"    {literal(text)}, /* {k}{shown} */")
    return "\n".join([*lines, "};"])


def _constants(model):
    """Definitions of the numbers of inputs and outputs, and of what the preparation of columns needs."""
    name, columns = model.name, model.columns.values()
    yield f"enum {{ {name}_n_inputs = {model.n_inputs}, {name}_n_outputs = {model.n_outputs} }};"
    if model.classes:
        yield _strings(f"{name}_classes", model.classes)
    if columns:
        for key, unused in ("mean", 0.0), ("scale", 1.0):  # by columns of texts
            yield _array("double", f"{name}_{key}s", [_number(c.get(key, unused), "double") for c in columns])
    scaling = model.net.scaling
    for member in scaling._fields[: 4 if scaling.has_targets else 2] if scaling else ():
        yield _array("double", f"{name}_{member}", [_number(n, "double") for n in getattr(scaling, member)])
    if model.with_missing:
        yield (
            "/* Inputs whose lack is an input of the network, too. */\n"
            + _array("int", f"{name}_with_missing", [str(k) for k in model.with_missing])
        )
    if model.texts:
        counts = [str(len(model.texts.get(k, ()))) for k in range(model.n_inputs)]
        yield (
            "/* Number of texts of each input, 0 for a number; then the texts of all inputs. */\n"
            + _array("int", f"{name}_n_categories", counts)
        )
        yield _strings(f"{name}_categories", [text for texts in model.texts.values() for text in texts])


def _parameters(model):
    """Definitions of each layer's biases, and of its weights: a row for each unit of the layer before."""
    net, real = model.net, model.real
    for l, weights in enumerate(net.weights, 1):
        if net.bias:
            yield _array(real, f"{model.name}_biases_{l}", [_number(b, real) for b in net.biases[l - 1].tolist()])
        rows = (_lines([_number(w, real) for w in row], " " * 5) for row in weights.tolist())
        matrix = ",\n".join(f"    {{{row}}}" for row in rows)
        n_in, n_out = weights.shape
        yield f"static const {real} {model.name}_weights_{l}[{n_in}][{n_out}] = {{\n{matrix}\n}};"


def _functions(model):
    """Definitions of all functions, for `Model.fill`."""
    for used in dict.fromkeys(model.net.activations):
        if used == "softmax":
            yield SOFTMAX
        elif used != "identity":
            yield f"static inline REAL NAME_{used}(REAL z)\n{{\n    return {EXPRESSIONS[used]};\n}}"
    if model.columns:
        yield SCALED
    yield _predict(model)
    if model.classes:
        yield LABEL
    if model.texts:
        yield CATEGORY


def _predict(model):
    """Definition of the function that predicts: layers are computed from x to y, then from y to x, and so on."""
    net, widest = model.net, max(model.net.sizes)
    code = ["static inline void NAME_predict(const REAL *inputs, REAL *outputs)", "{"]
    code.append(f"    REAL x[{widest}], y[{widest}];")
    code.append(ENCODE_INPUTS if model.texts else SCALE_INPUTS if model.columns else COPY_INPUTS)
    if model.with_missing:
        first, number = net.sizes[0] - len(model.with_missing), len(model.with_missing)
        code.append(INDICATE_MISSING.replace("FIRST", str(first)).replace("N_MISSING", str(number)))
    if net.scaling:
        code.append(f"    for (int k = 0; k < {net.sizes[0]}; k++)")
        code.append("        x[k] = (REAL)(((double)x[k] - NAME_input_mean[k]) / NAME_input_scale[k]);")
    source, target = "x", "y"
    for l, (n_in, n_out) in enumerate(pairwise(net.sizes), 1):
        code.append(_layer(l, n_in, n_out, net.activations[l - 1], net.bias, source, target))
        source, target = target, source
    if net.scaling and net.scaling.has_targets:
        code.append(f"\n    for (int k = 0; k < {net.sizes[-1]}; k++)")
        code.append(f"        {source}[k] = (REAL)(NAME_output_mean[k] + NAME_output_scale[k] * (double){source}[k]);")
    if model.target and not model.classes:
        mean, scale = (_number(n, "double") for n in model.target[1:])
        code.append(f"\n    outputs[0] = (REAL)({mean} + {scale} * (double){source}[0]);")
    else:
        code.append(f"\n    for (int k = 0; k < NAME_n_outputs; k++)\n        outputs[k] = {source}[k];")
    return "\n".join([*code, "}"])


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
