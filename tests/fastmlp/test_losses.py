"""Losses as users choose them: gradients with weights and smoothed labels, targets, settings."""

import dataclasses

import numpy as np
import pytest
from fastmlp_kernels.panelwise import losses as kernels

from fastmlp import MLP, Trainer, losses, schedules
from tests import reference

ROWS, OUTPUTS = 30, 3
# loss, output activation
CASES = [
    (losses.SquaredError(), "exp"),
    (losses.AbsoluteError(), "identity"),
    (losses.Huber(0.4), "identity"),
    (losses.Quantile(0.9), "tanh"),
    (losses.LogCosh(), "tanh"),
    (losses.GaussianNLL(), "identity"),
    (losses.Poisson(), "exp"),
    (losses.CrossEntropy(label_smoothing=0.2), "softmax"),
    (losses.BinaryCrossEntropy(label_smoothing=0.2), "sigmoid"),
    (losses.Focal(0.0, label_smoothing=0.2), "softmax"),
    (losses.Focal(0.5), "softmax"),
    (losses.Focal(1.5, label_smoothing=0.2), "sigmoid"),
]
EACH = pytest.mark.parametrize(("loss", "output"), CASES, ids=lambda part: getattr(part, "name", part))


def test_losses_are_those_of_the_kernels():
    assert losses.LOSSES.keys() == {name for name, _ in kernels.LOSSES}
    assert losses.LOSSES.keys() == {loss.name for loss, _ in CASES}
    for (name, _), row in kernels.LOSSES.items():
        fields = dataclasses.asdict(losses.LOSSES[name]())
        smoothed = name != "squared_error" and row.targets in (losses.CLASSES, losses.PROBABILITIES)
        assert ("label_smoothing" in fields) == smoothed
        fields.pop("label_smoothing", None)
        assert fields == ({row.setting: row.parameter} if row.setting else {})


@pytest.mark.parametrize(
    ("output", "name"),
    {
        "identity": "squared_error",
        "tanh": "squared_error",
        "softmax": "cross_entropy",
        "sigmoid": "binary_cross_entropy",
        "exp": "poisson",
    }.items(),
)
def test_auto_takes_the_loss_that_goes_with_the_outputs(output, name):
    assert Trainer(MLP([2, 2], output_activation=output)).loss == name


def case(loss, output):
    """(network, inputs, targets, weights)."""
    rng = np.random.default_rng(0)
    outputs = OUTPUTS * losses.row(loss, output).outputs if loss else OUTPUTS
    net = MLP([4, 6, outputs], "tanh", output, dtype="float64", seed=1)
    net.params[:] += rng.normal(0, 0.3, net.n_params)
    y = rng.normal(size=(ROWS, OUTPUTS))
    y = {"exp": rng.poisson(2, y.shape), "sigmoid": y > 0, "softmax": np.eye(OUTPUTS)[y.argmax(axis=1)]}.get(output, y)
    return net, rng.normal(size=(ROWS, 4)), y.astype(float), rng.uniform(0, 2, ROWS)


@EACH
def test_values_are_those_of_the_formulas(loss, output):
    net, x, y, weights = case(loss, output)
    smoothing = getattr(loss, "label_smoothing", 0.0)
    y_smooth = (1 - smoothing) * y + smoothing / (OUTPUTS if output == "softmax" else 2)
    name = "binary_focal" if loss.name == "focal" and output == "sigmoid" else loss.name
    parameter = [value for field, value in vars(loss).items() if field != "label_smoothing"]
    errors = reference.LOSSES[name][0](net.predict(x), y_smooth, *parameter)
    assert net.evaluate(x, y, loss, reduction="sum") == pytest.approx(errors.sum(), rel=1e-12)
    expected = (errors * weights).sum() / weights.sum()
    assert net.evaluate(x, y, loss, sample_weight=weights) == pytest.approx(expected, rel=1e-12)


@EACH
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_are_those_of_central_differences(loss, output, reduction):
    net, x, y, weights = case(loss, output)
    total, gradient = net.gradient(x, y, loss, reduction=reduction, sample_weight=weights)
    assert total == pytest.approx(net.evaluate(x, y, loss, reduction=reduction, sample_weight=weights), rel=1e-13)
    step, differences = 1e-5, np.empty_like(gradient)
    for i, param in enumerate(net.params):
        values = []
        for net.params[i] in (param - step, param + step):
            values.append(net.evaluate(x, y, loss, reduction=reduction, sample_weight=weights))
        net.params[i] = param
        differences[i] = (values[1] - values[0]) / (2 * step)
    np.testing.assert_allclose(gradient, differences, rtol=0, atol=2e-9 * max(1, abs(gradient).max()))


