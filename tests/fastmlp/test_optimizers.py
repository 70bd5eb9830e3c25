"""Training against the same training in plain NumPy: every optimiser, penalty, clipping, reduction and batch size."""

from dataclasses import asdict

import numpy as np
import pytest
from fastmlp_kernels.drivers import plan
from fastmlp_kernels.functions import updates

from fastmlp import MLP, SGD, Adam, AdamW, Momentum, Nesterov, Trainer, optimizers
from fastmlp.schedules import Step
from tests import reference

RATES = {"sgd": 0.1, "momentum": 0.02, "nesterov": 0.02, "adam": 0.01, "adamw": 0.01, "rmsprop": 0.01, "adagrad": 0.05}
ROWS, SIZES, EPOCHS = 53, (7, 19, 5, 3), 4


def one_hot(labels, classes):
    return np.eye(classes)[labels]


def problem(dtype="float64", bias=True):
    rng = np.random.default_rng(3)
    net = MLP(SIZES, "tanh", "softmax", dtype=dtype, bias=bias, seed=5)
    for b in net.biases:
        b[...] = rng.normal(0, 0.2, b.shape)
    return net, rng.normal(size=(ROWS, SIZES[0])), rng.integers(0, SIZES[-1], ROWS)


def in_plain_numpy(net):
    """The network as the reference takes it; without biases, with biases of 0."""
    biases = [b.astype(float) for b in net.biases] or [np.zeros(w.shape[1]) for w in net.weights]
    return reference.Network([w.astype(float) for w in net.weights], biases, net.activations)


def reference_optimizer(name, rate, **options):
    """The reference's optimiser for a name or an object of `fastmlp.optimizers`."""
    rule = optimizers.resolve(name)
    names = {"beta1": "momentum", "decay": "beta2"}
    settings = {names.get(name, name): value for name, value in asdict(rule).items()}
    settings.pop("rate_in_velocity", None)  # the same at a constant rate
    kind = next(kind for kind, made in optimizers.OPTIMIZERS.items() if made is type(rule))
    return reference.Optimizer(kind, rate, **settings, **options)


