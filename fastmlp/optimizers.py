"""Optimizers and their settings, as objects. The update formulas are in `fastmlp_kernels.functions.updates`."""

from dataclasses import dataclass
from typing import ClassVar

from fastmlp_kernels.functions import updates

from . import checks
from .signatures import keyword_only_soon


class Optimizer:
    """Base of all optimizers.

    Attributes
    ----------
    name : str
        Name in the kernels' table RULES.
    suggested_rate : float
        Default learning rate of the command line.
    """

    name: ClassVar[str]
    suggested_rate: ClassVar[float] = 2e-3

    @property
    def kind(self):
        """Number by which the kernels know the optimizer: an int."""
        return updates.KINDS[self.name]


@dataclass(frozen=True)
class SGD(Optimizer):
    """Plain gradient descent."""

    name: ClassVar[str] = "sgd"
    suggested_rate: ClassVar[float] = 0.1


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with momentum: v = momentum v + gradient, then w -= learning_rate v.

    With `rate_in_velocity`, v = momentum v + learning_rate gradient, then w -= v (Sutskever et al. 2013, eq. 1): a
    change of the learning rate then has no effect on the share of earlier gradients in a step.
    """

    momentum: float = 0.9
    rate_in_velocity: bool = False

    name: ClassVar[str] = "momentum"
    suggested_rate: ClassVar[float] = 0.02

    def __post_init__(self):
        checks.number("momentum", self.momentum, 0, 1, closed_end=True)


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Nesterov's accelerated gradient: momentum that looks one step ahead (Sutskever et al. 2013)."""

    name: ClassVar[str] = "nesterov"


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square (Kingma & Ba 2015).

    With `epsilon_hat`, epsilon is the epsilon-hat of the end of their section 2, as in scikit-learn: it is added before
    the correction for the start at zero, so that it has more effect in the first updates.
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
        """Name of `beta1` in the kernels."""
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
    """RMSprop: steps scaled by a running mean of the squared gradient, which keeps the share `decay` (Hinton 2012).

    Like PyTorch's by default, without momentum and centering; epsilon is added to the root of the mean.
    """

    decay: float = 0.99
    epsilon: float = 1e-8

    name: ClassVar[str] = "rmsprop"

    def __post_init__(self):
        checks.number("decay", self.decay, 0, 1)
        checks.number("epsilon", self.epsilon, 0, open_start=True)

    @property
    def beta2(self):
        """Name of `decay` in the kernels."""
        return self.decay


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad: steps scaled by the sum of the squared gradients of all updates so far (Duchi, Hazan & Singer 2011)."""

    epsilon: float = 1e-10

    name: ClassVar[str] = "adagrad"
    suggested_rate: ClassVar[float] = 0.02

    def __post_init__(self):
        checks.number("epsilon", self.epsilon, 0, open_start=True)


OPTIMIZERS = {kind.name: kind for kind in (SGD, Momentum, Nesterov, Adam, AdamW, RMSprop, Adagrad)}
for kind in OPTIMIZERS.values():
    kind.__init__ = keyword_only_soon(kind.__init__)  # the one that `dataclass` wrote: errors suggest what is meant
del kind


def resolve(optimizer):
    """Object for an optimizer, given its name or the object itself."""
    checks.not_a_class("optimizer", optimizer)
    if isinstance(optimizer, Optimizer):
        return optimizer
    return OPTIMIZERS[checks.choice("optimizer", optimizer, OPTIMIZERS)]()


def for_kernels(optimizer, learning_rate, l2, clip_norm, mean, update_biases, average_l2):
    """Optimizer of the kernels.

    Parameters
    ----------
    optimizer : Optimizer
    learning_rate : float; step size, from 0 on
    l2 : float; coefficient of the penalty l2 / 2 |W|^2
    clip_norm : float or None; largest norm of a gradient
    mean : bool; whether gradients are averaged over the batch, rather than summed
    update_biases : bool; whether biases are updated
    average_l2 : bool; whether the penalty is averaged too (see `Trainer`)

    Returns
    -------
    fastmlp_kernels.Optimizer
        Every number is a float, because the kernels are compiled for the types of its fields.
    """
    settings = updates.RULES[optimizer.name].settings  # those that this rule reads, with their usual values
    return updates.NO_UPDATE._replace(
        kind=optimizer.kind,
        learning_rate=learning_rate,
        l2=float(l2),
        clip_norm=float(clip_norm or 0),
        mean=mean,
        update_biases=update_biases,
        average_l2=average_l2,
        **{name: type(usual)(getattr(optimizer, name)) for name, usual in settings.items()},
    )
