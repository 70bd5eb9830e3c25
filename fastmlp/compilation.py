"""Compilation ahead of time: fills the kernel cache with all that networks of a dtype need, whatever their shapes."""

from importlib.util import find_spec

import numpy as np
from fastmlp_kernels.panelwise import losses

from ._kernels import ACTIVATIONS, activation_code
from .network import MLP
from .trainer import Trainer

UNITS = 16  # of each layer: enough for products of 16-bit numbers


def compile_kernels(dtype="float32", precision="float32"):
    """Compile everything that training, evaluating and predicting may call, unless it is in the cache.

    That is for each activation, loss and optimizer, on one thread or many, with dense inputs and, if scipy is
    installed, sparse ones. Activations and losses that users have registered are never cached.

    Parameters
    ----------
    dtype : "float32" or "float64"
    precision : "float32" or "bf16-mixed"

    Raises
    ------
    ValueError, RuntimeError
        If the precision does not go with the dtype, or with this CPU (see `fastmlp.precision`).
    """
    x, labels = np.zeros((3, UNITS), dtype), np.zeros(3, np.int64)
    net = MLP([UNITS] * 3, "relu", "softmax", dtype=dtype)
    trainer = Trainer(net, batch_size=2, dropout=0.5, precision=precision)
    inputs = [x]
    if find_spec("scipy"):
        from scipy.sparse import csr_array

        inputs.append(csr_array(x))
    for rows in inputs:
        trainer.fit(rows, labels, 1, validation_data=(rows, labels), progress=False)
        trainer._learning.compile_both_forms(trainer._training_data(rows, labels, None)[0])
    trainer.optimizer_state = trainer.optimizer_state
    net.predict(x, precision=precision), net.gradient(x, labels), net.backpropagate(x, labels)
    for activation in ACTIVATIONS:
        activation_code(activation, dtype)
    for loss, output_activation in losses.LOSSES:
        losses.loss(loss, output_activation, dtype)
