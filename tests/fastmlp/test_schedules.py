"""Learning-rate schedules, formula by formula."""

import math

import pytest

from fastmlp import MLP, Trainer, schedules
from fastmlp.schedules import Constant, Cosine, InverseScaling, Plateau, Step, Warmup


def rates(schedule, epochs, losses=()):
    return [schedule.rate(epoch, list(losses[:epoch])) for epoch in range(epochs)]


def test_a_number_is_a_constant_rate():
    assert rates(schedules.resolve(0.3), 3) == [0.3, 0.3, 0.3]
    assert schedules.resolve(Step(0.3)) == Step(0.3)


def test_step_multiplies_the_rate_after_every_few_epochs():
    assert rates(Step(0.8, every=2, factor=0.5), 6) == [0.8, 0.8, 0.4, 0.4, 0.2, 0.2]


def test_cosine_falls_by_half_a_cosine_and_stays_down():
    found = rates(Cosine(1.0, epochs=4, final=0.2), 6)
    expected = [0.2 + 0.8 * (1 + math.cos(math.pi * t / 4)) / 2 for t in range(4)] + [0.2, 0.2]
    assert found == pytest.approx(expected, rel=1e-15)
    assert found[2] == pytest.approx(0.6)


def test_inverse_scaling_divides_by_a_power_of_the_epoch():
    assert rates(InverseScaling(0.6, power=2), 3) == pytest.approx([0.6, 0.15, 0.6 / 9])
    assert rates(InverseScaling(0.6), 4)[3] == pytest.approx(0.3)


def test_plateau_lowers_the_rate_when_the_loss_stops_falling():
    losses = [5.0, 4.0, 4.0, 3.95, 3.0, 3.0, 2.95, 2.95, 2.95]  # falling by more than 0.1 in epochs 0, 1 and 4
    found = rates(Plateau(1.0, factor=0.1, patience=2, tol=0.1), 10, losses)
    assert found == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001])


def test_plateau_takes_a_loss_that_is_not_a_number_for_no_improvement():
    assert Plateau(1.0, factor=0.5, patience=2).rate(3, [1.0, math.nan, math.nan]) == 0.5


def test_warmup_rises_linearly_and_then_hands_over():
    assert rates(Warmup(Step(0.8, every=1), epochs=3), 6) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.4, 0.2])


def test_plateau_after_warmup_counts_from_the_end_of_the_warmup():
    schedule = Warmup(Plateau(1.0, factor=0.5, patience=2), epochs=3)
    assert rates(schedule, 7, [1.0] * 7) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.5])


@pytest.mark.parametrize("schedule", [Constant(0.1), Step(0.1, 1), Cosine(0.1, 3), InverseScaling(0.1), 0.1], ids=repr)
def test_training_takes_the_rates_of_its_schedule(schedule):
    x, y = [[1.0], [2.0]], [[0.5], [0.0]]
    net, other = MLP([1, 1], dtype="float64"), MLP([1, 1], dtype="float64")
    history = Trainer(net, optimizer="sgd", learning_rate=schedule, shuffle=False).fit(x, y, 3, progress=False)
    assert history.learning_rate == rates(schedules.resolve(schedule), 3)
    for rate in history.learning_rate:
        other.params[:] -= rate * other.gradient(x, y)[1]
    assert net.params == pytest.approx(other.params, rel=1e-14)


def test_plateau_watches_the_validation_loss_if_there_is_one():
    x, y = [[1.0], [-1.0]], [[1.0], [-1.0]]
    validation = [[0.0]], [[1.0]]  # its loss depends on the bias alone, which does not move
    trainer = Trainer(
        MLP([1, 1], dtype="float64"), "squared_error", "sgd", learning_rate=Plateau(0.1, factor=0.5, patience=1)
    )
    history = trainer.fit(x, y, 4, validation_data=validation, progress=False)
    assert history.loss == sorted(history.loss, reverse=True)
    assert history.learning_rate == pytest.approx([0.1, 0.1, 0.05, 0.025])


def test_anything_with_a_rate_is_a_schedule():
    class Alternating:
        def rate(self, epoch, losses):
            assert len(losses) == epoch
            return 0.1 if epoch % 2 else 0.2

    history = Trainer(MLP([1, 1]), learning_rate=Alternating()).fit([[1.0]], [[1.0]], 3, progress=False)
    assert history.learning_rate == [0.2, 0.1, 0.2]


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Constant(0), "learning_rate"),
        (lambda: Cosine(-1), "learning_rate"),
        (lambda: Plateau(math.inf), "learning_rate"),
        (lambda: Step(factor=0), "factor"),
        (lambda: Step(every=0), "every"),
        (lambda: Cosine(epochs=0), "epochs"),
        (lambda: Cosine(final=-1), "final"),
        (lambda: InverseScaling(power=-1), "power"),
        (lambda: Plateau(factor=1), "factor"),
        (lambda: Plateau(patience=0), "patience"),
        (lambda: Plateau(tol=math.nan), "tol"),
        (lambda: Warmup(Constant(), epochs=0), "epochs"),
    ],
)
def test_settings_out_of_range_are_refused(make, argument):
    with pytest.raises(ValueError, match=f"^{argument} is .*; accepted: "):
        make()


@pytest.mark.parametrize("value", ["fast", None, True, [0.1]])
def test_a_learning_rate_that_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match=r"^learning_rate is .*; accepted: a number in"):
        Trainer(MLP([1, 1]), learning_rate=value)


@pytest.mark.parametrize("rate", [math.nan, -0.1, math.inf, "fast", None])
def test_a_schedule_that_gives_no_usable_rate_is_refused_and_changes_nothing(rate):
    class Bad:
        def rate(self, epoch, losses):
            return rate if epoch else 0.1

    net = MLP([1, 1])
    trainer, before = Trainer(net, learning_rate=Bad()), net.params.copy()
    with pytest.raises((TypeError, ValueError), match=r"^learning_rate is .*; accepted: a number in"):
        trainer.fit([[1.0]], [[1.0]], 3, progress=False)
    assert (net.params == before).all()
    assert trainer.history.loss == []


@pytest.mark.parametrize(
    ("schedule", "epochs"),
    [(Cosine(epochs=7), 7), (Warmup(Cosine(epochs=7), 3), 10), (Warmup(Constant(), 3), 20), (Step(), 20)],
)
def test_a_fit_lasts_as_long_as_a_schedule_that_ends(schedule, epochs):
    history = Trainer(MLP([1, 1]), learning_rate=schedule, batch_size=8).fit([[1.0]] * 8, [[1.0]] * 8, progress=False)
    assert len(history.loss) == epochs
    assert history.learning_rate[-1] > 0
