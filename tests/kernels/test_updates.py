"""Optimizers: several steps of each against the reference."""

import platform
import re

import fastmlp_kernels as fk
import llvmlite.binding
import numba
import numpy as np
import pytest
from fastmlp_kernels.functions import updates
from fastmlp_kernels.functions.updates import KINDS
from fastmlp_kernels.jit import OPTIONS, njit

from tests import reference
from tests.kernels.cases import DTYPES, PLAIN, assert_close, random

# By name: whether it keeps a first and a second moment.
MOMENTS = {
    "none": (False, False),
    "sgd": (False, False),
    "momentum": (True, False),
    "nesterov": (True, False),
    "adam": (True, True),
    "adamw": (True, True),
    "rmsprop": (False, True),
    "adagrad": (False, True),
}
SETTINGS = {
    "plain": {},
    "l2": {"l2": 0.1},
    "weight decay": {"weight_decay": 0.1},
    "epsilon hat": {"epsilon": 0.5, "epsilon_hat": True},
    "no memory": {"momentum": 0.0, "beta2": 0.0, "epsilon": 0.5},
}
STEPS, COUNT, SCALE = 6, 37, 0.25

update = njit(updates.update)  # in a form that Python can call


def kernel_optimizer(optimizer):
    """The reference's settings as the kernels take them."""
    return updates.Optimizer(**{**optimizer._asdict(), "kind": KINDS[optimizer.kind]})


def kernel_state(kind, shape, dtype):
    """The state an optimiser starts with: only the arrays it needs."""
    first, second = (np.zeros(shape if kept else (0,), dtype) for kept in MOMENTS[kind])
    return updates.State(first, second, np.zeros(1, np.int64))


def test_kinds_are_known_by_name_and_numbered_in_every_process_alike():
    assert list(KINDS.values()) == [*range(1, len(MOMENTS))]
    assert {"none", *KINDS} == MOMENTS.keys()
    for name, kind in {"none": 0, **KINDS}.items():
        assert getattr(fk, name.upper()) == getattr(updates, name.upper()) == kind


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("decays", [True, False], ids=["weights", "biases"])
def test_steps_are_those_of_the_reference(guarded, dtype, kind, settings, decays):
    optimizer = reference.Optimizer(kind, **SETTINGS[settings])
    weights = guarded(random(COUNT, dtype))
    state = guarded(kernel_state(kind, (COUNT,), dtype))
    expected, memory = weights.astype(float), [0.0, 0.0]
    scale = dtype(SCALE)
    for step in range(1, STEPS + 1):
        gradient = random(COUNT, dtype, step)
        update(weights, state, gradient, 0, COUNT, kernel_optimizer(optimizer), scale, optimizer.l2, decays)
        state.steps[0] += 1
        change = reference.change(
            optimizer, memory, expected, SCALE * gradient.astype(float), step, optimizer.l2, decays
        )
        expected += change
    # Each step rounds some ten numbers of the size of weights and steps, which here are all below 4.
    assert_close(weights, expected, 10 * STEPS * np.finfo(dtype).eps * 4)


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
def test_only_the_stretch_is_updated(guarded, dtype, kind):
    weights, gradient = guarded(np.ones(COUNT, dtype)), guarded(np.ones(COUNT, dtype))
    state = guarded(kernel_state(kind, (COUNT,), dtype))
    update(weights, state, gradient, 5, 11, kernel_optimizer(reference.Optimizer(kind)), 1.0, 0.0, True)
    touched = np.zeros(COUNT, bool)
    touched[5:11] = True
    for array in (weights - 1, state.first, state.second):
        np.testing.assert_array_equal(array != 0, touched[: array.size])


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
def test_biases_do_not_decay(guarded, dtype, kind):
    """With no gradient, l2 and weight decay shrink weights and leave biases to the bit."""
    optimizer = kernel_optimizer(reference.Optimizer(kind, l2=0.1, weight_decay=0.1))
    for decays in (True, False):
        weights, state = guarded(np.ones(COUNT, dtype)), guarded(kernel_state(kind, (COUNT,), dtype))
        update(weights, state, np.zeros(COUNT, dtype), 0, COUNT, optimizer, 1.0, optimizer.l2, decays)
        assert (weights < 1).all() if decays else (weights == 1).all()


def test_adams_first_step_has_the_length_of_the_learning_rate(guarded):
    weights, gradient = guarded(np.zeros(4)), np.array([1e-3, -1.0, 1e3, -1e-1])
    optimizer = kernel_optimizer(reference.Optimizer("adam", learning_rate=0.5, epsilon=1e-12))
    update(weights, guarded(kernel_state("adam", (4,), float)), gradient, 0, 4, optimizer, 1.0, 0.0, True)
    np.testing.assert_allclose(weights, [-0.5, 0.5, -0.5, 0.5], rtol=1e-8)


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@pytest.mark.skipif(not llvmlite.binding.get_host_cpu_features().get("avx"), reason="the processor has no avx")
@DTYPES
@pytest.mark.parametrize("kind", KINDS)
def test_loops_become_vector_code(kind, dtype):
    optimizer, state = kernel_optimizer(reference.Optimizer(kind)), kernel_state(kind, (COUNT,), dtype)
    compiled = numba.njit(**OPTIONS)(updates.RULES[kind].loop)
    arrays = np.ones(COUNT, dtype), state.first, state.second, np.ones(COUNT, dtype)
    compiled(*arrays, optimizer, 1, dtype(1), dtype(0), True)
    (assembly,) = compiled.inspect_asm().values()
    letter = "s" if dtype is np.float32 else "d"
    assert re.search(rf"v(mul|fn?m\w+)p{letter}\s.*[yz]mm", assembly)
    assert not MOMENTS[kind][1] or re.search(rf"vsqrtp{letter}\s.*[yz]mm", assembly)
