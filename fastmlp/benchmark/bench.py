"""Measurement of training steps in several libraries, each in its own process, one process at a time.

Times drift with the load of a machine, so the libraries take turns (A B C, A B C, ...) of a fraction of a second, and
the result is the median over a library's turns. `python -m fastmlp.benchmark.bench LIBRARY CASE` is such a process: for
every line that it reads it trains for one turn and answers with the seconds per step.
"""

import contextlib
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from fastmlp._kernels import Peak, bfloat16_peak, fma_peak, training_flops
from fastmlp.benchmark.peers import LIBRARIES, Task

TURN_SECONDS = 0.3  # duration of training in a turn
REST_SECONDS = 0.05  # pause before a turn, as idle threads of the previous library spin a while before they sleep
# Duration, about, of a run: one call of `train`, of which a turn takes several. It is so long that the fixed cost of a
# call of `fit` hardly counts.
RUN_SECONDS = 0.05
BANDWIDTH_BYTES, BANDWIDTH_RUNS = 128 << 20, 10  # size of each array, beyond all caches; number of runs
THREAD_LIMITS = (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NPROC",  # XLA's
)


class Case(NamedTuple):
    """Network and batch to measure.

    Attributes
    ----------
    sizes : tuple of int; units of each layer, inputs first
    batch_size : int
    dtype : {"float32", "float64"}
    precision : {"float32", "bf16-mixed"}; see `fastmlp.precision`
    """

    sizes: tuple
    batch_size: int
    dtype: str = "float32"
    precision: str = "float32"

    def __str__(self):
        return f"{'-'.join(map(str, self.sizes))} @ {self.batch_size}"

    @property
    def flops(self):
        """Floating-point operations of a step."""
        return self.batch_size * training_flops(self.sizes)

    @property
    def intensity(self):
        """Arithmetic intensity: floating-point operations of a step for each byte that it must move at least.

        These bytes are inputs and targets, read once, and parameters and velocities, read once and written once.
        """
        n_params = sum((n + 1) * m for n, m in zip(self.sizes, self.sizes[1:], strict=False))
        values = self.batch_size * (self.sizes[0] + self.sizes[-1]) + 4 * n_params
        return self.flops / (values * np.dtype(self.dtype).itemsize)


class Result(NamedTuple):
    """Measurements of a case.

    Attributes
    ----------
    case : Case
    seconds : dict
        Median seconds per step by library, None for one that failed.
    peak : fastmlp_kernels.tile.peak.Peak
        Peak of the products of fastmlp's precision, measured before and after each round.
    """

    case: Case
    seconds: dict
    peak: Peak


class FailedError(Exception):
    """A library could not do the training."""


def measure(case, libraries, threads, rounds, tell):
    """Measure the steps of a case in some libraries.

    Parameters
    ----------
    case : Case
    libraries : sequence of str
        Names in `fastmlp.benchmark.peers.LIBRARIES`.
    threads : int
        Number of threads for each library.
    rounds : int
        Turns of each library, after one that does not count.
    tell : callable
        Function that is called with a line of text before each round, and when a library fails.

    Returns
    -------
    Result
    """
    times, peaks = {library: [] for library in libraries}, []
    with contextlib.ExitStack() as stack:
        workers = {library: stack.enter_context(_Worker(library, case, threads)) for library in libraries}
        for turn in range(rounds + 1):
            tell(f"{case}: " + (f"round {turn} of {rounds}" if turn else "warming up"))
            for library, worker in list(workers.items()):
                try:
                    times[library].append(worker.turn())
                except FailedError as error:
                    tell(f"{case}: {library} failed: {error}")
                    del workers[library], times[library]
            peaks.append(_peak(case, threads))
    medians = {library: statistics.median(times[library][1:]) if library in times else None for library in libraries}
    return Result(case, medians, functools.reduce(Peak.joined, peaks))


def _peak(case, threads):
    """Peak of fastmlp's products for a case, measured now."""
    return bfloat16_peak(threads) if case.precision == "bf16-mixed" else fma_peak(case.dtype, threads)


def bandwidth(threads):
    """Bandwidth between CPU and memory in bytes per second: the best of several sums a = b + c of large arrays."""
    a, b, c = (np.full(BANDWIDTH_BYTES // 8, value) for value in (0.0, 1.0, 2.0))
    shares = [slice(len(a) * i // threads, len(a) * (i + 1) // threads) for i in range(threads)]
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(BANDWIDTH_RUNS):
            start = time.perf_counter()
            list(pool.map(lambda share: np.add(b[share], c[share], out=a[share]), shares))
            best = min(best, time.perf_counter() - start)
    return 3 * BANDWIDTH_BYTES / best


class _Worker:
    """Process of a library, which waits when it is not its turn. Used as a context, at whose end it is killed."""

    def __init__(self, library, case, threads):
        self.errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  closed in __exit__
        path = os.pathsep.join(map(os.path.abspath, sys.path))
        limits = dict.fromkeys(THREAD_LIMITS, str(threads))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fastmlp.benchmark.bench", library, json.dumps(case)],
            env={**os.environ, **limits, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def turn(self):
        """Train for a turn and return the seconds per step; a FailedError has the last line the process wrote."""
        with contextlib.suppress(BrokenPipeError):  # a process that has ended gives no answer below
            print(file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if answer:
            return float(answer)
        status = self.process.wait()
        self.errors.seek(0)
        raise FailedError([f"ended with status {status}", *self.errors.read().strip().splitlines()][-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        # Leaving these contexts closes pipes and file; a request that the process has not read breaks the pipe.
        with contextlib.suppress(BrokenPipeError), self.process, self.errors:
            pass


def _take_turns(library, case, requests, answers):
    """Answer each line of the file `requests` with the seconds per step of a turn, in a line of the file `answers`.

    The answer is the median of several runs, each of as many epochs as take about RUN_SECONDS.
    """
    task = Task.random(*case[:3], precision=case.precision)
    peer, batches, epochs = LIBRARIES[library](task), len(task.x) // case.batch_size, 1
    for _ in requests:
        time.sleep(REST_SECONDS)
        runs, end = [], time.perf_counter() + TURN_SECONDS
        while not runs or time.perf_counter() < end:
            start = time.perf_counter()
            peer.train(epochs)
            seconds = (time.perf_counter() - start) / epochs
            runs.append(seconds / batches)
            epochs = max(1, round(RUN_SECONDS / seconds))
        print(statistics.median(runs), file=answers, flush=True)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # so that what a library prints is not taken for an answer
    _take_turns(sys.argv[1], Case(*json.loads(sys.argv[2])), sys.stdin, answers)
