"""Early stopping: when training ends, and which parameters it keeps."""

import math

from . import checks


class Stopping:
    """Decision when to stop, and which parameters to keep if `tol` or `patience` is set (see `Trainer.fit`).

    The loss that decides is the watched one: `monitor`'s, else the validation loss, else the training loss. What has
    been found so far is in the `Position` of the fit.
    """

    def __init__(self, tol, patience, target_loss):
        self.target, self.early = target_loss, tol is not None or patience is not None
        self.tol = 0.0 if tol is None else checks.number("tol", tol)
        self.patience = 1 if patience is None else checks.count("patience", patience)
        if target_loss is not None:
            checks.number("target_loss", target_loss, -math.inf)

    def note(self, position, history, params):
        """Note the last epoch of a history; call once after each epoch.

        With `tol` or `patience`, if that epoch is the best so far, its parameters are kept and `history.best_epoch` is
        set to it.
        """
        if not self.early:
            return
        loss = history.watched[-1]
        position.waited = 0 if loss < position.best - self.tol else position.waited + 1
        if loss < position.best:
            position.best, position.best_params, history.best_epoch = loss, params.copy(), len(history.loss) - 1

    def reached(self, position, history):
        """Whether to stop after the last epoch of a history."""
        if not history.loss:
            return False
        on_target = self.target is not None and history.watched[-1] <= self.target
        return on_target or (self.early and position.waited >= self.patience)
