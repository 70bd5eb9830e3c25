"""The loss of a network over fixed samples as a function of its parameters, for optimisers of other libraries."""

from __future__ import annotations

import time

import numpy as np
from fastmlp_kernels.drivers import plan, training
from fastmlp_kernels.embed import make as construction
from fastmlp_kernels.functions import updates
from fastmlp_kernels.layout import network as packed
from fastmlp_kernels.products.first_layer import network_for, row_count
from numpy.typing import ArrayLike

from . import losses, weighting
from .network import MLP
from .pace import Pace
from .threads import sharing

ALONE_FLOPS = 5_000_000  # work of a call below which one thread is faster than others that woke up for it


class Objective:
    """Loss, penalty and their gradient over all samples at once.

    Parameters
    ----------
    net : MLP
    X, y, loss, sample_weight : as for `MLP.gradient`
    l2 : float
        Coefficient of the penalty l2 / 2 |W|^2 on the weights.
    threads : int, optional
        Threads to use at most. Results are the same to the bit for any number.
    """

    def __init__(
        self,
        net: MLP,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | losses.Loss = "auto",
        l2: float = 0.0,
        sample_weight: ArrayLike | None = None,
        threads: int | None = None,
    ) -> None:
        net.check_trainable()
        self.net, self.l2 = net, l2
        self._data, loss = net.data(X, y, loss, sample_weight)
        self._rows, x = row_count(self._data.x), self._data.x
        self._weight = weighting.total(self._data, 0, self._rows)
        self._loss, self._network = net.kernel_loss(loss), network_for(net.kernel_network(), x)
        flops = net.training_flops * self._rows
        most = sharing(net.sizes, self._rows) if flops > ALONE_FLOPS else 1
        self._threads = min(threads or most, most)
        nonzeros = plan.most_nonzeros(x, self._rows)
        self._workspace = training.workspace(self._network, self._rows, self._threads, nonzeros=nonzeros)
        self._pace = Pace.of(flops, self._threads)
        self._progress = construction.progress(self._network)
        self._state = construction.optimizer_state(self._network, updates.NONE)
        self._gradient = np.empty_like(net.params)

    def __reduce__(self):
        raise TypeError("an Objective holds addresses of this process; accepted: one made anew in another process")

    def __call__(self, params: np.ndarray) -> tuple[float, float, np.ndarray]:
        """At flat parameters: the mean loss, the penalty, and the gradient of their sum, in memory that is used again.

        The network takes the parameters over.
        """
        net, progress = self.net, self._progress
        net.params[:] = params
        packed.pack(self._network, net.params)
        for sums in progress:
            sums[:] = 0
        run, _ = self._pace.pick()
        start = time.perf_counter()
        learning = self._loss, updates.NO_UPDATE, self._state, progress
        run(self._network, self._workspace, self._data, *learning, self._rows, 0, 1, self._threads)
        self._pace.note(run, time.perf_counter() - start)
        packed.unpack(self._gradient, self._network, self._workspace.gradients[0])
        self._gradient /= self._weight
        squares = 0.0
        for weights, gradient in zip(net.weights, net.views(self._gradient)[0], strict=True):
            gradient += self.l2 * weights
            squares += float(np.vdot(weights, weights))
        loss = np.nan if progress.diverged[0] else progress.loss[0] / self._weight
        return loss, self.l2 / 2 * squares, self._gradient
