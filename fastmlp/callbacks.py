"""Callbacks: your own code that `Trainer.fit` calls during training, and some common ones: loggers, checkpoints.

A callback is any object with some of the methods of `Callback`. `Trainer.fit(callbacks=[...])` calls them in order.
"""

from __future__ import annotations

import csv
import json
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from io import StringIO
from os import PathLike, fspath
from typing import IO, TYPE_CHECKING

from . import checks, files, training_state
from .progress import ProgressBar
from .replacing import naming
from .signatures import call

if TYPE_CHECKING:
    import optuna

    from .trainer import Trainer

__all__ = ["CSVLogger", "Callback", "Checkpoint", "JSONLinesLogger", "MetricsLogger", "OptunaPruning", "ProgressBar"]


class Callback:
    """Methods that a callback may have. Each may be left out, and subclassing is not needed.

    The first argument of all is the `Trainer`: `trainer.net` has the current parameters, `trainer.history` the results
    so far. A callback may read both, change the parameters, from which training goes on, and assign the settings that
    `Trainer` allows. An exception ends the training and reaches the caller of `fit`: the network then has the
    parameters of the last update, the history all epochs that ended, and `on_fit_end` of every callback is still
    called.

    A callback that has a state of its own can keep it in the files of resumed trainings (see `Checkpoint`), by two more
    methods: `state_dict` returns it as a dict that JSON can represent, and `load_state_dict` takes such a dict over.
    """

    def on_fit_begin(self, trainer: Trainer, epochs: int, samples: int | None) -> bool | None:
        """Called before the first of at most `epochs` epochs over `samples` samples; return True to train none.

        `samples` is None for a stream whose number of rows is not known.
        """

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Called before an epoch; `epoch` counts from 0."""

    def on_slice_end(self, trainer: Trainer, samples: int, loss: float) -> None:
        """Called about every 0.1 s, after `samples` more samples; `loss` is that of the epoch so far."""

    def on_epoch_end(self, trainer: Trainer, epoch: int) -> bool | None:
        """Called after an epoch and its evaluations, the last entries of the history; return True to stop training."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """Called at the end, after the best parameters are restored, if `fit` does that; also after an exception."""


def results(history, epoch: int) -> dict:
    """Results of an epoch of a history, by name; None for those that the history does not have."""
    columns = ("loss", "val_loss", "monitor", "learning_rate", "seconds")
    found = {name: values[epoch] if (values := getattr(history, name)) else None for name in columns}
    return found | {name: values[epoch] for name, values in history.val_metrics.items()}


class CSVLogger:
    """Writer of one CSV line after each epoch: epoch, loss, val_loss, monitor, learning_rate, seconds, and metrics.

    The file has whole lines at any time. An error while one is written, say on a full disk, ends the training like
    those of other callbacks, and the lines before remain.

    Parameters
    ----------
    path : str or path
    append : bool
        Whether to append to a file that exists, rather than replace it. Only an empty file gets a header.
    """

    def __init__(self, path: str | PathLike, append: bool = False) -> None:
        self.path, self.append = path, append
        self._file: IO[bytes] | None = None

    def __repr__(self):
        return call(self)

    def on_fit_begin(self, trainer: Trainer, epochs: int, samples: int | None) -> None:
        self._file = open(self.path, "ab" if self.append else "wb", buffering=0)  # noqa: SIM115
        self._begins = os.fstat(self._file.fileno()).st_size == 0
        if not self.append:  # of a resumed training: the file has its epochs, and no others
            for epoch in range(len(trainer.history.loss)):
                self._write({"epoch": epoch, **results(trainer.history, epoch)})

    def on_epoch_end(self, trainer: Trainer, epoch: int) -> None:
        self._write({"epoch": epoch, **results(trainer.history, -1)})

    def on_fit_end(self, trainer: Trainer) -> None:
        file, self._file = self._file, None
        if file:
            file.close()

    def _write(self, row):
        """Write a row to the file, without a buffer that would keep what a disk did not take; or else nothing of it."""
        size, left = os.fstat(self._file.fileno()).st_size, self._text(row).encode()
        try:
            with naming(self.path):
                while left:
                    left = left[self._file.write(left) :]
        except BaseException:  # Ctrl-C too
            with suppress(OSError):
                self._file.truncate(size)
            raise
        self._begins = False

    def _text(self, row):
        lines = StringIO()
        csv.writer(lines).writerows([row, row.values()] if self._begins else [row.values()])
        return lines.getvalue()


class JSONLinesLogger(CSVLogger):
    """Writer of one JSON object, in a line, after each epoch; arguments and values as for `CSVLogger`."""

    def _text(self, row):
        finite = {k: v if v is None or math.isfinite(v) else str(v) for k, v in row.items()}  # JSON has no NaN
        return json.dumps(finite) + "\n"


class MetricsLogger:
    """Caller of a function of an experiment tracker with the results of each epoch.

    Parameters
    ----------
    log : function
        It is called as log(metrics, epoch) after each epoch. `metrics` is a dict of floats: those of `CSVLogger`, by
        name, without the ones that a fit does not have; `epoch` counts from 0. ``mlflow.log_metrics`` is such a
        function, and ``run.log`` of a run of Weights & Biases.
    """

    def __init__(self, log: Callable[[dict[str, float], int], object]) -> None:
        self.log = log

    def __repr__(self):
        return call(self)

    def on_epoch_end(self, trainer: Trainer, epoch: int) -> None:
        self.log({name: float(v) for name, v in results(trainer.history, -1).items() if v is not None}, epoch)


class OptunaPruning:
    """Pruner of an Optuna trial: reports the watched loss (`History.watched`) after each epoch, and may end the fit.

    The fit then raises ``optuna.TrialPruned``, for Optuna to catch, and leaves network and history as after the last
    epoch. In a study that maximizes, the negative of the loss is reported.

    Parameters
    ----------
    trial : optuna.Trial
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def __repr__(self):
        return call(self)

    def on_epoch_end(self, trainer: Trainer, epoch: int) -> None:
        loss, study = trainer.history.watched[-1], getattr(self.trial, "study", None)  # a trial that is redone has none
        self.trial.report(-loss if study and study.direction.name == "MAXIMIZE" else loss, epoch)
        if self.trial.should_prune():
            from optuna import TrialPruned

            raise TrialPruned(f"pruned after epoch {epoch}, with {trainer.history.watched_name} {loss:g}")


