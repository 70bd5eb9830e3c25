"""Arguments of another kind than a method takes: refused by name, with what is accepted, before anything changes."""

import numpy as np
import pytest

from fastmlp import MLP, Adam, Trainer, losses
from fastmlp.callbacks import CSVLogger
from fastmlp.schedules import Cosine

NET, X, Y = MLP([3, 2]), np.ones((6, 3)), np.ones((6, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MLP([1, 1], bias="no"), "bias is 'no'; accepted: True or False"),
        (lambda: MLP([1, 1], scale=2), "scale is 2; accepted: True or False"),
        (lambda: Trainer(NET, shuffle="no"), "shuffle is 'no'; accepted: True or False"),
        (lambda: Trainer(NET, average_l2=None), "average_l2 is None; accepted: True or False"),
        (lambda: Trainer(NET, update_biases=0.5), "update_biases is 0.5; accepted: True or False"),
        (lambda: Trainer(NET).fit(X, Y, progress="bar"), "progress is 'bar'; accepted: True or False"),
        (lambda: Trainer(NET).fit(X, Y, monitor="val_loss"), "monitor is 'val_loss'; accepted: a function"),
        (lambda: Trainer(NET).fit(X, Y, callbacks=5), "callbacks is 5; accepted: a sequence"),
        (lambda: Trainer(NET).fit(X, Y, callbacks=[CSVLogger]), "callbacks holds <class .*; accepted: objects"),
        (lambda: Trainer(NET, optimizer=Adam), r"optimizer is the class Adam; accepted: an object, Adam\(...\)"),
        (lambda: Trainer(NET, loss=losses.Huber), r"loss is the class Huber; accepted: an object, Huber\(...\)"),
        (lambda: Trainer(NET, learning_rate=Cosine), r"learning_rate is the class Cosine; accepted: an object"),
        (lambda: Trainer(NET, learning_rate="cosine"), r"learning_rate is 'cosine'; .*, or schedules.Cosine\(...\)"),
    ],
)
def test_values_of_another_kind_are_refused_by_name(call, message):
    before = NET.params.copy()
    with pytest.raises(TypeError, match=f"^{message}"):
        call()
    np.testing.assert_array_equal(NET.params, before)


@pytest.mark.parametrize("make", [lambda seed: MLP([1, 1], seed=seed), lambda seed: Trainer(NET, seed=seed)])
@pytest.mark.parametrize("seed", [-1, "a", 1.5])
def test_seeds_that_are_none_are_refused_by_name(make, seed):
    with pytest.raises(ValueError, match=f"^seed is {seed!r}; accepted: a whole number"):
        make(seed)


def test_numbers_and_numpy_booleans_are_flags():
    assert MLP([1, 1], bias=np.True_).bias is True
    assert MLP([1, 1], bias=0).bias is False
