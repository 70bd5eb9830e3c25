"""All derivatives against PyTorch's automatic differentiation, with every activation."""

import numpy as np
import pytest
from fastmlp_kernels.embed.forward_mode import jvp_rows
from fastmlp_kernels.embed.make import taylor_workspace, workspace
from fastmlp_kernels.embed.reverse import gradient_rows, jacobian_one, vjp_rows
from fastmlp_kernels.embed.taylor import taylor_rows
from fastmlp_kernels.embed.taylor_gradient import taylor_gradient_rows

from tests.kernels.cases import SEEDS, RandomNetwork

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
functional = torch.nn.functional
ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": lambda z: functional.leaky_relu(z, 0.01),
    "elu": functional.elu,
    "selu": torch.selu,
    "softplus": functional.softplus,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "mish": functional.mish,
    "hard_swish": functional.hardswish,
    "softsign": functional.softsign,
    "softmax": lambda z: torch.softmax(z, 1),
}


class Peer:
    """A reference network in PyTorch, in float64, and derivatives of its outputs."""

    def __init__(self, case):
        self.case = case
        self.parameters = [torch.tensor(p, requires_grad=True) for p in case.network.weights + case.network.biases]
        self.x = torch.tensor(case.x, requires_grad=True)
        layers, a = len(case.network.weights), self.x
        for l, name in enumerate(case.network.activations):
            z = a @ self.parameters[l] + (self.parameters[layers + l] if case.network.biases else 0)
            a = ACTIVATIONS[name](z)
        self.outputs = a

    def by_inputs(self, values):
        """The gradient of the sum of `values` with respect to the inputs, itself differentiable."""
        if not values.requires_grad:
            return torch.zeros_like(self.x)
        found = torch.autograd.grad(values.sum(), self.x, create_graph=True, allow_unused=True)[0]
        return torch.zeros_like(self.x) if found is None else found

    def taylor(self):
        """First and second derivatives, (N, n_out, n_in)."""
        n_in, n_out = self.case.sizes[0], self.case.sizes[-1]
        firsts = [self.by_inputs(self.outputs[:, k]) for k in range(n_out)]
        seconds = [torch.stack([self.by_inputs(f[:, i])[:, i] for i in range(n_in)], 1) for f in firsts]
        return torch.stack(firsts, 1), torch.stack(seconds, 1)

    def by_parameters(self, values):
        found = torch.autograd.grad(values.sum(), self.parameters, retain_graph=True, allow_unused=True)
        pairs = zip(found, self.parameters, strict=True)
        found = [(torch.zeros_like(p) if g is None else g).numpy() for g, p in pairs]
        layers = len(self.case.network.weights)
        return found[:layers], found[layers:]


@pytest.fixture
def pair(seed):
    case = RandomNetwork(seed, np.float64)
    case.x = case.x[:7]
    return case, Peer(case)


@SEEDS
def test_first_derivatives(guarded, pair):
    case, peer = pair
    space, gradients, directions = case.scratch(guarded, workspace), case.random(*peer.outputs.shape), 1 + 0 * case.x
    found = guarded(case.x.shape, np.float64)
    vjp_rows(found, case.built, space, case.x, gradients)
    case.check(found, peer.by_inputs(torch.tensor(gradients) * peer.outputs).detach().numpy())
    jacobian, firsts = guarded((case.sizes[-1], case.sizes[0]), np.float64), peer.taylor()[0].detach().numpy()
    jacobian_one(jacobian, case.built, space, case.x[0])
    case.check(jacobian, firsts[0])
    values, tangents = case.outputs(guarded), case.outputs(guarded)
    jvp_rows(values, tangents, case.built, space, case.x, directions)
    case.check(tangents, firsts.sum(axis=2))
    gradient = guarded(case.built.weights.shape, np.float64)
    gradient_rows(gradient, case.built, space, case.x, gradients, True)
    case.check_gradient(gradient, *peer.by_parameters(torch.tensor(gradients) * peer.outputs))


@SEEDS
def test_second_derivatives_and_their_gradient(guarded, pair):
    case, peer = pair
    space = case.scratch(guarded, taylor_workspace)
    found = case.outputs(guarded), *(case.outputs(guarded, case.sizes[0]) for _ in range(2))
    taylor_rows(*found, case.built, space, case.x)
    expected = peer.outputs, *peer.taylor()
    gradients = [case.random(*values.shape) for values in found]
    for values, theirs in zip(found, expected, strict=True):
        case.check(values, theirs.detach().numpy())
    gradient = guarded(case.built.weights.shape, np.float64)
    taylor_gradient_rows(gradient, case.built, space, case.x, *gradients, True)
    total = sum((torch.tensor(g) * v).sum() for g, v in zip(gradients, expected, strict=True))
    case.check_gradient(gradient, *peer.by_parameters(total))
