"""The objective: the network's own loss and gradient, with the penalty, as often as they are asked for."""

import pickle

import numpy as np
import pytest

from fastmlp import MLP
from fastmlp.objective import Objective

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("rows", [30, 12_000], ids=["serial", "shared"])
def test_loss_and_gradient_are_those_of_the_network_and_the_penalty(rows):
    net = MLP([4, 20, 3], output_activation="softmax", dtype="float64")
    x, labels, weights = RNG.normal(size=(rows, 4)), RNG.integers(0, 3, rows), RNG.uniform(size=rows)
    objective = Objective(net, x, labels, l2=0.3, sample_weight=weights)
    for _ in range(4):  # both drivers have had their turn
        params = RNG.normal(size=net.n_params)
        loss, penalty, gradient = objective(params)
        assert net.params.tobytes() == params.tobytes()
        expected, slope = net.gradient(x, labels, sample_weight=weights)
        for w, s in zip(net.weights, net.views(slope)[0], strict=True):
            s += 0.3 * w
        assert loss == pytest.approx(expected, rel=1e-13)
        assert penalty == pytest.approx(0.15 * sum((w**2).sum() for w in net.weights), rel=1e-13)
        np.testing.assert_allclose(gradient, slope, rtol=1e-12, atol=1e-15)


def test_where_values_are_not_finite_so_is_the_loss():
    net = MLP([2, 3, 1], dtype="float64")
    assert np.isnan(Objective(net, [[1.0, 2.0]], [[1.0]])(np.full(net.n_params, 1e300))[0])
    net = MLP([2, 3, 1], "tanh", dtype="float64")  # whose outputs are finite
    loss, _, gradient = Objective(net, [[np.inf, 2.0]], [[1.0]])(np.ones(net.n_params))
    assert np.isnan(gradient).any()
    assert np.isnan(loss)


def test_a_network_of_another_dtype_has_the_same_parameters():
    net = MLP([2, 3, 1], ["tanh"])
    net.metadata["seen"] = 3
    double = net.astype("float64")
    assert double.dtype == np.float64
    np.testing.assert_array_equal(double.params, net.params)
    assert (double.activations, double.metadata) == (net.activations, {"seen": 3})
    double.metadata["seen"] = 4
    assert net.metadata == {"seen": 3}


def test_it_does_not_go_to_another_process():
    objective = Objective(MLP([2, 3, 1]), np.ones((5, 2)), np.ones(5))
    with pytest.raises(TypeError, match="an Objective holds addresses of this process; accepted: one made anew"):
        pickle.dumps(objective)
