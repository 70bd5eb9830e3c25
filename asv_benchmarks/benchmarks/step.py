"""One training step: forward pass, error signals, gradients and momentum, in batches taken as they come."""

from . import cases
from .fitting import Fitting
from .repeated import Repeated


class Step(Fitting):
    """A step as `Trainer.fit` makes it, without Python in between."""

    params, param_names = cases.STEPS, ["case"]

    def time_step(self, case):
        self.run(self.calls)


class SingleStep(Repeated):
    """A call of `Trainer.step`, with the checks of its arguments."""

    params, param_names = ["8-16-1@1", "64-32-10@200", "784-128-10@128"], ["case"]

    def prepare(self, case):
        (x, y, _), (_, batch) = cases.data(case), cases.parse(case)
        self.x, self.y, self.trainer = x[:batch], y[:batch], cases.trainer(case)

    def run(self, calls):
        for _ in range(calls):
            self.trainer.step(self.x, self.y)

    def time_step(self, case):
        self.run(self.calls)
