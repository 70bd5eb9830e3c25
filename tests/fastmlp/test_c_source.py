"""C source of networks: compiled, and compared with `predict`."""

import ctypes
import importlib.util
import shutil
import subprocess
import sys

import numpy as np
import pytest

from fastmlp import MLP, register_activation
from fastmlp.export.c_source import EXPRESSIONS, literal, write_c
from fastmlp.export.model import MOST_UNITS, identifier, quoted
from fastmlp.network import ACTIVATIONS
from tests.trained import trained

COMPILERS = {name: [name] for name in ("gcc", "clang") if shutil.which(name)}
if importlib.util.find_spec("ziglang"):  # a clang
    COMPILERS["zig"] = [sys.executable, "-m", "ziglang", "cc"]
ANY_COMPILER = next(iter(COMPILERS), None)
LANGUAGES = {"C": ["-x", "c", "-std=c99"], "C++": ["-x", "c++", "-std=c++11"]}
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
REALS = {"float32": "float", "float64": "double"}
ODD = ["", "7", "%s", 'quo"te', "new\nline", "*/ end /*", "tri??/", "back\\", "größe ☃", "\x011", "\ud800", "a" * 900]

needs_compiler = pytest.mark.skipif(not COMPILERS, reason="there is no C compiler")
every_compiler = pytest.mark.parametrize(
    ("compiler", "language"),
    [pytest.param(c, l, id=f"{c}, {l}", marks=needs_compiler) for c in COMPILERS or ["none"] for l in LANGUAGES],
)


