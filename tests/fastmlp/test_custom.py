"""Activations and losses of the user's own, in networks, training and files."""

import copy

import fastmlp_kernels
import numpy as np
import pytest
from fastmlp_kernels import custom
from fastmlp_kernels.functions.activations import ACTIVATIONS

import fastmlp
from fastmlp import MLP, Trainer, register_activation, register_loss
from fastmlp.initializers import INITIALIZERS
from tests.kernels import own

# name: value and derivative; the value in NumPy, of the errors a - y
LOSSES = {
    "smooth": (own.log_cosh_value, own.log_cosh_slope, lambda e: np.log(np.cosh(e))),
    "steady": (own.huber_value, own.huber_slope, lambda e: np.where(abs(e) < 1, e * e / 2, abs(e) - 0.5)),
}


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    return rng.normal(size=(50, 3)), rng.normal(size=(50, 2))


def register_scale(factor):
    """Register the activation "scale", factor * z."""
    register_activation("scale", lambda z: factor * z, lambda z: factor)


def test_both_packages_have_the_same_functions():
    assert fastmlp.register_activation is fastmlp_kernels.register_activation
    assert fastmlp.register_loss is fastmlp_kernels.register_loss


def test_the_kernels_know_the_names_of_initialisers():
    assert {*custom.INITIALIZERS, "zeros"} == set(INITIALIZERS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_with_twins_gives_the_bits_of_the_built_in_ones(samples, dtype):
    register_activation("twin", own.tanh_value, own.tanh_slope)
    register_loss("twin", own.squared_value, own.squared_slope)
    nets, losses = [], []
    for activation, loss in (("tanh", "squared_error"), ("twin", "twin")):
        net = MLP([3, 5, 4, 2], activation=activation, output_activation=activation, dtype=dtype, seed=1)
        history = Trainer(net, loss=loss, batch_size=16).fit(*samples, epochs=3, progress=False)
        nets.append(net)
        losses.append(history.loss)
    np.testing.assert_array_equal(nets[0].params, nets[1].params)
    np.testing.assert_array_equal(nets[0].predict(samples[0]), nets[1].predict(samples[0]))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("output", ["identity", "bump"])
def test_gradients_are_those_of_central_differences(samples, loss, output):
    register_activation("bump", own.bump_value, own.bump_slope)
    *functions, formula = LOSSES[loss]
    register_loss(loss, *functions)
    net = MLP([3, 6, 5, 2], ["bump", "tanh"], output, dtype="float64", seed=2)
    net.params[:] += np.random.default_rng(1).normal(0, 0.3, net.n_params)
    total, gradient = net.gradient(*samples, loss)
    assert total == pytest.approx(formula(net.predict(samples[0]) - samples[1]).sum() / 50, rel=1e-12)
    step, differences = 1e-5, np.empty_like(gradient)
    for i, param in enumerate(net.params):
        losses = []
        for net.params[i] in (param - step, param + step):
            losses.append(net.evaluate(*samples, loss))
        net.params[i] = param
        differences[i] = (losses[1] - losses[0]) / (2 * step)
    np.testing.assert_allclose(gradient, differences, rtol=0, atol=1e-8 * abs(gradient).max())


def test_auto_takes_the_initialiser_that_was_registered():
    register_activation("own", own.tanh_value, own.tanh_slope, init="lecun_normal")
    automatic, named = MLP([4, 3, 2], "own", "own"), MLP([4, 3, 2], "own", "own", init="lecun_normal")
    np.testing.assert_array_equal(automatic.params, named.params)


def test_unknown_names_are_told_of_registered_ones(samples):
    register_activation("own", own.tanh_value, own.tanh_slope)
    register_loss("mine", own.squared_value, own.squared_slope)
    for arguments in ({"activation": "owm"}, {"activation": ["owm"]}, {"output_activation": "owm"}):
        with pytest.raises(ValueError, match=r"did you mean 'own'.* own.* with fastmlp\.register_activation"):
            MLP([3, 4, 2], **arguments)
    with pytest.raises(ValueError, match=r"loss is 'mime' .*did you mean 'mine'.*mine.* with fastmlp\.register_loss"):
        Trainer(MLP([3, 4, 2]), loss="mime")


def test_a_softmax_output_and_a_loss_of_ones_own_do_not_go_together():
    register_loss("mine", own.squared_value, own.squared_slope)
    with pytest.raises(ValueError, match="loss is 'mine' with output_activation 'softmax'; accepted: all but softmax"):
        Trainer(MLP([3, 4, 2], output_activation="softmax"), loss="mine")


def test_a_saved_network_needs_its_activation_registered(samples, tmp_path):
    register_activation("own", own.tanh_value, own.tanh_slope)
    net = MLP([3, 4, 2], "own")
    net.save(tmp_path / "model")
    del ACTIVATIONS["own"]
    with pytest.raises(ValueError, match=r"model.*'own'.* must be registered first, with fastmlp\.register_activation"):
        MLP.load(tmp_path / "model")
    register_activation("own", own.tanh_value, own.tanh_slope)
    np.testing.assert_array_equal(MLP.load(tmp_path / "model").predict(samples[0]), net.predict(samples[0]))


def test_a_network_keeps_its_activation_when_the_name_is_registered_again(samples):
    x, y = samples
    register_scale(2.0)
    net = MLP([3, 4, 2], "scale", dtype="float64")
    trainer, before, gradient = Trainer(net), net.predict(x), net.gradient(x, y)[1]
    register_scale(3.0)
    np.testing.assert_array_equal(net.predict(x), before)
    np.testing.assert_array_equal(net.gradient(x, y)[1], gradient)
    assert trainer.step(x, y) == pytest.approx(((before - y) ** 2).sum() / 2 / len(x))
    np.testing.assert_allclose(MLP([3, 4, 2], "scale", dtype="float64").predict(x), 1.5 * before)


def test_a_copy_of_a_network_has_what_the_name_means_now(samples):
    register_scale(2.0)
    net = MLP([3, 4, 2], "scale", dtype="float64")
    register_scale(3.0)
    np.testing.assert_allclose(copy.deepcopy(net).predict(samples[0]), 1.5 * net.predict(samples[0]))


def test_a_trainer_keeps_its_loss_when_the_name_is_registered_again(samples):
    net, trainers = MLP([3, 4, 2]), []
    expected = net.evaluate(*samples, "squared_error")
    for factor in (1.0, 3.0):
        register_loss("mine", lambda a, y, f=factor: f / 2 * (a - y) ** 2, lambda a, y, f=factor: f * (a - y))
        assert net.evaluate(*samples, "mine") == pytest.approx(factor * expected, rel=1e-6)
        trainers.append(Trainer(copy.deepcopy(net), loss="mine"))
    steps = [trainer.step(*samples) for trainer in trainers]
    np.testing.assert_allclose(steps, [expected, 3 * expected], rtol=1e-6)
