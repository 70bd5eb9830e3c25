"""Training of one network by a group of processes, each with some of the samples (see `group`).

The samples are those of rank 0, then those of rank 1, and so on, numbered in this order. All ranks know the order in
which an epoch takes them, and so the samples of every batch. Each rank computes the gradient of the batch's samples
that it has; the sum over all ranks goes into the same update on each.
"""

from __future__ import annotations

import functools
import hashlib
import time
import warnings
from typing import NamedTuple

import numba
import numpy as np

from . import losses
from ._kernels import (
    AS_THEY_COME,
    NO_UPDATE,
    SHARED_UPDATE,
    Data,
    Learning,
    SparseRows,
    engine_of,
    progress,
    row_count,
)
from .events import Listeners, is_users
from .threads import call, cores

# Settings that a callback may change, for all ranks; the number of threads is each rank's own.
SETTINGS = "learning_rate", "batch_size", "l2", "clip_norm"
# The sizes of a rank's parts of the batches vary. What is made for the largest is made for a multiple of this share of
# a batch, so that it need not be made again in every epoch.
SHARE_OF_BATCH = 16


class Samples(NamedTuple):
    """Samples of a group, of which this rank has some; see `Data` of the kernels.

    Attributes
    ----------
    x, y, labels : of this rank's samples
    order : (n,) int64 array; numbers of the group's samples to take
    weights : (N,) array of the weights of all the group's samples; empty: all are 1
    first : int; number of this rank's first sample
    """

    x: np.ndarray | SparseRows
    y: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    weights: np.ndarray
    first: int


def together(group, data):
    """Samples of a group, of the Data of each rank."""
    everyone = group.share((row_count(data.x), data.weights))
    counts = [count for count, _ in everyone]
    weights = [weights for count, weights in everyone if count]
    if len({bool(array.size) for array in weights}) > 1:
        raise ValueError("sample_weight is given on some ranks of the group; accepted: on all that have samples")
    first, order = sum(counts[: group.rank]), np.arange(sum(counts))
    return Samples(data.x, data.y, data.labels, order, np.concatenate(weights), first)


def own_data(trainer, X, y, sample_weight, held):
    """This rank's arguments of `Trainer.fit`, checked and converted to Data of the kernels (see `MLP.data`).

    A network that is to learn a scaling learns it from the samples of all ranks whose numbers are not in `held`.
    """
    net, group, loss, rows = trainer.net, trainer._group, trainer._loss, X.shape[0]
    if net.scale and net.scaling is None:
        first = sum(group.share(rows)[: group.rank])
        own = held[(held >= first) & (held < first + rows)] - first if len(held) else held
        net.scaling = net.learned(X, y, loss, own, share=group.share)
    return net.data(X, y, loss, sample_weight)[0] if rows else no_samples(net, loss)


def no_samples(net, loss):
    """Data of a rank without samples."""
    targets = losses.target_count(loss, net.output_activation, net.sizes[-1])
    x, y = np.empty((0, net.sizes[0]), net.dtype), np.empty((0, targets), net.dtype)
    return Data(x, y, np.empty(0, np.int64), AS_THEY_COME, np.empty(0, net.dtype))


def check(trainer):
    """Raise a ValueError on all ranks if their trainers differ: in what decides their results.

    A rank that has fewer cores than threads warns of it.
    """
    if trainer._group.size == 1:
        return
    wanted, allowed = trainer.threads or numba.config.NUMBA_NUM_THREADS, cores()
    if wanted > allowed:
        warnings.warn(
            f"rank {trainer._group.rank} has {allowed} cores for {wanted} threads, and uses {allowed}; accepted: a "
            "launcher that binds ranks to no cores (mpiexec --bind-to none, srun --cpu-bind=none), or to more of them",
            RuntimeWarning,
            stacklevel=5,  # the caller of `fit`, which has two decorators
        )
    net, names = trainer.net, ("batch_size", "reduction", "l2", "average_l2", "update_biases", "clip_norm", "dropout")
    trainer._group.same(
        network=net.config(),
        instructions=engine_of(net.dtype).name,
        **{name: getattr(trainer, name) for name in (*names, "precision", "loss", "optimizer", "shuffle")},
        seed=trainer._rng.bit_generator.state,
        parameters=digest(net.params),
        optimizer_state=digest(*trainer._learning.moments()),
    )


