"""Defaults of `fastmlp train` that follow from the number of rows; whether a training still improves; its time limit.

The defaults were chosen on eleven tables from 120 to 120,000 rows to train (`asv_benchmarks/out_of_the_box.py`), where
the same settings, or few hidden units, were good for some of them only.
"""

import math
import time

import numpy as np

# Batches have a 250th of the rows, within these limits, so that large tables do not have steps without end.
BATCHES, BATCH_SIZES = 250, (128, 4096)
# Epochs are so many that there are these updates, within limits: a wave of three periods takes 5,000 of them.
UPDATES, EPOCHS = 25_000, (20, 200)
# The penalty is that of a prior on the weights, whose share in the mean loss falls with the number of rows.
PENALTY = 5.0
VALIDATION_FRACTION = 0.1
# Below this, a tenth of the rows says little: cross-validation in FOLDS parts chooses the number of epochs instead.
FEW_ROWS, FOLDS = 1000, 5
PATIENCE = 4  # training ends without improvement in this part of the epochs
# Training could go on if the validation loss has fallen by more than a hundredth in the last quarter of the epochs.
RECENT, IMPROVEMENT = 0.75, 1.01


def batch_size(rows):
    """Rows of a batch."""
    return int(np.clip(rows // BATCHES, *BATCH_SIZES))


def epochs(rows, batch):
    """Largest number of epochs, in batches of `batch` rows."""
    return int(np.clip(UPDATES // math.ceil(rows / batch), *EPOCHS))


def l2(rows):
    """Coefficient of the penalty on the squares of the weights, with two digits."""
    return float(f"{PENALTY / rows:.1e}")


def still_improves(losses):
    """Whether a training with these validation losses, whose rate has fallen to its end, would gain from more."""
    early = losses[: int(RECENT * len(losses))]
    return bool(early) and min(early) > IMPROVEMENT * min(losses)


class TimeLimit:
    """Schedule and callback of a training that ends in a given time.

    The rate goes through another schedule, of `epochs` epochs, by the time or the epochs that have passed, whichever is
    more. No epoch is begun that would end too late if it took as long as those before.
    """

    def __init__(self, minutes, schedule, epochs):
        self.seconds, self.schedule, self.epochs = 60 * minutes, schedule, epochs
        self._start, self.is_over = time.monotonic(), False

    def rate(self, epoch, losses):
        passed = (time.monotonic() - self._start) / self.seconds
        return self.schedule.rate(max(epoch, min(passed, 1) * self.epochs), losses)

    def on_fit_begin(self, trainer, epochs, samples):
        self._start = time.monotonic()

    def on_epoch_end(self, trainer, epoch):
        passed = time.monotonic() - self._start
        self.is_over = passed * (epoch + 2) / (epoch + 1) > self.seconds
        return self.is_over
