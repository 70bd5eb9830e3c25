"""Optimizers and their settings. The formulas stand with the kernels, in `fastmlp_kernels.functions.updates`."""

from dataclasses import dataclass
from typing import ClassVar

from fastmlp_kernels.functions import updates

from . import checks


class Optimizer:
    """What all optimizers have.

    Attributes
    ----------
    name : str
        By which the kernels know it.
    suggested_rate : float
        Learning rate that the command line takes unless it is told another.
    """

    name: ClassVar[str]
    suggested_rate: ClassVar[float] = 2e-3

    @property
    def kind(self):
        """Its number in the kernels."""
        return updates.KINDS[self.name]


@dataclass(frozen=True)
class SGD(Optimizer):
    """Plain gradient descent."""

    name: ClassVar[str] = "sgd"
    suggested_rate: ClassVar[float] = 0.1


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with momentum: the velocity keeps a share `momentum` of itself and gains the gradient.

    With `rate_in_velocity` it gains the gradient times the learning rate of the moment (Sutskever et al. 2013, eq. 1):
    a new rate does not change the steps of gradients before it.
    """

    momentum: float = 0.9
    rate_in_velocity: bool = False

    name: ClassVar[str] = "momentum"
    suggested_rate: ClassVar[float] = 0.02

    def __post_init__(self):
        checks.number("momentum", self.momentum, 0, 1, closed_end=True)


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Nesterov's accelerated gradient: momentum that looks one step ahead."""

    name: ClassVar[str] = "nesterov"


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square (Kingma & Ba 2015).

    With `epsilon_hat`, epsilon is that of the end of their section 2, as in scikit-learn: it weighs more at first.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_hat: bool = False

    name: ClassVar[str] = "adam"

    def __post_init__(self):
        checks.number("beta1", self.beta1, 0, 1)
        checks.number("beta2", self.beta2, 0, 1)
        checks.number("epsilon", self.epsilon, 0, open_start=True)

    @property
    def momentum(self):
        """What the kernels call `beta1`."""
        return self.beta1


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled decay: a step shrinks weights by learning_rate * weight_decay (Loshchilov & Hutter 2019)."""

    weight_decay: float = 0.01

    name: ClassVar[str] = "adamw"

    def __post_init__(self):
        super().__post_init__()
        checks.number("weight_decay", self.weight_decay)


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Steps scaled by a running mean of the squared gradient, of which an update keeps the share `decay` (Hinton 2012).

    Without momentum and centering, as PyTorch's by default: epsilon is added to the root of the mean.
    """

    decay: float = 0.99
    epsilon: float = 1e-8

    name: ClassVar[str] = "rmsprop"

    def __post_init__(self):
        checks.number("decay", self.decay, 0, 1)
        checks.number("epsilon", self.epsilon, 0, open_start=True)

    @property
    def beta2(self):
        """What the kernels call `decay`."""
        return self.decay


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Steps scaled by the sum of the squared gradients of all updates so far (Duchi, Hazan & Singer 2011)."""

    epsilon: float = 1e-10

    name: ClassVar[str] = "adagrad"
    suggested_rate: ClassVar[float] = 0.02

    def __post_init__(self):
        checks.number("epsilon", self.epsilon, 0, open_start=True)


OPTIMIZERS = {kind.name: kind for kind in (SGD, Momentum, Nesterov, Adam, AdamW, RMSprop, Adagrad)}


def resolve(optimizer):
    """An optimizer from its name or from itself."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    return OPTIMIZERS[checks.choice("optimizer", optimizer, OPTIMIZERS)]()


def compiled(optimizer, learning_rate, l2, clip_norm, mean, update_biases, average_l2):
    """The settings as the kernels take them: every number a float, because the kernels are compiled for its type."""
    read = updates.RULES[optimizer.name].settings
    return updates.NO_UPDATE._replace(
        kind=optimizer.kind,
        learning_rate=checks.number("learning_rate", learning_rate),
        l2=float(l2),
        clip_norm=float(clip_norm or 0),
        mean=mean,
        update_biases=update_biases,
        average_l2=average_l2,
        **{name: type(usual)(getattr(optimizer, name)) for name, usual in read.items()},
    )
