"""Timing of compiled code: compiled before the clock runs, and called by the thousand while it does."""

import time

from .buffers import Buffers

SAMPLE_SECONDS = 0.005  # short, so that of many samples some are disturbed by nothing
BEST_SECONDS = 1.0  # of samples, from which the fastest is taken


def fastest(run, clock, seconds):
    """The least that `clock` shows for a call of `run`, of as many calls as `seconds` allow."""
    least, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = clock()
        run()
        least = min(least, clock() - start)
        if time.perf_counter() >= end:
            return least


class Repeated:
    """Base of benchmarks that repeat their work within a sample.

    asv sets up anew before every sample and then times one call, which for a microsecond kernel would be the time of
    the clock. So a call repeats the kernel until SAMPLE_SECONDS have passed, and the clock counts seconds per
    repetition: what asv reports is the time of one.

    Subclasses provide ``prepare(*parameters)``, called once, and ``run(calls)``. Where a call is several units of
    work, `prepare` sets `units` to their number. What kernels get comes from `buffers`, which `teardown` checks.
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
        """Seconds, counted per unit of work in a sample."""
        return time.perf_counter() / (self.calls * self.units)

    def best(self):
        """Seconds per unit of work, in the fastest of many samples."""
        return fastest(lambda: self.run(self.calls), self.timer, BEST_SECONDS)
