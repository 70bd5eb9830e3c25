"""The same training step on 1, 2, 4, ... threads. The unit of work is one step."""

import numba

from . import cases
from .fitting import Fitting


class Threads(Fitting):
    params, param_names = [["784-128-10@128", *cases.LARGE], [1, 2, 4, 8, 16, 32]], ["case", "threads"]

    def prepare(self, case, threads):
        if threads > numba.config.NUMBA_NUM_THREADS:
            raise NotImplementedError("more threads than Numba has")
        super().prepare(case, threads)

    def time_step(self, case, threads):
        self.run(self.calls)