def build(folder, nets, compiler=ANY_COMPILER, language="C"):
    """A shared library with the functions of all networks: predict_0, which takes any number of rows, and so on."""
    source = ["#ifdef __cplusplus", 'extern "C" {', "#endif"]
    for i, net in enumerate(nets):
        write_c(net, folder / f"net{i}.h")
        real, learned = REALS[net.dtype.name], net.metadata.get("preprocessing", {"columns": {}, "classes": []})
        source.insert(0, f'#include "net{i}.h"')
        source += [f"void predict_{i}(const {real} *x, {real} *y, int rows)", "{", "    for (int r = 0; r < rows; r++)"]
        source += [f"        net{i}_predict(x + r * net{i}_n_inputs, y + r * net{i}_n_outputs);", "}"]
        if learned["classes"]:
            source.append(f"int label_{i}(const {real} *x) {{ return net{i}_label(x); }}")
            source.append(f"const char *class_{i}(int k) {{ return net{i}_classes[k]; }}")
        if any("categories" in column for column in learned["columns"].values()):
            source.append(f"int category_{i}(int k, const char *text) {{ return net{i}_category(k, text); }}")
    source += ["#ifdef __cplusplus", "}", "#endif", ""]
    (folder / "program.c").write_text("\n".join(source))
    command = [*COMPILERS[compiler], *LANGUAGES[language], *STRICT, "-O1", "-fPIC", "-shared", "program.c", "-lm"]
    done = subprocess.run([*command, "-o", "program.so"], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[:4000]
    return ctypes.CDLL(str(folder / "program.so"))


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def outputs_in_c(library, i, x, n_outputs):
    """Outputs of network `i` for the rows of x."""
    x = np.ascontiguousarray(x)
    y = np.full((len(x), n_outputs), 7, x.dtype)
    library[f"predict_{i}"](pointer(x), pointer(y), len(x))
    return y


def errors(library, nets, rng):
    """Largest difference of each network's outputs from `predict`, in epsilons of the largest output or 1."""
    for i, net in enumerate(nets):
        x = rng.normal(size=(20, net.sizes[0])).astype(net.dtype)
        expected = net.predict(x)
        difference = abs(outputs_in_c(library, i, x, net.sizes[-1]) - expected).max()
        yield difference / (np.finfo(net.dtype).eps * max(1, abs(expected).max()))


def random_net(rng, activation, output_activation, dtype):
    """A network of random widths; `activation` has one name for each hidden layer."""
    sizes = rng.integers(1, 40, len(activation) + 2).tolist()
    net = MLP(sizes, activation, output_activation, dtype=dtype, bias=bool(rng.integers(2)), seed=sizes[0])
    for biases in net.biases:
        biases[:] = rng.normal(size=biases.shape)
    return net


def columns_in_c(library, i, table, learned, dtype):
    """Inputs of the function `predict` of network `i`: a table's columns, whose texts C looks up."""
    x = np.empty((table.n_rows, len(table.features)), dtype)
    for k, (name, values) in enumerate(table.features.items()):
        if "categories" in learned.columns[name]:
            category = library[f"category_{i}"]
            x[:, k] = [np.nan if v is None else category(k, v.encode("utf-8", "surrogatepass")) for v in values]
        else:
            x[:, k] = values
    return x


@every_compiler
def test_outputs_are_those_of_predict(tmp_path, compiler, language):
    rng = np.random.default_rng(0)
    nets = [MLP([3, 1]), MLP([1, 1, 1], bias=False), MLP([2, 70, 70, 5], "relu", "softmax"), MLP([300, 2])]
    for dtype in REALS:
        nets += [random_net(rng, [hidden], "identity", dtype) for hidden in EXPRESSIONS]
        nets += [random_net(rng, [], output, dtype) for output in [*EXPRESSIONS, "softmax"]]
    assert max(errors(build(tmp_path, nets, compiler, language), nets, rng)) < 50


def test_every_activation_has_an_expression():
    assert EXPRESSIONS.keys() == ACTIVATIONS.keys()


@needs_compiler
def test_infinite_net_inputs_give_limits_and_nan_gives_nan(tmp_path):
    nets = [MLP([1, 1], output_activation=name, dtype=dtype) for name in EXPRESSIONS for dtype in REALS]
    for net in nets:
        net.params[:] = 0, np.finfo(net.dtype).max
    library = build(tmp_path, nets)
    for i, net in enumerate(nets):
        x = np.array([[-2], [2], [np.nan]], net.dtype)
        found = outputs_in_c(library, i, x, 1)
        np.testing.assert_array_equal(found[:2], net.predict(x[:2]), err_msg=repr(net))
        assert np.isnan(found[2]), net


@needs_compiler
def test_softmax_of_large_net_inputs_does_not_overflow(tmp_path):
    net = MLP([1, 3], output_activation="softmax")
    net.params[:] = 0, 0, 0, 1e4, -1e4, 1e4
    assert outputs_in_c(build(tmp_path, [net]), 0, np.float32([[1], [-1]]), 3).tolist() == [[0.5, 0, 0.5], [0, 1, 0]]


@needs_compiler
@pytest.mark.parametrize("dtype", REALS)
def test_parameters_are_the_same_to_the_bit(tmp_path, dtype):
    net, limits, rng = MLP([1, 2000], dtype=dtype, bias=False), np.finfo(dtype), np.random.default_rng(0)
    net.params = rng.normal(size=2000) * 10.0 ** rng.integers(-30, 30, 2000)
    net.params[:4] = limits.smallest_subnormal, limits.tiny, limits.max, -limits.max
    assert (outputs_in_c(build(tmp_path, [net]), 0, np.ones((1, 1), dtype), 2000) == net.params).all()


@every_compiler
def test_columns_are_prepared_and_classes_named(tmp_path, compiler, language):
    rng = np.random.default_rng(1)
    columns = {"numbers": rng.normal(1e3, 5, 60), "*/": rng.choice(ODD, 60), "constant": np.ones(60)}
    table, learned, net = trained({k: v.tolist() for k, v in columns.items()}, rng.choice(ODD, 60).tolist())
    library = build(tmp_path, [net], compiler, language)
    x = columns_in_c(library, 0, table, learned, np.float32)
    expected = net.predict(learned.transform(table))
    np.testing.assert_allclose(outputs_in_c(library, 0, x, len(learned.classes)), expected, atol=1e-4)
    labels = [library.label_0(pointer(row)) for row in x]
    assert labels == expected.argmax(1).tolist()
    library.class_0.restype = ctypes.c_char_p
    names = [library.class_0(k) for k in range(len(learned.classes))]
    assert names == [name.encode("utf-8", "surrogatepass") for name in learned.classes]


@needs_compiler
@pytest.mark.parametrize("dtype", REALS)
def test_quantities_are_in_units_of_the_target(tmp_path, dtype):
    rng = np.random.default_rng(2)
    columns = {"a": rng.choice(["x", "y"], 30).tolist(), "b": rng.normal(size=30).tolist(), "c": ["1", "2", "1.0"] * 10}
    nets = [trained(columns, (rng.normal(size=30) * 1e-3 + 50).tolist(), dtype)]
    nets += [trained({"b": columns["b"]}, rng.normal(size=30).tolist(), dtype)]
    library = build(tmp_path, [net for _, _, net in nets])
    for i, (table, learned, net) in enumerate(nets):
        expected = learned.decode_prediction(net.predict(learned.transform(table, dtype)))
        x = columns_in_c(library, i, table, learned, dtype)
        found, error = outputs_in_c(library, i, x, 1)[:, 0], 16 * np.finfo(dtype).eps
        np.testing.assert_allclose(found, expected, rtol=error, atol=error)


@needs_compiler
def test_an_unknown_text_is_none_of_the_categories(tmp_path):
    table, learned, net = trained({"b": [0.5, 1.5], "a": ["x", "xy"]}, [1.0, 2.0])
    library = build(tmp_path, [net])
    assert [library.category_0(1, text) for text in (b"x", b"xy", b"xyz", b"", b"y")] == [0, 1, -1, -1, -1]
    unknown = table._replace(features=table.features | {"a": np.array(["z", "z"], object)})
    expected = learned.decode_prediction(net.predict(learned.transform(unknown)))
    for number in -1, 2, 0.5, np.nan:
        x = np.float32([[0.5, number], [1.5, number]])
        np.testing.assert_allclose(outputs_in_c(library, 0, x, 1)[:, 0], expected, rtol=1e-6)


@every_compiler
def test_missing_values_are_imputed_and_indicated_as_in_training(tmp_path, compiler, language):
    rng = np.random.default_rng(3)
    some = rng.random((2, 40)) < 0.3
    number = np.where(some[0], np.nan, rng.normal(5, 2, 40)).tolist()
    text = [
        None if missing else name for missing, name in zip(some[1], rng.choice(["u", "v"], 40).tolist(), strict=True)
    ]
    models = [trained({"a": number, "b": ["u"] * 40, "c": [*text[:-1], "w"]}, rng.normal(size=40).tolist())]
    models += [trained({"a": number, "b": rng.normal(size=40).tolist()}, rng.normal(size=40).tolist())]
    models += [trained({"b": rng.normal(size=40).tolist()}, rng.normal(size=40).tolist())]
    assert [learned.with_missing for _, learned, _ in models] == [["a", "c"], ["a"], []]
    models[2][0].features["b"][::3] = np.nan  # none were missing in training
    library = build(tmp_path, [net for _, _, net in models], compiler, language)
    for i, (table, learned, net) in enumerate(models):
        expected = learned.decode_prediction(net.predict(learned.transform(table)))
        found = outputs_in_c(library, i, columns_in_c(library, i, table, learned, np.float32), 1)[:, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_variance_of_gaussian_nll_is_left_out(tmp_path):
    _, learned, _ = trained({"b": [0.5, 1.5]}, [1.0, 2.0])
    net = MLP([1, 2])
    net.metadata = {"preprocessing": learned.to_dict(), "training": {}}
    net.to_c(tmp_path / "net.h")
    assert "net_n_outputs = 1 }" in (tmp_path / "net.h").read_text()


def test_the_same_network_gives_the_same_bytes(tmp_path):
    for name in "one", "other":
        (tmp_path / name).mkdir()
        trained({"a": ODD[:4], "b": [1.0, 2.0, 3.0, 4.0]}, ODD[:4])[2].to_c(tmp_path / name / "net.h")
    assert (tmp_path / "one" / "net.h").read_bytes() == (tmp_path / "other" / "net.h").read_bytes()


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("iris", "iris"),
        ("my-model 2", "my_model_2"),
        ("2nd", "model_2nd"),
        ("__größe__", "gr_e"),
        ("", "model"),
        ("日本", "model"),
        ("a" * 39 + "_b", "a" * 39),
    ],
)
def test_names_come_from_the_file(stem, name):
    assert identifier(stem) == name