def test_a_focal_loss_without_focus_is_a_cross_entropy():
    net, x, y, _ = case(None, "softmax")
    for loss, other in ((losses.Focal(0), "cross_entropy"),):
        np.testing.assert_allclose(net.gradient(x, y, loss)[1], net.gradient(x, y, other)[1], rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs_beyond_doubt_leave_a_focal_loss_finite(dtype):
    for output, y in (("softmax", [[0, 1], [1, 0]]), ("sigmoid", [[0, 1], [1, 0]])):
        net = MLP([1, 2], output_activation=output, dtype=dtype, bias=False)
        net.weights[0][...] = [[1000.0, -1000.0]]
        for gamma in (0.0, 0.5, 2.0):
            loss, gradient = net.gradient([[1.0], [1.0]], y, losses.Focal(gamma), reduction="sum")
            assert loss == pytest.approx(2000.0)
            assert np.isfinite(gradient).all()


def test_means_and_variances_are_learnt():
    rng = np.random.default_rng(0)
    x = rng.choice([0.0, 1.0], (4000, 1))
    y = np.hstack([3 * x, -x]) + rng.normal(size=(4000, 2)) * (0.1 + x)
    net = MLP([1, 4])
    rate = schedules.Cosine(0.1, 1000)
    Trainer(net, losses.GaussianNLL(), learning_rate=rate, batch_size=4000).fit(x, y, 1000, progress=False)
    means, log_variances = np.split(net.predict([[0.0], [1.0]]), 2, axis=1)
    groups = [y[x[:, 0] == value] for value in (0, 1)]
    np.testing.assert_allclose(means, [group.mean(axis=0) for group in groups], atol=1e-4)
    np.testing.assert_allclose(np.exp(log_variances), [group.var(axis=0) for group in groups], rtol=0.01)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_variances_without_bounds_overflow_nothing_and_come_back(dtype):
    net = MLP([1, 2], dtype=dtype)
    for log_variance in (-1e12, -1e3, -33.0, 1e3, 1e12):
        net.biases[0][:] = 0, log_variance
        loss, gradient = net.gradient([[0.0]], [[1e6]], "gaussian_nll")
        assert np.isfinite(loss)
        assert np.isfinite(gradient).all()
        assert gradient[1] < 0 if log_variance < 0 else gradient[1] == 0.5
        expected = reference.gaussian(np.array([[0.0, log_variance]]), np.array([[1e6]]))[1]
        np.testing.assert_allclose(gradient[:2], expected[0], rtol=1e-5)


def test_numbers_of_outputs_and_targets_fit_a_loss_with_two_outputs_for_each():
    x, message = np.ones((4, 2)), "^loss is 'gaussian_nll' with 3 outputs; accepted: 2 for each target"
    for ask in (lambda net: Trainer(net, "gaussian_nll"), lambda net: net.evaluate(x, x, "gaussian_nll")):
        with pytest.raises(ValueError, match=message):
            ask(MLP([2, 3]))
    with pytest.raises(ValueError, match=r"^y has shape \(4, 2\); accepted: \(rows, 1\)"):
        MLP([2, 2]).gradient(x, x, "gaussian_nll")
    with pytest.raises(ValueError, match="loss is 'gaussian_nll' with output_activation 'tanh'; accepted: identity"):
        Trainer(MLP([2, 2], output_activation="tanh"), "gaussian_nll")
    net = MLP([2, 2], dtype="float64")
    assert net.evaluate(x, x[:, 0], "gaussian_nll") == net.evaluate(x, x[:, :1], "gaussian_nll")


@pytest.mark.parametrize("rows", [7, 3000])  # on one thread, and on all
def test_any_number_of_threads_trains_means_and_variances_to_the_same_bits(rows):
    rng, params = np.random.default_rng(0), []
    x = rng.normal(size=(rows, 30))
    for threads in (1, None):
        net = MLP([30, 40, 8])
        Trainer(net, "gaussian_nll", batch_size=1000, threads=threads).fit(x, x[:, :4], 3, progress=False)
        params.append(net.params.tobytes())
    assert params[0] == params[1]


def test_the_median_and_a_quantile_are_learnt():
    y = np.random.default_rng(0).exponential(size=(4000, 1))
    for loss, q in (("absolute_error", 0.5), (losses.Quantile(0.9), 0.9)):
        net = MLP([1, 1])
        Trainer(net, loss, learning_rate=0.02, batch_size=500).fit(np.zeros((4000, 1)), y, 60, progress=False)
        assert (y < net.biases[0]).mean() == pytest.approx(q, abs=0.02)


def test_the_trainers_label_smoothing_is_that_of_its_loss():
    histories = []
    for options in ({"label_smoothing": 0.3}, {"loss": losses.CrossEntropy(0.3)}):
        net, x, y, _ = case(None, "softmax")
        coach = Trainer(net, batch_size=10, **options)
        coach.fit(x, y.argmax(axis=1), 2, progress=False)
        coach.fit(x, y, 1, progress=False)
        histories.append((coach.history.loss, net.params.tolist()))
    assert histories[0] == histories[1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.Huber(0), r"delta is 0; accepted: a number in \(0, inf\)"),
        (lambda: losses.Quantile(1), r"q is 1; accepted: a number in \(0, 1\)"),
        (lambda: losses.Focal(-1), r"gamma is -1; accepted: a number in \[0, inf\)"),
        (lambda: losses.Focal(2, 1.0), r"label_smoothing is 1.0; accepted: a number in \[0, 1\)"),
        (
            lambda: Trainer(MLP([2, 1]), label_smoothing=0.1),
            "label_smoothing is 0.1 with squared_error; accepted with cross_entropy, binary_cross_entropy, focal",
        ),
        (lambda: Trainer(MLP([2, 1]), "poisson"), "loss is 'poisson' with output_activation 'identity'; accepted: exp"),
        (lambda: MLP([2, 1], output_activation="exp").gradient([[0, 0]], [-1]), "y is -1 at row 0, .* 0 or more"),
    ],
)
def test_settings_and_targets_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()
