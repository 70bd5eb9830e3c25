"""State of networks: what is assigned or changed takes effect everywhere, or is refused."""

import copy
import pickle
import re

import numpy as np
import pytest

from fastmlp import MLP, Trainer, pace
from fastmlp._kernels import bfloat16_refusal
from fastmlp.objective import Objective

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def samples(rows, inputs, outputs, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, inputs)), rng.normal(size=(rows, outputs))


def agrees(net, weights, biases, path):
    """Check that everything that reads parameters sees these weights and biases."""
    net.save(path)
    copies = [net, MLP.load(path), copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net.astype("float64")]
    for each in copies:
        for own, given in zip([*each.weights, *each.biases], [*weights, *biases], strict=True):
            np.testing.assert_array_equal(own, given)
            assert np.shares_memory(own, each.params)
    x, _ = samples(9, net.sizes[0], 1)
    np.testing.assert_array_equal(MLP.load(path).predict(x), net.predict(x))


@pytest.mark.parametrize("order", ["C", "F"])
@DTYPES
def test_assigned_weights_take_effect_everywhere(tmp_path, dtype, order):
    net, path = MLP([5, 7, 2], dtype=dtype), tmp_path / "net.safetensors"
    wanted = MLP([5, 7, 2], seed=5, dtype=dtype)
    net.predict(samples(3, 5, 1)[0])  # so that parameters are packed
    weights = [np.array(w, order=order) for w in wanted.weights]
    biases = [np.arange(7.0), np.arange(2)]
    for layer in 0, -1:
        net.weights[layer] = weights[layer]
        net.biases[layer] = biases[layer]
    agrees(net, weights, biases, path)
    net.weights, net.biases = MLP([5, 7, 2], seed=6).weights, [b + 1 for b in biases]
    agrees(net, MLP([5, 7, 2], seed=6).weights, [b + 1 for b in biases], path)
    net.weights[:1] = weights[:1]
    np.testing.assert_array_equal(net.weights[0], weights[0])
    net.params = wanted.params.copy()
    agrees(net, wanted.weights, wanted.biases, path)


def test_views_can_be_assigned_to_each_other():
    net = MLP([4, 4, 4, 4], seed=0)
    first, second, third = (weights.copy() for weights in net.weights)
    net.weights[1:3] = [net.weights[2], net.weights[1]]
    np.testing.assert_array_equal(net.weights, [first, third, second])
    net.weights = net.weights[::-1]
    np.testing.assert_array_equal(net.weights, [second, third, first])


def test_masked_parameters_are_refused():
    net = MLP([2, 2], seed=0)
    before = net.params.copy()
    masked = np.ma.masked_array(np.ones((2, 2)), [[0, 1], [0, 0]])
    with pytest.raises(ValueError, match="masked in part"):
        net.weights[0] = masked
    with pytest.raises(ValueError, match="params is masked in part"):
        net.params = np.ma.masked_array(np.ones(net.n_params), np.arange(net.n_params) == 1)
    np.testing.assert_array_equal(net.params, before)


