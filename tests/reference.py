"""Backpropagation in plain NumPy: the oracle of all tests, and the whole method on two screens.

In float64, straight from the mathematics, with no care for speed. Samples are rows; layers are numbered 1 to L, so that
layer l has its weights in weights[l - 1], and activations[0] are the inputs.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

erf = np.vectorize(math.erf, otypes=[float])
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. (2017), equation 14


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def normal(z):
    """The distribution function of the standard normal distribution."""
    return (1 + erf(z / math.sqrt(2))) / 2


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def tanh_of_softplus(z):
    return np.tanh(np.logaddexp(0, z))


def tanh_of_softplus_1(z):
    """Its derivative."""
    return (1 - tanh_of_softplus(z) ** 2) * sigmoid(z)


# name: g(z), g'(z)
ACTIVATIONS = {
    "identity": (lambda z: z, np.ones_like),
    "threshold": (lambda z: 1.0 * (z >= 0), np.zeros_like),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, z / 100), lambda z: np.where(z > 0, 1, 1 / 100)),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(z)), lambda z: np.where(z > 0, 1, np.exp(z))),
    "selu": (
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(z)),
        lambda z: SELU_SCALE * np.where(z > 0, 1, SELU_ALPHA * np.exp(z)),
    ),
    "exp": (np.exp, np.exp),
    "softplus": (lambda z: np.log1p(np.exp(z)), sigmoid),
    "silu": (lambda z: z * sigmoid(z), lambda z: sigmoid(z) * (1 + z * (1 - sigmoid(z)))),
    "gelu": (
        lambda z: z * normal(z),
        lambda z: normal(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi),
    ),
    "mish": (lambda z: z * tanh_of_softplus(z), lambda z: tanh_of_softplus(z) + z * tanh_of_softplus_1(z)),
    "hard_swish": (
        lambda z: z * np.clip(z + 3, 0, 6) / 6,
        lambda z: np.where(z > 3, 1, np.where(z > -3, z / 3 + 0.5, 0)),
    ),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: (1 + abs(z)) ** -2),
}


def sigmoid_2(z):
    """The second derivative of the sigmoid."""
    return sigmoid(z) * (1 - sigmoid(z)) * (1 - 2 * sigmoid(z))


def sigmoid_3(z):
    """Its third."""
    return sigmoid(z) * (1 - sigmoid(z)) * (1 - 6 * sigmoid(z) * (1 - sigmoid(z)))


def tanh_of_softplus_2(z):
    return tanh_of_softplus_1(z) * (1 - sigmoid(z) * (1 + 2 * tanh_of_softplus(z)))


def tanh_of_softplus_3(z):
    s, t, t1 = sigmoid(z), tanh_of_softplus(z), tanh_of_softplus_1(z)
    return tanh_of_softplus_2(z) * (1 - s * (1 + 2 * t)) - t1 * (s * (1 - s) * (1 + 2 * t) + 2 * s * t1)


# name: g''(z), g'''(z)
CURVATURES = {
    "sigmoid": (sigmoid_2, sigmoid_3),
    "tanh": (
        lambda z: -2 * np.tanh(z) * (1 - np.tanh(z) ** 2),
        lambda z: -2 * (1 - np.tanh(z) ** 2) * (1 - 3 * np.tanh(z) ** 2),
    ),
    "elu": (lambda z: np.where(z > 0, 0, np.exp(z)),) * 2,
    "selu": (lambda z: np.where(z > 0, 0, SELU_SCALE * SELU_ALPHA * np.exp(z)),) * 2,
    "exp": (np.exp, np.exp),
    "softplus": (lambda z: sigmoid(z) * (1 - sigmoid(z)), sigmoid_2),
    "silu": (
        lambda z: 2 * sigmoid(z) * (1 - sigmoid(z)) + z * sigmoid_2(z),
        lambda z: 3 * sigmoid_2(z) + z * sigmoid_3(z),
    ),
    "gelu": (
        lambda z: (2 - z * z) * np.exp(-z * z / 2) / math.sqrt(2 * math.pi),
        lambda z: z * (z * z - 4) * np.exp(-z * z / 2) / math.sqrt(2 * math.pi),
    ),
    "hard_swish": (lambda z: ((z > -3) & (z <= 3)) / 3, np.zeros_like),
    "softsign": (lambda z: np.where(z > 0, -2, 2) * (1 + abs(z)) ** -3, lambda z: 6 * (1 + abs(z)) ** -4),
    "mish": (
        lambda z: 2 * tanh_of_softplus_1(z) + z * tanh_of_softplus_2(z),
        lambda z: 3 * tanh_of_softplus_2(z) + z * tanh_of_softplus_3(z),
    ),
    **dict.fromkeys(("identity", "threshold", "relu", "leaky_relu"), (np.zeros_like, np.zeros_like)),
}


def focal(a, y, gamma=2.0):
    """The terms of the focal loss, and their derivatives by a."""
    b = np.maximum(1 - a, 1e-300)
    return -y * b**gamma * np.log(a), y * b**gamma * (gamma * np.log(a) / b - 1 / a)


def gaussian(a, y):
    """Terms of the negative log-likelihood with means a[:, :m] and log variances a[:, m:], and derivatives by a."""
    mean, s = np.split(a, 2, axis=1)
    inverse = np.exp(-np.maximum(s, -32))
    precision = inverse * (1 + np.maximum(-32 - s, 0))  # below -32, the tangent
    squares = (y - mean) ** 2
    return (s + squares * precision) / 2, np.hstack([(mean - y) * precision, (1 - squares * inverse) / 2])


def xlogx(x):
    return x * np.log(np.where(x > 0, x, 1))


# name: E of each sample, dE/da; of outputs a, targets y and, of some, a parameter
LOSSES = {
    "squared_error": (lambda a, y: ((a - y) ** 2).sum(axis=1) / 2, lambda a, y: a - y),
    "absolute_error": (lambda a, y: abs(a - y).sum(axis=1), lambda a, y: np.sign(a - y)),
    "huber": (
        lambda a, y, d=1.0: np.where(abs(a - y) < d, (a - y) ** 2 / 2, d * (abs(a - y) - d / 2)).sum(axis=1),
        lambda a, y, d=1.0: np.clip(a - y, -d, d),
    ),
    "quantile": (
        lambda a, y, q=0.5: np.maximum(q * (y - a), (q - 1) * (y - a)).sum(axis=1),
        lambda a, y, q=0.5: (a > y) - q,
    ),
    "log_cosh": (lambda a, y: (np.logaddexp(a - y, y - a) - math.log(2)).sum(axis=1), lambda a, y: np.tanh(a - y)),
    "gaussian_nll": (lambda a, y: gaussian(a, y)[0].sum(axis=1), lambda a, y: gaussian(a, y)[1]),
    "poisson": (lambda a, y: (xlogx(y) - y * np.log(a) - y + a).sum(axis=1), lambda a, y: 1 - y / a),
    "cross_entropy": (lambda a, y: -(y * np.log(a)).sum(axis=1), lambda a, y: -y / a),
    "binary_cross_entropy": (
        lambda a, y: -(y * np.log(a) + (1 - y) * np.log1p(-a)).sum(axis=1),
        lambda a, y: (a - y) / (a * (1 - a)),
    ),
    "focal": (lambda a, y, *gamma: focal(a, y, *gamma)[0].sum(axis=1), lambda a, y, *gamma: focal(a, y, *gamma)[1]),
    "binary_focal": (
        lambda a, y, *gamma: (focal(a, y, *gamma)[0] + focal(1 - a, 1 - y, *gamma)[0]).sum(axis=1),
        lambda a, y, *gamma: focal(a, y, *gamma)[1] - focal(1 - a, 1 - y, *gamma)[1],
    ),
}


class Network(NamedTuple):
    """Weights (n_in, n_out), biases (n_out,) and the name of the activation of each layer; `biases` may be empty."""

    weights: list
    biases: list
    activations: list


def random_network(sizes, activations, dtype=float, bias=True, seed=0):
    """A network with net inputs of order one and biases of order a half, all of them numbers that `dtype` can hold."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, n_in**-0.5, (n_in, n_out)) for n_in, n_out in itertools.pairwise(sizes)]
    biases = [rng.normal(0, 0.5, n) for n in sizes[1:] if bias]
    return Network(*([p.astype(dtype).astype(float) for p in group] for group in (weights, biases)), list(activations))


