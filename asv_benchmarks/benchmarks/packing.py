"""Copying of samples, labels and weights into the panels that products read, and back."""

import numpy as np

from . import loops
from .kernels import build, panels_size, whole_tiles
from .repeated import Repeated

ROWS = whole_tiles(168)  # rows of a block
SAMPLES = 10_000  # samples that the rows are taken from


class Rows(Repeated):
    """A block of samples, in order or scattered. The unit of work is one sample."""

    params, param_names = [8, 64, 300, 784], ["columns"]
    units = ROWS

    def prepare(self, columns):
        self.panels = self.buffers.new(panels_size(columns, ROWS), np.float32, 0)
        self.source = self.buffers.new((SAMPLES, columns), np.float32, 1)
        self.target = self.buffers.new((ROWS, columns), np.float32, 1)
        self.in_order = np.empty(0, np.int64)
        self.scattered = np.random.default_rng(0).permutation(SAMPLES)
        self.order = self.in_order

    def run(self, calls):
        loops.packed_rows(calls, self.panels, self.source, self.order, ROWS, ROWS)

    def time_pack(self, columns):
        self.run(self.calls)

    def time_pack_scattered(self, columns):
        loops.packed_rows(self.calls, self.panels, self.source, self.scattered, ROWS, ROWS)

    def time_unpack(self, columns):
        loops.unpacked_rows(self.calls, self.target, self.panels, ROWS, ROWS)


class Labels(Repeated):
    """A block of labels as one-hot rows. The unit of work is one sample."""

    params, param_names = [10, 1000], ["classes"]
    units = ROWS

    def prepare(self, classes):
        self.panels = self.buffers.new(panels_size(classes, ROWS), np.float32, 0)
        self.labels, self.order = np.arange(ROWS) % classes, np.empty(0, np.int64)

    def run(self, calls):
        columns = max(self.labels) + 1
        loops.packed_labels(calls, self.panels, self.labels, self.order, ROWS, columns, ROWS)

    def time_pack(self, classes):
        self.run(self.calls)


class Weights(Repeated):
    """The weights of a network of two layers, with their transposes. The unit of work is the network."""

    params, param_names = [64, 1024], ["units"]

    def prepare(self, n):
        self.network = self.buffers.copy(build([n, n, n], np.float32))
        self.flat = self.buffers.new(2 * (n + 1) * n, np.float32, 1)

    def run(self, calls):
        loops.packed_weights(calls, self.network, self.flat)

    def time_pack(self, n):
        self.run(self.calls)

    def time_unpack(self, n):
        loops.unpacked_weights(self.calls, self.flat, self.network)
