"""The told steps of backpropagation: their numbers, and the files they are told of."""

import json
import math
import re

import numpy as np
import pytest

from fastmlp import DivergenceError
from fastmlp.teaching.examples import EXAMPLES
from fastmlp.teaching.trace import load_example, trace

TABLE_A = {  # worked example A of the mathematics, after one step where so named
    "z[1]₁": 0.3775,
    "a[1]₁": 0.593269992,
    "a[1]₂": 0.596884378,
    "z[2]₁": 1.105905967,
    "a[2]₁": 0.75136507,
    "a[2]₂": 0.772928465,
    "E₁": 0.274811083,
    "E₂": 0.023560026,
    "E": 0.298371109,
    "δ[2]₁": 0.138498562,
    "δ[2]₂": -0.0380982,
    "∂E/∂a[1]₁, the sum": 0.036350306,
    "δ[1]₁": 0.00877135,
    "E after step 1": 0.29102777,
}
UPDATES_A = {
    "W[1][0,0]": 0.149780716,
    "W[1][0,1]": 0.24975114,
    "W[1][1,0]": 0.19956143,
    "W[1][1,1]": 0.29950229,
    "W[2][0,0]": 0.35891648,
    "W[2][0,1]": 0.511301270,
    "W[2][1,0]": 0.408666186,
    "W[2][1,1]": 0.561370121,
}


def told(lines, name):
    """Return the number in the first `name = number` or `name = factor · factor = number`."""
    pattern = re.compile(rf"(?:^|\s){re.escape(name)} += (?: *\S+ +· +\S+ += )? *(\S+)")
    return next(float(found[1]) for found in map(pattern.search, lines) if found)


def updates(lines):
    """Return {name: (before, gradient, after)} of the last table of updates."""
    rows = (re.fullmatch(r"    ([Wb]\S+) +(\S+) +(\S+) +(\S+)", line) for line in lines)
    return {row[1]: tuple(map(float, row.groups()[1:])) for row in rows if row}


def agree(value, expected):
    """Assert equality to 8 significant figures, or to as many as `expected`, a number from a table, has."""
    figures = min(8, len(f"{abs(expected):.10g}".split("e")[0].replace(".", "").lstrip("0")))
    assert f"{value:.{figures - 1}e}" == f"{expected:.{figures - 1}e}"


def write(path, **changes):
    """Write example A with other fields, None leaving one out, and return the path."""
    path.write_text(
        json.dumps({field: value for field, value in (EXAMPLES["a"] | changes).items() if value is not None})
    )
    return path


@pytest.mark.parametrize("name", TABLE_A)
def test_example_a_has_the_published_numbers(name):
    agree(told(list(trace(load_example("a"))), name), TABLE_A[name])


def test_example_a_has_the_published_updates():
    rows = updates(trace(load_example("a")))
    for name, after in UPDATES_A.items():
        agree(rows[name][2], after)
    agree(rows["W[2][0,0]"][1], 0.082167041)
    agree(rows["W[1][0,0]"][1], 0.000438568)
    assert rows["b[1]₁"][0] == rows["b[1]₁"][2] == 0.35  # held fixed


def test_a_hidden_delta_is_the_told_sum_times_the_told_slope():
    lines = list(trace(load_example("a")))
    total = told(lines, "W[2][0,0] δ[2]₁") + told(lines, "W[2][0,1] δ[2]₂")
    assert math.isclose(total, told(lines, "∂E/∂a[1]₁, the sum"), rel_tol=1e-8)
    assert math.isclose(total * told(lines, "g'(z[1]₁)"), told(lines, "δ[1]₁"), rel_tol=1e-8)


@pytest.mark.parametrize(
    ("name", "first", "last"), [("a", 0.29102777, 3.51018778e-05), ("a-biases", 0.28047145, 2.44756e-06)]
)
def test_ten_thousand_steps_end_where_published_and_are_told_shortly(name, first, last):
    lines = list(trace(load_example(name), steps=10_000))
    agree(told(lines, "E after step 1"), first)
    agree(told(lines, "E after step 10,000"), last)
    assert len(lines) < 150


def test_example_a_ends_at_the_published_outputs():
    lines = list(trace(load_example("a"), steps=10_000))
    agree(told(lines, "E before step 10,000"), 3.51085481e-05)
    first, second = re.search(r"a\[2\] after = \((\S+), (\S+)\)", lines[-2]).groups()
    agree(float(first), 0.01591362)
    agree(float(second), 0.98406427)


def test_example_b_has_the_published_numbers():
    lines = list(trace(load_example("b")))
    agree(told(lines, "z[1]₁"), -0.02)
    agree(told(lines, "a[1]₁"), 0.4950001667)
    agree(told(lines, "a[2]₁"), 0.5123724780)
    agree(told(lines, "δ[2]₁"), -0.1218322354)
    agree(told(lines, "δ[1]₁"), -0.003045501324)
    change = {name: after - before for name, (before, _, after) in updates(lines).items()}
    expected = {"W[2][0,0]": 0.03015348840, "W[1][0,0]": 0.000152275, "W[1][1,0]": 0.000456825}
    assert change == pytest.approx(expected, abs=1e-9)


