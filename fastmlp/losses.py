"""Losses and their settings. The formulas stand with the kernels, in `fastmlp_kernels.panelwise`.

Errors are summed over outputs.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from fastmlp_kernels.panelwise import losses as kernels

from . import checks


@dataclass(frozen=True)
class SquaredError:
    """Half the squared error, (a - y)^2 / 2."""

    name: ClassVar[str] = "squared_error"


@dataclass(frozen=True)
class AbsoluteError:
    """The absolute error, |a - y|: estimates the median."""

    name: ClassVar[str] = "absolute_error"


@dataclass(frozen=True)
class Huber:
    """Squared error for errors up to `delta`, linear beyond (Huber 1964)."""

    delta: float = 1.0

    name: ClassVar[str] = "huber"

    def __post_init__(self):
        checks.number("delta", self.delta, open_start=True)


@dataclass(frozen=True)
class Quantile:
    """Estimates the quantile `q`: an error counts q where the output is too low, 1 - q where it is too high."""

    q: float = 0.5

    name: ClassVar[str] = "quantile"

    def __post_init__(self):
        checks.number("q", self.q, 0, 1, open_start=True)


@dataclass(frozen=True)
class Poisson:
    """Half the deviance of a Poisson distribution, y log(y / a) - y + a, for "exp" outputs and targets from 0 on."""

    name: ClassVar[str] = "poisson"


@dataclass(frozen=True)
class CrossEntropy:
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
class Focal:
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
class Own:
    """One that you registered."""

    name: str


LOSSES = {
    kind.name: kind
    for kind in (
        SquaredError,
        AbsoluteError,
        Huber,
        Quantile,
        Poisson,
        CrossEntropy,
        BinaryCrossEntropy,
        Focal,
    )
}
Loss = SquaredError | AbsoluteError | Huber | Quantile | Poisson | CrossEntropy | Focal | Own

# What targets are, by loss and output activation; other targets are any numbers.
CLASSES, PROBABILITIES, COUNTS, NUMBERS = "classes", "probabilities", "counts", "numbers"
TARGETS = {
    ("cross_entropy", "softmax"): CLASSES,
    ("focal", "softmax"): CLASSES,
    ("binary_cross_entropy", "sigmoid"): PROBABILITIES,
    ("focal", "sigmoid"): PROBABILITIES,
    ("poisson", "exp"): COUNTS,
}
AUTO = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy", "exp": "poisson"}  # by output activation


def resolve(loss, output_activation):
    """A loss from its name, "auto" or itself; an error where it does not go with the outputs."""
    if not isinstance(loss, (*LOSSES.values(), Own)):
        name = AUTO.get(output_activation, "squared_error") if loss == "auto" else loss
        if isinstance(name, str) and name in LOSSES:
            loss = LOSSES[name]()
        else:
            own = "; one of your own must be registered first, with fastmlp.register_loss"
            loss = Own(checks.choice("loss", name, dict.fromkeys(name for name, _ in kernels.LOSSES), own))
    kernels.loss_key(loss.name, output_activation)
    return loss


def smoothed(loss, label_smoothing):
    """A loss with its targets smoothed."""
    if not label_smoothing:
        return loss
    if not hasattr(loss, "label_smoothing"):
        raise ValueError(
            f"label_smoothing is {label_smoothing} with {loss.name}; accepted with cross_entropy, "
            "binary_cross_entropy and focal"
        )
    return replace(loss, label_smoothing=label_smoothing)


def targets(loss, output_activation):
    """What the targets of a loss are: CLASSES, PROBABILITIES, COUNTS or NUMBERS."""
    return TARGETS.get((loss.name, output_activation), NUMBERS)


def compiled(loss, output_activation, dtype):
    """A loss as the kernels take it."""
    parameters = {name: value for name, value in vars(loss).items() if name in ("delta", "q", "gamma")}
    smoothing = getattr(loss, "label_smoothing", 0.0)
    return kernels.loss(loss.name, output_activation, dtype, *parameters.values(), smoothing=smoothing)
