"""Training steps: forward pass, error signals, gradients and momentum, with batches in order."""

from . import cases
from .fitting import Fitting
from .repeated import Repeated


class Step(Fitting):
    """Steps of `Trainer.fit`, without Python between batches. The unit of work is one step."""

    params, param_names = cases.STEPS, ["case"]

    def time_step(self, case):
        self.run(self.calls)


class SingleStep(Repeated):
    """Calls of `Trainer.step`, including the checks of its arguments."""

    params, param_names = ["8-16-1@1", "64-32-10@200", "784-128-10@128"], ["case"]

    def prepare(self, case):
        (x, y, _), (_, batch) = cases.data(case), cases.parse(case)
        self.x, self.y, self.trainer = x[:batch], y[:batch], cases.trainer(case)

    def run(self, calls):
        for _ in range(calls):
            self.trainer.step(self.x, self.y)

    def time_step(self, case):
        self.run(self.calls)
