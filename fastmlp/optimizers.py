"""Optimisers and their settings. The formulas stand with the kernels, in `fastmlp_kernels.functions.updates`."""

from dataclasses import dataclass
from typing import ClassVar

from fastmlp_kernels.functions import updates

from . import checks


@dataclass(frozen=True)
class SGD:
    """Plain gradient descent."""

    kind: ClassVar[int] = updates.SGD


@dataclass(frozen=True)
class Momentum:
    """Gradient descent with momentum: the velocity keeps a share `momentum` of itself and gains the gradient.

    With `rate_in_velocity` it gains the gradient times the learning rate of the moment (Sutskever et al. 2013, eq. 1):
    a new rate does not change the steps of gradients before it.
    """

    momentum: float = 0.9
    rate_in_velocity: bool = False

    kind: ClassVar[int] = updates.MOMENTUM

    def __post_init__(self):
        checks.number("momentum", self.momentum, 0, 1, closed_end=True)


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Nesterov's accelerated gradient: momentum that looks one step ahead."""

    kind: ClassVar[int] = updates.NESTEROV


@dataclass(frozen=True)
class Adam:
    """Adam: steps scaled by running means of the gradient and of its square (Kingma & Ba 2015).

    With `epsilon_hat`, epsilon is that of the end of their section 2, as in scikit-learn: it weighs more at first.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_hat: bool = False

    kind: ClassVar[int] = updates.ADAM

    def __post_init__(self):
        checks.number("beta1", self.beta1, 0, 1)
        checks.number("beta2", self.beta2, 0, 1)
        checks.number("epsilon", self.epsilon, 0, open_start=True)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled decay: a step shrinks weights by learning_rate * weight_decay (Loshchilov & Hutter 2019)."""

    weight_decay: float = 0.01

    kind: ClassVar[int] = updates.ADAMW

    def __post_init__(self):
        super().__post_init__()
        checks.number("weight_decay", self.weight_decay)


Optimizer = SGD | Momentum | Adam

OPTIMIZERS = {"sgd": SGD, "momentum": Momentum, "nesterov": Nesterov, "adam": Adam, "adamw": AdamW}


def resolve(optimizer):
    """An optimiser from its name or from itself."""
    if isinstance(optimizer, tuple(OPTIMIZERS.values())):
        return optimizer
    return OPTIMIZERS[checks.choice("optimizer", optimizer, OPTIMIZERS)]()


def compiled(optimizer, learning_rate, l2, clip_norm, mean, update_biases, average_l2):
    """The settings as the kernels take them: every number a float, because the kernels are compiled for its type."""
    return updates.Optimizer(
        kind=optimizer.kind,
        learning_rate=checks.number("learning_rate", learning_rate),
        l2=float(l2),
        momentum=float(getattr(optimizer, "momentum", getattr(optimizer, "beta1", 0))),
        beta2=float(getattr(optimizer, "beta2", 0)),
        epsilon=float(getattr(optimizer, "epsilon", 0)),
        weight_decay=float(getattr(optimizer, "weight_decay", 0)),
        clip_norm=float(clip_norm or 0),
        mean=mean,
        update_biases=update_biases,
        average_l2=average_l2,
        epsilon_hat=getattr(optimizer, "epsilon_hat", False),
    )
