"""Losses and their settings, as objects. The formulas are in `fastmlp_kernels.panelwise`.

In the formulas a is an output and y its target; a sample's error is the sum over its outputs.

The kernels have a table of their own, `kernels.LOSSES`, with a row for each pair (name of a loss, output activation);
the output activation "elementwise" stands for all that are applied element by element (all but softmax) and have no row
of their own with the loss. Of a row (a `LossFunction`), this module reads ::

    targets    kind of the targets, such as CLASSES
    canonical  whether the loss is the default for these outputs
    setting    name of the loss's setting, an attribute of the object here; "" if it has none
    outputs    number of outputs for each target
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar

from fastmlp_kernels.panelwise import losses as kernels

from . import checks, registered


class Loss:
    """Base of all losses. `name` is the name of the loss in the kernels' table."""

    name: str


@dataclass(frozen=True)
class SquaredError(Loss):
    """Half the squared error, (a - y)^2 / 2."""

    name: ClassVar[str] = "squared_error"


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """Absolute error, |a - y|. Minimizing it estimates the median."""

    name: ClassVar[str] = "absolute_error"


@dataclass(frozen=True)
class Huber(Loss):
    """Half the squared error for errors up to `delta`, linear beyond (Huber 1964)."""

    delta: float = 1.0

    name: ClassVar[str] = "huber"

    def __post_init__(self):
        checks.number("delta", self.delta, open_start=True)


@dataclass(frozen=True)
class Quantile(Loss):
    """Absolute error times q where the output is too low, times 1 - q where it is too high: estimates quantile `q`."""

    q: float = 0.5

    name: ClassVar[str] = "quantile"

    def __post_init__(self):
        checks.number("q", self.q, 0, 1, open_start=True)


@dataclass(frozen=True)
class LogCosh(Loss):
    """log cosh(a - y): about half the squared error if that is small, the absolute error less log 2 if it is large."""

    name: ClassVar[str] = "log_cosh"


@dataclass(frozen=True)
class GaussianNLL(Loss):
    """Negative log-likelihood of normal distributions whose means and variances the network predicts.

    There are two "identity" outputs for each target: first the means m of all targets, then the logarithms s of their
    variances. The error is (s + (y - m)^2 exp(-s)) / 2 (Nix & Weigend 1994); below s = -32 its tangent replaces
    exp(-s), so that float32 does not overflow for errors up to 1e6 and s from -1e12 on.
    """

    name: ClassVar[str] = "gaussian_nll"


@dataclass(frozen=True)
class Poisson(Loss):
    """Half the deviance of a Poisson distribution, y log(y / a) - y + a, for "exp" outputs and targets y >= 0."""

    name: ClassVar[str] = "poisson"


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """-sum y log a, for "softmax" outputs; the share `label_smoothing` of each target is spread over all classes."""

    label_smoothing: float = 0.0

    name: ClassVar[str] = "cross_entropy"

    def __post_init__(self):
        checks.number("label_smoothing", self.label_smoothing, 0, 1)


@dataclass(frozen=True)
class BinaryCrossEntropy(CrossEntropy):
    """-y log a - (1 - y) log(1 - a), for "sigmoid" outputs; `label_smoothing` moves targets towards 1/2."""

    name: ClassVar[str] = "binary_cross_entropy"


@dataclass(frozen=True)
class Focal(Loss):
    """Cross-entropy times (1 - a)^gamma, which lowers the weight of samples that are already right (Lin et al. 2017).

    For "softmax" outputs, or for "sigmoid" outputs, where the term of 1 - y has the factor a^gamma.
    """

    gamma: float = 2.0
    label_smoothing: float = 0.0

    name: ClassVar[str] = "focal"

    def __post_init__(self):
        checks.number("gamma", self.gamma)
        checks.number("label_smoothing", self.label_smoothing, 0, 1)


@dataclass(frozen=True)
class Own(Loss):
    """Custom loss, registered with `fastmlp.register_loss`; `origin` is the path of its function, if it is known."""

    name: str
    origin: str | None = field(default=None, compare=False)

    def __post_init__(self):
        if not (isinstance(self.name, str) and isinstance(self.origin, str | None)):
            raise TypeError(f"name is {self.name!r} and origin {self.origin!r}; accepted: texts")

    def __reduce__(self):
        return _own, (self.name, registered.parts("loss", [self.name]))


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
CLASSES, PROBABILITIES, COUNTS = "classes", "probabilities", "counts"  # kinds of targets; the fourth is "numbers"


def resolve(loss, output_activation, outputs):
    """Object for a loss.

    Parameters
    ----------
    loss : str or Loss
        Name, "auto", or the object itself.
    output_activation : str
    outputs : int
        Number of outputs of the network.

    Raises
    ------
    TypeError
        If it is a class.
    ValueError
        If there is no such loss, or none for such outputs, or the number of outputs is not a multiple of those that it
        needs for each target.
    """
    checks.not_a_class("loss", loss)
    if not isinstance(loss, Loss):
        name = _canonical(output_activation) if loss == "auto" else loss
        loss = LOSSES[name]() if isinstance(name, str) and name in LOSSES else _own(name)
    if outputs % (each := row(loss, output_activation).outputs):
        raise ValueError(f"loss is {loss.name!r} with {outputs} outputs; accepted: {each} for each target")
    return loss


def _own(name, _=None):
    """Custom loss of a name that is registered; of a pickled one, after its second part has been read."""
    known = dict.fromkeys(["auto", *(name for name, _ in kernels.LOSSES)])
    checks.choice("loss", name, known, registered.how_to("loss", name))
    return Own(name, registered.paths("loss", [name]).get(name))


def _canonical(output_activation):
    """Name of the default loss for an output activation."""
    names = {output: name for (name, output), entry in kernels.LOSSES.items() if entry.canonical}
    return names.get(output_activation, names["elementwise"])


def smoothed(loss, label_smoothing):
    """Loss with its `label_smoothing` set, if that is not 0; a ValueError if it has no such setting."""
    if not label_smoothing:
        return loss
    if not hasattr(loss, "label_smoothing"):
        accepted = ", ".join(name for name, kind in LOSSES.items() if hasattr(kind, "label_smoothing"))
        raise ValueError(f"label_smoothing is {label_smoothing} with {loss.name}; accepted with {accepted}")
    return replace(loss, label_smoothing=label_smoothing)


def row(loss, output_activation):
    """Row of the kernels' table for a loss: a `LossFunction` of `fastmlp_kernels.panelwise.losses`."""
    return kernels.LOSSES[kernels.loss_key(loss.name, output_activation)]


def target_kind(loss, output_activation):
    """Kind of the targets of a loss: CLASSES, PROBABILITIES, COUNTS or "numbers"."""
    return row(loss, output_activation).targets


def suited_output(name):
    """Output activation for a regression with the loss of this name: that of a loss of counts, else "identity"."""
    fitting = (output for (loss, output), entry in kernels.LOSSES.items() if loss == name and entry.targets == COUNTS)
    return next(fitting, "identity")


def target_count(loss, output_activation, outputs):
    """Number of targets of a sample, for a network with `outputs` outputs."""
    return outputs // row(loss, output_activation).outputs


def for_kernels(loss, output_activation, dtype):
    """Loss of the kernels, compiled for `dtype`."""
    parameter = vars(loss).get(row(loss, output_activation).setting)
    smoothing = getattr(loss, "label_smoothing", 0.0)
    return kernels.loss(loss.name, output_activation, dtype, parameter, smoothing)
