"""The bridge to the kernels: here networks are packed for them, drivers chosen and run, and results read back.

All else in this package that works on numbers sees flat parameters and arrays of samples only.
"""

import math
import time

import numpy as np
from fastmlp_kernels import (
    NO_UPDATE,
    NONE,
    Data,
    Network,
    Rows,
    activation_code,
    network_for,
    optimizer_state,
    progress,
    set_dropout,
    unpack,
)
from fastmlp_kernels.drivers import evaluation, plan, prediction, training
from fastmlp_kernels.drivers.plan import training_flops
from fastmlp_kernels.drivers.workspace import prediction_scratch, workspace
from fastmlp_kernels.functions.activations import ACTIVATIONS
from fastmlp_kernels.jit import CACHE_FOLDER
from fastmlp_kernels.layout import network as packed
from fastmlp_kernels.layout.panels import unpack_rows
from fastmlp_kernels.products.first_layer import is_sparse, row_count
from fastmlp_kernels.tile.engines import engine_of
from fastmlp_kernels.tile.peak import fma_peak

from .pace import Pace
from .threads import available

__all__ = [
    "ACTIVATIONS",
    "AS_THEY_COME",
    "CACHE_FOLDER",
    "Data",
    "Forward",
    "Learning",
    "Network",
    "Rows",
    "described",
    "fma_peak",
    "packed_network",
    "row_count",
    "sample_count",
    "training_flops",
    "unpack",
]

AS_THEY_COME = np.empty(0, np.int64)  # the order of samples that are all taken
_compiled = set()  # of drivers, by dtype and whether inputs are sparse


def sample_count(data):
    """How many samples of `data` are taken."""
    return len(data.order) or row_count(data.x)


def packed_network(net, transposed_from):
    """A new network of the kernels with the parameters of an MLP; for `transposed_from` see `layout.network.build`."""
    codes = [activation_code(function, net.dtype) for function in net.functions]
    network = packed.build(net.sizes, net.dtype, net.bias, codes, transposed_from)
    packed.pack(network, net.params)
    return network


def described(network):
    """(sizes, name of the dtype, whether there are biases) of a network of the kernels."""
    return tuple(packed.sizes(network)), network.weights.dtype.name, bool(network.layers["bias"][0])


class Forward:
    """An MLP packed to predict and to evaluate, with scratch memory that is kept; for one Python thread at a time.

    Parameters
    ----------
    net : MLP
        Its present parameters are packed; later ones when `pack` is called.
    transposed_from : int, optional
        First layer whose transposed weights are kept; by default they are of none, as nothing goes back.
    threads : int, optional
        Threads to use at most.
    """

    def __init__(self, net, transposed_from=None, threads=None):
        self.sizes, self.dtype, self._flops = net.sizes, net.dtype, net.training_flops
        self._most_threads = threads or math.inf
        network = packed_network(net, len(net.sizes) - 1 if transposed_from is None else transposed_from)
        self._networks, self._memory = {False: network}, {}

    @property
    def network(self):
        """The network as it goes with dense inputs. The one for sparse inputs has the same weights."""
        return self._networks[False]

    def pack(self, params):
        """Take over flat parameters."""
        packed.pack(self.network, params)

    def predict(self, x):
        """(the outputs for all rows of `x`, whether all of `x` is finite)."""
        network, rows = self._network_for(x), row_count(x)
        outputs = np.empty((rows, self.sizes[-1]), self.dtype)
        kind, sizes = ("predict", is_sparse(x)), (rows, self._threads(rows))
        activations, block = self._kept(kind, sizes, lambda: prediction_scratch(network, *sizes))
        run = prediction.predict if len(activations) > 1 else prediction.predict_serial
        tickets = np.zeros(2, np.int64)
        run(outputs, network, activations, x, AS_THEY_COME, block, tickets)
        return outputs, not tickets[-1]

    def evaluate(self, data, loss):
        """The loss summed over all samples, each times its weight; NaN if an input is not finite."""
        network, rows = self._network_for(data.x), sample_count(data)
        threads = self._threads(rows)
        kind = "evaluate", is_sparse(data.x)
        space = self._kept(kind, (threads, rows), lambda: workspace(network, 0, threads, rows))
        run = evaluation.evaluate if threads > 1 else evaluation.evaluate_serial
        return run(network, space, data, loss, threads)

    def _network_for(self, x):
        sparse = is_sparse(x)
        if sparse not in self._networks:
            self._networks[sparse] = network_for(self.network, x)
        return self._networks[sparse]

    def _threads(self, rows):
        """Threads that share the work on so many rows: 1 where that is too small, or in a forked child."""
        return 1 if self._flops * rows < plan.SERIAL_FLOPS else min(self._most_threads, available())

    def _kept(self, kind, sizes, make):
        """The scratch memory of a kind, made anew if its sizes are others than last time."""
        if kind not in self._memory or self._memory[kind][0] != sizes:
            self._memory[kind] = sizes, make()
        return self._memory[kind][1]


