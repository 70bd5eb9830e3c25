"""Progress on the terminal: a bar, lines, or nothing."""

import builtins
import contextlib
import gc
import re
import sys

import numpy as np
import pytest

from fastmlp import MLP, Trainer, progress
from tests.faults import STREAMS, broken

X, Y = np.ones((50, 3)), np.zeros((50, 2))


def fit(capsys, **options):
    """What a fit of three epochs prints: (standard output, standard error)."""
    Trainer(MLP([3, 4, 2]), batch_size=8).fit(X, Y, 3, **options)
    return capsys.readouterr()


@pytest.fixture
def without_tqdm(monkeypatch):
    real = builtins.__import__

    def importing(name, *args, **kwargs):
        if name.startswith("tqdm"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", importing)
    for name in [name for name in sys.modules if name.startswith("tqdm")]:
        monkeypatch.delitem(sys.modules, name)


def test_nothing_is_printed_without_progress(capsys):
    assert fit(capsys, progress=False) == ("", "")


def test_the_bar_shows_epoch_losses_and_samples_on_standard_error(capsys):
    pytest.importorskip("tqdm")
    out, err = fit(capsys, validation_data=(X, Y))
    assert out == ""
    last = err.split("\r")[-1]
    for shown in ("epoch 3/3", "150/150", "loss=", "val_loss="):
        assert shown in last


def test_lines_are_printed_where_tqdm_is_missing(capsys, without_tqdm):
    out, err = fit(capsys, validation_data=(X, Y))
    assert out == ""
    assert err.startswith("epoch 3/3  loss ")
    assert err.count("\n") == 1  # training took less than the time between lines
    for shown in ("val_loss", "samples/s", "0 s left"):
        assert shown in err


def test_lines_come_now_and_then(capsys, without_tqdm, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    _, err = fit(capsys)
    assert [line.split("  ")[0] for line in err.splitlines()] == [
        "epoch 1/3",
        "epoch 2/3",
        "epoch 3/3",
    ]


def shown(text):
    """Epoch, loss and validation loss, "" if there is none, of each state of a bar or line that is printed."""
    pattern = r"epoch (\d).*?  ?loss[ =](\w+)(?:[, ]+val_loss[ =](\w+))?"
    return [re.search(pattern, state).groups("") for state in re.split(r"[\r\n]", text) if "loss" in state]


@pytest.mark.parametrize("name", ["Bar", "Lines"])
@pytest.mark.parametrize("stops", [False, True], ids=["", "stops early"])
def test_the_last_that_is_shown_of_an_epoch_are_its_losses(name, stops, capsys, monkeypatch):
    if name == "Bar":
        pytest.importorskip("tqdm")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    display = getattr(progress, name)(3 if stops else 2, 100)
    if name == "Bar":
        display.bar.mininterval = display.bar.miniters = display.bar.last_print_t = 0
        display.bar.dynamic_miniters = False
    for epoch in 1, 2:
        for part in 0, 1:
            display.update(50, 10 * epoch + part)
        display.end_epoch({"val_loss": 10 * epoch + 5})
    display.close()
    states = shown(capsys.readouterr().err)
    assert list(dict.fromkeys(states)) == [
        *[("1", "10", ""), ("1", "11", ""), ("1", "11", "15")],
        *[("2", "20", ""), ("2", "21", ""), ("2", "21", "25")],
    ]


@pytest.mark.parametrize("display", [progress.Bar, progress.Lines])
def test_a_display_may_be_closed_before_anything_happened(capsys, display):
    display(3, 50).close()
    resumed = display(3, 50)  # where an interrupted fit has only the last evaluation left
    resumed.end_epoch({"val_loss": 1.0})
    resumed.close()


def test_progress_is_closed_where_training_stops_early_or_fails(capsys, monkeypatch):
    closed = []

    class Display(progress.Silent):
        def close(self):
            closed.append(True)

    monkeypatch.setattr(progress, "start", lambda *_: Display(0, 0))
    trainer = Trainer(MLP([3, 4, 2]))
    trainer.fit(X, Y, 3, target_loss=1e9)
    with pytest.raises(ValueError, match=r"^X is nan"):
        trainer.fit(X * np.nan, Y, 3)
    assert closed == [True, True]


def test_fits_are_silent_without_a_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    history = Trainer(MLP([2, 3, 1])).fit(np.ones((9, 2)), np.ones(9), epochs=2)
    assert len(history.loss) == 2


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("display", [progress.Bar, progress.Lines])
@pytest.mark.filterwarnings("error")  # of errors in finalizers, too
def test_a_standard_error_that_cannot_be_written_ends_no_training(monkeypatch, display, stream):
    if display is progress.Bar:
        pytest.importorskip("tqdm")
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(progress, "start", display)
    net, other = MLP([3, 4, 2]), MLP([3, 4, 2])
    with broken(stream) as stderr, contextlib.redirect_stderr(stderr):
        Trainer(net).fit(X, Y, 3)
        gc.collect()
    Trainer(other).fit(X, Y, 3, progress=False)
    assert net.params.tobytes() == other.params.tobytes()
