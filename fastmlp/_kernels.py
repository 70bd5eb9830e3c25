"""The bridge to the kernels: packs networks into their layout, chooses and runs their drivers, reads results back.

A *driver* is a compiled function that predicts, evaluates or trains many rows: each has a parallel and a serial form,
which give the same bits. A *block* is the group of samples that one thread takes through all layers at once. *Packed*
numbers lie in *panels*: a matrix is cut into groups of a few columns, each stored row by row, with room for the rows of
a block (see `fastmlp_kernels.layout.panels`, and `layout.network` for the weights). Inputs are arrays or, if they are
sparse, `SparseRows`: `is_sparse` tells which, and `row_count` is for both.

All other modules of this package see parameters only as flat arrays (see `MLP.params`), and samples as `Data`.
`MLP.network` hands a packed network out, for compiled code of the user.
"""

import contextlib
import functools
import math
import time

import numpy as np
from fastmlp_kernels import (
    NO_UPDATE,
    NONE,
    Data,
    MixedNetwork,
    Network,
    activation_code,
    network_for,
    optimizer_state,
    progress,
    set_dropout,
    unpack,
)
from fastmlp_kernels.drivers import evaluation, plan, prediction, shared, training, tuning
from fastmlp_kernels.drivers.plan import training_flops
from fastmlp_kernels.drivers.workspace import workspace
from fastmlp_kernels.functions.activation_table import SOFTMAX
from fastmlp_kernels.functions.activations import ACTIVATIONS, LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE
from fastmlp_kernels.functions.vectormath import ERFCX_F64, ERFCX_K
from fastmlp_kernels.jit import CACHE_FOLDER
from fastmlp_kernels.layout import network as packed
from fastmlp_kernels.layout.panels import unpack_rows
from fastmlp_kernels.layout.samples import SparseRows
from fastmlp_kernels.products.first_layer import is_sparse, row_count
from fastmlp_kernels.tile.engines import bfloat16_refusal, engine_of
from fastmlp_kernels.tile.peak import Peak, bfloat16_peak, fma_peak

from .interrupts import interruptible
from .pace import Pace
from .threads import available, call

__all__ = [
    "ACTIVATIONS",
    "AS_THEY_COME",
    "CACHE_FOLDER",
    "ERFCX_F64",
    "ERFCX_K",
    "LEAKY_SLOPE",
    "NO_UPDATE",
    "SELU_ALPHA",
    "SELU_SCALE",
    "SHARED_UPDATE",
    "Data",
    "Forward",
    "Learning",
    "MixedNetwork",
    "Network",
    "Peak",
    "SparseRows",
    "bfloat16_peak",
    "bfloat16_refusal",
    "described",
    "engine_of",
    "fma_peak",
    "packed_network",
    "plan",
    "progress",
    "row_count",
    "sample_count",
    "slot_count",
    "training_flops",
    "tuning",
    "unpack",
]

AS_THEY_COME = np.empty(0, np.int64)  # order of samples if all are taken, from the first to the last
_compiled = set()  # (driver, type of the network, dtype, whether inputs are sparse) that have run in this process
# Operations for each thread in a slice of a prediction or evaluation, after which Ctrl-C is noticed.
SLICE_FLOPS = 10**10
NOTHING = contextlib.nullcontext()
# Drivers in their parallel and serial form.
TRAINING = training.train, training.train_serial
PREDICTION = prediction.predict, prediction.predict_serial
EVALUATION = evaluation.evaluate, evaluation.evaluate_serial
SHARED_UPDATE = shared.update, shared.update_serial


def sample_count(data):
    """Number of samples of `data` that are taken: those in its order, or all."""
    return len(data.order) or row_count(data.x)


def rows_of(x, part):
    """Rows of inputs, an array or SparseRows, in a slice `part`."""
    return x._replace(indptr=x.indptr[part.start : part.stop + 1]) if isinstance(x, SparseRows) else x[part]


def samples_of(data, part):
    """Data of the kernels with the samples in a slice `part`."""
    if len(data.order):
        return data._replace(order=data.order[part])
    arrays = {name: getattr(data, name)[part] for name in ("y", "labels", "weights")}
    return data._replace(x=rows_of(data.x, part), **arrays)


