"""Base of benchmarks of training through the public interface. The unit of work is one step."""

from . import cases
from .repeated import Repeated


class Fitting(Repeated):
    """Benchmark that trains a case for whole epochs, on all of Numba's threads or on `threads`.

    Subclasses may have other `settings` of the trainer.
    """

    shuffle, settings = False, {}

    def prepare(self, case, threads=None):
        self.x, self.y, self.units = cases.data(case)
        self.trainer = cases.trainer(case, self.shuffle, threads, **self.settings)

    def run(self, calls):
        self.trainer.fit(self.x, self.y, epochs=calls, progress=False)
