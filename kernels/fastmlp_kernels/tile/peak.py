"""Measurement of this CPU's peak rate: product tiles in registers, with operands that never leave the L1 cache."""

import time

import numba
import numpy as np
from numba import prange

from ..jit import parallel_njit
from ..memory import aligned
from .operations import ROWS, WIDTH_BYTES, load, panel_width, rank1, store

STEPS = 100_000  # rank-1 updates in a run, about 0.2 ms: so short that other programs do not disturb all of many runs
SECONDS = 0.5  # for which runs are repeated


@parallel_njit
def _update_tiles(buffers, steps):
    """Update a tile by `rank1`, `steps` times, on each thread: thread i in row i of the 2-D array `buffers`."""
    for thread in prange(len(buffers)):
        buffer = buffers[thread]
        # A stride of 0 loads one row ROWS times; both operands of `rank1`, A and B, are the start of the buffer. All
        # numbers are 0: only the time counts.
        acc = load(buffer, 0, 0, ROWS)
        for _ in range(steps):
            acc = rank1(acc, buffer, 0, 1, buffer, 0)
        store(acc, buffer, 0, panel_width(buffer))


def fma_peak(dtype=np.float32, threads=None):
    """Measure the peak rate of fused multiply-adds, that of the fastest of many short runs.

    Parameters
    ----------
    dtype : float32 or float64
    threads : int, optional
        Threads that run at the same time; all of Numba's by default.

    Returns
    -------
    float
        Floating-point operations per second, two for each multiply-add.
    """
    previous = numba.get_num_threads()
    threads = threads or previous
    dtype = np.dtype(dtype)
    columns = WIDTH_BYTES // dtype.itemsize
    buffers = aligned((threads, ROWS * columns), dtype, 0)  # sums stay 0, so that no number can slow the CPU down
    _update_tiles(buffers, 1)  # compiles it
    numba.set_num_threads(threads)
    try:
        best, end = float("inf"), time.perf_counter() + SECONDS
        while (start := time.perf_counter()) < end:
            _update_tiles(buffers, STEPS)
            best = min(best, time.perf_counter() - start)
    finally:
        numba.set_num_threads(previous)
    return threads * STEPS * 2 * ROWS * columns / best
