"""Callbacks: code of one's own that runs while a network is trained, and some that is often wanted.

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
    """What a callback may have; each method may be left out. Subclassing is not needed.

    All get the `Trainer`: `trainer.net` holds the weights of the moment, `trainer.history` what happened so far.
    A callback may read and change both. An exception ends the training and reaches the caller of `fit`: the network
    holds the weights of the last update, the history all epochs that ended, and `on_fit_end` of every callback is
    still called.
    """

    def on_fit_begin(self, trainer: Trainer, epochs: int, samples: int) -> None:
        """Before the first of at most `epochs` epochs over `samples` samples."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Before an epoch; `epoch` counts from 0."""

    def on_slice_end(self, trainer: Trainer, samples: int, loss: float) -> None:
        """Every tenth of a second or so: `samples` more were trained on, and `loss` is the epoch's so far."""

    def on_epoch_end(self, trainer: Trainer, epoch: int) -> bool | None:
        """After an epoch and its evaluations, which are the last entries of the history. True asks to stop."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """At the end, with the best weights restored where `fit` does that; after an exception, too."""


def last(history) -> dict:
    """The numbers of a history's last epoch, by name; None for what was not asked for."""
    columns = ("loss", "val_loss", "monitor", "learning_rate", "seconds")
    return {name: values[-1] if (values := getattr(history, name)) else None for name in columns}


class CSVLogger:
    """Writes a line of comma-separated values after each epoch: epoch, loss, val_loss, monitor, learning_rate, seconds.

    Parameters
    ----------
    path : str or path
    append : bool
        Whether to go on with a file that exists, rather than replace it. A header stands at its start only.
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
        self._file.flush()  # whole lines are on the disk, whatever comes

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
    """Writes a line with a JSON object after each epoch, with the numbers of `CSVLogger`; arguments as there."""

    def _begin(self):
        pass

    def _write(self, row):
        finite = {k: v if v is None or math.isfinite(v) else str(v) for k, v in row.items()}  # JSON has no NaN
        self._file.write(json.dumps(finite) + "\n")


class Checkpoint:
    """Saves the network after epochs, in files that are whole at any time (see `MLP.save`).

    Parameters
    ----------
    path : str or path
        "{epoch}" in it becomes the number of the epoch, from 0.
    when : {"best", "each"}
        After each epoch with the lowest loss so far (of those watched: see `History.watched`), or after each.
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
