"""Settings of a trainer: defaults that follow from the number of samples, and what may be assigned later."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fastmlp import MLP, SGD, Trainer, pace
from fastmlp.callbacks import Callback, Checkpoint
from fastmlp.schedules import Constant, Step, Warmup
from fastmlp.trainer import CHECKS, FIXED, usual_batch_size, usual_epochs


def noise(rows=100, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 3)), rng.normal(size=(rows, 2))


def trainer(**settings):
    return Trainer(MLP([3, 4, 2], "tanh", dtype="float64"), **settings)


# ------------------------------------------------------------------------------------------------------------ defaults


def test_the_defaults_learn_the_digits():
    X, y = load_digits(return_X_y=True)
    X, held = X / 16, np.arange(len(X)) % 5 == 0
    net = MLP([64, 64, 10], output_activation="softmax")
    Trainer(net).fit(X[~held], y[~held], progress=False)
    assert (net.predict(X[held]).argmax(axis=1) == y[held]).mean() >= 0.95


@pytest.mark.parametrize(
    ("rows", "size", "epochs"),
    [(1, 16, 2000), (100, 16, 286), (512, 16, 63), (3200, 100, 63), (131_072, 4096, 63), (10_000_000, 4096, 20)],
)
def test_the_default_batches_and_epochs_follow_from_the_number_of_samples(rows, size, epochs):
    assert (usual_batch_size(rows), usual_epochs(rows)) == (size, epochs)


def test_a_fit_makes_as_many_updates_as_its_defaults_say():
    coach = trainer()
    history = coach.fit(*noise(100), progress=False)
    assert (len(history.loss), coach.optimizer_state["steps"]) == (286, 286 * 7)
    assert coach.batch_size is None


@pytest.mark.parametrize("size", [10, 4096])
def test_a_batch_size_that_is_given_is_taken_and_epochs_are_20(size):
    coach = trainer(batch_size=size)
    coach.fit(*noise(100), progress=False)
    assert coach.optimizer_state["steps"] == 20 * -(-100 // size)


def test_the_default_batches_are_those_of_that_size():
    x, y = noise(1000)
    by_default, given = trainer(), trainer(batch_size=31)
    for coach in (by_default, given):
        coach.fit(x, y, 2, validation_fraction=0.3, progress=False)
    assert by_default.net.params.tobytes() == given.net.params.tobytes()


def test_a_fit_with_the_default_batches_is_resumed(tmp_path):
    x, y, path = *noise(1000), tmp_path / "run.safetensors"
    whole, part = trainer(), trainer()
    whole.fit(x, y, 4, progress=False)
    part.fit(x, y, 2, callbacks=[Checkpoint(path, "each", seconds=0, state=True)], progress=False)
    resumed = Trainer.load(path)
    assert resumed.batch_size is None
    resumed.fit(x, y, 4, resume=True, progress=False)
    assert resumed.net.params.tobytes() == whole.net.params.tobytes()


# ------------------------------------------------------------------------------------------------------ assigned later

LATER = {"learning_rate": 0.3, "batch_size": 7, "l2": 0.5, "clip_norm": 0.1}


@pytest.mark.parametrize("name", LATER)
def test_an_assigned_setting_is_that_of_the_next_fit(name):
    settings = {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 50}
    given, assigned, left = trainer(**settings | {name: LATER[name]}), trainer(**settings), trainer(**settings)
    setattr(assigned, name, LATER[name])
    for coach in (given, assigned, left):
        coach.fit(*noise(), 2, progress=False)
    assert getattr(assigned, name) == LATER[name]
    assert repr(assigned) == repr(given)
    assert assigned.net.params.tobytes() == given.net.params.tobytes() != left.net.params.tobytes()
    again = pickle.loads(pickle.dumps(assigned))
    for coach in (given, again):
        coach.step(*noise())
    assert again.net.params.tobytes() == given.net.params.tobytes()


def test_an_assigned_learning_rate_is_that_of_the_next_step_and_is_saved(tmp_path):
    coach = trainer(optimizer="sgd")
    x, y = noise()
    for rate in (0.1, 0.2, Constant(0.3)):
        coach.learning_rate = rate
        before, gradient = coach.net.params.copy(), coach.net.gradient(x, y)[1]
        coach.step(x, y)
        rate = rate if isinstance(rate, float) else 0.3
        np.testing.assert_allclose(coach.net.params, before - rate * gradient, rtol=1e-12)
    coach.save(tmp_path / "run.safetensors")
    assert Trainer.load(tmp_path / "run.safetensors").learning_rate == Constant(0.3)


def test_a_schedule_that_is_assigned_is_the_learning_rate():
    coach = trainer()
    coach.schedule = Step(0.5)
    assert coach.learning_rate == coach.schedule == Step(0.5)


def test_a_callback_may_assign_settings_for_the_next_epoch():
    class Halving(Callback):
        def on_epoch_end(self, trainer, epoch):
            trainer.learning_rate, trainer.batch_size = trainer.learning_rate / 2, 50

    coach = trainer(learning_rate=0.8, batch_size=10)
    history = coach.fit(*noise(), 3, callbacks=[Halving()], progress=False)
    assert history.learning_rate == [0.8, 0.4, 0.2]
    assert coach.optimizer_state["steps"] == 10 + 2 + 2


@pytest.mark.parametrize("name", LATER)
def test_what_is_assigned_within_an_epoch_does_not_count_before_the_next(monkeypatch, name):
    """Else the result would depend on the clock."""

    class Assigning(Callback):
        def on_slice_end(self, trainer, samples, loss):
            setattr(trainer, name, LATER[name])

    params = []
    for seconds in (1e-9, 1e9):
        monkeypatch.setattr(pace, "SLICE_SECONDS", seconds)
        coach = trainer(batch_size=10)
        coach.fit(*noise(), 2, callbacks=[Assigning()], progress=False)
        params.append(coach.net.params.tobytes())
    assert params[0] == params[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("learning_rate", value) for value in (0, -1, "fast", None, np.nan)],
        *[("batch_size", value) for value in (0, 2.0, "auto")],
        *[("l2", value) for value in (-1, None)],
        *[("clip_norm", value) for value in (0, "1")],
        *[("threads", value) for value in (0, 1.5)],
    ],
)
def test_an_assigned_setting_is_checked_like_that_of_the_constructor(name, value):
    coach = trainer()
    before = repr(coach)
    with pytest.raises((TypeError, ValueError), match=rf"^{name} is .*; accepted: ") as assigned:
        setattr(coach, name, value)
    with pytest.raises(type(assigned.value)) as made:
        trainer(**{name: value})
    assert str(assigned.value) == str(made.value)
    assert repr(coach) == before


NEW = {"net": MLP([3, 2]), "loss": "huber", "optimizer": SGD(), "dropout": 0.5, "precision": "bf16-mixed", "seed": 3}


@pytest.mark.parametrize("name", sorted(FIXED))
def test_settings_that_only_the_constructor_reads_are_refused(name):
    coach = trainer()
    before = repr(coach)
    with pytest.raises(AttributeError, match=rf"^{name} of a Trainer is fixed; accepted: a new one, .*{name}=\.\.\."):
        setattr(coach, name, NEW.get(name, True))
    assert repr(coach) == before
    assert coach.fit(*noise(), 1, progress=False).loss


def test_every_setting_is_fixed_or_not():
    assert FIXED.isdisjoint({*CHECKS, "learning_rate"})
    assert {"loss", "optimizer", "dropout", "precision", "net", "seed", "shuffle"} <= FIXED


# ------------------------------------------------------------------------------------------------- the rate of a step


def step_rate(coach):
    """The learning rate of a step of gradient descent."""
    (x, y), before = noise(), coach.net.params.copy()
    gradient = coach.net.gradient(x, y)[1]
    coach.step(x, y)
    return float(np.median((before - coach.net.params) / gradient))


def test_a_step_has_the_rate_of_the_epoch_after_those_of_the_history(tmp_path):
    coach = trainer(optimizer="sgd", learning_rate=Step(0.8, every=1))
    assert [step_rate(coach) for _ in range(2)] == pytest.approx([0.8, 0.8])
    coach.fit(*noise(), 2, progress=False)
    assert step_rate(coach) == pytest.approx(0.2)
    coach.save(tmp_path / "run.safetensors")
    assert step_rate(Trainer.load(tmp_path / "run.safetensors")) == pytest.approx(0.2)
    coach.fit(*noise(), 1, resume=True, progress=False)
    assert coach.history.learning_rate == [0.8, 0.4, 0.2]
    assert step_rate(coach) == pytest.approx(0.1)
    coach.fit(*noise(), 1, progress=False)  # anew
    assert coach.history.learning_rate == [0.8]
    assert step_rate(coach) == pytest.approx(0.4)


def test_a_step_after_a_warmup_has_the_rate_of_the_schedule():
    coach = trainer(optimizer="sgd", learning_rate=Warmup(Constant(0.3), epochs=2))
    assert step_rate(coach) == pytest.approx(0.1)
    coach.fit(*noise(), 2, progress=False)
    assert step_rate(coach) == pytest.approx(0.3)


def test_a_step_gives_a_float():
    assert type(trainer().step(*noise(), sample_weight=np.ones(100))) is float
