"""Trainings that end early, by SIGTERM, with a file from which they go on."""

import signal
import sys

from fastmlp.cli.text import tell


class Ending:
    """Callback that ends a training after SIGTERM, when it has written all its state to a file.

    Parameters
    ----------
    path : str or path
    """

    def __init__(self, path):
        self.path, self._training, self._asked = path, False, False
        self._previous = signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, number, frame):
        self._asked = True
        if not self._training:  # nothing to save yet
            sys.exit(128 + number)

    def on_epoch_begin(self, trainer, epoch):
        self._training = True
        if self._asked:  # while functions were compiled, which can swallow exceptions
            self._end(trainer)

    def on_slice_end(self, trainer, samples, loss):
        self._training = True  # of a resumed epoch
        if self._asked:
            self._end(trainer)

    def on_epoch_end(self, trainer, epoch):
        if self._asked:
            self._end(trainer)

    def on_fit_end(self, trainer):
        signal.signal(signal.SIGTERM, self._previous)

    def _end(self, trainer):
        trainer.save(self.path)
        epochs = len(trainer.history.loss)
        tell(f"ended by SIGTERM in epoch {epochs + 1}, saved to {self.path}: --resume goes on")
        sys.exit(128 + signal.SIGTERM)