@interruptible()
def packed_network(net, transposed_from, mixed=False):
    """New network of the kernels with an MLP's parameters; for the arguments see `layout.network.build` there."""
    codes = [activation_code(function, net.dtype) for function in net.functions]
    network = packed.build(net.sizes, net.dtype, net.bias, codes, transposed_from, mixed)
    packed.pack(network, net.params)
    return network


def slot_count(net, batch_size, mixed=False):
    """Number of blocks that training an MLP in batches keeps at a time (see `drivers.workspace` of the kernels)."""
    forward = Forward(net, transposed_from=1, mixed=mixed)
    return len(workspace(forward.network, batch_size, forward._threads(batch_size)).blocks.kept)


def described(network):
    """Description of a Network of the kernels: (sizes, name of the dtype, whether it has biases)."""
    return tuple(packed.sizes(network)), network.weights.dtype.name, bool(network.layers["bias"][0])


def _pace_of(drivers, flops, threads):
    """Pace of a prediction or an evaluation on several threads; None if the work is surely enough for all of them."""
    return Pace(drivers, flops) if threads > 1 and flops < plan.PARALLEL_FLOPS else None


def begin_training(dtype, mixed):
    """Start compiling what training on dense inputs calls, on other cores, unless it is in the cache."""
    training.begin(packed.build((1, 1), dtype, codes=[SOFTMAX], mixed=mixed))


