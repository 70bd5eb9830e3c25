"""Callbacks: what is called when, how they stop a fit, what is left when they raise, and the files they write."""

import contextlib
import copy
import csv
import errno
import json
import os
import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from fastmlp import MLP, Trainer
from fastmlp.callbacks import (
    Callback,
    Checkpoint,
    CSVLogger,
    JSONLinesLogger,
    MetricsLogger,
    OptunaPruning,
    ProgressBar,
)
from fastmlp.optimizers import Momentum
from tests.faults import failing


def noise(rows=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 3)), rng.normal(size=(rows, 2))


def fit(epochs=3, net=None, **keywords):
    coach = Trainer(net or MLP([3, 4, 2]), batch_size=10)
    coach.fit(*noise(), epochs, progress=False, **keywords)
    return coach


class Noting:
    """Notes every call; raises at the event and epoch it is told to."""

    def __init__(self, fails=None, error=RuntimeError):
        self.calls, self.fails, self.error = [], fails, error

    def note(self, *call):
        self.calls.append(call)
        if call == self.fails:
            raise self.error("no more")

    def on_fit_begin(self, trainer, epochs, samples):
        self.note("begin", epochs, samples)

    def on_epoch_begin(self, trainer, epoch):
        self.note("epoch", epoch)

    def on_slice_end(self, trainer, samples, loss):
        self.note("slice", samples)

    def on_epoch_end(self, trainer, epoch):
        self.note("epoch ends", epoch, len(trainer.history.loss))

    def on_fit_end(self, trainer):
        self.note("end")


def test_a_callback_can_stop_a_fit_before_the_first_epoch():
    stopper = type("Stopper", (Callback,), {"on_fit_begin": lambda *_: True})()
    assert fit(callbacks=[stopper, noting := Noting()]).history.loss == []
    assert noting.calls == [("begin", 3, 40), ("end",)]


def test_the_methods_of_a_callback_are_called_in_order():
    noting = Noting()
    fit(2, callbacks=[noting])
    calls = [call for call in noting.calls if call[0] != "slice"]
    assert calls == [
        ("begin", 2, 40), ("epoch", 0), ("epoch ends", 0, 1), ("epoch", 1), ("epoch ends", 1, 2), ("end",)
    ]  # fmt: skip
    assert sum(call[1] for call in noting.calls if call[0] == "slice") == 2 * 40


def test_a_callback_may_leave_out_methods_and_stops_a_fit_by_returning_true():
    class Stopper:
        def on_epoch_end(self, trainer, epoch):
            return trainer.history.loss[-1] if epoch < 1 else True  # a loss is no request

    assert len(fit(9, callbacks=[Stopper(), Callback()]).history.loss) == 2
    with pytest.raises(TypeError, match="callbacks holds 3; accepted: objects with any of on_fit_begin"):
        fit(callbacks=[3])


def test_a_callback_that_is_not_accepted_leaves_network_and_history():
    coach = fit(2)
    history, params = coach.history, coach.net.params.copy()
    with pytest.raises(TypeError, match="callbacks holds 3"):
        coach.fit(*noise(), callbacks=[3], progress=False)
    assert coach.history is history
    np.testing.assert_array_equal(coach.net.params, params)


@pytest.mark.parametrize("error", [TypeError, ValueError])
@pytest.mark.parametrize("source", ["monitor", "shuffle", "schedule"])
def test_an_argument_of_fit_that_raises_a_type_or_value_error_leaves_network_history_and_optimizer(source, error):
    class Late:
        """Function and schedule that raises at every second call while `fails` is set."""

        def __init__(self):
            self.calls, self.fails = 0, False

        def __call__(self, *_):
            self.calls += 1
            if self.fails and self.calls % 2 == 0:
                raise error("no more")
            return 0.001

        rate = __call__

    late = Late()
    settings = {"shuffle": {"shuffle": late}, "schedule": {"learning_rate": late}}.get(source, {})
    monitor = {"monitor": late} if source == "monitor" else {}
    coach = Trainer(MLP([3, 4, 2]), batch_size=10, **settings)
    history = coach.fit(*noise(), 2, progress=False, **monitor)
    params, state, late.fails = coach.net.params.copy(), coach.optimizer_state, True
    with pytest.raises(error, match="no more"):
        coach.fit(*noise(), 3, progress=False, **monitor)
    assert coach.history is history
    np.testing.assert_array_equal(coach.net.params, params)
    np.testing.assert_equal(coach.optimizer_state, state)