def test_weights_of_a_trainer_can_be_assigned():
    net, other = MLP([3, 4, 2]), MLP([3, 4, 2], seed=1)
    x, y = samples(40, 3, 2)
    for each in net, other:
        trainer = Trainer(each)
        trainer.fit(x, y, epochs=1, progress=False)
        each.weights = MLP([3, 4, 2], seed=2).weights
        each.biases = [np.zeros(4), np.zeros(2)]
        trainer.optimizer_state = Trainer(net).optimizer_state
        trainer.fit(x, y, epochs=1, progress=False)
    np.testing.assert_array_equal(net.params, other.params)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda net: net.weights.__setitem__(0, np.zeros((7, 5))), ValueError, r"\(7, 5\).*accepted: \(5, 7\)"),
        (lambda net: net.weights.__setitem__(0, 0.0), ValueError, r"shape \(\).*accepted: \(5, 7\)"),
        (lambda net: net.weights.__setitem__(0, [["a"] * 7] * 5), TypeError, "accepted: .* numbers"),
        (lambda net: net.weights.__setitem__(0, np.zeros((5, 7), complex)), TypeError, "complex128"),
        (lambda net: net.weights.__setitem__(2, np.zeros((7, 2))), IndexError, "range"),
        (lambda net: setattr(net, "weights", net.weights[:1]), ValueError, "1 arrays are assigned to 2 layers"),
        (lambda net: setattr(net, "weights", [net.weights[0] + 1, net.biases[0]]), ValueError, r"accepted: \(7, 2\)"),
        (lambda net: setattr(net, "biases", []), ValueError, "0 arrays"),
        (lambda net: setattr(net, "params", np.zeros(3)), ValueError, "params has shape"),
        (lambda net: net.weights.append(1), AttributeError, "append"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(change, error, words):
    net = MLP([5, 7, 2])
    before = net.params.copy()
    with pytest.raises(error, match=words):
        change(net)
    np.testing.assert_array_equal(net.params, before)


def test_networks_without_biases_have_none_to_assign():
    net = MLP([3, 2], bias=False)
    assert net.biases == ()
    net.biases = []
    with pytest.raises(IndexError):
        net.biases[0] = np.zeros(2)


class Clip:
    """A callback that makes all parameters positive at one event."""

    def __init__(self, event):
        setattr(self, event, self.clip)

    def clip(self, trainer, *arguments):
        np.maximum(trainer.net.params, 0, out=trainer.net.params)


@pytest.mark.parametrize("precision", ["float32", "bf16-mixed"])
@pytest.mark.parametrize("event", ["on_fit_begin", "on_epoch_begin", "on_slice_end", "on_epoch_end"])
def test_training_goes_on_from_what_a_callback_leaves(event, precision, monkeypatch):
    if precision != "float32" and bfloat16_refusal():
        pytest.skip("no engine for bfloat16")
    monkeypatch.setattr(pace, "SLICE_SECONDS", 1e9)  # an epoch is a slice
    x, y = samples(100, 20, 18)
    nets = [MLP([20, 17, 18]), MLP([20, 17, 18])]
    options = {"shuffle": False, "batch_size": 30, "optimizer": "sgd", "precision": precision}
    Trainer(nets[0], **options).fit(x, y, epochs=3, progress=False, callbacks=[Clip(event)])
    trainer, clip = Trainer(nets[1], **options), Clip("on_fit_end").clip
    for epoch in range(3):
        if event == "on_epoch_begin" or (event == "on_fit_begin" and not epoch):
            clip(trainer)
        trainer.fit(x, y, epochs=1, progress=False)
        if event in ("on_slice_end", "on_epoch_end"):
            clip(trainer)
    np.testing.assert_array_equal(nets[0].params, nets[1].params)


FACTORS = {"float32": [1e-37, 1e-20, 1e18, 1e19, 1e22, 1e36], "float64": [1e-300, 1e-40, 1e40, 1e150]}


@pytest.mark.parametrize(("dtype", "factor"), [(dtype, factor) for dtype in FACTORS for factor in FACTORS[dtype]])
def test_a_common_factor_of_all_weights_changes_nothing(dtype, factor):
    x, y = samples(300, 4, 2)
    weight, net = np.random.default_rng(1).uniform(0.5, 2, 300), MLP([4, 30, 2], "tanh", seed=1, dtype=dtype)
    loss, gradient = net.gradient(x, y, sample_weight=weight)
    scaled_loss, scaled = net.gradient(x, y, sample_weight=weight * factor)
    error = 1e3 * float(np.finfo(dtype).eps)
    assert scaled_loss == pytest.approx(loss, rel=error)
    np.testing.assert_allclose(scaled, gradient, rtol=error, atol=error * np.abs(gradient).max())
    nets = [MLP([4, 30, 2], "tanh", seed=1, dtype=dtype) for _ in range(2)]
    for each, weights in zip(nets, (weight, weight * factor), strict=True):
        Trainer(each, optimizer="sgd", batch_size=70).fit(x, y, epochs=2, progress=False, sample_weight=weights)
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=error, atol=error)


