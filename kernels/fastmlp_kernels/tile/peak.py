"""Measurement of this CPU's peak rates: sums in registers, with operands that stay there or in the L1 cache."""

import time
from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from ..jit import parallel_njit, specialize
from ..memory import aligned
from .bfloat16 import SQUARE, add_terms, configure, load_sums, release, store_sums
from .engines import engine_of
from .operations import GRADIENT_ROWS, ROWS, WIDTH_BYTES, load, panel_width, rank1, store

# Steps in a run, about 0.2 ms on AVX2 and on AMX: so short that other programs do not disturb all of many runs.
UPDATES, MIXED_STEPS = 100_000, 10_000
SECONDS = 0.25  # for which runs are repeated
BUSY = 0.8  # share of the time (see `Peak`) below which a machine is busy: 0.92 to 0.96 on idle ones, 0.3 on busy ones


class Peak(NamedTuple):
    """Measured peak.

    Attributes
    ----------
    rate : float
        Floating-point operations per second of the fastest of many short runs.
    share : float
        Share of the time that all runs would have taken if each had been the fastest. Other programs take the rest, as
        a run ends with its last thread; a change of the CPU's clock rate counts, too.
    """

    rate: float
    share: float

    @property
    def busy(self):
        """Whether other programs ran meanwhile, so that what is compared with the rate is too low."""
        return self.share < BUSY

    def joined(self, other):
        """Peak of this and another measurement: the higher rate, and the lower share."""
        return Peak(max(self.rate, other.rate), min(self.share, other.share))


def _update_tiles(buffers, steps):
    """Update a tile by `rank1`, `steps` times, on each thread: thread i in row i of the 2-D array `buffers`.

    The tile has `rows` rows, a global that `jit.specialize` binds.
    """
    for thread in prange(len(buffers)):
        buffer = buffers[thread]
        # A stride of 0 loads one row again and again; both operands of `rank1`, A and B, are the start of the buffer.
        # All numbers are 0: only the time counts. All rows multiply one element of A: the compiler keeps operands that
        # stay the same in registers, of which there are not enough for an element of each row.
        acc = load(buffer, 0, 0, rows)  # noqa: F821
        for _ in range(steps):
            acc = rank1(acc, buffer, 0, 0, buffer, 0)
        store(acc, buffer, 0, panel_width(buffer))


# By rows: as many independent chains of multiply-adds as products have, and as many as gradients have.
_UPDATES = {
    rows: parallel_njit(specialize(_update_tiles, f"update_tiles_of_{rows}", rows=rows))
    for rows in (ROWS, GRADIENT_ROWS)
}


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


def _measure(runs, threads):
    """Peak that `runs` reach with `threads` Numba threads: pairs of a function, and the operations of a call of it."""
    previous = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        return max(_repeat(run, operations, SECONDS / len(runs)) for run, operations in runs)
    finally:
        numba.set_num_threads(previous)


def _repeat(run, operations, seconds):
    """Peak of a function that is called again and again; `operations` are those of a call."""
    times, end = [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        run()
        times.append(time.perf_counter() - start)
    return Peak(operations / min(times), min(times) * len(times) / sum(times))


def bfloat16_peak(threads=None):
    """Measure the peak rate of products of bfloat16 numbers, added up in float32, by the engine for them.

    Parameters
    ----------
    threads : int, optional
        Threads that run at the same time; all of Numba's by default.

    Returns
    -------
    Peak
        Of floating-point operations, two for each product.
    """
    threads = threads or numba.get_num_threads()
    buffers, operands = aligned((threads, SQUARE * SQUARE), np.float32, 0), aligned(SQUARE * SQUARE, np.uint16, 0)
    _add_terms(buffers, operands, 1)  # compiles it
    engine = engine_of("uint16")
    operations = threads * MIXED_STEPS * 2 * engine.rows * SQUARE * engine.terms
    return _measure([(lambda: _add_terms(buffers, operands, MIXED_STEPS), operations)], threads)


def fma_peak(dtype=np.float32, threads=None):
    """Measure the peak rate of fused multiply-adds, with tiles of several shapes.

    Parameters
    ----------
    dtype : float32 or float64
    threads : int, optional
        Threads that run at the same time; all of Numba's by default.

    Returns
    -------
    Peak
        Of floating-point operations, two for each multiply-add.
    """
    threads, dtype = threads or numba.get_num_threads(), np.dtype(dtype)
    columns, runs = WIDTH_BYTES // dtype.itemsize, []
    for rows, update in _UPDATES.items():
        buffers = aligned((threads, rows * columns), dtype, 0)  # sums stay 0, so that no number can slow the CPU down
        update(buffers, 1)  # compiles it
        operations = threads * UPDATES * 2 * rows * columns
        runs.append((lambda update=update, buffers=buffers: update(buffers, UPDATES), operations))
    return _measure(runs, threads)