def flatten(matrices, rows):
    """All parameters, or gradients, in one array: layer after layer, first the row of biases, then the matrix."""
    both = zip(rows or [np.empty(0)] * len(matrices), matrices, strict=True)
    return np.concatenate([part.ravel() for pair in both for part in pair])


def unflatten(flat, sizes, bias=True):
    """The lists (matrices, rows) that `flatten` made an array of."""
    matrices, rows, start = [], [], 0
    for n_in, n_out in itertools.pairwise(sizes):
        stop = start + (n_in + bias) * n_out
        matrix = flat[start:stop].reshape(n_in + bias, n_out)
        matrices.append(matrix[bias:])
        rows += [matrix[0]] * bias
        start = stop
    return matrices, rows


def forward(network, x):
    """The net inputs z of layers 1 to L, and the activations a of layers 0 to L."""
    z, a = [], [np.asarray(x, float)]
    biases = network.biases or [0.0] * len(network.weights)
    for w, b, name in zip(network.weights, biases, network.activations, strict=True):
        z.append(a[-1] @ w + b)
        a.append(softmax(z[-1]) if name == "softmax" else ACTIVATIONS[name][0](z[-1]))
    return z, a


def losses(network, x, y, loss):
    """The error of each sample."""
    return LOSSES[loss][0](forward(network, x)[1][-1], y)


