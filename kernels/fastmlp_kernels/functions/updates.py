"""Optimizers: the update of a stretch of weights from its gradient, element by element.

Each is one row of RULES: a loop, the moments that it keeps, and the settings that it reads, with their usual values. A
loop is rule(w, first, second, gradient, optimizer, step, scale, l2, decays): it changes the weights `w` and the moments
that it keeps, from `scale` times the gradient and `l2` times the weights, in update number `step`, counted from 1.
`decays` says whether a decay of the weights that is no part of the gradient applies. Arrays are stretches of the same
length, but for moments that are not kept; numbers are of their dtype, but for those in `optimizer`.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..jit import inlined, specialize


class Optimizer(NamedTuple):
    """An optimizer and its settings; what a kind does not use is ignored.

    Attributes
    ----------
    kind : int
        One of KINDS; NONE leaves the weights as they are.
    learning_rate, l2 : float
        Step size; coefficient of the penalty l2 / 2 |W|^2 (weights, not biases).
    momentum : float
        Share of the last velocity, or of the mean of gradients, that is kept: Adam's beta_1.
    beta2, epsilon, weight_decay : float
        Share of the mean of squared gradients that is kept; the term that keeps its root, which is divided by, from
        zero; AdamW's decoupled decay.
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


class State(NamedTuple):
    """What an optimizer remembers, packed like the weights; arrays it does not need are empty.

    Attributes
    ----------
    first, second : 1-D arrays; velocity or mean of gradients; mean or sum of their squares
    steps : (1,) int64 array; updates made so far
    """

    first: np.ndarray
    second: np.ndarray
    steps: np.ndarray


@inlined
def _none(w, first, second, gradient, optimizer, step, scale, l2, decays):
    """Leave the weights as they are."""


@inlined
def _sgd(w, first, second, gradient, optimizer, step, scale, l2, decays):
    """w -= rate g: gradient descent."""
    rate = w.dtype.type(optimizer.learning_rate)
    for i in range(len(w)):
        w[i] -= rate * (scale * gradient[i] + l2 * w[i])


@inlined
def _momentum(w, first, second, gradient, optimizer, step, scale, l2, decays):
    """v = momentum v + g, then w -= rate v."""
    rate, momentum = w.dtype.type(optimizer.learning_rate), w.dtype.type(optimizer.momentum)
    for i in range(len(w)):
        first[i] = momentum * first[i] + (scale * gradient[i] + l2 * w[i])
        w[i] -= rate * first[i]


@inlined
def _nesterov(w, first, second, gradient, optimizer, step, scale, l2, decays):
    """Momentum in the form that looks ahead from the new velocity (Sutskever et al. 2013)."""
    rate, momentum = w.dtype.type(optimizer.learning_rate), w.dtype.type(optimizer.momentum)
    for i in range(len(w)):
        g = scale * gradient[i] + l2 * w[i]
        first[i] = momentum * first[i] + g
        w[i] -= rate * (g + momentum * first[i])


@inlined
def _adam(w, first, second, gradient, optimizer, step, scale, l2, decays):
    """Adam (Kingma & Ba 2015, algorithm 1) and AdamW (Loshchilov & Hutter 2019, algorithm 2)."""
    real = w.dtype.type
    momentum, beta2 = real(optimizer.momentum), real(optimizer.beta2)
    rate = real(optimizer.learning_rate / (1 - optimizer.momentum**step))
    correction = real(1 / math.sqrt(1 - optimizer.beta2**step))
    epsilon = real(optimizer.epsilon) * (correction if optimizer.epsilon_hat else real(1))
    decoupled = optimizer.kind == ADAMW and decays
    keep = real(1 - optimizer.learning_rate * optimizer.weight_decay if decoupled else 1.0)
    rest, rest2 = real(1 - optimizer.momentum), real(1 - optimizer.beta2)
    for i in range(len(w)):
        g = scale * gradient[i] + l2 * w[i]
        first[i] = momentum * first[i] + rest * g
        second[i] = beta2 * second[i] + rest2 * (g * g)
        w[i] = keep * w[i] - rate * first[i] / (math.sqrt(second[i]) * correction + epsilon)


@inlined
def _rmsprop(w, first, second, gradient, optimizer, step, scale, l2, decays):
    """RMSprop: gradients over the root of a running mean of their squares (G. Hinton, Coursera 2012, lecture 6e)."""
    real = w.dtype.type
    rate, epsilon = real(optimizer.learning_rate), real(optimizer.epsilon)
    beta2, rest2 = real(optimizer.beta2), real(1 - optimizer.beta2)
    for i in range(len(w)):
        g = scale * gradient[i] + l2 * w[i]
        second[i] = beta2 * second[i] + rest2 * (g * g)
        w[i] -= rate * g / (math.sqrt(second[i]) + epsilon)


