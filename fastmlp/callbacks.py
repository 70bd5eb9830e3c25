"""Callbacks: your own code that `Trainer.fit` calls during training, and some common ones: loggers, checkpoints.

A callback is any object with some of the methods of `Callback`. `Trainer.fit(callbacks=[...])` calls them in order.
"""

from __future__ import annotations

import csv
import json
import math
from os import PathLike, fspath
from typing import IO, TYPE_CHECKING

from . import checks
from .progress import ProgressBar
from .signatures import call

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["CSVLogger", "Callback", "Checkpoint", "JSONLinesLogger", "ProgressBar"]


class Callback:
    """Methods that a callback may have. Each may be left out, and subclassing is not needed.

    The first argument of all is the `Trainer`: `trainer.net` has the current parameters, `trainer.history` the results
    so far. A callback may read both, and change the parameters: training goes on from what it leaves. An exception
    ends the training and reaches the caller of `fit`: the network then has the parameters of the last update, the
    history all epochs that ended, and `on_fit_end` of every callback is still called.
    """

    def on_fit_begin(self, trainer: Trainer, epochs: int, samples: int) -> None:
        """Called before the first of at most `epochs` epochs over `samples` samples."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Called before an epoch; `epoch` counts from 0."""

    def on_slice_end(self, trainer: Trainer, samples: int, loss: float) -> None:
        """Called about every 0.1 s, after `samples` more samples; `loss` is that of the epoch so far."""

    def on_epoch_end(self, trainer: Trainer, epoch: int) -> bool | None:
        """Called after an epoch and its evaluations, the last entries of the history; return True to stop training."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """Called at the end, after the best parameters are restored, if `fit` does that; also after an exception."""


def last(history) -> dict:
    """Results of a history's last epoch, by name; None for those that the history does not have."""
    columns = ("loss", "val_loss", "monitor", "learning_rate", "seconds")
    return {name: values[-1] if (values := getattr(history, name)) else None for name in columns}


class CSVLogger:
    """Writer of one CSV line after each epoch: epoch, loss, val_loss, monitor, learning_rate, seconds.

    Parameters
    ----------
    path : str or path
    append : bool
        Whether to append to a file that exists, rather than replace it. Only an empty file gets a header.
    """

    def __init__(self, path: str | PathLike, append: bool = False) -> None:
        self.path, self.append = path, append
        self._file: IO[str] | None = None

    def __repr__(self):
        return call(self)

    def on_fit_begin(self, trainer: Trainer, epochs: int, samples: int) -> None:
        self._file = open(self.path, "a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115
        self._begin()

    def on_epoch_end(self, trainer: Trainer, epoch: int) -> None:
        self._write({"epoch": epoch, **last(trainer.history)})
        self._file.flush()  # so that the file has whole lines at any time

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _begin(self):
        self._rows = csv.writer(self._file)
        self._header = self._file.tell() == 0

    def _write(self, row):
        if self._header:
            self._rows.writerow(row)
            self._header = False
        self._rows.writerow(row.values())


class JSONLinesLogger(CSVLogger):
    """Writer of one JSON object, in a line, after each epoch; arguments and values as for `CSVLogger`."""

    def _begin(self):
        pass

    def _write(self, row):
        finite = {k: v if v is None or math.isfinite(v) else str(v) for k, v in row.items()}  # JSON has no NaN
        self._file.write(json.dumps(finite) + "\n")


class Checkpoint:
    """Saver of the network after epochs; a file is complete at any time (see `MLP.save`).

    Parameters
    ----------
    path : str or path
        "{epoch}" in it is replaced by the number of the epoch, from 0.
    when : {"best", "each"}
        After epochs with the lowest watched loss so far (the monitor's, else the validation loss, else the training
        loss: see `History.watched`), or after each epoch.
    """

    def __init__(self, path: str | PathLike, when: str = "best") -> None:
        self.path, self.when = path, checks.choice("when", when, ["best", "each"])
        self._best = math.inf

    def __repr__(self):
        return call(self)

    def on_fit_begin(self, trainer: Trainer, epochs: int, samples: int) -> None:
        self._best = math.inf

    def on_epoch_end(self, trainer: Trainer, epoch: int) -> None:
        loss = trainer.history.watched[-1]
        if self.when == "each" or loss < self._best:
            trainer.net.save(fspath(self.path).replace("{epoch}", str(epoch)))
            self._best = min(self._best, loss)
