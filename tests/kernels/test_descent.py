"""Updates of whole networks."""

import fastmlp_kernels as fk
import numba
import numpy as np
import pytest
from fastmlp_kernels.functions.updates import KINDS, RULES, Optimizer

from tests import reference
from tests.kernels.cases import DTYPES, PLAIN, RandomNetwork, parameters

STEPS = 2 if PLAIN else 4


# Seed 4 makes a network without biases.
@DTYPES
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("seed", "settings"),
    [
        (1, {"clip_norm": 0.01}),
        (4, {"clip_norm": 0.01}),
        (4, {"clip_norm": 1e3, "l2": 2.0, "average_l2": True}),
        (1, {"l2": 0.1, "update_biases": False, "weight_decay": 0.1}),
    ],
    ids=["clipped", "clipped-no bias", "not clipped-no bias", "frozen"],
)
def test_training_is_that_of_the_reference(guarded, seed, kind, settings, dtype):
    case = RandomNetwork(seed, dtype, output="sigmoid")
    x, y = case.x[:20], abs(case.random(20, case.sizes[-1]))[: len(case.x)]
    optimizer = reference.Optimizer(kind, learning_rate=0.01, **settings)
    # Adam divides by the root of a squared gradient: where that is small, rounding errors are not.
    optimizer = optimizer._replace(epsilon=0.1)
    compiled = fk.optimizer(**{**optimizer._asdict(), "kind": KINDS[kind]})
    built, gradient = guarded(case.built), guarded(fk.packed_gradient(case.built))
    state, space = guarded(fk.optimizer_state(built, KINDS[kind])), guarded(fk.workspace(built, len(x)))
    loss = fk.loss("squared_error", "sigmoid", dtype)
    for _ in range(STEPS):
        fk.loss_gradient_rows(gradient, built, space, x, y, loss, True)
        fk.update_network(built, state, gradient, compiled, 1 / len(x))
    reference.train(case.network, [(x.astype(float), y.astype(float))] * STEPS, "squared_error", optimizer)
    assert state.steps[0] == STEPS
    weights, biases = parameters(built)
    for found, expected in zip(weights + biases, case.network.weights + case.network.biases, strict=True):
        case.check(found, expected)
    arrays = ([array.astype(dtype) for array in group] for group in (weights, biases))
    renewed = fk.network(*arrays, ["identity"] * len(weights))
    np.testing.assert_array_equal(built.transposed, renewed.transposed)


def test_settings_left_out_are_the_usual_ones():
    assert fk.optimizer(fk.ADAM) == Optimizer(fk.ADAM, 1e-3, 0.0, 0.9, 0.999, 1e-8, 0.01, 0.0, True, True, False, False)
    assert fk.optimizer(fk.SGD, 1).learning_rate == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_settings_left_out_are_those_of_the_rule_in_compiled_code_too(kind):
    @numba.njit
    def compiled(kind):
        return fk.optimizer(kind), fk.optimizer(kind, beta2=0.5)

    usual = fk.optimizer(KINDS[kind])
    settings = RULES[kind].settings
    assert {name: getattr(usual, name) for name in settings} == settings
    assert compiled(KINDS[kind]) == (usual, usual._replace(beta2=0.5))


def test_the_norm_of_a_gradient_counts_its_parameters_alone():
    built = fk.network([np.ones((2, 3)), np.ones((3, 1))], [np.ones(3), np.ones(1)], ["tanh", "tanh"])
    assert fk.gradient_norm(built, built.weights, True) == pytest.approx(13**0.5)
    assert fk.gradient_norm(built, built.weights, False) == pytest.approx(9**0.5)
