"""A whole epoch, with shuffling: what a batch costs when its samples lie scattered."""

from . import cases
from .fitting import Fitting


class ShuffledEpoch(Fitting):
    params, param_names = ["64-32-10@200", *cases.LARGE], ["case"]
    shuffle = True

    def prepare(self, case):
        super().prepare(case)
        self.units = 1  # an epoch

    def time_epoch(self, case):
        self.run(self.calls)
