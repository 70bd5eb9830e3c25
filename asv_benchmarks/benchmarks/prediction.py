"""Predictions for one sample and for many, through the public interface. The unit of work is one call."""

import numpy as np

from fastmlp import MLP

from . import cases
from .repeated import Repeated


class Prediction(Repeated):
    params = ["8-16-1@1", "784-128-10@1", "64-32-10@200", *cases.LARGE]
    param_names = ["case"]

    def prepare(self, case):
        sizes, batch = cases.parse(case)
        self.net = MLP(sizes)
        self.x = np.random.default_rng(0).standard_normal((batch, sizes[0]), dtype=np.float32)

    def run(self, calls):
        for _ in range(calls):
            self.net.predict(self.x)

    def time_predict(self, case):
        self.run(self.calls)
