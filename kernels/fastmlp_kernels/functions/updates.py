"""Optimisers: the update of a stretch of weights from its gradient, element by element."""

import math
from typing import NamedTuple

import numpy as np

from ..jit import inlined

NONE, SGD, MOMENTUM, NESTEROV, ADAM, ADAMW = range(6)


class Optimizer(NamedTuple):
    """An optimiser and its settings; what a kind does not use is ignored.

    Attributes
    ----------
    kind : int
        SGD, MOMENTUM, NESTEROV, ADAM or ADAMW; or NONE, which leaves the weights as they are.
    learning_rate, l2 : float
        Step size; coefficient of the penalty l2 / 2 |W|^2 (weights, not biases).
    momentum : float
        Share of the last velocity that is kept; for Adam beta_1.
    beta2, epsilon, weight_decay : float
        Adam's second decay rate and the term that keeps its denominator from zero; AdamW's decoupled decay.
    clip_norm : float
        Gradients of a larger Euclidean norm (before l2) are scaled down to it; 0: never.
    mean : bool
        Whether gradients are averaged over the batch, rather than summed.
    update_biases : bool
    average_l2 : bool
        Whether the penalty is part of what is averaged, rather than added to the average: l2 / (2 samples) |W|^2, or
        over the sum of the samples' weights.
    epsilon_hat : bool
        Whether Adam's epsilon is added before the second moment is corrected for its start at zero: the epsilon-hat of
        Kingma & Ba (2015), end of section 2.
    """

    kind: int
    learning_rate: float
    l2: float
    momentum: float
    beta2: float
    epsilon: float
    weight_decay: float
    clip_norm: float
    mean: bool
    update_biases: bool
    average_l2: bool
    epsilon_hat: bool  # no default: compiled code does not know of any


NO_UPDATE = Optimizer(NONE, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False, False, False, False)


class State(NamedTuple):
    """What an optimiser remembers, packed like the weights; arrays it does not need are empty.

    Attributes
    ----------
    first, second : 1-D arrays; velocity or first moment, second moment
    steps : (1,) int64 array; updates made so far
    """

    first: np.ndarray
    second: np.ndarray
    steps: np.ndarray


@inlined
def update(weights, state, gradient, start, stop, optimizer, scale, l2, decays):
    """Update weights[start : stop] from `scale` times their gradient, of as many elements, and `l2` times the weights.

    `decays` tells whether l2 and weight decay apply: to weights, not to biases. Sources: Sutskever et al. (2013) for
    Nesterov's momentum, in the form that looks ahead from the new velocity; Kingma & Ba (2015), algorithm 1, for Adam;
    Loshchilov & Hutter (2019), algorithm 2, for AdamW.
    """
    real = weights.dtype.type
    rate, momentum, scale = real(optimizer.learning_rate), real(optimizer.momentum), real(scale)
    l2, kind = real(l2 if decays else 0.0), optimizer.kind
    # Of slices, indices run from 0: counted from `start`, which might be negative, loops would not become vector code.
    w = weights[start:stop]
    first, second = state.first[start:stop], state.second[start:stop]
    if kind == SGD:
        for i in range(len(w)):
            w[i] -= rate * (scale * gradient[i] + l2 * w[i])
    elif kind == MOMENTUM:
        for i in range(len(w)):
            first[i] = momentum * first[i] + (scale * gradient[i] + l2 * w[i])
            w[i] -= rate * first[i]
    elif kind == NESTEROV:
        for i in range(len(w)):
            g = scale * gradient[i] + l2 * w[i]
            first[i] = momentum * first[i] + g
            w[i] -= rate * (g + momentum * first[i])
    elif kind >= ADAM:
        steps, beta2 = state.steps[0] + 1, real(optimizer.beta2)
        rate = real(optimizer.learning_rate / (1 - optimizer.momentum**steps))
        correction = real(1 / math.sqrt(1 - optimizer.beta2**steps))
        epsilon = real(optimizer.epsilon) * (correction if optimizer.epsilon_hat else real(1))
        keep = real(1 - optimizer.learning_rate * optimizer.weight_decay if kind == ADAMW and decays else 1.0)
        rest, rest2 = real(1 - optimizer.momentum), real(1 - optimizer.beta2)
        for i in range(len(w)):
            g = scale * gradient[i] + l2 * w[i]
            first[i] = momentum * first[i] + rest * g
            second[i] = beta2 * second[i] + rest2 * (g * g)
            w[i] = keep * w[i] - rate * first[i] / (math.sqrt(second[i]) * correction + epsilon)
