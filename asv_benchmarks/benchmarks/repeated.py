"""Timing of compiled code, which is compiled before the clock starts and called many times while it runs."""

import time

from .buffers import Buffers

SAMPLE_SECONDS = 0.005  # duration of a sample: so short that some of many samples are not disturbed
BEST_SECONDS = 1.0  # duration of all samples from which `best` takes the fastest


def fastest(run, clock, seconds):
    """Shortest time of a call of `run`, by `clock`, among as many calls as `seconds` allow."""
    least, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = clock()
        run()
        least = min(least, clock() - start)
        if time.perf_counter() >= end:
            return least


class Repeated:
    """Base of benchmarks that repeat their work within a sample.

    asv calls `setup` before every sample and then times one call, which for a kernel of a microsecond would be the time
    of reading the clock. So a method repeats the kernel for at least SAMPLE_SECONDS, and the clock counts seconds per
    unit of work: asv reports the time of one.

    Subclasses provide ``prepare(*parameters)``, called once, and ``run(calls)``, which repeats the work `calls` times.
    If one repetition is several units of work, `units` is their number. Arrays of kernels come from `buffers`, which
    `teardown` checks.
    """

    number, warmup_time, repeat, units = 1, 0.05, (5, 100, 0.5), 1

    def __init__(self):
        self.buffers = Buffers()

    def setup(self, *parameters):
        if hasattr(self, "calls"):
            return
        self.prepare(*parameters)
        self.run(1)  # compiles
        self.calls = 1
        while fastest(lambda: self.run(self.calls), time.perf_counter, 0) < SAMPLE_SECONDS:
            self.calls *= 2

    def teardown(self, *parameters):
        self.buffers.check()

    def timer(self):
        """Clock of asv: seconds divided by the units of work in a sample."""
        return time.perf_counter() / (self.calls * self.units)

    def best(self):
        """Seconds per unit of work in the fastest of many samples."""
        return fastest(lambda: self.run(self.calls), self.timer, BEST_SECONDS)
