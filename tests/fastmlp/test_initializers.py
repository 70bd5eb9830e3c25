"""Weight initialisers: spread, shape of the distribution, seeds, and the automatic choice."""

import numpy as np
import pytest

from fastmlp import MLP
from fastmlp.initializers import INITIALIZERS

N_IN, N_OUT = 300, 500
RANDOM = [name for name in INITIALIZERS if name != "zeros"]
VARIANCES = {"glorot": 2 / (N_IN + N_OUT), "he": 2 / N_IN, "lecun": 1 / N_IN}


@pytest.mark.parametrize("name", RANDOM)
def test_weights_have_the_variance_of_the_formula_and_mean_zero(name):
    weights = MLP([N_IN, N_OUT], init=name, dtype="float64").weights[0]
    variance = VARIANCES[name.split("_")[0]]
    assert weights.var() == pytest.approx(variance, rel=0.02)  # 4 standard errors and more, of 150,000 weights
    assert abs(weights.mean()) < 4 * np.sqrt(variance / weights.size)


@pytest.mark.parametrize("name", RANDOM)
def test_uniform_weights_fill_their_range_and_normal_ones_go_beyond(name):
    weights = MLP([N_IN, N_OUT], init=name, dtype="float64").weights[0]
    limit = np.sqrt(3 * VARIANCES[name.split("_")[0]])
    if name.endswith("uniform"):
        assert 0.999 * limit < weights.max() <= limit
        assert -limit <= weights.min() < -0.999 * limit
    else:
        within = (abs(weights) < np.sqrt(VARIANCES[name.split("_")[0]])).mean()
        assert within == pytest.approx(0.6827, abs=0.005)  # within one standard deviation
        assert abs(weights).max() > 2 * limit


SUITED = {
    "identity": "glorot_uniform",
    "sigmoid": "glorot_uniform",
    "tanh": "glorot_uniform",
    "relu": "he_uniform",
    "leaky_relu": "he_uniform",
    "selu": "lecun_normal",
}


@pytest.mark.parametrize("activation", SUITED)
def test_auto_takes_the_initialiser_that_suits_the_activation(activation):
    auto, named = (MLP([20, 30], output_activation=activation, init=i) for i in ("auto", SUITED[activation]))
    np.testing.assert_array_equal(auto.params, named.params)


def test_auto_chooses_layer_by_layer():
    net = MLP([200, 200, 200, 200], ["relu", "selu"], "softmax", dtype="float64")
    found = [weights.var() for weights in net.weights]
    assert found == pytest.approx([2 / 200, 1 / 200, 2 / 400], rel=0.04)


def test_zeros_are_zero():
    assert (MLP([4, 5, 6], init="zeros").params == 0).all()


def test_biases_start_at_zero():
    assert all((biases == 0).all() for biases in MLP([4, 5, 6]).biases)


def test_the_seed_decides_the_weights():
    first, again, other = (MLP([4, 5, 6], seed=seed) for seed in (1, 1, 2))
    assert first.params.tobytes() == again.params.tobytes()
    assert not (first.weights[0] == other.weights[0]).any()


def test_float32_weights_are_the_rounded_float64_ones():
    single, double = (MLP([4, 5, 6], dtype=dtype) for dtype in ("float32", "float64"))
    np.testing.assert_array_equal(single.params, double.params.astype("float32"))
