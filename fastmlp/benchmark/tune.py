"""Measurement of how many bytes of blocks training should keep at a time on this machine (see `drivers.tuning`).

All candidates and the default train the same networks. Times drift with the load of a machine, so they take turns, and
what counts is the ratio of two times of the same round, as a median over the rounds. Yet the best of several is partly
the luckiest: it is measured once more beside the default, in rounds of its own, and must be clearly faster there, too.
"""

import time
from typing import NamedTuple

import numpy as np

from fastmlp import MLP
from fastmlp._kernels import slot_count, tuning
from fastmlp.benchmark.bench import Case
from fastmlp.benchmark.peers import FastMLP, Task

CANDIDATES = tuple(n << 20 for n in (6, 12, 24, 48, 96))  # bytes
# By kind of network in `tuning`, networks whose blocks are kept: weights are many for the size of the batch. Blocks of
# float64 numbers have twice the bytes, so that the same number of bytes must do for fewer.
SIZES = ((1024, 1024, 1024, 1024), 4096), ((784, 1024, 1024, 10), 2048), ((2048, 4096, 1024), 1024)
CASES = {
    "float": (*(Case(*sizes) for sizes in SIZES), Case(*SIZES[1], "float64")),
    "mixed": tuple(Case(*sizes, precision="bf16-mixed") for sizes in SIZES),
}
ROUNDS, MORE_ROUNDS = 5, 9  # of all candidates, and of the best and the default
TURN_SECONDS = 0.2  # duration of a turn, about; at least one step
TELL_SECONDS = 1.0  # between two lines about the turns
GAIN = 1.015  # speed, relative to the default, that a candidate must have in the geometric mean over networks
LOSS = 0.98  # and in each network


class Verdict(NamedTuple):
    """Result of a measurement.

    Attributes
    ----------
    default : int; bytes that are kept by default
    best : int; bytes with which training is fastest, but for the default if no others look clearly faster
    gain : float; how many times as fast training is with them as by default, measured apart from the choice of them
    clear : bool; whether that is clearly faster
    """

    default: int
    best: int
    gain: float = 1.0
    clear: bool = False


def tune(kind, default, tell, cases=None, candidates=CANDIDATES, rounds=(ROUNDS, MORE_ROUNDS)):
    """Measure whether training is faster if it keeps other than the default number of bytes.

    Parameters
    ----------
    kind : {"float", "mixed"}
    default : int
        Bytes that are kept by default.
    tell : callable
        Function that is called with a line of text about every second, and with the speeds of each network.
    cases : sequence of Case, optional
        Networks and batches that are trained; by default CASES of this kind.
    candidates : sequence of int
        Other numbers of bytes.
    rounds : (int, int)
        Turns of each of the candidates, and turns in which the best of them and the default are compared once more.

    Returns
    -------
    Verdict
    """
    cases = cases or CASES[kind]
    candidates = [number for number in candidates if number != default]
    measured = [_speeds(kind, case, [default, *candidates], rounds[0], tell) for case in cases]
    speeds = dict(zip(candidates, np.stack(measured, 1)[1:], strict=True))
    clear = [number for number in candidates if is_clear(speeds[number])]
    if not clear:
        return Verdict(default, default)
    best = max(clear, key=lambda number: (gain(speeds[number]), -abs(number - default)))
    again = np.stack([_speeds(kind, case, [default, best], rounds[1], tell)[1] for case in cases])
    return Verdict(default, best, gain(again), is_clear(again))


def gain(speeds):
    """Geometric mean over networks of the medians over rounds of relative speeds, a (networks, rounds) array."""
    return float(np.exp(np.log(np.median(speeds, axis=1)).mean()))


def is_clear(speeds):
    """Whether relative speeds, as in `gain`, are clearly higher: by GAIN and LOSS, and in three rounds of four."""
    by_round = np.exp(np.log(speeds).mean(axis=0))
    return bool(gain(speeds) >= GAIN and np.median(speeds, axis=1).min() >= LOSS and np.quantile(by_round, 0.25) > 1)


def _speeds(kind, case, numbers, rounds, tell):
    """Speeds with some numbers of bytes kept, relative to the first, by number and round: a 2-D array.

    Numbers that leave room for equally many blocks are measured as one.
    """

    def say(text):
        tell(f"{case}, {case.dtype if case.precision == 'float32' else case.precision}: {text}")

    say("warming up")
    net, slots = MLP(case.sizes, dtype=case.dtype), []
    for number in numbers:
        with tuning.trying(kind, number):
            slots.append(slot_count(net, case.batch_size, mixed=kind == "mixed"))
    measured = dict(zip(reversed(slots), reversed(numbers), strict=True))  # by slots, the first number that gives them
    if len(measured) == 1:
        say("all numbers of bytes keep equally many blocks")
        return np.ones((len(numbers), rounds))
    times = dict(zip(measured, _times(kind, case, measured.values(), rounds, say), strict=True))
    speeds = np.array([times[slots[0]] / times[count] for count in slots])
    medians = zip(numbers[1:], np.median(speeds, axis=1)[1:], strict=True)
    found = ", ".join(f"{_size(number)} {median:.3f}" for number, median in medians)
    say(f"speeds relative to {_size(numbers[0])}: {found}")
    return speeds


def _times(kind, case, numbers, rounds, say):
    """Seconds per step with each of some numbers of bytes kept, by number and round: a 2-D array."""
    task = Task.random(case.sizes, case.batch_size, case.dtype, precision=case.precision)
    task = task._replace(x=task.x[: case.batch_size], y=task.y[: case.batch_size])
    turns = [(number, FastMLP(task), []) for number in numbers]
    steps, told = 1, time.perf_counter()
    for turn in range(-1, rounds + 1):  # the first two do not count: they make memory, and find the number of steps
        for number, peer, times in turns if turn % 2 else reversed(turns):  # so that none always comes after the same
            if time.perf_counter() - told > TELL_SECONDS:
                what = f"round {turn} of {rounds}" if turn > 0 else "warming up"
                say(f"{what}, {_size(number)} kept")
                told = time.perf_counter()
            with tuning.trying(kind, number):
                start = time.perf_counter()
                peer.train(steps)
                times.append((time.perf_counter() - start) / steps)
        if turn == 0:
            steps = max(1, round(TURN_SECONDS / min(times[-1] for *_, times in turns)))
    return np.array([times[2:] for *_, times in turns])


def _size(number):
    return f"{number / (1 << 20):.4g} MB"
