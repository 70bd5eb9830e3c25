"""Losses and their settings. The formulas stand with the kernels, in `fastmlp_kernels.panelwise`.

Errors are summed over outputs. The table of the kernels says of each loss which outputs and targets it is for, and what
its setting is called.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from fastmlp_kernels.panelwise import losses as kernels

from . import checks


class Loss:
    """What all losses have: the name by which the kernels know it."""

    name: str


@dataclass(frozen=True)
class SquaredError(Loss):
    """Half the squared error, (a - y)^2 / 2."""

    name: ClassVar[str] = "squared_error"


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """The absolute error, |a - y|: estimates the median."""

    name: ClassVar[str] = "absolute_error"


@dataclass(frozen=True)
class Huber(Loss):
    """Squared error for errors up to `delta`, linear beyond (Huber 1964)."""

    delta: float = 1.0

    name: ClassVar[str] = "huber"

    def __post_init__(self):
        checks.number("delta", self.delta, open_start=True)


@dataclass(frozen=True)
class Quantile(Loss):
    """Estimates the quantile `q`: an error counts q where the output is too low, 1 - q where it is too high."""

    q: float = 0.5

    name: ClassVar[str] = "quantile"

    def __post_init__(self):
        checks.number("q", self.q, 0, 1, open_start=True)


@dataclass(frozen=True)
class LogCosh(Loss):
    """log cosh(a - y): half the squared error of small errors, the absolute error less log 2 of large ones."""

    name: ClassVar[str] = "log_cosh"


@dataclass(frozen=True)
class GaussianNLL(Loss):
    """Negative log-likelihood of a normal distribution, of which the network finds mean and variance.

    There are two "identity" outputs for each target: first the means m of all, then the logarithms s of their
    variances. The error is (s + (y - m)^2 exp(-s)) / 2 (Nix & Weigend 1994); below s = -32, exp(-s) goes on as its
    tangent, so that nothing overflows.
    """

    name: ClassVar[str] = "gaussian_nll"


@dataclass(frozen=True)
class Poisson(Loss):
    """Half the deviance of a Poisson distribution, y log(y / a) - y + a, for "exp" outputs and targets from 0 on."""

    name: ClassVar[str] = "poisson"


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """-sum y log a, for "softmax" outputs; a share `label_smoothing` of the targets is spread over all classes."""

    label_smoothing: float = 0.0

    name: ClassVar[str] = "cross_entropy"

    def __post_init__(self):
        checks.number("label_smoothing", self.label_smoothing, 0, 1)


@dataclass(frozen=True)
class BinaryCrossEntropy(CrossEntropy):
    """-y log a - (1 - y) log(1 - a), for "sigmoid" outputs; `label_smoothing` brings targets closer to 1/2."""

    name: ClassVar[str] = "binary_cross_entropy"


@dataclass(frozen=True)
class Focal(Loss):
    """Cross-entropy, for "softmax" or "sigmoid" outputs, times (1 - a)^gamma: what is right already counts less.

    Lin et al. (2017).
    """

    gamma: float = 2.0
    label_smoothing: float = 0.0

    name: ClassVar[str] = "focal"

    def __post_init__(self):
        checks.number("gamma", self.gamma)
        checks.number("label_smoothing", self.label_smoothing, 0, 1)


@dataclass(frozen=True)
class Own(Loss):
    """One that you registered."""

    name: str


LOSSES = {
    kind.name: kind
    for kind in (
        SquaredError,
        AbsoluteError,
        Huber,
        Quantile,
        LogCosh,
        GaussianNLL,
        Poisson,
        CrossEntropy,
        BinaryCrossEntropy,
        Focal,
    )
}
CLASSES, PROBABILITIES, COUNTS = "classes", "probabilities", "counts"  # what targets are; others are any numbers


def resolve(loss, output_activation, outputs):
    """A loss from its name, "auto" or itself; an error where it does not go with so many outputs of an activation."""
    if not isinstance(loss, Loss):
        name = _canonical(output_activation) if loss == "auto" else loss
        if isinstance(name, str) and name in LOSSES:
            loss = LOSSES[name]()
        else:
            own = "; one of your own must be registered first, with fastmlp.register_loss"
            loss = Own(checks.choice("loss", name, dict.fromkeys(name for name, _ in kernels.LOSSES), own))
    if outputs % (each := row(loss, output_activation).outputs):
        raise ValueError(f"loss is {loss.name!r} with {outputs} outputs; accepted: {each} for each target")
    return loss


def _canonical(output_activation):
    """The name of the loss that goes with outputs by default."""
    names = {output: name for (name, output), row in kernels.LOSSES.items() if row.canonical}
    return names.get(output_activation, names["elementwise"])


def smoothed(loss, label_smoothing):
    """A loss with its targets smoothed."""
    if not label_smoothing:
        return loss
    if not hasattr(loss, "label_smoothing"):
        accepted = ", ".join(name for name, kind in LOSSES.items() if hasattr(kind, "label_smoothing"))
        raise ValueError(f"label_smoothing is {label_smoothing} with {loss.name}; accepted with {accepted}")
    return replace(loss, label_smoothing=label_smoothing)


def row(loss, output_activation):
    """What the kernels know of a loss."""
    return kernels.LOSSES[kernels.loss_key(loss.name, output_activation)]


def targets(loss, output_activation):
    """What the targets of a loss are: CLASSES, PROBABILITIES, COUNTS or "numbers"."""
    return row(loss, output_activation).targets


def suited_output(name):
    """The output activation for a loss of numbers or counts by its name: "identity" where others would do, too."""
    fitting = (output for (loss, output), row in kernels.LOSSES.items() if loss == name and row.targets == COUNTS)
    return next(fitting, "identity")


def columns(loss, output_activation, outputs):
    """How many targets a sample has with so many outputs."""
    return outputs // row(loss, output_activation).outputs


def compiled(loss, output_activation, dtype):
    """A loss as the kernels take it."""
    parameter = vars(loss).get(row(loss, output_activation).setting)
    smoothing = getattr(loss, "label_smoothing", 0.0)
    return kernels.loss(loss.name, output_activation, dtype, parameter, smoothing)
