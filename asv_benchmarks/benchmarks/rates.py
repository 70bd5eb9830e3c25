"""Rates of training steps: GFLOP/s, share of this CPU's peak, samples per second."""

from . import cases
from .fitting import Fitting
from .kernels import fma_peak


class Rates(Fitting):
    params, param_names = cases.STEPS, ["case"]

    def track_gflops(self, case):
        return cases.training_flops(case) / self.best() / 1e9

    def track_share_of_peak(self, case):
        before, seconds = fma_peak("float32"), self.best()
        return 100 * cases.training_flops(case) / seconds / max(before, fma_peak("float32"))

    def track_samples_per_second(self, case):
        return cases.parse(case)[1] / self.best()

    track_gflops.unit = "GFLOP/s"
    track_share_of_peak.unit = "%"
    track_samples_per_second.unit = "samples/s"


def track_peak():
    return fma_peak("float32") / 1e9


track_peak.unit = "GFLOP/s"
