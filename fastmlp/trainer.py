"""Training: `Trainer` divides epochs into batches, has the kernels update the network, and records a `History`.

Compiled code runs in slices of about a tenth of a second (see `pace`); between two slices this module adds up the sums
that the kernels leave (`Progress` of `fastmlp_kernels`) and calls the callbacks.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import threading
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from . import checks, distributed, hints, losses, optimizers, registered, schedules, training_state, weighting
from . import group as groups
from . import metrics as measures
from ._kernels import AS_THEY_COME, Data, Learning, begin_training, row_count, sample_count
from .events import Listeners
from .files import ModelFileError
from .history import History
from .interrupts import interruptible, uninterrupted
from .network import MLP
from .position import Position
from .precision import is_mixed
from .progress import ProgressBar
from .signatures import call, keyword_only_soon
from .stopping import Stopping
from .streams import Stream, is_stream, stream_of
from .streams import epoch as streamed
from .streams.feed import Feed
from .threads import limited, one_at_a_time

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

# Attributes that are not pickled: made again, or of a fit that runs.
REMADE = "_learning", "_rate", "_listeners", "_group", "turn"
# The default batch size gives 32 updates per epoch, within limits: steps of fewer than 16 rows cost more than their
# arithmetic, and batches of more than 4096 rows would be too few.
UPDATES_PER_EPOCH = 32
BATCH_SIZES = (16, 4096)
# The default number of epochs is 20, and more of batches of the default size until there are so many updates, with
# which 64-64-10 learns scikit-learn's digits to an accuracy of 0.97, and 4-16-3 its irises to 0.94.
EPOCHS, UPDATES = 20, 2000


def usual_batch_size(rows):
    """Default batch size for a number of rows."""
    return int(np.clip(rows // UPDATES_PER_EPOCH, *BATCH_SIZES))


def usual_epochs(rows):
    """Default number of epochs for a number of rows in batches of the default size."""
    return max(EPOCHS, math.ceil(UPDATES / math.ceil(rows / usual_batch_size(rows))))


def _optional(check, **limits):
    """Check, as of `checks`, that accepts None too."""
    return lambda argument, value: None if value is None else check(argument, value, **limits)


# Settings, besides the learning rate, that may be assigned later, and what checks them.
CHECKS = {
    "batch_size": _optional(checks.count),
    "l2": checks.number,
    "clip_norm": _optional(checks.number, open_start=True),
    "threads": _optional(checks.count),
}


class DivergenceError(ArithmeticError):
    """Training reached values that are not finite. The network holds the last finite parameters."""


class Trainer:
    """Training of a network by backpropagation.

    Parameters
    ----------
    net : MLP
        Network whose parameters are updated in place.
    loss : str or object of `fastmlp.losses`
        Name in `fastmlp.losses.LOSSES` or of a registered loss, or an object with settings. "auto" is "cross_entropy"
        for softmax outputs, "binary_cross_entropy" for sigmoid, "poisson" for exp, else "squared_error".
    optimizer : str or object of `fastmlp.optimizers`
        Name in `fastmlp.optimizers.OPTIMIZERS`, or an object with settings.
    learning_rate : float or a schedule of `fastmlp.schedules`
    batch_size : int, optional
        Samples per update; the last batch of an epoch has those that remain. 1 is on-line learning, the number of
        samples or more is batch learning. By default, a 32nd of the rows of `X`, from 16 to 4096.
    reduction : {"mean", "sum"}
        Mean or sum of losses and gradients over the samples of a batch. If samples are weighted, the mean is the
        weighted sum over the sum of the weights.
    l2 : float
        Coefficient of the penalty l2 / 2 |W|^2 on the weights (not the biases). It is part of the gradient, but not of
        the losses that are reported.
    average_l2 : bool
        Whether the penalty is divided by the number of samples in a batch (or the sum of their weights) like the
        losses, as in scikit-learn, rather than added to their mean.
    update_biases : bool
        Whether biases are updated, rather than kept as they are.
    shuffle : bool or function
        Whether each epoch takes the samples in a new random order. A function is called before each epoch with the
        order of the previous one, an int64 array, and writes the new order into it: a permutation, else `fit` raises a
        ValueError. In each fit the array at first holds 0 to N - 1; with `validation_fraction`, the indices of the
        samples that are not held out, shuffled.
    seed : int
        Seed for shuffling, the validation split and dropout.
    threads : int, optional
        Largest number of threads; by default all of Numba's. Results are the same to the bit for any number.
    clip_norm : float, optional
        Largest Euclidean norm of a gradient (before the L2 term): larger gradients are scaled down to it.
    label_smoothing : float
        Share of every target that is spread evenly: over all classes of a softmax, over 0 and 1 for a sigmoid.
    dropout : float or sequence of float
        Share of the units of hidden layers that an update drops at random, scaling the others up by 1 / (1 - share):
        one share for all hidden layers, or one for each. Evaluation and prediction drop none.
    precision : {"float32", "bf16-mixed"}
        Precision of the matrix products, of training and validation (see `fastmlp.precision`).
    group : mpi4py.MPI.Intracomm, optional
        Processes that train the network together, such as `MPI.COMM_WORLD`: each makes a trainer with the same
        settings and network, calls the same methods, and gives them its own samples, of any number. The samples of the
        group are those of rank 0, then those of rank 1, and so on. Results are those of all samples, the same on all
        ranks. Callbacks, progress and `monitor` are called on rank 0 only; what they raise or change reaches all. An
        exception on one rank is raised on all. See the how-to page on MPI.

    Attributes
    ----------
    history : History
        Record of the last call to `fit`.
    learning_rate, batch_size, l2, clip_norm, threads
        As given. Values assigned later count from the next step or epoch on (`threads`: from the next call on). The
        other settings are fixed: assigning one is an AttributeError.
    """

    # Of trainers that were pickled before they had them.
    precision, group, _position, _listeners = "float32", None, None, None

    @keyword_only_soon
    def __init__(
        self,
        net: MLP,
        loss: str | losses.Loss = "auto",
        optimizer: str | optimizers.Optimizer = "adam",
        *,
        learning_rate: float | schedules.Schedule = 1e-3,
        batch_size: int | None = None,
        reduction: str = "mean",
        l2: float = 0.0,
        update_biases: bool = True,
        shuffle: bool | Callable[[np.ndarray], None] = True,
        seed: int = 0,
        threads: int | None = None,
        clip_norm: float | None = None,
        average_l2: bool = False,
        label_smoothing: float = 0.0,
        dropout: float | Sequence[float] = 0.0,
        precision: str = "float32",
        group: Intracomm | None = None,
    ) -> None:
        net.check_trainable()
        self.net, self.precision, self.group, self.turn = net, precision, group, threading.RLock()
        self._loss = losses.smoothed(net.resolve_loss(loss), checks.number("label_smoothing", label_smoothing, 0, 1))
        self.loss = self._loss.name
        self.optimizer = optimizers.resolve(optimizer)
        self.learning_rate, self.batch_size = learning_rate, batch_size
        self.reduction = checks.choice("reduction", reduction, ["mean", "sum"])
        self.l2, self.average_l2 = l2, checks.flag("average_l2", average_l2)
        self.update_biases = checks.flag("update_biases", update_biases)
        self.shuffle = callable(shuffle) or checks.flag("shuffle", shuffle)
        self.seed, self._rng = seed, checks.generator("seed", seed)
        self._reorder = shuffle if callable(shuffle) else self._rng.shuffle
        self.clip_norm, self.threads = clip_norm, threads
        self.history = History()
        self.dropout = self._dropout_shares(dropout)
        # From a child of the generator, so that dropout does not change how samples are shuffled.
        self._dropout_seed = int(self._rng.spawn(1)[0].integers(2**32)) if any(self.dropout) else 0
        self._make()

    def _dropout_shares(self, dropout):
        """Share of the units of each hidden layer that is dropped: a tuple of float."""
        hidden = len(self.net.sizes) - 2
        shares = [dropout] * hidden if isinstance(dropout, numbers.Real) else list(checks.sequence("dropout", dropout))
        if len(shares) != hidden:
            raise ValueError(
                f"dropout has {len(shares)} shares; accepted: one, or one for each of {hidden} hidden layers"
            )
        return tuple(checks.number("dropout", share, 0, 1) for share in shares)

    def _make(self):
        """Make `_learning`, the network packed for training. It holds addresses of this process: it is not pickled."""
        mixed = is_mixed(self.precision, self.net.dtype, self.net.sizes)
        with interruptible():
            begin_training(self.net.dtype, mixed)
            loss, kind = self.net.kernel_loss(self._loss), self.optimizer.kind
            self._group = groups.of(self.group)
            make = Learning if self._group.size == 1 else functools.partial(distributed.GroupLearning, self._group)
            self._learning = make(self.net, loss, kind, self.dropout, self._dropout_seed, mixed=mixed)
        # With `rate_in_velocity`: velocity = _rate * (the kernels' velocity); 0 before the first update.
        self._rate = 0.0

    def __getstate__(self):
        kept = {name: value for name, value in vars(self).items() if name not in REMADE}
        return kept, self.optimizer_state

    def __setstate__(self, state):
        kept, optimizer_state = state
        vars(self).update(kept)
        self.turn = threading.RLock()
        self._make()
        self.optimizer_state = optimizer_state

    def __setattr__(self, name, value):
        """Check a setting as the constructor does; an AttributeError if only the constructor reads it."""
        if name in FIXED and "_learning" in vars(self):
            raise AttributeError(f"{name} of a Trainer is fixed; accepted: a new one, Trainer(..., {name}=...)")
        if name in ("learning_rate", "schedule"):
            super().__setattr__("schedule", schedules.resolve(value))
            name = "learning_rate"
        super().__setattr__(name, CHECKS[name](name, value) if name in CHECKS else value)

    if not TYPE_CHECKING:  # for type checkers, it would stand for attributes of any name
        __getattr__ = hints.getattr_of("Trainer")

    def __repr__(self):
        plain = losses.LOSSES.get(self.loss)  # None for a registered loss, which has no settings
        shown = {
            "loss": self.loss if plain is None or self._loss == plain() else self._loss,
            "optimizer": "adam" if self.optimizer == optimizers.resolve("adam") else self.optimizer,
            "shuffle": self._reorder if self._reorder != self._rng.shuffle else self.shuffle,
            "dropout": self.dropout if any(self.dropout) else 0.0,
        }
        return call(self, **shown)

    @keyword_only_soon
    @one_at_a_time
    def fit(
        self,
        X: ArrayLike | Stream | Callable,
        y: ArrayLike | str | Sequence[str] | None = None,
        epochs: int | None = None,
        *,
        validation_data: tuple | Stream | Callable | None = None,
        validation_fraction: float | None = None,
        tol: float | None = None,
        patience: int | None = None,
        target_loss: float | None = None,
        progress: bool = True,
        sample_weight: ArrayLike | None = None,
        class_weight: dict | str | None = None,
        callbacks: Sequence = (),
        monitor: Callable[[MLP], float] | None = None,
        metrics: str | Callable | Sequence[str | Callable] = (),
        resume: bool | str | PathLike = False,
    ) -> History:
        """Train for a number of epochs, or until a criterion is met.

        Parameters
        ----------
        X : (N, n_in) array-like, or sparse matrix of scipy
            Numbers of any dtype and memory order. A row-major array of the network's dtype is used without a copy. A
            sparse matrix is never made dense; of compressed rows (CSR) of the network's dtype, with sorted 32-bit
            indices and no duplicates, only the row starts are copied. A network with a scaling makes one scaled copy,
            of its dtype. Or a `streams.Stream` of samples that need not fit into memory, or what it is made of: an
            array of HDF5, Zarr or dask, with such a `y` or an array; a data set or stream of Arrow, with names for `y`;
            a function that returns an iterator of blocks (X, y), without `y`.
        y : (N, n_out) array-like
            Targets: (N, n_out / 2) for `losses.GaussianNLL`. For a single target also (N,). For cross-entropy or focal
            loss of a softmax also integer class labels from 0 on, (N,) or (N, 1).
        epochs : int, optional
            Largest number of epochs. By default those of a schedule that ends, such as `Cosine`; else 20; without a
            `batch_size` of the trainer, as many as make 2000 updates if that is more and the number of rows is known.
        validation_data : (X, y), (X, y, sample_weight) or a stream, optional
            Samples to evaluate after each epoch.
        validation_fraction : float, optional
            Share of the samples to hold out and evaluate instead: chosen at random if `shuffle`, else the last ones. Of
            a stream, the share of its blocks; if they only come in their order, every k-th, where k is about the
            inverse of the share.
        tol, patience : float and int, optional
            Stop when the watched loss has not decreased by more than `tol` (default 0) for `patience` epochs (default
            1), and restore the parameters of the best epoch. The watched loss is the validation loss, or without
            validation data the training loss. Without `tol` and `patience` training does not stop for this reason.
        target_loss : float, optional
            Stop when the watched loss is at most this.
        progress : bool
            Whether to show progress, on standard error or as a widget of a notebook (see `fastmlp.progress`).
        sample_weight : (N,) array-like, optional
            Weight of each sample in the loss, from 0 on.
        class_weight : dict or "balanced", optional
            Factor of the sample weights by class: a dict from labels (0 to n - 1) to weights, with 1 for labels left
            out; or "balanced", samples / (classes * samples of the class), with which all classes have the same total
            if there are no sample weights, which do not enter these numbers. Targets must be classes, or 0 and 1 of one
            sigmoid output.
        callbacks : sequence
            Objects to call during training (see `fastmlp.callbacks`).
        monitor : function, optional
            Measure that takes the place of the watched loss, also for schedules: it is called with the network after
            each epoch and returns a number, the smaller the better.
        metrics : sequence, optional
            Measures of the validation samples to show and record after each epoch: names in `fastmlp.metrics.METRICS`,
            such as "accuracy" and "auc", and functions of the targets and the outputs, each an array. They are neither
            weighted nor watched.
        resume : bool or path
            Whether to go on where the last fit of this trainer ended, or was interrupted, rather than begin a new one;
            or the path of a file that `save` or a `Checkpoint` wrote, to go on from there. Given the same samples, all
            results have the same bits as without the interruption. An interrupted fit is completed: `epochs` is then
            the number of its epochs, including those done. A fit that had ended is prolonged by `epochs` epochs.

        Returns
        -------
        History
            With `resume`, of all epochs. If the network scales targets, losses are those of scaled ones.

        Raises
        ------
        TypeError, ValueError
            If an argument is not accepted, if `monitor`, the schedule or the function that shuffles raises it, or if
            that function leaves no permutation: then network, history and optimizer stay as they were. What a callback
            raises undoes nothing (see `callbacks.Callback`). What reading a stream raises, of any type, undoes nothing
            either once a slice is trained: `resume` goes on there.
        DivergenceError
            If values stop being finite. The network holds the last finite parameters.
        """
        group = self._group
        with group:
            epochs, stop = _optional(checks.count)("epochs", epochs), Stopping(tol, patience, target_loss)
            metrics, monitor = self._metrics(metrics), checks.function("monitor", monitor)
            stream = self._stream_of(X, y, sample_weight)
            X, rows = (X, stream.rows) if stream else self._inputs(X)
            group.same(
                epochs=epochs,
                validation_data="given" if validation_data is not None else None,
                validation_fraction=validation_fraction,
                stopping=vars(stop),
                metrics=[*metrics],
            )
            shown = [ProgressBar()] if checks.flag("progress", progress) else []
            notify = self._notify([*checks.sequence("callbacks", callbacks), *shown])
        if epochs is None:
            epochs = schedules.length(self.schedule) or (EPOCHS if self.batch_size else usual_epochs(rows))
        kept = self._snapshot()
        try:
            with group:
                self._begin(resume, rows)
                if validation_data is not None and validation_fraction is not None:
                    raise ValueError("validation_data and validation_fraction are both given; accepted: one of them")
                if stream:
                    data, validation = self._feeds(stream, class_weight, validation_fraction, resume is not False)
                    validation = validation if validation_data is None else self._validation_data(validation_data)
                    example, unit, samples = data.example, 1.0, data.rows
                else:
                    self._divide(rows, "rows", validation_fraction, resume is not False)
                    data, unit = self._training_data(X, y, sample_weight, class_weight, self._position.held)
                    data, validation = self._split(data, validation_data)
                    example, samples = data, sample_count(data)
                self._check_metrics(metrics, validation)
                notify.load_states(self._position.callbacks)
                distributed.check(self)
        except BaseException:  # Ctrl-C too
            self._restore(kept)
            raise
        self._listeners, position, history = notify, self._position, self.history
        last = position.begun + epochs
        try:
            self.take_params()
            with group, limited(self.threads):
                done = notify("on_fit_begin", max(last - len(history.loss), 0), samples)
                size = self._size(rows)
                self._learning.compile(example, self._settings(0.0, unit), min(size, samples or size))
                for epoch in range(len(history.loss), last):
                    if done or stop.reached(position, history):
                        break
                    self._epoch(data, unit, validation, monitor, metrics, stop, notify)
                    done = notify("on_epoch_end", epoch)
                    group.same(weights=self._learning.digest)
            with uninterrupted():
                self._end()
        except DivergenceError:
            self._position = None  # there is nothing to go on from
            raise
        except Exception as error:
            undone = isinstance(error, TypeError | ValueError) and not notify.raised
            if any(isinstance(part, Feed) and part.failed for part in (data, validation)):
                undone = not (position.batch or len(history.loss) > position.begun)  # there is nothing to lose
            if undone:
                self._restore(kept)
            raise
        finally:
            position.callbacks, self._listeners = notify.states(), None
            notify.close()
        return history

    def _inputs(self, X):
        """Inputs in a checked shape, and the number of rows of the group."""
        X = checks.shaped("X", X, self.net.sizes[0], self.net.dtype, least=int(self._group.size == 1))
        rows = sum(self._group.share(X.shape[0]))
        if not rows:
            raise ValueError("X has no rows on any rank of the group; accepted: at least one")
        return X, rows

    def _notify(self, callbacks):
        """Listeners of a fit."""
        alone = self._group.size == 1
        return Listeners(callbacks, self) if alone else distributed.GroupListeners(callbacks, self, self._group)

    def _snapshot(self):
        """Copy of all that a fit changes, for `_restore`."""
        net, learning = self.net, self._learning
        kept = net.params.copy(), net.scaling, self.history, self._position, self._rate, self._dropout_seed, learning
        return kept, self._learning.moments(), self._rng.bit_generator.state

    def _restore(self, snapshot):
        """Set all that a fit changes back to what it was when `_snapshot` was called."""
        net, (kept, moments, self._rng.bit_generator.state) = self.net, snapshot
        net.params[:], net.scaling, self.history, self._position, self._rate, self._dropout_seed, self._learning = kept
        self._learning.restore(moments)

    def _stream_of(self, X, y, sample_weight):
        """Stream that samples are, or None if they are arrays."""
        stream = stream_of(X, y, sample_weight)
        if stream is None:
            if y is None:
                raise TypeError("y is None; accepted with an array X: targets")
            return None
        if self._group.size > 1:
            raise TypeError("X is a stream, and the trainer has a group; accepted with a group: arrays on each rank")
        if stream.rows is None and self.batch_size is None:
            raise ValueError(
                "batch_size is None, and the number of rows of X is not known; accepted: Trainer(..., batch_size=...), "
                "or a fastmlp.streams.Stream with rows=..."
            )
        return stream

    def _size(self, rows):
        """Batch size for samples of which there are so many, with those held out."""
        return self.batch_size or usual_batch_size(rows)

    def _begin(self, resume, rows):
        """Set the position at which a fit of `rows` samples begins, and the history; to resume, all other state too."""
        if resume is False:
            self.history, self._position = History(), Position()
            return
        if resume is not True:
            self._take_state(self._group.first(lambda: training_state.read(resume, self.net)))
        if self._position is None:
            raise ValueError("resume is True, but there is no fit to go on from; accepted: the path of a saved one")
        self._position, self.history = deepcopy(self._position), deepcopy(self.history)
        position = self._position
        if position.batch and position.batch_size != self._size(rows):
            raise ValueError(
                f"batch_size is {self._size(rows)}; accepted: {position.batch_size}, as in the epoch that is resumed"
            )
        if position.ended:
            position.begun, position.ended = len(self.history.loss), False
            if position.last_params.size and np.array_equal(self.net.params, position.best_params):
                self.net.params[:] = position.last_params

    def _end(self):
        """Note that the fit has ended by itself, and copy the best parameters to the network, if they were kept."""
        position, net = self._position, self.net
        position.ended = True
        if position.best_params.size and not np.array_equal(net.params, position.best_params):
            position.last_params = net.params.copy()
            net.params[:] = position.best_params

    def restore_best(self) -> None:
        """Set the network to the parameters of the best epoch of a fit that was interrupted, if `fit` looked for them.

        They are the parameters that `fit` restores at its end, with `tol` or `patience`.
        """
        if self._position is not None and self._position.best_params.size:
            self.net.params[:] = self._position.best_params

    @one_at_a_time
    def save(self, path: str | PathLike) -> None:
        """Write the network, and all that decides how its training goes on, to one safetensors file.

        `MLP.load` reads it, too. A fit may call this from a callback: then it can be resumed in the middle. On an
        error, a file that was there stays as it was (see `files.save`).
        """
        training_state.write(self, path)

    @classmethod
    def load(cls, path: str | PathLike, **settings) -> Trainer:
        """Read a trainer, with its network, from a file that `save` or a `Checkpoint` wrote.

        Parameters
        ----------
        path : str or path
        **settings
            Arguments of the constructor that take the place of those saved. Objects of your own, such as a schedule or
            a function that shuffles, are not saved, and have to be given.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is damaged, or was not written by a trainer, or a setting has to be given.
        """
        net, saved, state = training_state.read_trainer(path)
        for name, value in (saved | settings).items():
            if value == training_state.OWN:
                raise ModelFileError(
                    f"{path} has no {name}, which was {value}; accepted: Trainer.load(path, {name}=...)"
                )
            if isinstance(value, losses.Own) and (needed := registered.needed("loss", {value.name: value.origin})):
                raise ModelFileError(f"{path} needs {needed}")
        try:
            trainer = cls(net, **saved | settings)
            trainer._take_state(state)
        except (TypeError, ValueError, OverflowError) as error:
            if settings:
                raise
            raise ModelFileError(f"{path} is damaged: {error}") from None
        return trainer

    def _take_state(self, state):
        """Take over a `training_state.State`."""
        self.net.params[:], self.net.scaling = state.params, state.scaling
        self.history, self._position = state.history, state.position
        self._rng.bit_generator.state, self._dropout_seed = state.random, state.dropout_seed
        self._make()
        self.optimizer_state = state.optimizer

    @one_at_a_time
    def step(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Make one update on one batch of any number of samples.

        The learning rate is that of the epoch after those in `history`: of a new trainer, that of the first. A loop of
        steps adds none, and assigns `learning_rate` to change it. Arguments and errors as for `fit`.

        Returns
        -------
        float
            The loss before the update.
        """
        with self._group, limited(self.threads):
            X, _ = self._inputs(X)
            data, unit = self._training_data(X, y, sample_weight)
            self.take_params()
            rows = sample_count(data)
            self._learning.clear()
            settings = self._settings(self._current_rate(), unit)
            if self._learning.is_first(("step", type(data.x))):
                self._learning.compile(data, settings, rows)
            with uninterrupted():
                self._run(data, settings, rows, 0, 1, "in a step")
        return float(self._learning.progress.loss[0]) * self._scale(weighting.total(data, 0, rows))

    def _current_rate(self):
        """Learning rate of the epoch after those in the history."""
        return checks.number("learning_rate", self.schedule.rate(len(self.history.loss), self.history.watched))

    def take_params(self):
        """Train from the parameters that the network has now."""
        self._learning.pack(self.net.params)

    @property
    def optimizer_state(self) -> dict:
        """State of the optimizer as a dict. Assigning such a dict to another trainer lets it continue from there.

        "first" and "second" are copies of its velocity or moments, flat arrays laid out like `net.params`, or empty if
        it keeps none. "steps" is the number of updates. "rate" is the learning rate by which the velocity was divided;
        0 before the first update, and without `rate_in_velocity` (see `optimizers.Momentum`).
        """
        return self._learning.state | {"rate": self._rate}

    @optimizer_state.setter
    def optimizer_state(self, state: dict) -> None:
        self._learning.state, self._rate = state, state["rate"]

    def _epoch(self, data, unit, validation, monitor, metrics, stop, notify):
        """Train for one epoch, or the rest of one, a slice at a time, evaluate, and append the results to the history.

        Whenever Ctrl-C comes, `_position`, parameters, optimizer, generator and history stay those of one moment.

        Parameters
        ----------
        data, unit : Data of the kernels, the Samples of a group, or the Feed of a stream; and the unit of its weights
            (see `_normalized`)
        validation : the same, or None
        monitor : function of the network, or None
        metrics : dict from names to functions of targets and outputs
        stop : Stopping
        notify : Listeners
        """
        epoch = len(self.history.loss)
        history, position, sums = self.history, self._position, self._learning.progress
        is_stream = isinstance(data, Feed)
        size = self._size(data.stream.rows if is_stream else sample_count(data) + len(position.held))
        if position.batch:
            for current, earlier in zip(sums, position.sums, strict=True):
                current[:] = earlier
        else:
            notify("on_epoch_begin", epoch)
            position.batch_size, position.seconds = size, 0.0
        rate = self._current_rate()
        settings, when = self._settings(rate, unit), f"in epoch {epoch + 1}"
        if is_stream:
            streamed.draw(self, data)
            elapsed, waiting = streamed.train(self, data, settings, size, when, notify)
            samples, weight = position.samples, position.weight
        else:
            samples = sample_count(data)
            elapsed = self._train(data, settings, min(size, samples), when, notify)
            weight = weighting.total(data, 0, samples)  # not a sum over slices, whose rounding depends on the clock
        loss = float(sums.loss[0])
        try:
            history.loss.append(loss * self._scale(weight))
            history.objective.append(float(sums.means.sum()) / samples)
            history.penalty.append(float(sums.means[1]) / samples)
            if self.loss == "squared_error":
                history.rms.append(math.sqrt(2 * loss / (weight * self.net.sizes[-1])))
            rms = unit * np.sqrt(sums.squares / (samples * np.array(self.net.sizes[1:])))
            history.delta_rms.append(rms.tolist())
            history.learning_rate.append(rate)
            history.seconds.append(elapsed)
            history.samples_per_second.append(samples / elapsed)
            if is_stream:
                history.seconds_waiting.append(waiting)
            if validation:
                history.val_loss.append(self._evaluate(validation))
            if monitor:
                history.monitor.append(self._group.first(lambda: float(monitor(self.net))))
            if metrics:
                self._measure(metrics, validation)
            with uninterrupted():
                stop.note(position, history, self.net.params)
                position.batch = position.pool_seed = 0
        except BaseException:
            if position.batch:
                history.shorten(epoch)  # the epoch can be resumed at its end
            raise

    def _train(self, data, settings, batch_size, when, notify):
        """Train on all samples of `data` once, or on those left of an epoch, a slice at a time; return the seconds."""
        position, sums, samples = self._position, self._learning.progress, sample_count(data)
        batches = -(-samples // batch_size)
        weight = weighting.total(data, 0, min(position.batch * batch_size, samples))
        begin = time.perf_counter() - position.seconds
        while position.batch < batches:
            first = position.batch * batch_size
            with uninterrupted():
                if not first:
                    if self.shuffle:
                        self._put_in_order(data.order)
                    self._learning.clear()
                    begin = time.perf_counter()
                position.batch = self._run(data, settings, batch_size, position.batch, batches, when)
                position.sums, position.seconds = [array.copy() for array in sums], time.perf_counter() - begin
            done = min(position.batch * batch_size, samples)
            weight += weighting.total(data, first, done)
            notify("on_slice_end", done - first, sums.loss[0] * self._scale(weight))
        end = time.perf_counter()
        return self._group.first(lambda: end - begin)

    def _metrics(self, metrics):
        """Argument `metrics` of `fit`, checked: functions by name."""
        found, output = measures.resolve("metrics", metrics), self.net.output_activation
        wrong = [] if output in ("softmax", "sigmoid") else measures.OF_CLASSES.keys() & found.keys()
        if wrong:
            raise ValueError(
                f"metrics has {min(wrong)}, which is for classes, with {output} outputs; accepted: softmax, sigmoid"
            )
        return found

    def _check_metrics(self, metrics, validation):
        """Raise a ValueError if there are no samples for metrics, or a fit that is resumed has others."""
        if metrics and validation is None:
            raise ValueError(f"metrics has {', '.join(metrics)} without validation; accepted: with validation data")
        if self.history.loss and self.history.metrics.keys() != metrics.keys():
            known = ", ".join(self.history.metrics) or "none"
            raise ValueError(
                f"metrics has {', '.join(metrics) or 'none'}; accepted: {known}, as in the fit that is resumed"
            )
        if metrics and isinstance(validation, Feed):
            validation.keeps_results = True

    def _measure(self, metrics, data):
        """Append the metrics of the samples of `data`, with the current parameters, to the history."""
        targets, outputs = data.results if isinstance(data, Feed) else self._learning.results(data)
        if self.net.scaling:
            outputs, targets = self.net.scaling.predictions(outputs), self.net.scaling.truth(targets)
        for name, metric in metrics.items():
            value = self._group.first(functools.partial(measures.measured, name, metric, targets, outputs))
            self.history.metrics.setdefault(name, []).append(value)

    def _put_in_order(self, order):
        """Write a new order of the samples into `order`; a ValueError if the user's function leaves no permutation."""
        if self._reorder == self._rng.shuffle:
            self._rng.shuffle(order)
            return
        given, size = np.bincount(order), 1 + order.max()
        order[:] = self._group.first(lambda: self._reordered(order))
        left = np.bincount(order[(order >= 0) & (order < size)], minlength=size)
        if not np.array_equal(left, given):
            raise ValueError(
                f"shuffle leaves an order without {np.count_nonzero(left < given)} of the {len(order)} numbers that it "
                "got; accepted: all of them, each once"
            )

    def _reordered(self, order):
        """Return `order` when the user's function has written into it."""
        self._reorder(order)
        return order

    def _run(self, data, settings, batch_size, first, last, when):
        """Make the updates of the batches in range(first, last), or of as many as a slice has time for.

        The new parameters are copied to `net.params`.

        Parameters
        ----------
        data, settings : Data and Optimizer of the kernels
        batch_size : int
        first, last : int; range of batches, counted from 0
        when : str; words for the message of a DivergenceError, such as "in epoch 3"

        Returns
        -------
        int
            The batch to continue with (see `Learning.train`).
        """
        rate = settings.learning_rate
        if getattr(self.optimizer, "rate_in_velocity", False) and rate > 0:
            # The velocity is rate * (the kernels' velocity): a change of the rate must leave it as it is
            if self._rate not in (0, rate):
                self._learning.scale_velocity(self._rate / rate)
            self._rate = rate
        reached = self._learning.train(data, settings, batch_size, first, last)
        if diverged := self._learning.nonfinite_layer():
            self._learning.forget()
            self._rate = 0.0
            checks.finite("X", data.x)
            self._group.share(None)  # the X of other ranks may have been at fault
            raise DivergenceError(
                f"training diverged {when}: layer {diverged} has values that are not finite; "
                f"the last finite weights are kept (learning rate {rate:g})"
            )
        self._learning.unpack(self.net.params)
        return reached

    def _settings(self, rate, unit):
        """Optimizer of the kernels with this trainer's settings, the learning rate `rate`, and weights in a unit."""
        mean = self.reduction == "mean"
        l2 = self.l2 / unit if self.average_l2 else self.l2  # it is divided by the weights
        return optimizers.for_kernels(
            self.optimizer, rate, l2, self.clip_norm, mean, self.update_biases, self.average_l2
        )

    def _training_data(self, X, y, sample_weight, class_weight=None, held=()):
        """Arguments of `fit`, checked and converted to Data of the kernels, and the unit of its weights.

        The network learns to scale them from the samples whose numbers are not in `held`, if it is to do that first.
        """
        if self._group.size == 1:
            data, _ = self.net.data(X, y, self._loss, sample_weight, held)
        else:
            data = distributed.own_data(self, X, y, sample_weight, held)
        if class_weight is not None:
            kind = losses.target_kind(self._loss, self.net.output_activation)
            data = weighting.by_class(data, class_weight, kind, self._group.share)
        return self._normalized(data)

    def _normalized(self, data):
        """Data with normalized weights if only their ratios count, and the unit: the number they are divided by.

        If there is a group, they are the group's `Samples` (see `distributed`).
        """
        if self._group.size > 1:
            data = distributed.together(self._group, data)
        return weighting.normalized(data) if self.reduction == "mean" else (data, 1.0)

    def _divide(self, rows, kind, validation_fraction, resumed):
        """Set the orders in `_position`, of the samples to train on and those to hold out, unless a fit is resumed.

        `kind` is the word for what is divided: "rows", or "blocks" of a stream.
        """
        position = self._position
        if not resumed:
            if self.shuffle or validation_fraction is not None:
                position.order = np.arange(rows)
            if validation_fraction is not None:
                self._hold_out(validation_fraction, rows, kind)
        elif len(position.order) + len(position.held) not in (rows, 0):
            saved = len(position.order) + len(position.held)
            raise ValueError(f"X has {rows} {kind}; accepted: the {saved} of the fit that is resumed")
        elif bool(len(position.held)) != (validation_fraction is not None):
            raise ValueError("validation_fraction is not that of the fit that is resumed; accepted: the same")

    def _split(self, data, validation_data):
        """Division of `data` by the orders in `_position`: (training data, validation data or None)."""
        position = self._position
        train = data._replace(order=position.order) if len(position.order) else data
        if validation_data is not None:
            return train, self._validation_data(validation_data)
        if not len(position.held):
            return train, None
        checks.finite("X", data.x)  # training would not notice values in the samples held out
        if not weighting.total(train, 0, len(position.order)):
            raise ValueError("sample_weight is 0 for all samples not held out; accepted: a weight above 0 among them")
        return train, data._replace(order=position.held)

    def _hold_out(self, fraction, rows, kind):
        """Divide the order in `_position` into samples to train on, and those to hold out."""
        held = math.ceil(checks.number("validation_fraction", fraction, 0, 1, open_start=True) * rows)
        if held >= rows:
            raise ValueError(f"validation_fraction is {fraction} of {rows} {kind}; accepted: one that leaves {kind}")
        order = self._position.order
        if self.shuffle:
            self._rng.shuffle(order)
        self._position.order, self._position.held = order[: rows - held].copy(), order[rows - held :].copy()

    def _feeds(self, stream, class_weight, fraction, resumed):
        """Samples of a stream to train on, and those held out, or None: each a Feed. The network learns its scaling."""
        position, arguments = self._position, (stream, self.net, self._loss)
        order, every, held = (), None, None
        if stream.source.blocks is not None:
            self._divide(len(stream.source.blocks), "blocks", fraction, resumed)
            order = np.sort(position.order)
            if len(position.held):
                held = Feed(*arguments, numbers=np.sort(position.held), evaluated=True)
        elif self._reorder != self._rng.shuffle:
            raise ValueError("shuffle is a function, but blocks of X have their order; accepted: True or False")
        elif fraction is not None:
            every = max(2, round(1 / checks.number("validation_fraction", fraction, 0, 1, open_start=True)))
            held = Feed(*arguments, every=every, evaluated=True)
        feed = Feed(*arguments, numbers=order, every=every, class_weight=class_weight)
        feed.learn_scaling()
        return feed, held

    def _validation_data(self, given):
        """Argument `validation_data`, checked and converted: Data of the kernels, or a Feed of a stream."""
        is_tuple = isinstance(given, tuple | list) and len(given) in (2, 3)
        stream = stream_of(*given) if is_tuple else stream_of(given) if is_stream(given) else None
        if stream:
            return Feed(stream, self.net, self._loss, argument="validation ", evaluated=True)
        if not is_tuple:
            raise TypeError(
                "validation_data is not a pair; accepted: (X, y) or (X, y, sample_weight); or validation_fraction, a "
                "share of the samples"
            )
        if self._group.size > 1 and not np.shape(given[0])[0]:
            return self._normalized(distributed.no_samples(self.net, self._loss))[0]
        x = self.net.inputs("validation_data[0]", given[0])
        checks.finite("validation_data[0]", x)
        targets = self.net.targets("validation_data[1]", given[1], row_count(x), self._loss)
        weights = given[2] if len(given) == 3 else None
        weights = weighting.sample_weights("validation_data[2]", weights, row_count(x), self.net.dtype)
        data, _ = self._normalized(Data(x, *targets, AS_THEY_COME, weights))
        return data

    def _evaluate(self, data):
        """Loss over all samples of `data`, reduced as in training."""
        if isinstance(data, Feed):
            loss, weight = streamed.evaluate(self._learning, data)
            return loss * self._scale(weight)
        loss = self._learning.evaluate(data, self._learning.loss)
        return loss * self._scale(weighting.total(data, 0, sample_count(data)))

    def _scale(self, weight):
        """Factor from a sum of losses over samples of total weight `weight` to the loss that is reported."""
        return 1 / weight if weight and self.reduction == "mean" else 1.0


# Settings that only the constructor reads.
FIXED = inspect.signature(Trainer).parameters.keys() - CHECKS.keys() - {"learning_rate"}
