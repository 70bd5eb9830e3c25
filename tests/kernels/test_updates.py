"""Optimisers: several steps of each against the reference."""

import numpy as np
import pytest
from fastmlp_kernels.functions import updates

from tests import reference
from tests.kernels.cases import DTYPES, assert_close, random

KINDS = {name.lower(): getattr(updates, name) for name in ("SGD", "MOMENTUM", "NESTEROV", "ADAM", "ADAMW")}
SETTINGS = {
    "plain": {},
    "l2": {"l2": 0.1},
    "weight decay": {"weight_decay": 0.1},
    "epsilon hat": {"epsilon": 0.5, "epsilon_hat": True},
    "no memory": {"momentum": 0.0, "beta2": 0.0, "epsilon": 0.5},
}
STEPS, COUNT, SCALE = 6, 37, 0.25


def kernel_optimizer(optimizer):
    """The reference's settings as the kernels take them."""
    return updates.Optimizer(**{**optimizer._asdict(), "kind": KINDS[optimizer.kind]})


def kernel_state(kind, shape, dtype):
    """The state an optimiser starts with: only the arrays it needs."""
    moments = {"none": 0, "sgd": 0, "momentum": 1, "nesterov": 1}.get(kind, 2)
    first, second = (np.zeros(shape if moments > m else (0,), dtype) for m in (0, 1))
    return updates.State(first, second, np.zeros(1, np.int64))


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
        updates.update(weights, state, gradient, 0, COUNT, kernel_optimizer(optimizer), scale, optimizer.l2, decays)
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
    updates.update(weights, state, gradient, 5, 11, kernel_optimizer(reference.Optimizer(kind)), 1.0, 0.0, True)
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
        updates.update(weights, state, np.zeros(COUNT, dtype), 0, COUNT, optimizer, 1.0, optimizer.l2, decays)
        assert (weights < 1).all() if decays else (weights == 1).all()


def test_adams_first_step_has_the_length_of_the_learning_rate(guarded):
    weights, gradient = guarded(np.zeros(4)), np.array([1e-3, -1.0, 1e3, -1e-1])
    optimizer = kernel_optimizer(reference.Optimizer("adam", learning_rate=0.5, epsilon=1e-12))
    updates.update(weights, guarded(kernel_state("adam", (4,), float)), gradient, 0, 4, optimizer, 1.0, 0.0, True)
    np.testing.assert_allclose(weights, [-0.5, 0.5, -0.5, 0.5], rtol=1e-8)