class Learning(Forward):
    """An MLP packed to train and to differentiate: with a loss, what an optimiser remembers, and sums over a slice.

    Parameters
    ----------
    net : MLP
    loss : Loss of the kernels
    kind : int
        Kind of the optimiser; NONE to differentiate only.
    dropout : sequence of float
        Share of the units of each hidden layer that updates drop.
    seed : int
        Seed for dropout.
    threads : int, optional
        Threads to use at most.
    block : int, optional
        Rows of a block of samples, if the choice is not to be that of the kernels.

    Attributes
    ----------
    progress : Progress of the kernels
        Sums over the batches of the last call to `train`.
    """

    def __init__(self, net, loss, kind=NONE, dropout=(), seed=0, threads=None, block=None):
        super().__init__(net, transposed_from=1, threads=threads)
        self.loss, self._kind, self._block, self._paces = loss, kind, block, {}
        if any(dropout):
            set_dropout(self.network, dropout, seed)
        self.progress = progress(self.network)
        if kind != NONE:
            self.progress = self.progress._replace(means=np.zeros(2))
        self._state = optimizer_state(self.network, kind)

    def train(self, data, optimizer, batch_size, first, last):
        """Make the updates of the batches first..last, or of as many as take a slice of time (see `Pace`).

        Returns the batch that comes next.
        """
        pace = self._pace(batch_size)
        driver, most = pace.pick()
        last, start = min(last, first + most), time.perf_counter()
        self._run(driver, data, optimizer, batch_size, first, last)
        pace.note(driver, (time.perf_counter() - start) / (last - first), last - first)
        return last

    def compile(self, data, optimizer, batch_size):
        """Have compiled, before clocks run, what trains on such data and was not called in this process yet."""
        for driver in self._pace(batch_size).drivers:
            kind = driver, self.dtype, is_sparse(data.x)
            if kind not in _compiled:
                self._run(driver, data, optimizer, batch_size, 0, 0)
                self.nonfinite_layer()
                self._flat(self.network.weights)
                _compiled.add(kind)

    def gradient(self, data, gradient):
        """Differentiate the loss summed over all samples, each times its weight.

        Parameters
        ----------
        data : Data
        gradient : (n_params,) array, written

        Returns
        -------
        loss : float
        finite : bool
            Whether all values on the way were; a loss that is not finite may be NaN or infinite.
        """
        self.train(data, NO_UPDATE, sample_count(data), 0, 1)
        unpack(gradient, self.network, self._workspace.gradients[0])
        finite = not self.progress.diverged[0]
        return (self.progress.loss[0] if finite else self._workspace.sums.losses.sum()), finite

    def intermediates(self, rows):
        """(Activations of layers 0 to L, error signals of layers 1 to L) of the last gradient, if of one block."""
        blocks, layers = self._workspace.blocks, self.network.layers
        places = (blocks.activations[0], [0, *layers["outputs"]]), (blocks.deltas[0], layers["deltas"])
        return tuple(
            [self._rows(buffer, panel, n, rows) for n, panel in zip(self.sizes[-len(panels) :], panels, strict=True)]
            for buffer, panels in places
        )

    def nonfinite_layer(self):
        """The first layer, from 1, with a weight that is not finite, or else another value in training; 0: none."""
        return packed.nonfinite_layer(self.network) or int(self.progress.diverged[0])

    def unpack(self, params):
        """Copy the weights as they are now to flat parameters."""
        unpack(params, self.network, self.network.weights)

    def forget(self):
        """Forget what the optimiser remembers, and what values that are not finite may have left in the padding."""
        self.network.weights[:], self.network.transposed[:] = 0, 0
        self._state = optimizer_state(self.network, self._kind)

    def scale_velocity(self, factor):
        """Multiply what the optimiser remembers first, a velocity."""
        self._state.first[:] *= factor

    @property
    def state(self):
        """What the optimiser remembers: {"first", "second": flat arrays, empty where there is none; "steps": int}."""
        flat = {name: self._flat(getattr(self._state, name)) for name in ("first", "second")}
        return flat | {"steps": int(self._state.steps[0])}

    @state.setter
    def state(self, state):
        for name in ("first", "second"):
            moments, given = getattr(self._state, name), np.ascontiguousarray(state[name], self.dtype)
            if given.shape != (packed.parameter_count(self.network) if moments.size else 0,):
                raise ValueError(f"optimizer_state[{name!r}] has shape {given.shape}; accepted: as it was given out")
            if moments.size:
                unused = np.empty_like(self.network.transposed)
                packed.pack(self.network._replace(weights=moments, transposed=unused), given)
        self._state.steps[0] = state["steps"]

    def _run(self, driver, data, optimizer, batch_size, first, last):
        """Have a driver make the updates of the batches first..last."""
        network, sparse = self._network_for(data.x), is_sparse(data.x)
        threads, nonzeros = self._threads(batch_size), plan.most_nonzeros(data.x, batch_size)
        sizes = batch_size, threads, 0, self._block, nonzeros
        self._workspace = self._kept(("train", sparse), sizes, lambda: training.workspace(network, *sizes))
        for sums in self.progress:
            sums[:] = 0
        learning = self.loss, optimizer, self._state, self.progress
        driver(network, self._workspace, data, *learning, batch_size, first, last, threads)

    def _pace(self, batch_size):
        """The pace of batches of a size; that of the last size is kept."""
        kind = batch_size, self._threads(batch_size)
        if kind not in self._paces:
            flops = self._flops * batch_size
            drivers = [training.train] if kind[1] > 1 else []
            drivers += [training.train_serial] if flops < plan.PARALLEL_FLOPS or not drivers else []
            self._paces = {kind: Pace(drivers, flops)}
        return self._paces[kind]

    def _flat(self, weights):
        """A new flat array of what is packed like the weights; an empty one if that is empty."""
        flat = np.empty(packed.parameter_count(self.network) if weights.size else 0, self.dtype)
        if weights.size:
            unpack(flat, self.network, weights)
        return flat

    def _rows(self, buffer, panel, n, rows):
        """The first `rows` rows of `n` columns from a panel of a block on: (rows, n)."""
        block_rows, matrix = self._workspace.block_rows, np.empty((rows, n), self.dtype)
        start = panel * engine_of(self.dtype).width(self.dtype.itemsize) * block_rows
        unpack_rows(matrix, 0, buffer[start:], rows, block_rows)
        return matrix
