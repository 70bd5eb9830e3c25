"""Training as users see it: validation, stopping, divergence, interruption, repeated calls."""

import _thread
import copy
import math
import os
import pickle
import signal
import subprocess
import sys
import time

import numba
import numpy as np
import pytest

from fastmlp import MLP, DivergenceError, Trainer, _kernels, pace
from fastmlp.callbacks import Callback


def noise(rows=100, n_in=3, n_out=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, n_in)), rng.normal(size=(rows, n_out))


def test_a_network_learns_exclusive_or():
    x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), [0, 1, 1, 0]
    net = MLP([2, 8, 1], "tanh", "sigmoid", seed=1)
    Trainer(net, learning_rate=0.05).fit(x, y, 300, progress=False)
    assert net.predict(x).round().ravel().tolist() == y


def note_calls(monkeypatch, carry_on=True):
    """A list that gets (data, first batch, last batch) of every call into compiled code that makes updates."""
    calls, run = [], _kernels.Learning._run

    def noted(self, driver, data, optimizer, size, first, last):
        if last > first:
            calls.append((data, first, last))
        if carry_on:
            run(self, driver, data, optimizer, size, first, last)

    monkeypatch.setattr(_kernels.Learning, "_run", noted)
    return calls


def test_on_line_mini_batch_and_batch_learning_make_as_many_updates_as_they_have_batches():
    x, y = noise(10)
    for batch, updates in ((1, 10), (4, 3), (10, 1), (999, 1), (10**12, 1)):
        coach = Trainer(MLP([3, 2]), batch_size=batch)
        coach.fit(x, y, 2, progress=False)
        assert coach.optimizer_state["steps"] == 2 * updates


def test_the_last_batch_of_an_epoch_holds_what_is_left_and_is_averaged_over_that():
    x, y = noise(5)
    net, other = (MLP([3, 2], dtype="float64") for _ in range(2))
    Trainer(net, optimizer="sgd", learning_rate=0.1, batch_size=4, shuffle=False).fit(x, y, 1, progress=False)
    for batch in (slice(0, 4), slice(4, 5)):
        other.params[:] -= 0.1 * other.gradient(x[batch], y[batch])[1]
    np.testing.assert_allclose(net.params, other.params, rtol=1e-13)


def test_shuffling_takes_every_sample_once_and_in_another_order_each_epoch(monkeypatch):
    seen, run = [], Trainer._run
    monkeypatch.setattr(
        Trainer, "_run", lambda self, data, *a: (seen.append(data.order.copy()), run(self, data, *a))[1]
    )
    x, y = noise(50)
    Trainer(MLP([3, 2])).fit(x, y, 3, progress=False)
    assert len(seen) == 3
    assert all(sorted(order) == list(range(50)) for order in seen)
    assert len({tuple(order) for order in seen}) == 3


def test_a_step_gives_the_loss_before_it_and_goes_down_the_gradient():
    x, y = noise()
    net = MLP([3, 4, 2], dtype="float64")
    coach = Trainer(net, optimizer="sgd", learning_rate=0.01)
    loss, gradient = net.gradient(x, y)
    before = net.params.copy()
    assert coach.step(x, y) == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(net.params, before - 0.01 * gradient, rtol=1e-12)


def test_a_step_takes_batches_of_any_size():
    coach = Trainer(MLP([3, 4, 2]), batch_size=8)
    losses = [coach.step(*noise(rows)) for rows in (1, 100, 7, 3000)]
    assert np.isfinite(losses).all()


# ---------------------------------------------------------------------------------------------------------- validation


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_fraction_of_the_samples_is_held_out(monkeypatch, shuffle):
    calls = note_calls(monkeypatch)
    x, y = noise(50)
    net = MLP([3, 2], dtype="float64")
    history = Trainer(net, shuffle=shuffle).fit(x, y, 3, validation_fraction=0.3, progress=False)
    taken = [set(data.order.tolist()) for data, _, _ in calls]
    trained = taken[0]
    assert len(trained) == 35
    assert taken == [trained] * 3
    assert (trained == set(range(35))) != shuffle
    held = sorted(set(range(50)) - trained)
    assert history.val_loss[-1] == pytest.approx(net.evaluate(x[held], y[held]), rel=1e-13)