@pytest.mark.parametrize("error", [RuntimeError, ValueError, KeyboardInterrupt])
def test_what_a_callback_raises_ends_the_fit_and_leaves_network_and_history_of_the_epochs_before(error):
    other, noting, net = Noting(), Noting(("epoch ends", 1, 2), error), MLP([3, 4, 2])
    with pytest.raises(error, match="no more"):
        fit(5, net, callbacks=[noting, other])
    assert net.params.tobytes() == fit(2).net.params.tobytes()
    assert other.calls[-1] == ("end",)
    failing = Noting(("end",))
    with pytest.raises(RuntimeError, match="no more"):
        fit(1, callbacks=[failing, other])
    assert other.calls[-2:] == [("epoch ends", 0, 1), ("end",)]


def test_the_monitor_takes_the_place_of_the_losses():
    values = iter([3.0, 1.0, 2.0, 0.5])
    kept = []
    coach = fit(4, monitor=lambda net: kept.append(net.params.copy()) or next(values), patience=1)
    assert coach.history.monitor == coach.history.watched == [3.0, 1.0, 2.0]
    assert coach.history.best_epoch == 1
    np.testing.assert_array_equal(coach.net.params, kept[1])


def test_a_function_puts_the_samples_in_order():
    x, y = noise()
    net, other = MLP([3, 2]), MLP([3, 2])

    def turn(order):
        order[:] = order[::-1].copy()

    Trainer(net, batch_size=10, shuffle=turn).fit(x, y, 1, progress=False)
    Trainer(other, batch_size=10, shuffle=False).fit(x[::-1], y[::-1], 1, progress=False)
    assert net.params.tobytes() == other.params.tobytes()
    Trainer(net, shuffle=turn).fit(x, y, 2, validation_fraction=0.5, progress=False)  # not of 0 to N - 1


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [({}, 1), ({}, 40), ({}, -1), ({"optimizer": Momentum(rate_in_velocity=True)}, 2**40)],
    ids=["twice", "too large", "negative", "velocity"],
)
def test_an_order_that_is_no_permutation_is_refused_and_leaves_network_history_and_optimizer(settings, wrong):
    calls = []

    def spoil(order):
        calls.append(order[0])
        if len(calls) == 4:  # in the second epoch of the second fit
            order[0] = wrong

    coach, other = (
        Trainer(MLP([3, 4, 2]), batch_size=10, shuffle=turn, **settings) for turn in (spoil, lambda _: None)
    )
    for trainer in (coach, other):
        trainer.fit(*noise(), 2, progress=False)
    history, params, state = coach.history, coach.net.params.copy(), coach.optimizer_state
    message = "^shuffle leaves an order without 1 of the 40 numbers that it got; accepted: all of them, each once$"
    with pytest.raises(ValueError, match=message):
        coach.fit(*noise(), 3, progress=False)
    assert coach.history is history
    np.testing.assert_array_equal(coach.net.params, params)
    np.testing.assert_equal(coach.optimizer_state, state)
    for trainer in (coach, other):
        trainer.fit(*noise(), 3, progress=False)
    assert coach.net.params.tobytes() == other.net.params.tobytes()


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam"])
def test_the_state_of_an_optimiser_moves_to_another_trainer(optimizer):
    net, other = MLP([3, 9, 2]), MLP([3, 9, 2])
    settings = {"optimizer": optimizer, "batch_size": 10, "shuffle": False}
    Trainer(net, **settings).fit(*noise(), 4, progress=False)
    first = Trainer(other, **settings)
    first.fit(*noise(), 2, progress=False)
    second = Trainer(other, **settings)
    second.optimizer_state = first.optimizer_state
    second.fit(*noise(), 2, progress=False)
    assert net.params.tobytes() == other.params.tobytes()
    with pytest.raises(ValueError, match="optimizer_state\\['first'\\] has shape"):
        second.optimizer_state = {"first": np.zeros(1), "second": np.zeros(1), "steps": 0, "rate": 0.0}


# --------------------------------------------------------------------------------------------------------------- files