@pytest.mark.parametrize("factor", [2.0**-30, 2.0**-3, 2.0, 2.0**25])
@pytest.mark.parametrize("average_l2", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_what_depends_on_a_common_factor_of_weights_is_in_proportion(factor, average_l2, reduction):
    x, y = samples(300, 4, 2)
    weight, histories, nets = np.random.default_rng(1).uniform(0.5, 2, 300), [], []
    for unit in (1.0, factor):
        divides = reduction == "mean" and not average_l2
        nets.append(MLP([4, 30, 2], "tanh", seed=1))
        rate, l2 = (1e-2, 0.1 * (1 if divides else unit)) if reduction == "mean" else (1e-4 / unit, 0.1 * unit)
        trainer = Trainer(
            nets[-1],
            optimizer="sgd",
            batch_size=70,
            reduction=reduction,
            average_l2=average_l2,
            l2=l2,
            learning_rate=rate,
        )
        validation = x[:50], y[:50], weight[:50] * unit
        trainer.fit(x, y, epochs=2, progress=False, sample_weight=weight * unit, validation_data=validation)
        trainer.step(x[:70], y[:70], weight[:70] * unit)
        histories.append(trainer.history)
    one, other = histories
    sums = factor if reduction == "sum" else 1
    np.testing.assert_allclose(nets[1].params, nets[0].params, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(other.loss, sums * np.array(one.loss), rtol=1e-6)
    np.testing.assert_allclose(other.val_loss, sums * np.array(one.val_loss), rtol=1e-6)
    np.testing.assert_allclose(other.objective, sums * np.array(one.objective), rtol=1e-6)
    np.testing.assert_allclose(other.penalty, sums * np.array(one.penalty), rtol=1e-6)
    np.testing.assert_allclose(other.delta_rms, factor * np.array(one.delta_rms), rtol=1e-5)


@pytest.mark.parametrize(("dtype", "factor"), [("float32", 1e38), ("float64", 1e200)])
def test_a_gradient_is_whole_or_nothing(dtype, factor):
    x, y = samples(300, 4, 2)
    net, y = MLP([4, 30, 2], "tanh", dtype=dtype), y * factor
    assert np.isnan(net.gradient(x, y)[1]).all()
    loss, _, gradient = Objective(net, x, y)(net.params)
    assert np.isnan(loss)
    assert np.isnan(gradient).all()
    with pytest.raises(ArithmeticError, match="values that are not finite"):
        Trainer(net).fit(x, y, epochs=1, progress=False)


@pytest.mark.parametrize(("dtype", "factor"), [("float32", 1e38), ("float64", 1e200)])
def test_weights_may_be_as_large_as_numbers_are(dtype, factor):
    x, y = samples(300, 4, 2)
    net, weight = MLP([4, 30, 2], "tanh", dtype=dtype), np.full(300, factor)
    np.testing.assert_allclose(net.gradient(x, y, sample_weight=weight)[1], net.gradient(x, y)[1], rtol=1e-5)
    assert np.isnan(net.gradient(x, y * 1e3, sample_weight=weight, reduction="sum")[1]).all()
    history = Trainer(net).fit(x, y, epochs=1, progress=False, sample_weight=weight)
    assert np.isfinite(history.loss).all()


@pytest.mark.parametrize("factor", [1e-39, 1e-45, 1e-300, 1e39, 1e300])
def test_weights_beyond_the_dtype_are_refused_in_their_own_numbers(factor):
    x, y = samples(30, 4, 2)
    net = MLP([4, 2])
    with pytest.raises(
        ValueError, match=re.escape(f"sample_weight has the largest weight {factor:g}; accepted in float32")
    ):
        net.gradient(x, y, sample_weight=np.full(30, factor))
    weight = np.full(30, 1.0)
    weight[:5] = min(factor, 1e-45)  # a few that vanish beside others do no harm
    net.gradient(x, y, sample_weight=weight)
