"""Loss of a network over fixed samples as a function of its parameters, for optimizers of other libraries."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from . import losses, weighting
from ._kernels import Learning, sample_count
from .interrupts import interruptible
from .network import MLP
from .precision import is_mixed
from .signatures import keyword_only_soon

# Floating-point operations of a call below which one thread is faster than waking others. The kernels' SERIAL_FLOPS is
# less, as a slice of training wakes them for many steps, a call for one.
ALONE_FLOPS = 5_000_000


class Objective:
    """Function from parameters to the mean loss over all samples, an L2 penalty, and the gradient of their sum.

    Parameters
    ----------
    net : MLP
        Network whose parameters every call overwrites. It learns its scaling, if it has none yet (see `MLP.scaling`).
    X, y, loss, sample_weight
        As for `MLP.gradient`.
    l2 : float
        Coefficient of the penalty l2 / 2 |W|^2 on the weights (not the biases).
    threads : int, optional
        Largest number of threads; by default all of Numba's. Results are the same to the bit for any number.
    precision : {"float32", "bf16-mixed"}
        Precision of the matrix products (see `fastmlp.precision`).
    """

    @keyword_only_soon
    def __init__(
        self,
        net: MLP,
        X: ArrayLike,
        y: ArrayLike,
        *,
        loss: str | losses.Loss = "auto",
        l2: float = 0.0,
        sample_weight: ArrayLike | None = None,
        threads: int | None = None,
        precision: str = "float32",
    ) -> None:
        net.check_trainable()
        mixed = is_mixed(precision, net.dtype, net.sizes)
        self.net, self.l2 = net, l2
        data, loss = net.data(X, y, loss, sample_weight, held=())
        self._data, _ = weighting.normalized(data)
        rows = sample_count(self._data)
        self._weight = weighting.total(self._data, 0, rows)
        alone = net.training_flops * rows <= ALONE_FLOPS
        with interruptible():
            self._learning = Learning(net, net.kernel_loss(loss), threads=1 if alone else threads, mixed=mixed)
        self._gradient = np.empty_like(net.params)

    def __repr__(self):
        return f"<Objective of {self.net!r} over {sample_count(self._data):,} samples, l2={self.l2:g}>"

    def __reduce__(self):
        raise TypeError("an Objective holds addresses of this process; accepted: one made anew in another process")

    def __call__(self, params: np.ndarray) -> tuple[float, float, np.ndarray]:
        """Loss, penalty and gradient at the given parameters, which are copied to the network.

        Parameters
        ----------
        params : (n_params,) array
            Laid out like `MLP.params`.

        Returns
        -------
        loss : float
            Mean loss; NaN if a value on the way is not finite.
        penalty : float
        gradient : (n_params,) array
            Gradient of loss + penalty; NaN everywhere if the loss is. The next call overwrites it.
        """
        net = self.net
        net.params = params
        self._learning.pack(net.params)
        loss, finite = self._learning.gradient(self._data, self._gradient)
        self._gradient /= self._weight
        squares = 0.0
        for weights, gradient in zip(net.weights, net.views(self._gradient)[0], strict=True):
            gradient += self.l2 * weights
            squares += float(np.vdot(weights, weights))
        return loss / self._weight if finite else np.nan, self.l2 / 2 * squares, self._gradient