def test_loggers_write_a_line_for_each_epoch(tmp_path):
    table, lines = tmp_path / "log.csv", tmp_path / "log.jsonl"
    history = fit(3, callbacks=[CSVLogger(table), JSONLinesLogger(lines)], validation_data=noise(seed=1)).history
    with table.open() as file:
        rows = [*csv.DictReader(file)]
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    for epoch, (row, record) in enumerate(zip(rows, records, strict=True)):
        assert (int(row["epoch"]), record["epoch"]) == (epoch, epoch)
        assert float(row["val_loss"]) == record["val_loss"] == history.val_loss[epoch]
        assert (row["monitor"], record["monitor"]) == ("", None)


def test_loggers_replace_a_file_or_go_on_with_it(tmp_path):
    for append, lines in ((False, 3), (True, 5), (False, 3)):
        fit(2, callbacks=[CSVLogger(tmp_path / "log.csv", append)])
        assert len((tmp_path / "log.csv").read_text().splitlines()) == lines


def test_a_function_logs_the_floats_that_there_are():
    logged = []
    history = fit(2, callbacks=[MetricsLogger(lambda metrics, step: logged.append((step, metrics)))]).history
    assert [step for step, _ in logged] == [0, 1]
    for epoch, metrics in logged:
        assert {type(value) for value in metrics.values()} == {float}
        assert metrics == {name: getattr(history, name)[epoch] for name in ("loss", "learning_rate", "seconds")}
    fit(1, callbacks=[MetricsLogger(lambda metrics, step: logged.append(metrics))], validation_data=noise(seed=1))
    assert "val_loss" in logged[-1]


@pytest.mark.parametrize(("direction", "sign"), [("MINIMIZE", 1), ("MAXIMIZE", -1), (None, 1)])
def test_a_trial_of_optuna_is_told_the_watched_loss_and_may_be_pruned(monkeypatch, direction, sign):
    class Pruned(Exception):
        pass

    class Trial:
        def __init__(self):
            self.reported = []

        def report(self, value, step):
            self.reported.append((step, value))

        def should_prune(self):
            return direction and len(self.reported) == 3

    monkeypatch.setitem(sys.modules, "optuna", SimpleNamespace(TrialPruned=Pruned))
    trial, coach = Trial(), Trainer(MLP([3, 4, 2]), batch_size=10)
    if direction:
        trial.study = SimpleNamespace(direction=SimpleNamespace(name=direction))
    keywords = {"progress": False, "callbacks": [OptunaPruning(trial)], "validation_data": noise(seed=1)}
    with pytest.raises(Pruned) if direction else contextlib.nullcontext():
        coach.fit(*noise(), 4, **keywords)
    assert trial.reported == [(epoch, sign * loss) for epoch, loss in enumerate(coach.history.val_loss)]
    assert len(trial.reported) == (3 if direction else 4)
    np.testing.assert_array_equal(coach.net.params, fit(len(trial.reported)).net.params)


def test_a_log_is_whole_when_another_callback_raises(tmp_path):
    with pytest.raises(RuntimeError):
        fit(5, callbacks=[CSVLogger(tmp_path / "log.csv"), Noting(("epoch ends", 1, 2))])
    assert (tmp_path / "log.csv").read_text().splitlines()[-1].startswith("1,")


def test_checkpoints_are_the_best_network_or_that_of_each_epoch(tmp_path):
    values = iter([3.0, 1.0, 2.0])
    best, each = Checkpoint(tmp_path / "best.safetensors"), Checkpoint(tmp_path / "{epoch}.safetensors", "each")
    coach = fit(3, callbacks=[best, each], monitor=lambda net: next(values))
    saved = {path.stem: MLP.load(path).params.tobytes() for path in tmp_path.iterdir()}
    assert saved.keys() == {"best", "0", "1", "2"}
    assert saved["best"] == saved["1"]
    assert saved["2"] == coach.net.params.tobytes()
    with pytest.raises(ValueError, match="when is 'last'; accepted: best, each"):
        Checkpoint("x", "last")


def test_the_file_of_each_epoch_has_no_claim_to_be_the_best(tmp_path):
    path, losses = tmp_path / "net.safetensors", iter([1.0, 5.0, 9.0, 3.0])
    for epochs, when in (3, "each"), (1, "best"):
        coach = fit(epochs, callbacks=[Checkpoint(path, when)], monitor=lambda net: next(losses))
        assert MLP.load(path).params.tobytes() == coach.net.params.tobytes()


