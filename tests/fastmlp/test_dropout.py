"""Dropout as users see it."""

import numpy as np
import pytest

from fastmlp import MLP, Trainer

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(300, 4)), RNG.normal(size=(300, 2))


def fitted(threads=None, seed=0, dropout=0.4, **options):
    net = MLP([4, 70, 50, 2], seed=1)
    Trainer(net, batch_size=150, seed=seed, threads=threads, dropout=dropout, **options).fit(X, Y, 2, progress=False)
    return net.params


def test_weights_do_not_depend_on_threads_but_on_the_seed():
    np.testing.assert_array_equal(fitted(threads=1), fitted())
    np.testing.assert_array_equal(fitted(dropout=[0.4, 0.4]), fitted())
    assert (fitted(seed=1, shuffle=False) != fitted(shuffle=False)).any()


def test_no_dropout_shuffles_as_ever():
    np.testing.assert_array_equal(fitted(dropout=0.0), fitted(dropout=[0, 0]))
    assert (fitted(dropout=0.0) != fitted(dropout=[0, 0.1])).any()


def test_the_mean_over_many_masks_is_the_network_without_any():
    """With linear units, the mean of the outputs' errors: a network of 0 weights but for one way through."""
    net = MLP([1, 1000, 1], "identity", dtype="float64")
    net.weights[0][:], net.weights[1][:] = 1.0, 1 / 1000
    coach = Trainer(net, optimizer="sgd", learning_rate=1e-300, dropout=0.5)
    losses = [coach.step(np.ones((100, 1)), np.zeros((100, 1))) for _ in range(10)]
    # Half the square of a mean of 1000 numbers that are 0 or 2: 1/2 (1 + 1/1000) on average, 0.03 in each of 1000.
    assert np.mean(losses) == pytest.approx(0.5 * (1 + 1 / 1000), abs=5 * 0.032 / 1000**0.5)
    assert np.std(losses) > 0
    assert net.evaluate([[1.0]], [[0.0]]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("dropout", "message"),
    [
        (1.0, r"dropout is 1.0; accepted: a number in \[0, 1\)"),
        (-0.1, r"dropout is -0.1; accepted: a number in \[0, 1\)"),
        ([0.5], "dropout has 1 shares; accepted: one, or one for each of 2 hidden layers"),
        ([0.5, "half"], "dropout is 'half'; accepted: a number"),
        (None, "dropout is None; accepted: a sequence"),
    ],
)
def test_shares_that_make_no_sense_are_refused(dropout, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        fitted(dropout=dropout)
