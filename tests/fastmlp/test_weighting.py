"""Sample weights and class weights in training and evaluation."""

import numpy as np
import pytest

from fastmlp import MLP, Trainer

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(60, 3)), RNG.choice(3, 60, p=[0.7, 0.2, 0.1])
COUNTS = RNG.integers(0, 4, 60)


def network(output="softmax", outputs=3):
    return MLP([3, 5, outputs], "tanh", output, dtype="float64", seed=1)


def fitted(x, y, *, net=None, epochs=3, batch_size=60, **options):
    """(parameters, history) after training in order."""
    net = net or network()
    history = Trainer(net, optimizer="momentum", learning_rate=0.1, batch_size=batch_size, shuffle=False).fit(
        x, y, epochs, progress=False, **options
    )
    return net.params, history


def test_whole_weights_are_repetitions():
    weighted, history = fitted(X, LABELS, sample_weight=COUNTS)
    x, y = np.repeat(X, COUNTS, axis=0), np.repeat(LABELS, COUNTS)
    repeated, other = fitted(x, y, batch_size=len(x))
    np.testing.assert_allclose(weighted, repeated, rtol=1e-11)
    np.testing.assert_allclose(history.loss, other.loss, rtol=1e-11)


def test_intermediates_and_the_gradient_by_the_inputs_have_the_weights():
    net, (x, y, weights) = network(), (X[:9], LABELS[:9], COUNTS[:9].astype(float))
    passed, single = net.backpropagate(x, y, sample_weight=weights), net.backpropagate(x, y)
    for got, plain in zip(passed.deltas, single.deltas, strict=True):
        np.testing.assert_allclose(got, plain * weights[:, None], rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(passed.gradient, net.gradient(x, y, sample_weight=weights)[1])
    for reduction in ("mean", "sum"):
        got, step = net.input_gradient(x, y, reduction=reduction, sample_weight=weights), 1e-6
        for i, j in ((0, 0), (3, 2), (8, 1)):
            ahead, behind = x.copy(), x.copy()
            ahead[i, j] += step
            behind[i, j] -= step
            losses = [net.evaluate(moved, y, reduction=reduction, sample_weight=weights) for moved in (ahead, behind)]
            assert got[i, j] == pytest.approx((losses[0] - losses[1]) / (2 * step), abs=1e-8)


def test_a_common_factor_of_the_weights_does_not_matter_to_a_mean():
    np.testing.assert_allclose(
        fitted(X, LABELS, batch_size=7, sample_weight=np.full(60, 3.0))[0],
        fitted(X, LABELS, batch_size=7)[0],
        rtol=1e-11,
    )


def test_an_epochs_loss_is_the_weighted_mean_of_all_its_samples():
    """With next to no learning rate, that of the evaluation; the batches have different weights."""
    net = network()
    expected = net.evaluate(X, LABELS, sample_weight=COUNTS)
    coach = Trainer(net, optimizer="sgd", learning_rate=1e-300, batch_size=7)
    data = X, LABELS, COUNTS
    history = coach.fit(X, LABELS, 2, sample_weight=COUNTS, validation_data=data, progress=False)
    np.testing.assert_allclose(history.loss + history.val_loss, expected, rtol=1e-12)
    assert coach.step(X, LABELS, sample_weight=COUNTS) == pytest.approx(expected, rel=1e-12)


def test_samples_held_out_take_their_weights_along():
    net = network()
    weights = np.where(np.arange(60) < 45, 1.0, COUNTS)
    coach = Trainer(net, optimizer="sgd", learning_rate=1e-300, shuffle=False)
    history = coach.fit(X, LABELS, 1, sample_weight=weights, validation_fraction=0.25, progress=False)
    assert history.loss[0] == pytest.approx(net.evaluate(X[:45], LABELS[:45]))
    assert history.val_loss[0] == pytest.approx(net.evaluate(X[45:], LABELS[45:], sample_weight=COUNTS[45:]))


def test_class_weights_multiply_sample_weights():
    factors = np.array([1.0, 0.5, 4.0])[LABELS]
    expected, _ = fitted(X, LABELS, sample_weight=factors * COUNTS)
    for y in (LABELS, np.eye(3)[LABELS]):
        found, _ = fitted(X, y, sample_weight=COUNTS, class_weight={1: 0.5, 2: 4})
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_balanced_classes_weigh_the_same_in_all():
    weights = (60 / (3 * np.bincount(LABELS)))[LABELS]
    np.testing.assert_array_equal(
        fitted(X, LABELS, class_weight="balanced")[0], fitted(X, LABELS, sample_weight=weights)[0]
    )
    binary, labels = network("sigmoid", 1), LABELS > 0
    weights = (60 / (2 * np.bincount(labels)))[labels.astype(int)]
    found = fitted(X, labels, net=binary, class_weight="balanced")[0]
    np.testing.assert_array_equal(found, fitted(X, labels, net=network("sigmoid", 1), sample_weight=weights)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_weight": np.ones(59)}, r"sample_weight has shape \(59,\); accepted: \(60,\)"),
        ({"sample_weight": np.ones((60, 1))}, r"sample_weight has shape \(60, 1\); accepted: \(60,\)"),
        ({"sample_weight": -np.eye(60)[7]}, "sample_weight is -1.0 at position 7; accepted: finite numbers from 0 on"),
        ({"sample_weight": np.full(60, np.nan)}, "sample_weight is nan at position 0; accepted: finite"),
        ({"sample_weight": np.zeros(60)}, "sample_weight is 0 everywhere; accepted: at least one"),
        ({"sample_weight": ["heavy"] * 60}, "sample_weight has dtype .*; accepted: numbers"),
        (
            {"sample_weight": np.eye(60)[59], "validation_fraction": 0.2},
            "sample_weight is 0 for all samples not held out",
        ),
        ({"validation_data": (X, LABELS, COUNTS[:9])}, r"validation_data\[2\] has shape \(9,\); accepted: \(60,\)"),
        (
            {"class_weight": "balance"},
            "class_weight is 'balance'; accepted: a dict of labels to weights, or 'balanced'",
        ),
        ({"class_weight": {3: 1.0}}, "class_weight has label 3; accepted: 0 to 2"),
        ({"class_weight": {1: -1.0}}, r"class_weight\[1\] is -1.0; accepted: a number in \[0, inf\)"),
        ({"class_weight": {0: 0, 1: 0, 2: 0}}, "class_weight leaves no sample a weight"),
    ],
)
def test_weights_that_make_no_sense_are_refused(options, message):
    net = network()
    coach, before = Trainer(net, shuffle=False), net.params.copy()
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        coach.fit(X, LABELS, 1, progress=False, **options)
    np.testing.assert_array_equal(net.params, before)


def test_class_weights_need_classes():
    with pytest.raises(ValueError, match=r"^class_weight is given, but targets are not classes; accepted with cross"):
        Trainer(network("identity")).fit(X, X, 1, class_weight="balanced", progress=False)