class Forward:
    """MLP packed for prediction and evaluation, with scratch memory; for one Python thread at a time.

    Parameters
    ----------
    net : MLP
        Network whose current parameters are packed; `pack` takes later ones.
    transposed_from : int, optional
        First layer, counted from 0, whose transposed weights are kept for the backward pass; by default none are.
    threads : int, optional
        Largest number of threads; by default all of Numba's.
    mixed : bool
        Whether products have bfloat16 operands (see `precision`).
    """

    def __init__(self, net, transposed_from=None, threads=None, mixed=False):
        self.sizes, self.dtype, self._flops = net.sizes, net.dtype, net.training_flops
        self._most_threads = threads or math.inf
        network = packed_network(net, len(net.sizes) - 1 if transposed_from is None else transposed_from, mixed)
        self._networks = {False: network}  # by whether inputs are sparse
        self._memory = {}  # by key, such as ("predict", False): (sizes that the scratch memory is for, the memory)
        self._packed = None  # copy of the parameters that `refresh` packed
        self._called = set()  # keys of the calls made so far

    @property
    def network(self):
        """Network of the kernels for dense inputs. That for sparse inputs shares its weights."""
        return self._networks[False]

    def pack(self, params):
        """Copy flat parameters into the packed network."""
        packed.pack(self.network, params)

    def refresh(self, params):
        """Pack flat parameters, unless all their bits are those of the last call, which takes less time to find out."""
        word = np.dtype(f"u{params.itemsize}")
        if self._packed is None or not np.array_equal(self._packed.view(word), params.view(word)):
            self._packed = params.copy()
            self.pack(self._packed)

    def predict(self, x, order=AS_THEY_COME):
        """Outputs for all rows of `x`, or those in `order`, and whether they are finite: ((N, n_out) array, bool)."""
        network, rows = self._network_for(x), len(order) or row_count(x)
        outputs = np.empty((rows, self.sizes[-1]), self.dtype)
        sizes, flops = (rows, self._threads(rows)), rows * self._flops

        def make():
            memory, block = prediction.prediction_scratch(network, *sizes)
            return memory, block, _pace_of(PREDICTION, flops, len(memory))

        key = "predict", is_sparse(x)
        memory, block, pace = self._kept(key, sizes, make)
        driver, key, start = self._pick(PREDICTION, pace, key)
        tickets = np.zeros(2, np.int64)  # number of blocks that threads have taken; 1 if an input is not finite, else 0
        if flops <= SLICE_FLOPS:
            parts = ((outputs, x, order),)
        else:
            slices = self._slices(rows, block, len(memory))
            parts = ((outputs[part], x if len(order) else rows_of(x, part), order[part]) for part in slices)
        for target, source, taken in parts:
            tickets[0] = 0
            arguments = target, network, memory, source, taken, block, tickets
            self._call((driver, PREDICTION[1]), key, len(memory), arguments)
        if start is not None:
            pace.note(driver, time.perf_counter() - start)
        return outputs, not tickets[-1]

    def results(self, data):
        """Targets and outputs of all samples, in their order: two arrays."""
        outputs, _ = self.predict(data.x, data.order)
        targets = data.labels if data.labels.size else data.y
        return targets[data.order] if len(data.order) else targets, outputs

    def evaluate(self, data, loss):
        """Weighted sum of the losses of all samples: a float; NaN if an input is not finite."""
        network, rows = self._network_for(data.x), sample_count(data)
        threads = self._threads(rows)
        key, sizes = ("evaluate", is_sparse(data.x)), (rows, threads)

        def make():
            return evaluation.evaluation_workspace(network, *sizes), _pace_of(EVALUATION, rows * self._flops, threads)

        space, pace = self._kept(key, sizes, make)
        driver, key, start = self._pick(EVALUATION, pace, key)
        total = 0.0
        for part in self._slices(rows, space.block_rows, threads):
            arguments = network, space, samples_of(data, part), loss, threads
            self._call((driver, EVALUATION[1]), key, threads, arguments)
            # Block after block, as if it were one slice: the order decides the bits of the sum.
            for block_loss in space.sums.losses[: -(-(part.stop - part.start) // space.block_rows)].tolist():
                total += block_loss
        if start is not None:
            pace.note(driver, time.perf_counter() - start)
        return total

    def _pick(self, drivers, pace, key):
        """Driver of a call with a `key` and a `Pace`, or None; its own key; and the time, if the pace is to note it.

        The first call with a driver is not noted, as functions are compiled.
        """
        driver = pace.pick()[0] if pace else drivers[0]
        key = *key, driver
        return driver, key, time.perf_counter() if pace and key in self._called else None

    def _slices(self, rows, block, threads):
        """Slices of `rows` rows for a prediction or evaluation: whole blocks of `block` rows, but for the last."""
        count = max(1, round(SLICE_FLOPS * threads / (self._flops * block))) * block
        return [slice(first, min(first + count, rows)) for first in range(0, rows, count)]

    def _call(self, drivers, key, threads, arguments):
        """Call one of two drivers, parallel and serial (see `first`)."""
        with self.first(key):
            call(*drivers, threads, arguments)

    def first(self, key):
        """Context that notices Ctrl-C the first time that it is asked for with a `key`, when functions are compiled."""
        return interruptible() if self.is_first(key) else NOTHING

    def is_first(self, key):
        """Return whether this, or `first`, is asked with a `key` for the first time."""
        if key in self._called:
            return False
        self._called.add(key)
        return True

    def _network_for(self, x):
        """Network of the kernels for inputs like `x`, dense or sparse."""
        sparse = is_sparse(x)
        if sparse not in self._networks:
            self._networks[sparse] = network_for(self.network, x)
        return self._networks[sparse]

    def _threads(self, rows):
        """Number of threads for a call on `rows` rows: 1 if that is too little work, or in a forked child."""
        return 1 if plan.is_serial(self.sizes, rows) else min(self._most_threads, available())

    def _kept(self, key, sizes, make):
        """Scratch memory for a key: that of the last call if `sizes` are the same, else the result of `make()`."""
        if key not in self._memory or self._memory[key][0] != sizes:
            with self.first(("memory", *key)):
                self._memory[key] = sizes, make()
        return self._memory[key][1]


class Learning(Forward):
    """MLP packed for training and differentiation: with a loss, the optimizer's state, and sums over batches.

    Parameters
    ----------
    net : MLP
    loss : Loss of the kernels
    kind : int
        Kind of the optimizer, one of `fastmlp_kernels.KINDS`; NONE to compute gradients only.
    dropout : sequence of float
        Share of the units of each hidden layer that updates drop.
    seed : int
        Seed for dropout.
    threads : int, optional
        Largest number of threads; by default all of Numba's.
    block : int, optional
        Rows of a block of samples; by default the kernels choose.
    mixed : bool
        Whether products have bfloat16 operands (see `precision`).

    Attributes
    ----------
    progress : Progress of the kernels
        Sums over the batches since `clear`: of losses, of squared error signals and, unless `kind` is NONE, of the two
        terms that updates minimize; and where values stopped being finite, after which `train` does nothing.
    """

    digest = None  # of the weights, where other processes must have the same

    def __init__(self, net, loss, kind=NONE, dropout=(), seed=0, threads=None, block=None, mixed=False):
        super().__init__(net, transposed_from=1, threads=threads, mixed=mixed)
        self.loss, self._kind, self._block, self._paces = loss, kind, block, {}
        if any(dropout):
            set_dropout(self.network, dropout, seed)
        self.progress = progress(self.network)
        if kind != NONE:
            self.progress = self.progress._replace(means=np.zeros(2))  # loss and penalty; a gradient alone has none
        self._state = optimizer_state(self.network, kind)

    def clear(self):
        """Set the sums in `progress` to 0."""
        for sums in self.progress:
            sums[:] = 0

    def train(self, data, optimizer, batch_size, first, last):
        """Make the updates of the batches in range(first, last), or of as many as a slice has time for (see `Pace`).

        Parameters
        ----------
        data : Data of the kernels
        optimizer : Optimizer of the kernels
        batch_size : int
        first, last : int
            Range of batches, counted from 0. Samples start at first * batch_size.

        Returns
        -------
        int
            The batch to continue with.
        """
        pace = self._pace(batch_size)
        driver, most = pace.pick()
        last, start = min(last, first + most), time.perf_counter()
        self._run(driver, data, optimizer, batch_size, first, last)
        pace.note(driver, (time.perf_counter() - start) / (last - first), last - first)
        return last

    def compile(self, data, optimizer, batch_size):
        """Compile the drivers for such data, or load them from the cache, so that no slice's time includes this.

        The functions that `Trainer` calls after each slice are called, while other cores compile, and then the drivers
        with no batches. Nothing happens if this process has done so before.
        """
        for driver in self._pace(batch_size).drivers:
            key = driver, type(self.network), self.dtype, is_sparse(data.x)
            if key not in _compiled:
                with interruptible():
                    training.begin(self._network_for(data.x))
                    self.nonfinite_layer()
                    self._flat(self.network.weights)
                    self._run(driver, data, optimizer, batch_size, 0, 0)
                _compiled.add(key)

    def compile_both_forms(self, data):
        """Compile the parallel and the serial form of all drivers, for data such as these few samples."""
        network, rows = self._network_for(data.x), sample_count(data)
        space = training.training_workspace(network, rows, 1, rows, nonzeros=plan.most_nonzeros(data.x, rows))
        learning = self.loss, NO_UPDATE, self._state, self.progress
        memory, block = prediction.prediction_scratch(network, rows, 1)
        outputs, tickets = np.empty((rows, self.sizes[-1]), self.dtype), np.zeros(2, np.int64)
        for train, evaluate, predict in zip(TRAINING, EVALUATION, PREDICTION, strict=True):
            train(network, space, data, *learning, rows, 0, 0, 1)
            evaluate(network, space, data, self.loss, 1)
            predict(outputs, network, memory, data.x, AS_THEY_COME, block, tickets)

    def gradient(self, data, gradient):
        """Compute the weighted sum of the losses of all samples, and its gradient.

        Parameters
        ----------
        data : Data
        gradient : (n_params,) array, written; laid out like `MLP.params`. NaN if any value is not finite: never a part.

        Returns
        -------
        loss : float
        finite : bool
            Whether all values on the way, and the gradient, were finite; if not, the loss may be NaN or infinite.
        """
        self.clear()
        with self.first("gradient"):
            self.train(data, NO_UPDATE, sample_count(data), 0, 1)
            unpack(gradient, self.network, self._workspace.gradients[0])
        summed = not self.progress.diverged[0]  # if not, the batch is left out of the sums in `progress`
        loss = self.progress.loss[0] if summed else self._workspace.sums.losses.sum()
        finite = summed and np.isfinite(gradient).all()  # where an infinite input has finite outputs, it is not
        if not finite:
            gradient[:] = np.nan
        return loss, finite

    def intermediates(self, rows):
        """Activations of layers 0 to L and error signals of layers 1 to L after `gradient` on a single block of `rows`.

        Returns
        -------
        activations, deltas : list of (rows, n) arrays
        """
        blocks, layers = self._workspace.blocks, self.network.layers
        # Each array, and the number of each layer's first panel there: of layers 0 to L, and of layers 1 to L.
        places = (blocks.activations[0], [0, *layers["outputs"]]), (blocks.deltas[0], layers["deltas"])
        return tuple(
            [self._rows(buffer, panel, n, rows) for n, panel in zip(self.sizes[-len(panels) :], panels, strict=True)]
            for buffer, panels in places
        )

    def nonfinite_layer(self):
        """First layer, from 1, whose weights are not all finite, else the one that `progress` reports; 0: none."""
        return packed.nonfinite_layer(self.network) or int(self.progress.diverged[0])

    def unpack(self, params):
        """Copy the current parameters to the flat array `params`."""
        unpack(params, self.network, self.network.weights)

    def forget(self):
        """Reset the optimizer's state, and set all packed weights to zero; `pack` must follow before the next call.

        No value that is not finite is left then, even in the padding of the panels.
        """
        for copy in packed.copies_of_weights(self.network):
            copy[:] = 0
        self._state = optimizer_state(self.network, self._kind)

    def moments(self):
        """Copy of the optimizer's state, for `restore`."""
        return [kept.copy() for kept in self._state]

    def restore(self, moments):
        """Set the optimizer's state back to that of a call of `moments`."""
        for kept, earlier in zip(self._state, moments, strict=True):
            kept[:] = earlier

    def scale_velocity(self, factor):
        """Multiply the optimizer's velocity by `factor`."""
        self._state.first[:] *= factor

    @property
    @interruptible()
    def state(self):
        """State of the optimizer: {"first", "second": flat arrays, empty if it keeps no such moment; "steps": int}."""
        flat = {name: self._flat(getattr(self._state, name)) for name in ("first", "second")}
        return flat | {"steps": int(self._state.steps[0])}

    @state.setter
    @interruptible()
    def state(self, state):
        for name in ("first", "second"):
            moments, given = getattr(self._state, name), np.ascontiguousarray(state[name], self.dtype)
            if given.shape != (packed.parameter_count(self.network) if moments.size else 0,):
                raise ValueError(f"optimizer_state[{name!r}] has shape {given.shape}; accepted: as it was given out")
            if moments.size:
                packed.pack(packed.like_weights(self.network, moments), given)
        self._state.steps[0] = state["steps"]

    def _run(self, driver, data, optimizer, batch_size, first, last, progress=None, places=AS_THEY_COME):
        """Make the updates of the batches in range(first, last).

        Parameters
        ----------
        driver : compiled function, such as `drivers.training.train`
        data, optimizer, batch_size, first, last
            See `train`.
        progress : Progress of the kernels, optional
            What sums are added to; by default `progress` of this object.
        places : int64 array
            See `Workspace` of the kernels.
        """
        network, sparse = self._network_for(data.x), is_sparse(data.x)
        threads, nonzeros = self._threads(batch_size), plan.most_nonzeros(data.x, batch_size, self._block)
        sizes = {"batch_size": batch_size, "threads": threads, "block_rows": self._block, "nonzeros": nonzeros}
        with self.first(("train", sparse, driver)):
            make = functools.partial(training.training_workspace, network, **sizes)
            self._workspace = self._kept(("train", sparse), sizes, make)._replace(places=places)
            learning = self.loss, optimizer, self._state, progress or self.progress
            arguments = network, self._workspace, data, *learning, batch_size, first, last, threads
            call(driver, training.train_serial, threads, arguments)

    def _pace(self, batch_size):
        """Pace for batches of a size; only that of the last size is kept."""
        threads = self._threads(batch_size)
        key = batch_size, threads
        if key not in self._paces:
            flops = self._flops * batch_size
            drivers = [training.train] if threads > 1 else []
            drivers += [training.train_serial] if flops < plan.PARALLEL_FLOPS or not drivers else []
            self._paces = {key: Pace(drivers, flops, packed.parameter_count(self.network))}
        return self._paces[key]

    def _flat(self, weights):
        """New flat array of numbers that are packed like the weights; empty if `weights` is empty."""
        flat = np.empty(packed.parameter_count(self.network) if weights.size else 0, self.dtype)
        if weights.size:
            unpack(flat, self.network, weights)
        return flat

    def _rows(self, buffer, panel, n, rows):
        """Matrix of a block, copied from the 1-D array `buffer` of its panels: (rows, n) array.

        `panel` is the number of the matrix's first panel there; the panels before belong to other layers.
        """
        block_rows, matrix = self._workspace.block_rows, np.empty((rows, n), self.dtype)
        start = panel * engine_of(self.dtype).width(self.dtype.itemsize) * block_rows  # panels before * their size
        unpack_rows(matrix, 0, buffer[start:], rows, block_rows)
        return matrix
