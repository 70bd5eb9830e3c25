"""Subnormal numbers: they are zeros in drivers, and the caller's own arithmetic has them as before."""

import fastmlp_kernels as fk
import numba
import numpy as np
import pytest
from fastmlp_kernels import subnormals

from fastmlp import MLP, Trainer, optimizers
from tests.kernels.cases import PLAIN

pytestmark = [
    pytest.mark.skipif(PLAIN, reason="plain Python computes with subnormal numbers"),
    pytest.mark.skipif(not (subnormals.X86 or subnormals.ARM), reason="another kind of CPU"),
]
PRECISIONS = [("float32", "float32"), ("float64", "float32"), ("float32", "bf16-mixed")]


def subnormal(values):
    tiny = np.finfo(values.dtype).tiny
    return (values != 0) & (np.abs(values) < tiny)


def products():
    """Products of numbers of float32, whose results are subnormal, on all threads of Numba; and the caller's."""

    @numba.njit(parallel=True)
    def multiply(out, a, b):
        for i in numba.prange(len(out)):
            out[i] = a[i] * b[i]

    out = np.zeros(1000, np.float32)
    multiply(out, np.full(1000, 1e-20, np.float32), np.full(1000, 1e-20, np.float32))
    return np.append(out, np.full(9, 1e-20, np.float32) * np.float32(1e-20))


@pytest.mark.parametrize(("dtype", "precision"), PRECISIONS)
@pytest.mark.parametrize("optimizer", [name for name, kind in optimizers.OPTIMIZERS.items() if name != "sgd"])
def test_moments_of_zero_gradients_become_zero(optimizer, dtype, precision):
    net = MLP([32, 32, 3], "relu", dtype=dtype, seed=0)
    net.biases[0][:] = -1.0  # all units are dead: their gradients are exactly 0
    net.weights[0][:] = 0.0
    trainer = Trainer(net, optimizer=optimizer, learning_rate=1e-3, batch_size=20, precision=precision, threads=1)
    x, y = np.ones((200, 32), dtype), np.ones((200, 3), dtype)
    trainer.fit(x, y, epochs=1, progress=False)
    state = trainer.optimizer_state
    for values in state.values():
        if isinstance(values, np.ndarray) and values.dtype == dtype:
            values[values == 0] = np.finfo(dtype).tiny * 2
    trainer.optimizer_state = state
    trainer.fit(x, y, epochs=200, progress=False)
    assert not any(subnormal(values).any() for values in trainer.optimizer_state.values() if np.ndim(values))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_mode_of_the_caller_is_restored_in_all_threads(threads):
    before = products()
    assert subnormal(before).all()
    net = MLP([20, 64, 3], "tanh", seed=0)
    x, y = (np.random.default_rng(0).normal(size=(3000, n)).astype("f") for n in (20, 3))
    trainer = Trainer(net, batch_size=500, threads=threads)
    for call in (
        lambda: trainer.fit(x, y, epochs=2, validation_fraction=0.2, progress=False),
        lambda: net.predict(x),
        lambda: net.evaluate(x, y),
        lambda: trainer.step(x[:500], y[:500]),
    ):
        call()
        np.testing.assert_array_equal(products(), before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_subnormal_activations_are_zeros(dtype):
    net = MLP([32, 32, 2], "relu", dtype=dtype, init="zeros")
    net.weights[0][:] = np.eye(32)
    net.weights[1][:] = 2.0
    x = np.full((50, 32), np.finfo(dtype).tiny / 4, dtype)
    assert (net.predict(x) == 0).all()
    assert net.evaluate(x, np.zeros((50, 2), dtype)) == 0
    assert (net.predict(x * 8) > 0).all()


def test_compiled_functions_of_users_can_flush_too():
    @numba.njit
    def product(a, b):
        mode = fk.flush_subnormals()
        flushed = a[0] * b[0]
        fk.restore_mode(mode)
        return flushed, a[0] * b[0]

    a = np.full(1, 1e-20, np.float32)
    flushed, kept = product(a, a)
    assert flushed == 0
    assert 0 < kept < np.finfo("f").tiny
