"""Learning-rate schedules: the learning rate of each epoch, from its number and the losses so far.

A schedule is any object with a method `rate(epoch, losses)`, where `epoch` counts from 0 and `losses` has the watched
loss of every epoch before (see `History.watched`: by default the validation loss, if there is one).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from . import checks
from .signatures import keyword_only_soon


class Schedule(Protocol):
    """Interface of schedules, the built-in ones and your own."""

    def rate(self, epoch: int, losses: Sequence[float]) -> float: ...


@dataclass(frozen=True)
class Constant:
    """The same rate in all epochs."""

    initial: float = 1e-3

    def __post_init__(self):
        # Named after the argument of Trainer, where a number stands for Constant(number)
        checks.number("learning_rate", self.initial, open_start=True)

    def rate(self, epoch: int, losses: Sequence[float]) -> float:
        return self.initial


@dataclass(frozen=True)
class Step(Constant):
    """A rate that is multiplied by `factor` after every `every` epochs."""

    every: int = 10
    factor: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        checks.count("every", self.every)
        checks.number("factor", self.factor, open_start=True)

    def rate(self, epoch: int, losses: Sequence[float]) -> float:
        return self.initial * self.factor ** (epoch // self.every)


@dataclass(frozen=True)
class Cosine(Constant):
    """Half a cosine from the initial rate down to `final` over `epochs` epochs (Loshchilov & Hutter 2017, eq. 5)."""

    epochs: int = 20
    final: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        checks.count("epochs", self.epochs)
        checks.number("final", self.final)

    def rate(self, epoch: int, losses: Sequence[float]) -> float:
        done = min(epoch / self.epochs, 1.0)
        return self.final + (self.initial - self.final) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class InverseScaling(Constant):
    """The initial rate divided by (epoch + 1) ** power."""

    power: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        checks.number("power", self.power)

    def rate(self, epoch: int, losses: Sequence[float]) -> float:
        return self.initial / (epoch + 1) ** self.power


@dataclass(frozen=True)
class Plateau(Constant):
    """A rate times `factor` whenever the loss has not decreased by more than `tol` for `patience` epochs."""

    factor: float = 0.2
    patience: int = 5
    tol: float = field(default=1e-4, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        checks.number("factor", self.factor, 0, 1, open_start=True)
        checks.count("patience", self.patience)
        checks.number("tol", self.tol)

    def rate(self, epoch: int, losses: Sequence[float]) -> float:
        rate, best, waited = self.initial, math.inf, 0
        for loss in losses:
            waited = 0 if loss < best - self.tol else waited + 1
            best = min(best, loss)
            if waited == self.patience:
                rate, waited = rate * self.factor, 0
        return rate


Plateau.__init__ = keyword_only_soon(Plateau.__init__)  # the one that `dataclass` wrote: `tol` by position still works


@dataclass(frozen=True)
class Warmup:
    """A linear rise over `epochs` epochs to the first rate of another schedule, which then begins."""

    schedule: Schedule
    epochs: int = 5

    def __post_init__(self):
        checks.count("epochs", self.epochs)
        if not hasattr(self.schedule, "rate"):
            raise TypeError(f"schedule is {self.schedule!r}; accepted: an object with a method rate(epoch, losses)")

    def rate(self, epoch: int, losses: Sequence[float]) -> float:
        if epoch < self.epochs:
            return self.schedule.rate(0, []) * (epoch + 1) / (self.epochs + 1)
        return self.schedule.rate(epoch - self.epochs, losses[self.epochs :])


# By name: schedules that are made from their first rate. Warmup is not among them, as it is made from another schedule.
SCHEDULES = {
    "constant": Constant,
    "step": Step,
    "cosine": Cosine,
    "inverse_scaling": InverseScaling,
    "plateau": Plateau,
}


def length(schedule):
    """Number of epochs after which a schedule has come to its end, or None if it does not."""
    if isinstance(schedule, Warmup):
        rest = length(schedule.schedule)
        return rest and schedule.epochs + rest
    return schedule.epochs if isinstance(schedule, Cosine) else None


def resolve(learning_rate):
    """Schedule for a learning rate, given as a number or as the schedule itself."""
    checks.not_a_class("learning_rate", learning_rate)
    if isinstance(learning_rate, str) and learning_rate in SCHEDULES:
        made = f"schedules.{SCHEDULES[learning_rate].__name__}(...)"
        raise TypeError(f"learning_rate is {learning_rate!r}; accepted: a number in (0, inf), or {made}")
    return learning_rate if hasattr(learning_rate, "rate") else Constant(learning_rate)