def assert_trains_alike(optimizer, rate, batch, bias=True, dtype="float64", rtol=1e-10, **options):
    """Weights, biases and losses are the reference's after EPOCHS epochs."""
    net, x, labels = problem(dtype, bias)
    start, expected = net.params.copy(), in_plain_numpy(net)
    trainer = Trainer(net, "cross_entropy", optimizer, learning_rate=rate, batch_size=batch, shuffle=False, **options)
    history = trainer.fit(x, labels, EPOCHS, progress=False)
    y, mean = one_hot(labels, SIZES[-1]), options.pop("reduction", "mean") == "mean"
    batches = [(x[i : i + batch], y[i : i + batch]) for i in range(0, ROWS, batch)]
    options["update_biases"] = options.get("update_biases", True) and bias
    rule = reference_optimizer(optimizer, rate, mean=mean, **options)
    losses = reference.train(expected, batches * EPOCHS, "cross_entropy", rule)
    losses = np.sum(np.reshape(losses, (EPOCHS, -1)), axis=1) / (ROWS if mean else 1)
    assert np.abs(net.params - start).max() > 1e-3
    found = [*net.weights, *net.biases]
    for value, other in zip(found, [*expected.weights, *(expected.biases if bias else [])], strict=True):
        np.testing.assert_allclose(value, other, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(history.loss, losses, rtol=rtol)


@pytest.mark.parametrize("batch", [1, 10, 53, 1000])  # on-line, mini-batches with a short last one, batch learning
@pytest.mark.parametrize("optimizer", RATES)
def test_training_is_that_of_plain_numpy(optimizer, batch):
    assert_trains_alike(optimizer, RATES[optimizer], batch)


@pytest.mark.parametrize("optimizer", RATES)
def test_float32_training_is_that_of_plain_numpy_to_single_precision(optimizer):
    assert_trains_alike(optimizer, RATES[optimizer], 10, dtype="float32", rtol=2e-4)


@pytest.mark.parametrize("optimizer", RATES)
def test_summed_gradients_give_the_training_of_plain_numpy(optimizer):
    assert_trains_alike(optimizer, RATES[optimizer] / 10, 10, reduction="sum")


@pytest.mark.parametrize("optimizer", RATES)
@pytest.mark.parametrize("biases", ["absent", "frozen"])
def test_biases_may_be_absent_or_frozen(optimizer, biases):
    assert_trains_alike(optimizer, RATES[optimizer], 10, bias=biases != "absent", update_biases=biases != "frozen")


@pytest.mark.parametrize("optimizer", RATES)
def test_the_l2_penalty_pulls_weights_but_not_biases(optimizer):
    assert_trains_alike(optimizer, RATES[optimizer], 10, l2=0.05)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("optimizer", RATES)
def test_gradients_are_clipped_by_their_norm_before_the_penalty(optimizer, reduction):
    limit, rate = (0.1, RATES[optimizer]) if reduction == "mean" else (1.0, RATES[optimizer] / 10)
    net, x, y = problem()
    assert np.linalg.norm(net.gradient(x, y, reduction=reduction)[1]) > 2 * limit
    assert_trains_alike(optimizer, rate, 10, clip_norm=limit, reduction=reduction, l2=0.01)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("copies", [1, 30])  # a small step on one thread, a large one on all
def test_a_clipped_step_of_gradient_descent_has_the_length_of_the_limit(bias, copies):
    net, x, y = problem(bias=bias)
    x, y = np.tile(x, (copies, 1)), np.tile(y, copies)
    assert plan.is_serial(SIZES, len(x)) == (copies == 1)
    before, gradient = net.params.copy(), net.gradient(x, y)[1]
    Trainer(net, optimizer="sgd", learning_rate=0.5, clip_norm=0.01).step(x, y)
    expected = -0.5 * 0.01 * gradient / np.linalg.norm(gradient)
    np.testing.assert_allclose(net.params - before, expected, rtol=1e-9, atol=1e-15)


def test_a_limit_that_is_not_reached_changes_no_bit():
    params = []
    for clip in (None, 1e6):
        net, x, y = problem()
        Trainer(net, batch_size=10, shuffle=False, clip_norm=clip).fit(x, y, 3, progress=False)
        params.append(net.params.tobytes())
    assert params[0] == params[1]


@pytest.mark.parametrize(
    "optimizer",
    [
        *(Momentum(0.5), Nesterov(0.3), Adam(0.8, 0.9, 1e-3), AdamW(0.7, 0.95, 1e-6, 0.2)),
        *(optimizers.RMSprop(0.9, 1e-3), optimizers.Adagrad(0.1)),
    ],
    ids=repr,
)
def test_settings_of_optimizers_take_effect(optimizer):
    assert_trains_alike(optimizer, 0.02, 10)


def test_a_second_fit_goes_on_where_the_first_one_stopped():
    whole, parts = [problem() for _ in range(2)]
    Trainer(whole[0], batch_size=10, shuffle=False).fit(*whole[1:], 6, progress=False)
    trainer = Trainer(parts[0], batch_size=10, shuffle=False)
    trainer.fit(*parts[1:], 2, progress=False)
    trainer.fit(*parts[1:], 4, progress=False)
    assert whole[0].params.tobytes() == parts[0].params.tobytes()


@pytest.mark.parametrize("optimizer", RATES)
def test_another_trainer_goes_on_from_the_state_of_an_optimizer(optimizer):
    (whole, x, y), (other, *_) = problem(), problem()
    trainer = Trainer(whole, optimizer=optimizer, batch_size=10, shuffle=False)
    trainer.fit(x, y, 2, progress=False)
    other.params[:] = whole.params
    heir = Trainer(other, optimizer=optimizer, batch_size=10, shuffle=False)
    heir.optimizer_state = trainer.optimizer_state
    for each in (trainer, heir):
        each.fit(x, y, 2, progress=False)
    assert whole.params.tobytes() == other.params.tobytes()


@pytest.mark.parametrize("optimizer", RATES)
def test_any_number_of_threads_makes_the_same_updates(optimizer):
    params = []
    for threads in (1, None):
        net, x, y = problem("float32")
        trainer = Trainer(net, optimizer=optimizer, batch_size=1500, shuffle=False, threads=threads)
        trainer.fit(np.tile(x, (60, 1)), np.tile(y, 60), 2, progress=False)
        params.append(net.params.tobytes())
    assert params[0] == params[1]


def test_steps_on_batches_are_an_epoch_of_fit():
    fitted, stepped = [problem() for _ in range(2)]
    history = Trainer(fitted[0], batch_size=10, shuffle=False).fit(*fitted[1:], 1, progress=False)
    trainer, (net, x, y) = Trainer(stepped[0]), stepped
    losses = [trainer.step(x[i : i + 10], y[i : i + 10]) * len(x[i : i + 10]) for i in range(0, ROWS, 10)]
    assert net.params.tobytes() == fitted[0].params.tobytes()
    assert sum(losses) / ROWS == pytest.approx(history.loss[0], rel=1e-14)


def test_a_velocity_with_the_rate_in_it_stays_as_it_is_when_the_rate_changes():
    (net, x, y), (other, *_) = problem(), problem()
    settings = {"learning_rate": Step(0.4, every=1), "batch_size": ROWS}
    trainer = Trainer(net, optimizer=Momentum(0.5, rate_in_velocity=True), **settings)
    velocity = 0.0
    for rates in ([0.4, 0.2], [0.1], [0.4, 0.2]):  # two epochs, a step, two epochs, each of one batch
        if len(rates) == 1:
            trainer.step(x, y)
        else:
            trainer.fit(x, y, len(rates), progress=False)
        for rate in rates:
            velocity = 0.5 * velocity + rate * other.gradient(x, y)[1]
            other.params[:] -= velocity
        np.testing.assert_allclose(net.params, other.params, rtol=1e-10, atol=1e-12)
        assert trainer.optimizer_state["rate"] == rates[-1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_labels_train_to_the_same_bits_as_one_hot_rows(dtype):
    params = []
    for encode in (lambda y: y, lambda y: one_hot(y, 3), lambda y: y.astype(np.uint8), lambda y: y.tolist()):
        net, x, labels = problem(dtype)
        Trainer(net, batch_size=10).fit(x, encode(labels), 3, progress=False)
        params.append(net.params.tobytes())
    assert len(set(params)) == 1


def test_optimizers_are_those_of_the_kernels():
    assert optimizers.OPTIMIZERS.keys() == updates.RULES.keys() == RATES.keys()
    for name, kind in optimizers.OPTIMIZERS.items():
        settings = updates.RULES[name].settings
        assert {setting: getattr(kind(), setting) for setting in settings} == settings


@pytest.mark.parametrize("name", RATES)
def test_names_stand_for_optimizers_with_their_default_settings(name):
    assert optimizers.resolve(name) == optimizers.OPTIMIZERS[name]()
    assert optimizers.resolve(SGD()) == SGD()


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Momentum(1.1), "momentum"),
        (lambda: Nesterov(-0.1), "momentum"),
        (lambda: Adam(beta1=1), "beta1"),
        (lambda: Adam(beta2=float("nan")), "beta2"),
        (lambda: Adam(epsilon=0), "epsilon"),
        (lambda: AdamW(weight_decay=-1), "weight_decay"),
        (lambda: AdamW(beta1=2), "beta1"),
        (lambda: optimizers.RMSprop(1.0), "decay"),
        (lambda: optimizers.RMSprop(epsilon=0), "epsilon"),
        (lambda: optimizers.Adagrad(-1.0), "epsilon"),
    ],
)
def test_settings_out_of_range_are_refused(make, argument):
    with pytest.raises(ValueError, match=f"^{argument} is .*; accepted: a number in"):
        make()
    with pytest.raises(TypeError, match=r"^momentum is 'much'"):
        Momentum("much")
