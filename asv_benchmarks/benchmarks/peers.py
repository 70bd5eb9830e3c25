"""The same training step in other libraries (see `fastmlp.benchmark.peers`); those not installed are skipped.

The unit of work is one step.
"""

import numba

from . import cases
from .repeated import Repeated


class Peer(Repeated):
    """Training for whole epochs, on as many threads as Numba has; JAX chooses its own number."""

    params, param_names = [["numpy", "torch", "jax", "scikit-learn"], cases.STEPS], ["library", "case"]

    def prepare(self, library, case):
        try:
            from fastmlp.benchmark.peers import LIBRARIES, Task, installed
        except ImportError as error:
            raise NotImplementedError("this version of fastmlp knows no peers") from error
        if library not in installed():
            raise NotImplementedError(f"{library} is not installed")
        sizes, batch = cases.parse(case)
        task = Task.random(sizes, batch, "float32", cases.LEARNING_RATE)
        self.peer, self.units = LIBRARIES[library](task), len(task.x) // batch
        if library == "torch":
            import torch

            torch.set_num_threads(numba.config.NUMBA_NUM_THREADS)

    def run(self, calls):
        self.peer.train(calls)

    def time_step(self, library, case):
        self.run(self.calls)