def test_validation_data_are_not_trained_on():
    x, y = noise(50)
    net, other = (MLP([3, 4, 2]) for _ in range(2))
    Trainer(net).fit(x, y, 3, validation_data=noise(20, seed=1), progress=False)
    Trainer(other).fit(x, y, 3, progress=False)
    assert net.params.tobytes() == other.params.tobytes()


def test_validation_labels_are_taken_where_labels_are():
    x, labels = noise(50)[0], np.random.default_rng(0).integers(0, 2, 50)
    net = MLP([3, 2], output_activation="softmax", dtype="float64")
    history = Trainer(net).fit(x, labels, 1, validation_data=[x, np.eye(2)[labels]], progress=False)
    assert history.val_loss[0] == pytest.approx(net.evaluate(x, labels), rel=1e-13)


# ------------------------------------------------------------------------------------------------------------ stopping


class Scripted(Trainer):
    """A trainer whose validation losses are given; its only parameter that moves counts the epochs."""

    def _evaluate(self, data):
        self.net.params[0] = len(self.history.loss)
        return self.losses[len(self.history.loss) - 1]


def scripted_fit(losses, epochs=99, **options):
    """(history, epoch whose weights the network is left with, from 0)."""
    net = MLP([3, 2])
    coach = Scripted(net)
    coach.losses = losses
    history = coach.fit(*noise(20), epochs, validation_data=noise(5), progress=False, **options)
    return history, round(float(net.params[0])) - 1


def test_training_stops_early_and_restores_the_best_weights():
    history, epoch = scripted_fit([5, 3, 4, 2, 3, 3, 3, 1], patience=3)
    assert history.val_loss == [5, 3, 4, 2, 3, 3, 3]
    assert history.best_epoch == epoch == 3


def test_improvements_of_no_more_than_tol_do_not_count_but_the_best_weights_do():
    history, epoch = scripted_fit([5, 4.95, 4.9, 4.85, 1], tol=0.2, patience=3)
    assert len(history.val_loss) == 4
    assert history.best_epoch == epoch == 3


def test_patience_is_one_epoch_and_tol_is_zero_by_default():
    assert len(scripted_fit([5, 4, 4, 1], tol=0.0)[0].val_loss) == 3
    assert len(scripted_fit([5, 4, 3.999, 4, 4], patience=1)[0].val_loss) == 4


def test_the_best_weights_are_restored_where_epochs_run_out_too():
    history, epoch = scripted_fit([5, 3, 4], epochs=3, patience=10)
    assert history.best_epoch == epoch == 1


def test_training_stops_at_the_target_loss():
    history, epoch = scripted_fit([5, 3, 2.5, 1], target_loss=2.5)
    assert history.val_loss == [5, 3, 2.5]
    assert history.best_epoch is None
    assert epoch == 2


def test_all_epochs_run_without_a_criterion():
    history, epoch = scripted_fit([5, 6, 7, 8], epochs=4)
    assert (len(history.val_loss), epoch, history.best_epoch) == (4, 3, None)


def test_the_training_loss_decides_without_validation_data():
    x, y = np.ones((10, 1)), np.ones((10, 1))
    history = Trainer(MLP([1, 1]), learning_rate=0.1).fit(x, y, 500, target_loss=1e-3, progress=False)
    assert 1 < len(history.loss) < 500
    assert history.loss[-1] <= 1e-3 < history.loss[-2]


def test_restored_weights_are_those_that_training_goes_on_from():
    x, y = noise()
    net = MLP([3, 2], dtype="float64")
    coach = Trainer(net, optimizer="sgd", learning_rate=1.2, batch_size=100)  # too large: the loss rises
    validation = noise(seed=1)
    history = coach.fit(x, y, 30, validation_data=validation, patience=2, progress=False)
    assert history.best_epoch < len(history.loss) - 1
    assert net.evaluate(*validation) == pytest.approx(min(history.val_loss), rel=1e-13)
    assert coach.step(x, y) == pytest.approx(history.loss[history.best_epoch + 1], rel=1e-9)


# ---------------------------------------------------------------------------------------------------------- divergence