def through_output(z, a, gradient, activation):
    """dE/dz of the output layer, from dE/da."""
    if activation == "softmax":  # da_j/dz_k = a_j ((j = k) - a_k)
        return a * (gradient - (gradient * a).sum(axis=1, keepdims=True))
    return gradient * ACTIVATIONS[activation][1](z)


def output_delta(z, a, y, activation, loss, *parameter):
    """The error signal dE/dz of the output layer."""
    return through_output(z, a, LOSSES[loss][1](a, y, *parameter), activation)


def backward(network, z, a, delta):
    """The error signals of layers 1 to L from that of the last, and the gradient: (deltas, dE/dW, dE/db)."""
    deltas = [delta]
    for l in range(len(z) - 2, -1, -1):
        deltas.insert(0, (deltas[0] @ network.weights[l + 1].T) * ACTIVATIONS[network.activations[l]][1](z[l]))
    rows = [delta.sum(axis=0) for delta in deltas if network.biases]
    return deltas, [a[l].T @ deltas[l] for l in range(len(z))], rows


def backpropagate(network, x, y, loss, weights=1.0):
    """The error signals of layers 1 to L, and the gradient of the summed loss: (deltas, dE/dW, dE/db).

    Samples count as often as `weights` says, a number or an (N,) array.
    """
    z, a = forward(network, x)
    delta = output_delta(z[-1], a[-1], y, network.activations[-1], loss)
    return backward(network, z, a, delta * np.reshape(weights, (-1, 1)))


def pull_back(network, x, output_gradients):
    """Given dE/da of the outputs, that of the inputs and of the parameters: ((N, n_in), dE/dW, dE/db)."""
    z, a = forward(network, x)
    delta = through_output(z[-1], a[-1], output_gradients, network.activations[-1])
    deltas, matrices, rows = backward(network, z, a, delta)
    return deltas[0] @ network.weights[0].T, matrices, rows


def taylor(network, x):
    """Outputs a, and da_k/dx_i and d²a_k/dx_i², (N, n_out) and twice (N, n_out, n_in) arrays."""
    z, a = forward(network, x)
    first = np.broadcast_to(np.eye(len(a[0][0])), (len(a[0]), len(a[0][0]), len(a[0][0])))
    second = np.zeros(first.shape)
    for w, name, inputs, outputs in zip(network.weights, network.activations, z, a[1:], strict=True):
        first, second = (np.einsum("sui,uk->ski", streams, w) for streams in (first, second))
        if name == "softmax":
            v = outputs[:, :, None]
            deviation = first - (v * first).sum(axis=1, keepdims=True)
            bent = second - (v * second).sum(axis=1, keepdims=True) - (v * deviation * first).sum(axis=1, keepdims=True)
            first, second = v * deviation, v * (deviation**2 + bent)
        else:
            slope, bend = ACTIVATIONS[name][1](inputs)[:, :, None], CURVATURES[name][0](inputs)[:, :, None]
            first, second = slope * first, bend * first**2 + slope * second
    return a[-1], first, second