@inlined
def _adagrad(w, first, second, gradient, optimizer, step, scale, l2, decays):
    """Adagrad: gradients over the root of the sum of their squares (J. Duchi, E. Hazan, Y. Singer 2011)."""
    rate, epsilon = w.dtype.type(optimizer.learning_rate), w.dtype.type(optimizer.epsilon)
    for i in range(len(w)):
        g = scale * gradient[i] + l2 * w[i]
        second[i] += g * g
        w[i] -= rate * g / (math.sqrt(second[i]) + epsilon)


class Rule(NamedTuple):
    """An optimizer as a loop over weights, and what is to be known of it.

    Attributes
    ----------
    loop : the compiled function; two rules may share one
    first, second : bool; whether it keeps this moment (see `State`)
    settings : dict; fields of `Optimizer` that it reads, besides those that all do, to their usual values
    """

    loop: Callable
    first: bool = False
    second: bool = False
    settings: dict = {}  # noqa: RUF012


RULES = {
    "sgd": Rule(_sgd),
    "momentum": Rule(_momentum, first=True, settings={"momentum": 0.9}),
    "nesterov": Rule(_nesterov, first=True, settings={"momentum": 0.9}),
    "adam": Rule(
        _adam,
        first=True,
        second=True,
        settings={"momentum": 0.9, "beta2": 0.999, "epsilon": 1e-8, "epsilon_hat": False},
    ),
    "adamw": Rule(
        _adam,
        first=True,
        second=True,
        settings={"momentum": 0.9, "beta2": 0.999, "epsilon": 1e-8, "epsilon_hat": False, "weight_decay": 0.01},
    ),
    "rmsprop": Rule(_rmsprop, second=True, settings={"beta2": 0.99, "epsilon": 1e-8}),
    "adagrad": Rule(_adagrad, second=True, settings={"epsilon": 1e-10}),
}
# The kinds by which compiled code knows the rules, each also known by its name in capitals.
KINDS = {name: kind for kind, name in enumerate(RULES, 1)}
NONE = 0
SGD, MOMENTUM, NESTEROV, ADAM, ADAMW, RMSPROP, ADAGRAD = KINDS.values()
NO_UPDATE = Optimizer(NONE, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False, False, False, False)

# By kind: whether it keeps a first and a second moment.
KEEPS_FIRST, KEEPS_SECOND = (
    (False, *(getattr(rule, moment) for rule in RULES.values())) for moment in ("first", "second")
)


def usual(setting):
    """The usual value of a setting by kind: a tuple. A kind that does not read it has that of the first which does."""
    values = [rule.settings.get(setting) for rule in RULES.values()]
    other = next(value for value in values if value is not None)
    return tuple(other if value is None else value for value in (None, *values))


def _of_kinds(w, first, second, gradient, optimizer, step, scale, l2, decays):
    """The `loop` of optimizers of `kinds`, `others` for all others; the three globals are bound to each loop's own."""
    if optimizer.kind in kinds:  # noqa: F821
        loop(w, first, second, gradient, optimizer, step, scale, l2, decays)  # noqa: F821
    else:
        others(w, first, second, gradient, optimizer, step, scale, l2, decays)  # noqa: F821


def _any_of(rules):
    """One loop of all rules, which looks at the kind."""
    chosen = _none
    for loop in dict.fromkeys(rule.loop for rule in rules.values()):
        kinds = tuple(KINDS[name] for name, rule in rules.items() if rule.loop is loop)
        name = f"{loop.__name__}_or_others"
        chosen = inlined(specialize(_of_kinds, name, kinds=kinds, loop=loop, others=chosen))
    return chosen


_update = _any_of(RULES)


@inlined
def update(weights, state, gradient, start, stop, optimizer, scale, l2, decays):
    """Update weights[start : stop] from `scale` times their gradient, of as many elements, and `l2` times the weights.

    `decays` tells whether l2 and weight decay apply: to weights, not to biases.
    """
    real = weights.dtype.type
    scale, l2 = real(scale), real(l2 if decays else 0.0)
    # Of slices, indices run from 0: counted from `start`, which might be negative, loops would not become vector code.
    w, first, second = weights[start:stop], state.first[start:stop], state.second[start:stop]
    _update(w, first, second, gradient, optimizer, state.steps[0] + 1, scale, l2, decays)