def states(monkeypatch):
    """The weights after every slice of one batch, and before the first."""
    kept, run = [], Trainer._run
    monkeypatch.setattr(pace, "SLICE_SECONDS", 1e-9)

    def noted(self, *args):
        if not kept:
            kept.append(self.net.params.copy())
        reached = run(self, *args)
        kept.append(self.net.params.copy())
        return reached

    monkeypatch.setattr(Trainer, "_run", noted)
    return kept


@pytest.mark.parametrize("activation", ["relu", "identity", "gelu"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_divergence_is_reported_and_leaves_the_last_finite_weights(monkeypatch, activation, optimizer):
    x, y = noise(64)
    net, kept = MLP([3, 8, 8, 2], activation), states(monkeypatch)
    coach = Trainer(net, optimizer=optimizer, learning_rate=10.0, batch_size=16)
    with pytest.raises(DivergenceError, match=r"^training diverged in epoch (\d+): layer [123] has values") as caught:
        coach.fit(x, y, 500, progress=False)
    assert "the last finite weights are kept (learning rate 10)" in str(caught.value)
    assert np.isfinite(net.params).all()
    assert net.params.tobytes() == kept[-1].tobytes()
    epoch = int(str(caught.value).split("epoch ")[1].split(":")[0])
    assert len(coach.history.loss) == epoch - 1  # of the epochs that were completed
    assert np.isfinite(coach.history.loss).all()


def test_the_layer_that_overflows_first_is_named():
    net = MLP([1, 1, 1, 1], "identity", dtype="float32", bias=False)
    net.params[:] = [1.0, 1e30, 1e30]
    with pytest.raises(DivergenceError, match="in epoch 1: layer 3 has values"):
        Trainer(net).fit([[1.0]], [[0.0]], 1, progress=False)
    net.params[:] = [1.0, 3e38, 1.0]
    with pytest.raises(DivergenceError, match="in a step: layer 2 has values"):
        Trainer(net).step([[10.0]], [[0.0]])


def test_training_goes_on_with_a_smaller_rate_after_a_divergence():
    x, y = noise(64)
    net = MLP([3, 8, 2])
    start = net.params.copy()
    coach = Trainer(net, optimizer="momentum", learning_rate=100.0, batch_size=16)
    for _ in range(2):
        with pytest.raises(DivergenceError):
            coach.fit(x, y, 500, progress=False)
        net.params[:] = start
    again = Trainer(net, optimizer="momentum", learning_rate=0.01, batch_size=16)
    coach.learning_rate = 0.01
    history = coach.fit(x, y, 20, progress=False)
    assert len(history.loss) == 20
    assert history.loss[-1] < history.loss[0] < 10
    params = net.params.copy()
    net.params[:] = start
    again.fit(x, y, 20, progress=False)
    assert math.isfinite(net.evaluate(x, y))
    assert np.isfinite(params).all()


def test_failed_training_leaves_nothing_behind_in_the_padding_of_weights():
    """An infinite input times the zero signal of a unit that only pads is not a number."""
    x, y = noise(8)
    net, other = (MLP([3, 5, 2]) for _ in range(2))
    coach, bad = Trainer(net, shuffle=False), x.copy()
    bad[3] = -np.inf
    with pytest.raises(ValueError, match="X is -inf at row 3"):
        coach.fit(bad, y, 1, progress=False)
    coach.fit(x, y, 3, progress=False)
    Trainer(other, shuffle=False).fit(x, y, 3, progress=False)
    assert net.params.tobytes() == other.params.tobytes()


# -------------------------------------------------------------------------------------------------------- interruption


def test_an_interruption_leaves_usable_weights(monkeypatch):
    class Interrupting(Callback):
        calls = 0

        def on_slice_end(self, trainer, samples, loss):
            self.calls += 1
            if self.calls == 7:
                raise KeyboardInterrupt

    monkeypatch.setattr(pace, "SLICE_SECONDS", 1e-9)
    x, y = noise(50)
    net, other = (MLP([3, 4, 2], seed=0) for _ in range(2))
    coach = Trainer(net, batch_size=10, shuffle=False)
    with pytest.raises(KeyboardInterrupt):
        coach.fit(x, y, 10, callbacks=[Interrupting()], progress=False)
    stepped = Trainer(other)
    for i in (0, 10, 20, 30, 40, 0, 10):
        stepped.step(x[i : i + 10], y[i : i + 10])
    assert net.params.tobytes() == other.params.tobytes()
    assert len(coach.history.loss) == 1
    monkeypatch.undo()
    assert len(coach.fit(x, y, 2, progress=False).loss) == 2


@pytest.fixture
def control_c():
    """Ctrl-C raises KeyboardInterrupt, as Python has it, even where a shell runs the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_control_c_is_heard_in_the_middle_of_an_epoch(monkeypatch, control_c):
    """The interrupt comes from another thread while compiled code runs, in an epoch that would take minutes."""

    class Interrupting(Callback):
        def on_slice_end(self, trainer, samples, loss):
            times.append(time.perf_counter())
            if len(times) == 2:
                _thread.start_new_thread(lambda: (time.sleep(0.03), _thread.interrupt_main()), ())

    times = []
    row, target = np.ones((1, 8), "float32"), np.ones((1, 1), "float32")
    net = MLP([8, 16, 1])
    before = net.params.copy()
    rows = 30_000_000  # of on-line learning, at a microsecond each or more
    data, _ = net.data(row, target, "auto")
    monkeypatch.setattr(Trainer, "_split", lambda *_: (data._replace(order=np.zeros(rows, np.int64)), None))
    with pytest.raises(KeyboardInterrupt):
        Trainer(net, batch_size=1, shuffle=False).fit(row, target, 1, callbacks=[Interrupting()], progress=False)
    assert time.perf_counter() - times[1] < 2  # a slice is a tenth of a second
    assert np.isfinite(net.params).all()
    assert (net.params != before).any()


def test_the_first_slice_of_tiny_steps_is_no_minute_long(monkeypatch):
    calls = note_calls(monkeypatch, carry_on=False)
    net = MLP([1, 1])
    data, _ = net.data([[1.0]], [[1.0]], "auto")
    monkeypatch.setattr(Trainer, "_split", lambda *_: (data._replace(order=np.zeros(10_000_000, np.int64)), None))
    Trainer(net, batch_size=1, shuffle=False).fit([[1.0]], [[1.0]], 1, progress=False)
    assert calls[0][1:] <= (0, 50_000)


# ------------------------------------------------------------------------------------------------------- several calls


def test_each_fit_has_a_history_of_its_own():
    coach = Trainer(MLP([3, 2]))
    first = coach.fit(*noise(), 2, progress=False)
    second = coach.fit(*noise(), 3, progress=False)
    assert (len(first.loss), len(second.loss)) == (2, 3)
    assert coach.history is second


def test_numbers_of_threads_are_set_for_the_fit_only():
    before = numba.get_num_threads()
    Trainer(MLP([3, 2]), threads=1).fit(*noise(), 1, progress=False)
    assert numba.get_num_threads() == before


@pytest.mark.parametrize("bias", [True, False])
def test_biases_stay_as_they_are_without_updates_of_biases(bias):
    net = MLP([3, 4, 2], bias=bias)
    for biases in net.biases:
        biases[...] = 0.25
    before = net.weights[0].copy()
    Trainer(net, update_biases=False, l2=0.1).fit(*noise(), 3, progress=False)
    assert all((biases == 0.25).all() for biases in net.biases)
    assert (net.weights[0] != before).all()


GO_ON = """
import pickle, sys
coach, x, y = pickle.load(sys.stdin.buffer)
coach.fit(x, y, 2, progress=False)
sys.stdout.buffer.write(coach.net.params.tobytes())
"""


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_a_copy_goes_on_as_the_trainer_would_in_another_process_too(optimizer):
    x, y = noise(60)
    coach = Trainer(MLP([3, 9, 9, 2], "tanh"), optimizer=optimizer, batch_size=20, dropout=0.2, l2=0.01)
    coach.fit(x, y, 2, progress=False)
    pickled, copied = pickle.dumps((coach, x, y)), copy.deepcopy(coach)
    for trained in (coach, copied):
        trained.fit(x, y, 2, progress=False)
    expected = coach.net.params.tobytes()
    assert copied.net is not coach.net
    assert copied.net.params.tobytes() == expected
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", GO_ON], input=pickled, env=environment, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected
