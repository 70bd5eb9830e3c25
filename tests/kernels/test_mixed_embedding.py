"""Networks with bfloat16 operands inside users' compiled code: outputs, derivatives, gradients, updates."""

import fastmlp_kernels as fk
import numpy as np
import pytest
from fastmlp_kernels.tile.engines import engine_of
from numba import njit
from numba.core.errors import TypingError

from tests import reference
from tests.kernels.cases import PLAIN, kernel_network, parameters
from tests.kernels.test_mixed import bf16, few, product

pytestmark = [
    pytest.mark.shapes,
    pytest.mark.skipif(engine_of("uint16") is None, reason="no engine for bfloat16 on this CPU"),
]
# Sizes of layers, rows of a call and of a block: one block and several, about the 32 rows and columns of operands.
CASES = [([3, 5, 2], 4, 4), ([33, 65, 32, 5], 70, 40), ([40, 31, 3], 100, 100)][: 2 if PLAIN else 3]
ALL = pytest.mark.parametrize(("sizes", "rows", "block"), CASES, ids=lambda value: str(value).replace(", ", "-"))


class Case:
    """A network of tanh layers, in float32 and mixed, with scratch memory full of NaN, and samples."""

    def __init__(self, guarded, sizes, rows, block, output="identity"):
        self.rng = np.random.default_rng(rows)
        self.sizes = sizes
        activations = ["tanh"] * (len(sizes) - 2) + [output]
        self.network = reference.random_network(sizes, activations, np.float32, True)
        self.plain = kernel_network(self.network, np.float32, transposed_from=0)
        self.built = guarded(fk.mixed_network(self.plain))
        space = fk.workspace(self.built, block)
        for numbers in space[1:4]:
            numbers[:] = np.nan
        space.left[:], space.kept[:], space.sums[:] = 0x7FC0, 0x7FC0, np.nan
        self.space = guarded(space)
        self.x, self.given = self.random(rows, sizes[0]), self.random(rows, sizes[-1])

    def random(self, *shape):
        return self.rng.standard_normal(shape).astype(np.float32)

    def forward(self):
        """Activations of all layers in float64, from operands as they are rounded; the output is the identity."""
        activations = [self.x.astype(float)]
        for l, (w, b) in enumerate(zip(self.network.weights, self.network.biases, strict=True)):
            z = product(activations[-1], w, few(self.sizes, l))[0] + b
            activations.append(z if len(activations) == len(self.network.weights) else np.tanh(z))
        return activations

    def back(self):
        """Gradients of the inputs and of each layer's weights and biases, from operands as they are rounded."""
        a, signals, gradients = self.forward(), self.given.astype(float), []
        for l in reversed(range(len(self.network.weights))):
            gradients.insert(0, (product(a[l].T, signals, few(self.sizes, l))[0], signals.sum(0)))
            signals = bf16(signals) @ bf16(self.network.weights[l]).T * (1 - a[l] ** 2 if l else 1)
        return signals, gradients


def assert_near(found, expected):
    """Compare norms: a few operands, off by a rounding error before, are rounded to the other neighbor."""
    assert np.linalg.norm(found - expected) <= 3e-3 * np.linalg.norm(expected)


@ALL
def test_outputs_are_those_of_rounded_operands(guarded, sizes, rows, block):
    case = Case(guarded, sizes, rows, block)
    outputs = guarded((rows, sizes[-1]), np.float32)
    assert fk.forward_rows(outputs, case.built, case.space, case.x)
    assert_near(outputs, case.forward()[-1])
    case.x[-1, -1] = np.inf
    assert not fk.forward_rows(outputs, case.built, case.space, case.x)


@ALL
def test_derivatives_are_those_of_rounded_operands(guarded, sizes, rows, block):
    case = Case(guarded, sizes, rows, block)
    of_inputs, gradient = guarded(case.x.shape, np.float32), guarded(case.built.weights.shape, np.float32)
    fk.vjp_rows(of_inputs, case.built, case.space, case.x, case.given)
    expected, gradients = case.back()
    assert_near(of_inputs, expected)
    for factor, fresh in (1, True), (2, False):
        fk.gradient_rows(gradient, case.built, case.space, case.x, case.given, fresh)
        for weights, biases, (matrix, row) in zip(*parameters(case.built, gradient), gradients, strict=True):
            assert_near(weights, factor * matrix)
            assert_near(biases, factor * row)


@ALL
@pytest.mark.parametrize("output", ["identity", "softmax"])
def test_jacobians_are_those_of_single_rows(guarded, sizes, rows, block, output):
    case = Case(guarded, sizes, rows, block, output)
    jacobian, row = guarded((sizes[-1], sizes[0]), np.float32), guarded((1, sizes[0]), np.float32)
    fk.jacobian_one(jacobian, case.built, case.space, case.x[0])
    for k, one in enumerate(np.eye(sizes[-1], dtype=np.float32)):
        fk.vjp_rows(row, case.built, case.space, case.x[:1], one[None])
        np.testing.assert_array_equal(jacobian[k], row[0])


@ALL
@pytest.mark.parametrize(("name", "output"), [("squared_error", "identity"), ("cross_entropy", "softmax")])
def test_losses_and_gradients_are_near_those_of_float32(guarded, sizes, rows, block, name, output):
    case = Case(guarded, sizes, rows, block, output)
    loss, y = fk.loss(name, output, np.float32), np.eye(sizes[-1], dtype=np.float32)[np.arange(rows) % sizes[-1]]
    found, expected = (guarded(case.built.weights.shape, np.float32) for _ in range(2))
    total = fk.loss_gradient_rows(found, case.built, case.space, case.x, y, loss, True)
    plain_space = guarded(fk.workspace(case.plain, block))
    assert total == pytest.approx(fk.loss_gradient_rows(expected, case.plain, plain_space, case.x, y, loss, True), 0.01)
    found, expected = np.nan_to_num(found), np.nan_to_num(expected)  # rows of biases that no layer has are not written
    assert 0 < np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)


@njit
def made(plain, rows):
    network = fk.mixed_network(plain)
    return network, fk.workspace_of(fk.workspaces(network, rows, 2), 1), fk.workspace(network, rows)


def test_compiled_code_makes_the_same(guarded):
    case = Case(guarded, [33, 40, 2], 64, 50)
    network, *spaces = made(case.plain, 50)
    for array, expected in zip(network, fk.mixed_network(case.plain), strict=True):
        np.testing.assert_array_equal(array, expected)
    for space in spaces:
        assert type(space) is fk.MixedWorkspace
        assert [np.shape(array) for array in space] == [np.shape(array) for array in case.space]


def test_every_form_of_the_weights_follows_an_update(guarded):
    case, loss = Case(guarded, [33, 40, 2], 64, 50), fk.loss("squared_error", "identity", np.float32)
    gradient, state = fk.packed_gradient(case.built), fk.optimizer_state(case.built, fk.ADAM)
    losses = []
    for _ in range(4):
        total = fk.loss_gradient_rows(gradient, case.built, case.space, case.x, case.given, loss, True)
        fk.update_network(case.built, state, gradient, fk.optimizer(fk.ADAM, 0.01), 1 / len(case.x))
        losses.append(total)
    assert losses[-1] < 0.97 * losses[0]
    copy = case.plain._replace(weights=case.built.weights)  # the weights themselves, of which all else is made
    for array, expected in zip(case.built[1:], fk.mixed_network(copy)[1:], strict=True):
        np.testing.assert_array_equal(array, expected)


def test_the_copy_keeps_what_the_network_keeps():
    for transposed_from in (0, 1, 2):
        plain = fk.network([np.ones((40, 3), np.float32), np.ones((3, 2), np.float32)], None, ["tanh", "identity"])
        kept = np.where(np.arange(2) >= transposed_from, plain.layers["transposed"], -1)
        plain.layers["transposed"] = kept
        mixed = fk.mixed_network(plain)
        assert (mixed.layers["transposed"] >= 0).tolist() == (kept >= 0).tolist()
        assert mixed.transposed.size == (32 * 64 * (transposed_from < 1) + 32 * 32 * (transposed_from < 2))
        assert mixed.operand.size == 64 * 32 + 32 * 32


def test_networks_of_float64_are_refused():
    compiled = njit(lambda network: fk.mixed_network(network))
    with pytest.raises(TypingError if not PLAIN else ValueError, match=r"float64.*; accepted: float32"):
        compiled(fk.network([np.ones((20, 20))], None, ["identity"]))
    with pytest.raises(ValueError, match="network is of float64; accepted: float32"):
        fk.mixed_network(fk.network([np.ones((3, 2))], None, ["identity"]))
