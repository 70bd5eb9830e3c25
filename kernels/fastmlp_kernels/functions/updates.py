"""Optimizers: update of a contiguous range of weights from their gradient, element by element.

Each is one row of RULES: a loop, the moments that it keeps, and the settings that it reads, with their usual values.
The arguments of all loops are those of `_none`. A new optimizer is a loop and a row, and its constant beside KINDS.

*Packed* weights are all of a network's weights and biases in one array (see `layout.network`), of which an update gets
one contiguous range. The loops apply the settings of a rule; what depends on a whole batch or network reaches them as
arguments: `mean`, `clip_norm` and `average_l2` are in `scale` and `l2`, which `drivers.step` computes (in users' code,
`embed.update`), and `update_biases` is applied by `products.learning`, which leaves the biases out.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..jit import inlined, specialize, spliced


class Optimizer(NamedTuple):
    """Optimizer and its settings; a kind ignores those that it does not use.

    Attributes
    ----------
    kind : int
        One of KINDS; NONE leaves the weights as they are.
    learning_rate : float
        Step size.
    l2 : float
        Coefficient of the penalty l2 / 2 |W|^2 (weights, not biases).
    momentum : float
        Share of the velocity, or of the mean of gradients, that an update keeps; Adam's beta_1.
    beta2 : float
        Share of the mean of squared gradients that an update keeps.
    epsilon : float
        Term that is added to the root of the mean of squared gradients, so that it can be divided by.
    weight_decay : float
        AdamW's decoupled decay.
    clip_norm : float
        Largest Euclidean norm of a gradient (before l2), to which larger ones are scaled down; 0: no limit.
    mean : bool
        Whether gradients are averaged over the batch, rather than summed.
    update_biases : bool
        Whether biases are updated.
    average_l2 : bool
        Whether the penalty is averaged too, l2 / (2 samples) |W|^2 (or over the sum of the samples' weights), rather
        than added to the average.
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
    epsilon_hat: bool  # without a default, as compiled code does not support any


class State(NamedTuple):
    """State of an optimizer. Its moments are packed like the weights; those that it does not keep are empty.

    Attributes
    ----------
    first : 1-D array; first moment: velocity, or mean of gradients
    second : 1-D array; second moment: mean or sum of squared gradients
    steps : (1,) int64 array; number of updates so far
    """

    first: np.ndarray
    second: np.ndarray
    steps: np.ndarray


@inlined
def _none(w, first, second, gradient, optimizer, step, scale, l2, decays):
    """Leave the weights as they are.

    Parameters
    ----------
    w : (n,) array; weights, updated in place
    first, second : (n,) arrays; moments (see `State`), updated in place; empty if not kept
    gradient : (n,) array
    optimizer : Optimizer; its numbers are float64
    step : int; number of the update, counted from 1
    scale : number of the dtype of `w`; factor of the gradient
    l2 : number of the dtype of `w`; l2 times the weights is added to the gradient
    decays : bool; whether decoupled weight decay applies, as it does to weights but not to biases
    """


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
    """v = momentum v + g, then w -= rate (g + momentum v): Nesterov's momentum (Sutskever et al. 2013)."""
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
    correction = real(1 / math.sqrt(1 - optimizer.beta2**step))
    epsilon = real(optimizer.epsilon) * (correction if optimizer.epsilon_hat else real(1))
    decoupled = optimizer.kind == ADAMW and decays
    keep = real(1 - optimizer.learning_rate * optimizer.weight_decay if decoupled else 1.0)
    rest, rest2 = real(1 - optimizer.momentum), real(1 - optimizer.beta2)
    rate = real(optimizer.learning_rate / (1 - optimizer.momentum**step))
    for i in range(len(w)):
        g = scale * gradient[i] + l2 * w[i]
        first[i] = momentum * first[i] + rest * g
        second[i] = beta2 * second[i] + rest2 * (g * g)
        w[i] = keep * w[i] - rate * first[i] / (math.sqrt(second[i]) * correction + epsilon)


@inlined
def _rmsprop(w, first, second, gradient, optimizer, step, scale, l2, decays):
    """RMSprop: gradient over the root of a running mean of its square (G. Hinton, Coursera 2012, lecture 6e)."""
    real = w.dtype.type
    rate, epsilon = real(optimizer.learning_rate), real(optimizer.epsilon)
    beta2, rest2 = real(optimizer.beta2), real(1 - optimizer.beta2)
    for i in range(len(w)):
        g = scale * gradient[i] + l2 * w[i]
        second[i] = beta2 * second[i] + rest2 * (g * g)
        w[i] -= rate * g / (math.sqrt(second[i]) + epsilon)


@inlined
def _adagrad(w, first, second, gradient, optimizer, step, scale, l2, decays):
    """Adagrad: gradient over the root of the sum of its squares so far (J. Duchi, E. Hazan, Y. Singer 2011)."""
    rate, epsilon = w.dtype.type(optimizer.learning_rate), w.dtype.type(optimizer.epsilon)
    for i in range(len(w)):
        g = scale * gradient[i] + l2 * w[i]
        second[i] += g * g
        w[i] -= rate * g / (math.sqrt(second[i]) + epsilon)


class Rule(NamedTuple):
    """Row of the table of optimizers.

    Attributes
    ----------
    loop : kernel with the arguments of `_none`; rules may share one
    first, second : bool; whether it keeps this moment (see `State`)
    settings : dict; usual values of the fields of `Optimizer` that it reads, without those that all rules read
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
# By name, the number that compiled code uses for a rule, its kind. Each is also a constant.
KINDS = {name: kind for kind, name in enumerate(RULES, 1)}
NONE = 0
SGD, MOMENTUM, NESTEROV, ADAM, ADAMW, RMSPROP, ADAGRAD = KINDS.values()
NO_UPDATE = Optimizer(NONE, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False, False, False, False)

# By kind, whether it keeps a first, and a second moment.
KEEPS_FIRST, KEEPS_SECOND = (
    (False, *(getattr(rule, moment) for rule in RULES.values())) for moment in ("first", "second")
)


def usual(setting):
    """Usual values of a setting by kind: a tuple.

    Kinds that do not read it have the value of the first that does, so that all elements are of one type: compiled code
    cannot index other tuples.
    """
    values = [rule.settings.get(setting) for rule in RULES.values()]
    other = next(value for value in values if value is not None)
    return tuple(other if value is None else value for value in (None, *values))


def _of_kinds(w, first, second, gradient, optimizer, step, scale, l2, decays):
    """Template of a loop: calls `loop` if the optimizer's kind is one of `kinds`, else `others`.

    The three names are globals that `jit.specialize` binds (see `_any_of`).
    """
    if optimizer.kind in kinds:  # noqa: F821
        loop(w, first, second, gradient, optimizer, step, scale, l2, decays)  # noqa: F821
    else:
        others(w, first, second, gradient, optimizer, step, scale, l2, decays)  # noqa: F821


def _any_of(rules):
    """Loop for all rules, which chooses by the optimizer's kind: a chain of `_of_kinds`."""
    chosen = _none
    for loop in dict.fromkeys(rule.loop for rule in rules.values()):
        kinds = tuple(KINDS[name] for name, rule in rules.items() if rule.loop is loop)
        name = f"{loop.__name__}_or_others"
        chosen = spliced(specialize(_of_kinds, name, kinds=kinds, loop=loop, others=chosen))
    return chosen


_update = _any_of(RULES)


@inlined
def update(weights, state, gradient, start, stop, optimizer, scale, l2, decays):
    """Update weights[start : stop] by an optimizer's rule.

    Parameters
    ----------
    weights : 1-D array; packed weights, updated in place
    state : State; its moments are updated in place, `steps` is not
    gradient : (stop - start,) array; gradient of these weights
    start, stop : int; range of the weights
    optimizer : Optimizer
    scale : float; factor of the gradient
    l2 : float; l2 times the weights is added to the gradient, if `decays`
    decays : bool; whether l2 and weight decay apply, as they do to weights but not to biases
    """
    real = weights.dtype.type
    scale, l2 = real(scale), real(l2 if decays else 0.0)
    # Slices, as their indices begin at 0: with indices from `start`, which might be negative, loops would not become
    # vector code.
    w, first, second = weights[start:stop], state.first[start:stop], state.second[start:stop]
    _update(w, first, second, gradient, optimizer, state.steps[0] + 1, scale, l2, decays)