def test_a_checkpoint_has_what_later_callbacks_do(tmp_path):
    class Halve:
        count = 0

        def on_epoch_end(self, trainer, epoch):
            self.count += 1
            trainer.net.params *= 0.5

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state):
            self.count = state["count"]

    path = tmp_path / "state"
    whole = fit(4, callbacks=[Halve()])
    fit(2, callbacks=[Checkpoint(path, "each", state=True), Halve()])
    halve = Halve()
    resumed = Trainer(MLP([3, 4, 2]), batch_size=10)
    resumed.fit(*noise(), 4, progress=False, callbacks=[Checkpoint(path, "each", state=True), halve], resume=path)
    assert halve.count == 4
    assert len(resumed.history.loss) == 4
    np.testing.assert_array_equal(resumed.net.params, whole.net.params)


@pytest.mark.parametrize("state", [{}, {"best": []}, {"best": 1.0, "path": "x"}])
def test_forged_states_of_a_checkpoint_are_refused(state):
    with pytest.raises(ValueError, match="state of a Checkpoint is"):
        Checkpoint("x").load_state_dict(state)


def test_callbacks_of_any_origin_are_called():
    called = []
    fit(1, callbacks=[SimpleNamespace(on_epoch_end=lambda *args: called.append(1), on_epoch_begin={}.setdefault)])
    assert called == [1]


@pytest.mark.parametrize("settings", [{"every": 2}, {"seconds": 60.0}])
def test_intervals_of_a_checkpoint_of_the_best_are_refused(settings):
    with pytest.raises(ValueError, match="with when 'best'; accepted: with 'each'"):
        Checkpoint("x", **settings)


@pytest.mark.parametrize("settings", [{}, {"state": True}, {"when": "each"}], ids=str)
def test_after_a_checkpoint_that_cannot_be_written_a_fit_goes_on_as_if_it_had_not_been_asked_for(tmp_path, settings):
    path, whole, losses = tmp_path / "net.safetensors", fit(3), iter([3.0, 1.0, 2.0])
    coach, checkpoint = Trainer(MLP([3, 4, 2]), batch_size=10), Checkpoint(path, **settings)
    keywords = {"progress": False, "callbacks": [checkpoint], "monitor": lambda net: next(losses)}
    coach.fit(*noise(), 1, **keywords)
    first = coach.net.params.tobytes()
    with failing(tmp_path, "write", errno.ENOSPC, 500), pytest.raises(OSError, match=f"{os.strerror(errno.ENOSPC)}: '"):
        coach.fit(*noise(), 1, **keywords, resume=True)
    assert MLP.load(path).params.tobytes() == first
    assert coach.history.monitor == [3.0, 1.0]
    assert coach.net.params.tobytes() == fit(2).net.params.tobytes()
    coach.fit(*noise(), 2, **keywords, resume=True)  # the loss of 1.0 is in no file
    assert coach.net.params.tobytes() == MLP.load(path).params.tobytes() == whole.net.params.tobytes()


@pytest.mark.parametrize("room", [0, 1, 20, 50, 150])
@pytest.mark.parametrize("append", [True, False])
@pytest.mark.parametrize("kind", [CSVLogger, JSONLinesLogger])
def test_a_log_on_a_full_disk_has_whole_lines(tmp_path, kind, append, room):
    path, earlier = tmp_path / "log", []
    if append:
        earlier = fit(2, callbacks=[kind(path, append)]) and path.read_text().splitlines(True)
    logger, net = kind(path, append), MLP([3, 4, 2])
    with failing(tmp_path, "write", errno.ENOSPC, room) as failures, pytest.raises(OSError, match=r"/log'$"):
        fit(9, net, callbacks=[logger])
    assert failures
    lines = path.read_text().splitlines(True)
    assert lines[: len(earlier)] == earlier
    epochs = len(lines) - len(earlier) - (kind is CSVLogger and bool(lines) and not append)
    assert net.params.tobytes() == fit(epochs + 1).net.params.tobytes()
    assert all(line.endswith("\n") for line in lines)
    pickle.dumps(logger)  # no file is left open


def test_the_progress_bar_is_a_callback(capsys):
    fit(2, callbacks=[ProgressBar()])
    assert "epoch 2/2" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [CSVLogger, JSONLinesLogger, Checkpoint])
def test_callbacks_can_be_copied_after_a_fit(tmp_path, kind):
    callback = kind(tmp_path / "file")
    fit(2, callbacks=[callback])
    for copied in pickle.loads(pickle.dumps(callback)), copy.deepcopy(callback):
        assert repr(copied) == repr(callback)
        fit(1, callbacks=[copied])