def test_example_c_agrees_with_central_differences_in_every_parameter():
    lines = list(trace(load_example("c")))
    errors = [float(line.split()[-1]) for line in lines if re.search(r"e-\d\d$", line) and len(line.split()) == 4]
    assert len(errors) == 15
    assert max(errors) < 1e-7


@pytest.mark.parametrize(
    ("loss", "output"),
    [("squared_error", "softmax"), ("cross_entropy", "softmax"), ("binary_cross_entropy", "sigmoid")],
)
def test_every_kind_of_output_and_a_batch_are_told(tmp_path, loss, output):
    batch = {"x": [[0.1, 0.2], [0.3, -0.4]], "y": [[0.0, 1.0], [1.0, 0.0]]}
    example = load_example(write(tmp_path / "net.json", loss=loss, output_activation=output, **batch))
    lines = list(trace(example))
    assert max(map(len, lines[1:])) <= 100
    deltas = [float(line.split()[-1]) for line in lines if line.startswith("    δ[2]")]
    assert deltas == pytest.approx(example.backpropagate(example.network()).deltas[1].ravel(), rel=1e-9)
    assert (
        "    through softmax" in lines
        if (loss, output) == ("squared_error", "softmax")
        else "through" not in str(lines)
    )


def test_gradients_of_a_batch_are_averaged_or_summed(tmp_path):
    batch = {"x": [[0.05, 0.1]] * 3, "y": [[0.01, 0.99]] * 3}
    one = updates(trace(load_example("a")))["W[1][0,0]"][1]
    mean = updates(trace(load_example(write(tmp_path / "mean.json", **batch))))["W[1][0,0]"][1]
    summed = updates(trace(load_example(write(tmp_path / "sum.json", reduction="sum", **batch))))["W[1][0,0]"][1]
    assert (mean, summed) == pytest.approx((one, 3 * one), rel=1e-9)


def test_a_file_like_the_built_in_example_tells_the_same(tmp_path):
    from_file = list(trace(load_example(write(tmp_path / "a.json", steps=3))))
    assert from_file[1:] == list(trace(load_example("a"), steps=3))[1:]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": None}, "missing field 'weights'"),
        ({"learning_rate": None}, "missing field 'learning_rate'"),
        ({"weigths": [1]}, "field is 'weigths' .did you mean 'weights'"),
        ({"weights": [[[1, 2], [3]]]}, r"weights\[0\] must be a list of rows"),
        ({"weights": 3}, "weights must be a list"),
        ({"weights": [[[1], [2]], [[3], [4]]]}, r"weights\[1\] has 2 rows, expected 1 \(the columns of weights\[0\]\)"),
        ({"x": [[1, 2, 3]]}, r"weights\[0\] has 2 rows, expected 3 \(the columns of x\)"),
        ({"x": [[1, float("nan")]]}, "x must be a list of rows of finite numbers"),
        ({"y": [[1, 2], [3, 4]]}, r"y has shape \(2, 2\), expected \(1, 2\)"),
        ({"biases": [[1, 2]]}, r"biases have lengths \[2\], expected \[2, 2\]"),
        ({"activation": "sigmiod"}, "activation"),
        ({"output_activation": 3}, "activation"),
        ({"loss": "absolute"}, "loss"),
        ({"reduction": "median"}, "reduction"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"update_biases": "no"}, "update_biases must be true or false"),
        ({"steps": 0}, "steps must be a whole number"),
    ],
)
def test_a_wrong_field_is_named_in_one_line_with_its_file(tmp_path, changes, message):
    path = write(tmp_path / "net.json", **changes)
    with pytest.raises(ValueError, match=message) as caught:
        load_example(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_first_update_that_is_not_finite_is_told_with_its_file(tmp_path):
    path = write(tmp_path / "net.json", y=[[1e200, 0.0]])
    with pytest.raises(DivergenceError, match="training diverged in a step") as caught:
        load_example(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(("text", "message"), [("{", "not JSON"), ("[1]", "expected one JSON object, got list")])
def test_a_file_that_holds_no_object_is_refused(tmp_path, text, message):
    (tmp_path / "net.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_example(tmp_path / "net.json")


def test_an_unknown_name_lists_the_built_in_examples():
    with pytest.raises(ValueError, match=r"^d: No such file.*\(a, a-biases, b, c\)"):
        load_example("d")


def test_telling_leaves_the_example_as_it_was():
    example = load_example("a")
    first = list(trace(example))
    assert list(trace(example)) == first
    np.testing.assert_array_equal(example.weights[0], EXAMPLES["a"]["weights"][0])
