"""Early stopping: when training ends, and which parameters it keeps."""

import math

from . import checks


class Stopping:
    """Decision when to stop, and the best parameters so far if `tol` or `patience` is set (see `Trainer.fit`).

    The loss that decides is the watched one: `monitor`'s, else the validation loss, else the training loss.
    """

    def __init__(self, net, tol, patience, target_loss):
        self.net, self.target, self.early = net, target_loss, tol is not None or patience is not None
        self.tol = 0.0 if tol is None else checks.number("tol", tol)
        self.patience = 1 if patience is None else checks.count("patience", patience)
        if target_loss is not None:
            checks.number("target_loss", target_loss, -math.inf)
        self.best, self.params, self.waited = math.inf, None, 0

    def __call__(self, history):
        """Return whether to stop after the last epoch of a history; call once after each epoch.

        With `tol` or `patience`, if that epoch is the best so far, its parameters are kept and `history.best_epoch` is
        set to it.
        """
        loss = history.watched[-1]
        if self.early:
            self.waited = 0 if loss < self.best - self.tol else self.waited + 1
            if loss < self.best:
                self.best, self.params, history.best_epoch = loss, self.net.params.copy(), len(history.loss) - 1
        return (self.target is not None and loss <= self.target) or (self.early and self.waited >= self.patience)

    def restore(self):
        """Copy the best parameters back to the network, if they were kept."""
        if self.params is not None:
            self.net.params[:] = self.params
