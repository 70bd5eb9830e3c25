"""Training with Adam on sparse inputs, through the public interface. The unit of work is one step."""

import numpy as np

from fastmlp import MLP, Trainer

from .repeated import Repeated

NONZEROS, BATCH, BATCHES, CLASSES = 50, 200, 10, 5


class SparseStep(Repeated):
    """Samples with 50 non-zero inputs, 100 hidden units, batches of 200."""

    params, param_names = [1_000, 100_000], ["inputs"]
    units = BATCHES

    def prepare(self, inputs):
        try:
            from scipy.sparse import csr_array
        except ImportError as error:
            raise NotImplementedError("scipy is not installed") from error
        rng, samples = np.random.default_rng(0), BATCH * BATCHES
        columns, values = rng.integers(0, inputs, (samples, NONZEROS)), rng.standard_normal((samples, NONZEROS))
        starts = np.arange(0, samples * NONZEROS + 1, NONZEROS)
        self.x = csr_array((values.ravel().astype(np.float32), columns.ravel(), starts), (samples, inputs))
        self.x.sum_duplicates()
        self.y = rng.integers(0, CLASSES, samples)
        self.trainer = Trainer(MLP([inputs, 100, CLASSES], output_activation="softmax"), batch_size=BATCH)

    def run(self, calls):
        self.trainer.fit(self.x, self.y, epochs=calls, progress=False)

    def time_step(self, inputs):
        self.run(self.calls)
