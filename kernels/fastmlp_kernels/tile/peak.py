"""Measurement of this CPU's peak rates: product tiles in registers, with operands that never leave the L1 cache."""

import time

import numba
import numpy as np
from numba import prange

from ..jit import parallel_njit
from ..memory import aligned
from .bfloat16 import SQUARE, add_terms, configure, load_sums, release, store_sums
from .engines import engine_of
from .operations import ROWS, WIDTH_BYTES, load, panel_width, rank1, store

# Steps in a run, about 0.2 ms on AVX2 and on AMX: so short that other programs do not disturb all of many runs.
UPDATES, MIXED_STEPS = 100_000, 10_000
SECONDS = 0.5  # for which runs are repeated


@parallel_njit
def _update_tiles(buffers, steps):
    """Update a tile by `rank1`, `steps` times, on each thread: thread i in row i of the 2-D array `buffers`."""
    for thread in prange(len(buffers)):
        buffer = buffers[thread]
        # A stride of 0 loads one row ROWS times; both operands of `rank1`, A and B, are the start of the buffer. All
        # numbers are 0: only the time counts. All rows multiply one element of A: the compiler keeps operands that stay
        # the same in registers, of which there are not enough for an element of each row.
        acc = load(buffer, 0, 0, ROWS)
        for _ in range(steps):
            acc = rank1(acc, buffer, 0, 0, buffer, 0)
        store(acc, buffer, 0, panel_width(buffer))


@parallel_njit
def _add_terms(buffers, operands, steps):
    """Add terms of bfloat16 to a tile of sums, `steps` times, on each thread (see `_update_tiles`)."""
    for thread in prange(len(buffers)):
        configure(operands)
        sums = load_sums(buffers[thread], 0, SQUARE, operands)
        for _ in range(steps):
            sums = add_terms(sums, operands, 0, SQUARE, operands, 0)
        store_sums(sums, buffers[thread], 0, SQUARE)
        release(operands)


def _fastest(run, threads):
    """Seconds of the fastest of many calls of `run`, with `threads` Numba threads."""
    previous = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        best, end = float("inf"), time.perf_counter() + SECONDS
        while (start := time.perf_counter()) < end:
            run()
            best = min(best, time.perf_counter() - start)
    finally:
        numba.set_num_threads(previous)
    return best


def bfloat16_peak(threads=None):
    """Measure the peak rate of products of bfloat16 numbers, added up in float32, by the engine for them.

    Parameters
    ----------
    threads : int, optional
        Threads that run at the same time; all of Numba's by default.

    Returns
    -------
    float
        Floating-point operations per second, two for each product.
    """
    threads = threads or numba.get_num_threads()
    buffers, operands = aligned((threads, SQUARE * SQUARE), np.float32, 0), aligned(SQUARE * SQUARE, np.uint16, 0)
    _add_terms(buffers, operands, 1)  # compiles it
    seconds = _fastest(lambda: _add_terms(buffers, operands, MIXED_STEPS), threads)
    engine = engine_of("uint16")
    return threads * MIXED_STEPS * 2 * engine.rows * SQUARE * engine.terms / seconds


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
    threads, dtype = threads or numba.get_num_threads(), np.dtype(dtype)
    columns = WIDTH_BYTES // dtype.itemsize
    buffers = aligned((threads, ROWS * columns), dtype, 0)  # sums stay 0, so that no number can slow the CPU down
    _update_tiles(buffers, 1)  # compiles it
    return threads * UPDATES * 2 * ROWS * columns / _fastest(lambda: _update_tiles(buffers, UPDATES), threads)
