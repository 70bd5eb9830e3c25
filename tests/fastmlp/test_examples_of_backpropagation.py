"""The worked examples A, B and C of the mathematics, digit by digit, and how much of an error signal a layer keeps."""

import math

import numpy as np
import pytest

from fastmlp import MLP, Trainer
from fastmlp.teaching.examples import load_example

FIGURES = 8


def assert_digits(value, printed, figures=FIGURES):
    """`value` rounds to the printed number, as far as that is printed and to `figures` significant figures at most."""
    expected = float(printed)
    decimals = figures - 1 - math.floor(math.log10(abs(expected)))
    mantissa, _, exponent = printed.lower().partition("e")
    decimals = min(decimals, len(mantissa.partition(".")[2]) - int(exponent or 0))
    assert abs(value - expected) <= 0.5001 * 10.0**-decimals, f"{value!r} is not {printed}"


def example_a(biases=True):
    net = MLP([2, 2, 2], "sigmoid", "sigmoid", dtype="float64")
    net.weights[0][...] = [[0.15, 0.25], [0.20, 0.30]]
    net.weights[1][...] = [[0.40, 0.50], [0.45, 0.55]]
    net.biases[0][...], net.biases[1][...] = 0.35, 0.60
    trainer = Trainer(net, "squared_error", "sgd", learning_rate=0.5, update_biases=biases)
    return net, trainer, [[0.05, 0.10]], [[0.01, 0.99]]


def test_a_has_the_intermediates_of_the_table():
    net, _, x, y = example_a()
    passed = net.backpropagate(x, y, loss="squared_error")
    z, a, delta = passed.net_inputs, passed.activations, passed.deltas
    assert_digits(z[0][0, 0], "0.3775")
    assert_digits(z[1][0, 0], "1.105905967")
    for value, printed in zip(
        [*a[1][0], *a[2][0]], ["0.593269992", "0.596884378", "0.75136507", "0.772928465"], strict=True
    ):
        assert_digits(value, printed)
    errors = (a[2] - np.array(y)) ** 2 / 2
    assert_digits(errors[0, 0], "0.274811083")
    assert_digits(errors[0, 1], "0.023560026")
    assert_digits(passed.loss, "0.298371109")
    assert_digits(delta[1][0, 0], "0.138498562")
    assert_digits(delta[1][0, 1], "-0.0380982")
    assert_digits(delta[0][0, 0], "0.00877135")
    assert_digits((delta[1] @ net.weights[1].T)[0, 0], "0.036350306")
    first, second = passed.gradient[:6].reshape(3, 2), passed.gradient[6:].reshape(3, 2)  # biases in row 0
    assert_digits(second[1, 0], "0.082167041")
    assert_digits(first[1, 0], "0.000438568")


def test_a_has_the_weights_of_the_table_after_one_step_with_biases_fixed():
    net, trainer, x, y = example_a(biases=False)
    assert_digits(trainer.step(x, y), "0.298371109")
    printed = "0.35891648 0.511301270 0.408666186 0.561370121", "0.149780716 0.24975114 0.19956143 0.29950229"
    for weights, texts in zip([net.weights[1], net.weights[0]], printed, strict=True):
        for value, text in zip(weights.flat, texts.split(), strict=True):
            assert_digits(value, text)
    np.testing.assert_array_equal(net.params[[0, 1, 6, 7]], [0.35, 0.35, 0.60, 0.60])
    assert_digits(net.evaluate(x, y, "squared_error"), "0.29102777")


def test_a_has_the_errors_of_the_table_after_many_updates_with_biases_fixed():
    net, trainer, x, y = example_a(biases=False)
    trainer.fit(x, y, epochs=9_999, progress=False)
    assert_digits(net.evaluate(x, y, "squared_error"), "3.51085481e-05")
    assert_digits(trainer.step(x, y), "3.51085481e-05")
    assert_digits(net.evaluate(x, y, "squared_error"), "3.51018778e-05")
    for value, printed in zip(net.predict(x)[0], ("0.01591362", "0.98406427"), strict=True):
        assert_digits(value, printed)


def test_a_has_the_errors_of_the_table_with_biases_updated():
    net, trainer, x, y = example_a(biases=True)
    trainer.fit(x, y, epochs=1, progress=False)
    assert_digits(net.evaluate(x, y, "squared_error"), "0.28047145")
    trainer.fit(x, y, epochs=9_999, progress=False)
    assert_digits(net.evaluate(x, y, "squared_error"), "2.44756e-06")


def test_b_has_the_numbers_of_the_text():
    net = MLP([2, 1, 1], "sigmoid", "sigmoid", dtype="float64", bias=False)
    net.weights[0][...], net.weights[1][...] = [[0.4], [-0.2]], 0.1
    before, x, y = net.params.copy(), [[0.1, 0.3]], [[1.0]]
    passed = net.backpropagate(x, y, loss="squared_error")
    assert_digits(passed.net_inputs[0][0, 0], "-0.02")
    assert_digits(passed.activations[1][0, 0], "0.4950001667")
    assert_digits(passed.activations[2][0, 0], "0.5123724780")
    assert_digits(passed.deltas[1][0, 0], "-0.1218322354")
    assert_digits(passed.deltas[0][0, 0], "-0.003045501324")
    Trainer(net, "squared_error", "sgd", learning_rate=0.5).step(x, y)
    change = net.params - before
    assert_digits(change[2], "0.03015348840")
    assert_digits(change[0], "0.000152275")
    assert_digits(change[1], "0.000456825")


def test_c_sums_the_delta_of_a_first_layer_unit_over_both_paths():
    example = load_example("c")
    net = example.network()
    passed = example.backpropagate(net)
    a, delta = passed.activations[1][0], [d[0] for d in passed.deltas]
    for unit in (0, 1):
        over_paths = net.weights[1][unit, 0] * delta[1][0] + net.weights[1][unit, 1] * delta[1][1]
        np.testing.assert_allclose(delta[0][unit], a[unit] * (1 - a[unit]) * over_paths, rtol=1e-14)


def test_c_has_the_central_differences_of_every_parameter():
    example, step = load_example("c"), 1e-5
    net = example.network()
    gradient = example.backpropagate(net).gradient
    for i in range(net.n_params):
        kept, losses = net.params[i], []
        for shift in (step, -step):
            net.params[i] = kept + shift
            losses.append(net.evaluate(example.x, example.y, "squared_error"))
        net.params[i] = kept
        assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(gradient[i], rel=1e-7)


def test_each_sigmoid_layer_keeps_at_most_a_quarter_of_the_error_signal():
    net = MLP([1, 1, 1, 1], "sigmoid", "sigmoid", dtype="float64", bias=False)
    net.params[:] = 1
    passed = net.backpropagate([[0.0]], [[0.0]], loss="squared_error")
    error = passed.activations[-1][0, 0]
    for deltas in passed.deltas[::-1]:
        assert 0 < deltas[0, 0] <= error / 4
        error = deltas[0, 0]