def test_texts_end_neither_strings_nor_comments():
    assert literal('a"b\\??/\n\x011é') == '"a\\"b\\\\\\?\\?/\\012\\0011\\303\\251"'
    for text in [*ODD, "/*/", "**//", "??/"]:
        shown = quoted(text)
        assert not any(ending in shown for ending in ("*/", "/*", "??", "\n"))


def refused(net, path):
    """The message of the error with which a network is refused; a file that was there stays."""
    path.write_text("before")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        net.to_c(path)
    assert path.read_text() == "before"
    return str(caught.value)


def test_what_cannot_be_written_is_refused(tmp_path):
    register_activation("square", value=lambda z: z * z, derivative=lambda z: z + z)
    path, net = tmp_path / "net.h", MLP([2, 3, 1])
    assert "activation of layer 1 is 'square', a registered one; accepted: identity," in refused(
        MLP([2, 3, 1], "square"), path
    )
    assert f"units; accepted: up to {MOST_UNITS}" in refused(MLP([MOST_UNITS + 1, 1]), path)
    net.params[0] = np.nan
    assert "net.params" in refused(net, path)
    net = trained({"b": [0.5, 1.5]}, [1.0, 2.0])[2]
    other = MLP([2, 1])
    other.metadata = net.metadata
    assert "preprocessing makes 1 inputs" in refused(other, path)
    other.metadata = {"preprocessing": [], "training": {}}
    assert "preprocessing" in refused(other, path)
    with pytest.raises(ValueError, match="not a file"):
        MLP([2, 1]).to_c(tmp_path)
    with pytest.raises(FileNotFoundError, match="missing"):
        MLP([2, 1]).to_c(tmp_path / "missing" / "net.h")