class Checkpoint:
    """Saver of the network after epochs, or of the whole training; a file is complete at any time (see `MLP.save`).

    It is called after all other callbacks of an event, so that the file has what they do and their states.

    Parameters
    ----------
    path : str or path
        "{epoch}" in it is replaced by the number of the epoch, from 0.
    when : {"best", "each"}
        After epochs with the lowest watched loss so far (the monitor's, else the validation loss, else the training
        loss: see `History.watched`), or after each epoch. A file of an earlier training of such a network with a lower
        loss of the same kind is not replaced by a worse one.
    every : int
        With "each": after every that many epochs.
    seconds : float, optional
        With "each": also within an epoch, when that much time has passed since the last file.
    state : bool
        Whether the file has all that decides how the training goes on, too, so that `fit` of a `Trainer`, or
        of an estimator, can resume it.
    """

    is_last = True

    def __init__(
        self,
        path: str | PathLike,
        when: str = "best",
        *,
        every: int = 1,
        seconds: float | None = None,
        state: bool = False,
    ) -> None:
        self.path, self.when = path, checks.choice("when", when, ["best", "each"])
        self.every, self.state = checks.count("every", every), bool(state)
        self.seconds = None if seconds is None else checks.number("seconds", seconds)
        if when == "best" and (every, seconds) != (1, None):
            raise ValueError(f"every is {every} and seconds {seconds} with when 'best'; accepted: with 'each'")
        self._best, self._saved = None, time.monotonic()

    def __repr__(self):
        return call(self)

    def state_dict(self) -> dict:
        """What a resumed training needs to know: the lowest loss so far."""
        return {"best": self._best}

    def load_state_dict(self, state: dict) -> None:
        """Take over a state of `state_dict`."""
        if state.keys() != {"best"} or not isinstance(state["best"], float | None):
            raise ValueError(f"state of a Checkpoint is {state!r}; accepted: that of its state_dict")
        self._best = state["best"]

    def on_fit_begin(self, trainer: Trainer, epochs: int, samples: int | None) -> None:
        self._saved = time.monotonic()
        if not trainer.history.loss:
            self._best = None

    def on_slice_end(self, trainer: Trainer, samples: int, loss: float) -> None:
        if self.seconds is not None and time.monotonic() - self._saved >= self.seconds:
            self._save(trainer, len(trainer.history.loss))

    def on_epoch_end(self, trainer: Trainer, epoch: int) -> None:
        if self.when == "each":
            if (epoch + 1) % self.every == 0:
                self._save(trainer, epoch)
            return
        loss, known = trainer.history.watched[-1], self._best
        before = self._earlier_best(trainer) if known is None else known
        self._best = min(before, loss)
        if loss < before:
            try:
                self._save(trainer, epoch)
            except BaseException:  # Ctrl-C too
                self._best = known  # as no file has this one
                raise

    def _save(self, trainer, epoch):
        path, history = fspath(self.path).replace("{epoch}", str(epoch)), trainer.history
        best = {"loss": trainer.loss, "watched": history.watched_name, "value": self._best}
        if self.state:
            training_state.write(trainer, path, best=best)
        else:
            files.save(trainer.net, path, training={"best": best})
        self._saved = time.monotonic()

    def _earlier_best(self, trainer):
        """Lowest loss of an earlier training of such a network, that the file at `path` holds; infinite if none."""
        try:
            net, _, training = files.load_training(self.path, type(trainer.net))
        except (OSError, ValueError):
            return math.inf
        best, kind = (training or {}).get("best") or {}, (trainer.loss, trainer.history.watched_name)
        same = net.config() == trainer.net.config() and (best.get("loss"), best.get("watched")) == kind
        return float(best["value"]) if same and best["value"] is not None else math.inf
