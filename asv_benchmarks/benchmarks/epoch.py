"""Epochs with shuffling, so that the samples of a batch are scattered in memory. The unit of work is one epoch."""

from . import cases
from .fitting import Fitting


class ShuffledEpoch(Fitting):
    params, param_names = ["64-32-10@200", *cases.LARGE], ["case"]
    shuffle = True

    def prepare(self, case):
        super().prepare(case)
        self.units = 1  # an epoch, not a step

    def time_epoch(self, case):
        self.run(self.calls)