class Optimizer(NamedTuple):
    """An optimiser and its settings; `momentum` is Adam's beta 1. A `clip_norm` of 0 clips nothing."""

    kind: str
    learning_rate: float = 0.1
    l2: float = 0.0
    momentum: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    mean: bool = True
    update_biases: bool = True
    average_l2: bool = False
    epsilon_hat: bool = False


def change(optimizer, state, w, g, step, l2, decays):
    """What update `step`, counted from 1, adds to the parameters `w` with gradient `g`.

    Parameters
    ----------
    state : list of two arrays; velocity or first moment, second moment; zeros at first, changed
    l2 : float; the coefficient of the penalty in this step
    decays : bool; whether L2 and weight decay apply, as they do to weights but not to biases
    """
    rate, momentum, beta2 = optimizer.learning_rate, optimizer.momentum, optimizer.beta2
    g = g + decays * l2 * w
    if optimizer.kind == "sgd":
        return -rate * g
    if optimizer.kind in ("momentum", "nesterov"):
        state[0] = momentum * state[0] + g
        return -rate * (state[0] if optimizer.kind == "momentum" else g + momentum * state[0])
    if optimizer.kind == "rmsprop":
        state[1] = beta2 * state[1] + (1 - beta2) * g**2
        return -rate * g / (np.sqrt(state[1]) + optimizer.epsilon)
    if optimizer.kind == "adagrad":
        state[1] = state[1] + g**2
        return -rate * g / (np.sqrt(state[1]) + optimizer.epsilon)
    state[0] = momentum * state[0] + (1 - momentum) * g
    state[1] = beta2 * state[1] + (1 - beta2) * g**2
    first, second = state[0] / (1 - momentum**step), state[1] / (1 - beta2**step)
    decay = decays * optimizer.weight_decay if optimizer.kind == "adamw" else 0.0
    epsilon = optimizer.epsilon / (np.sqrt(1 - beta2**step) if optimizer.epsilon_hat else 1.0)
    return -rate * (first / (np.sqrt(second) + epsilon) + decay * w)


def train(network, batches, loss, optimizer, means=None):
    """Update the network in place, once for each (x, y) or (x, y, weights) of `batches`; each one's loss, before it.

    To the list `means` go a batch's loss as the optimiser scales it and its penalty, both times the samples.
    """
    parameters = network.weights + network.biases
    layers = len(network.weights)
    states = [[np.zeros_like(p), np.zeros_like(p)] for p in parameters]
    history = []
    for step, (x, y, *given) in enumerate(batches, 1):
        weights = given[0] if given else np.ones(len(x))
        history.append((losses(network, x, y, loss) * weights).sum())
        _, matrices, rows = backpropagate(network, x, y, loss, weights)
        scale = 1 / weights.sum() if optimizer.mean else 1.0
        l2 = optimizer.l2 * (scale if optimizer.average_l2 else 1.0)
        if means is not None:
            penalty = l2 / 2 * sum((w**2).sum() for w in network.weights)
            means.append((len(x) * scale * history[-1], len(x) * penalty))
        gradients = [scale * g for g in matrices + rows]
        learnt = gradients if optimizer.update_biases else gradients[:layers]
        norm = math.sqrt(sum((g**2).sum() for g in learnt))
        factor = optimizer.clip_norm / norm if 0 < optimizer.clip_norm < norm else 1.0
        for i, (p, g, state) in enumerate(zip(parameters, gradients, states, strict=True)):
            if i < layers or optimizer.update_biases:
                p += change(optimizer, state, p, factor * g, step, l2, decays=i < layers)
    return history


def to_panels(matrix, width, block, padding=0.0):
    """`matrix` in panels of `width` columns, each with room for `block` rows; `padding` fills what is left."""
    rows, columns = matrix.shape
    full = np.full((block, -(-columns // width) * width), padding, matrix.dtype)
    full[:rows, :columns] = matrix
    return np.concatenate([full[:, q : q + width].ravel() for q in range(0, full.shape[1], width)])


def from_panels(panels, width, block, rows, columns):
    """The matrix of `rows` x `columns` that starts `panels`."""
    count = -(-columns // width)
    return np.hstack(list(panels[: count * block * width].reshape(count, block, width)))[:rows, :columns]