def digest(*arrays):
    """Digest of some arrays: a text."""
    made = hashlib.blake2b(digest_size=16)
    for array in arrays:
        made.update(array)
    return made.hexdigest()


class Part:
    """This rank's part of the samples of a group, batch by batch.

    Parameters
    ----------
    samples : Samples
    batch_size : int

    Attributes
    ----------
    places : int64 array
        Places of this rank's samples in the order of the group's.
    starts : int64 array
        Of each batch, the first of `places` in it, and the end of the last.
    data : Data
        This rank's samples in their order.
    """

    def __init__(self, samples, batch_size):
        first, rows, order = samples.first, row_count(samples.x), samples.order
        self.places = np.flatnonzero((order >= first) & (order < first + rows))
        batches = -(-len(order) // batch_size)
        self.starts = np.searchsorted(self.places, np.arange(batches + 1) * batch_size)
        self.batch_size, self.order = batch_size, order
        own = samples.weights[first : first + rows]
        self.data = Data(samples.x, samples.y, samples.labels, order[self.places] - first, own)

    @functools.cached_property
    def most(self):
        """Bound on this rank's samples in a batch, at least 1."""
        step = -(-self.batch_size // SHARE_OF_BATCH)
        most = -(-int(np.diff(self.starts).max()) // step) * step
        return min(max(most, 1), self.batch_size)

    def batch(self, number):
        """Data of this rank's samples in a batch, and their rows in it."""
        own = slice(self.starts[number], self.starts[number + 1])
        return self.data._replace(order=self.data.order[own]), self.places[own] - number * self.batch_size


class GroupLearning(Learning):
    """`Learning` of a group of processes, from their `Samples`: `progress`, results and updates are the group's.

    Parameters
    ----------
    group : Group
    others : see `Learning`
    """

    def __init__(self, group, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self._group, self._own, self._part = group, progress(self.network), None

    def train(self, samples, optimizer, batch_size, first, last):
        """Make the updates of the batches in range(first, last), or of as many as rank 0 has time for; see `Learning`.

        The values that are not finite are found by all ranks in the same batch.
        """
        if first == 0 or self._part is None or self._part.order is not samples.order:
            self._part = Part(samples, batch_size)
        part, begin = self._part, time.perf_counter()
        pace = self._pace(part.most)
        for batch in range(first, last):
            rows = min(batch_size, len(samples.order) - batch * batch_size)
            sums = self._gradient(pace, *part.batch(batch))
            everyone = self._group.numbers([time.perf_counter() - begin > pace.slice, *sums])
            diverged, weight, loss, *squares = add_in_order(everyone[:, 1:])
            if diverged:
                layers = everyone[:, 1]
                self.progress.diverged[0] = int(layers[layers > 0][0])
                return batch
            self._group.add(self._workspace.gradients[0])
            self.progress.loss[0] += loss
            self.progress.squares[:] += squares
            scale = (1 / weight if weight > 0 else 0.0) if optimizer.mean else 1.0
            self.progress.means[0] += rows * loss * scale
            self._update(part.data, optimizer, rows, weight, self._threads(part.most))
            if everyone[0, 0]:
                return batch + 1
        return last

    def _gradient(self, pace, data, places):
        """Compute the gradient of samples of a batch, in the rows `places` of it: the sums that go with it.

        They are the layer that diverged or 0, the sum of the weights, and those in `progress`, as far as they are
        over samples.
        """
        own, (driver, _) = self._own, pace.pick()
        for sums in own:
            sums[:] = 0
        places = places if self.network.layers["dropout"].any() else AS_THEY_COME
        start = time.perf_counter()
        self._run(driver, data, NO_UPDATE, self._part.most, 0, int(len(data.order) > 0), own, places)
        weight = 0.0
        if len(data.order):
            pace.note(driver, time.perf_counter() - start)
            blocks = -(-len(data.order) // self._workspace.block_rows)
            for block in self._workspace.sums.weights[:blocks].tolist():  # in their order, as the kernels do
                weight += block
        else:
            self._workspace.gradients[0][:] = 0
        return int(own.diverged[0]), weight, own.loss[0], *own.squares

    def _update(self, data, optimizer, rows, weight, threads):
        """Make one update from the gradient of the group; see `fastmlp_kernels.drivers.shared`."""
        network = self._network_for(data.x)
        learning = self.loss, optimizer, self._state, self.progress
        call(*SHARED_UPDATE, threads, (network, self._workspace, data, *learning, rows, weight, threads))

    def compile(self, samples, optimizer, batch_size):
        """Compile the drivers, or load them from the cache; see `Learning`."""
        self._part = Part(samples, batch_size)
        super().compile(self._part.data, NO_UPDATE, self._part.most)
        self._run(self._pace(self._part.most).drivers[0], self._part.data, NO_UPDATE, self._part.most, 0, 0)
        for update in SHARED_UPDATE:
            key = update, type(self.network), self.dtype, type(samples.x)
            with self.first(key):
                learning = self.loss, optimizer, self._state, self.progress
                network = self._network_for(samples.x)
                update(network, self._workspace, self._part.data, *learning, batch_size, 0.0, 0)
        self._part = None
        self._group.share(None)  # all are ready

    def evaluate(self, samples, loss):
        """Weighted sum of the losses of all samples of the group."""
        data = Part(samples, len(samples.order)).data
        own = super().evaluate(data, loss) if len(data.order) else 0.0
        return sum(self._group.share(own, patient=self.is_first("evaluation of a group")))

    def results(self, samples):
        """Targets and outputs of all samples of the group, in their order."""
        part = Part(samples, len(samples.order))
        own = super().results(part.data) if len(part.places) else None
        found = [(places, arrays) for places, arrays in self._group.share((part.places, own)) if len(places)]
        whole = [np.empty((len(samples.order), *array.shape[1:]), array.dtype) for array in found[0][1]]
        for places, arrays in found:
            for all_, some in zip(whole, arrays, strict=True):
                all_[places] = some
        return whole

    @property
    def digest(self):
        """Digest of the weights and the optimizer's state."""
        return digest(self.network.weights, *self._state)


def add_in_order(rows):
    """Sums of the columns of an array, added from the first row to the last: a list."""
    return functools.reduce(np.add, rows).tolist()


class GroupListeners(Listeners):
    """Callbacks that are called on rank 0, and whose results, exceptions and changes of the trainer reach all ranks."""

    def __init__(self, callbacks, trainer, group):
        super().__init__(callbacks if group.rank == 0 else [], trainer)
        self._group = group

    def __call__(self, event, *arguments):
        stop, changes, error = self._group.first(lambda: self._outcome(event, arguments))
        if error is not None:
            self.raised = True
            raise self._group.known(error)
        if self._group.rank:
            params = changes.pop("params", None)
            for name, value in changes.items():
                setattr(self.trainer, name, value)
            if params is not None:
                self.trainer.net.params[:] = params
                self.trainer.take_params()
        return stop

    def _outcome(self, event, arguments):
        """What the callbacks return, what they change of the trainer, a dict, and the exception that they raise."""
        trainer, changes = self.trainer, {}
        may_change = any(map(is_users, self._hooks[event]))
        if may_change:
            before, params = {name: getattr(trainer, name) for name in SETTINGS}, trainer.net.params.copy()
        try:
            stop = super().__call__(event, *arguments)
        except BaseException as error:
            return True, {}, error
        if may_change:
            changes = {name: getattr(trainer, name) for name in SETTINGS if getattr(trainer, name) is not before[name]}
            if not np.array_equal(params, trainer.net.params):
                changes["params"] = trainer.net.params.copy()
        return stop, changes, None

    def close(self):
        """Call `on_fit_end` on rank 0."""
        with self._group:
            self._group.first(super().close)
