"""Measurement of this CPU's peak rates: sums in registers, with operands that stay there or in the L1 cache."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np

from ..jit import njit, specialize
from ..memory import aligned
from .bfloat16 import SQUARE, add_terms, configure, load_sums, release, store_sums
from .engines import engine_of
from .operations import GRADIENT_ROWS, ROWS, WIDTH_BYTES, load, panel_width, rank1, store

# Steps in a run, about 0.2 ms on AVX2 and on AMX: so short that other programs do not disturb all of many runs.
UPDATES, MIXED_STEPS = 100_000, 10_000
SECONDS = 0.25  # for which runs are repeated
FASTEST = 0.05  # quantile of the times of runs that counts: the very fastest may have had a shared core for themselves
# Share of the time (see `Peak`) below which a machine is busy: 0.88 to 0.96 on an idle one, 0.3 to 0.5 on a busy one.
BUSY = 0.8


class Peak(NamedTuple):
    """Measured peak.

    Attributes
    ----------
    rate : float
        Floating-point operations per second that all threads do together in their fastest runs.
    share : float
        Share of the time that the runs would have taken if each had been as fast. Other programs take the rest, but
        changes of the CPU's clock rate count, too.
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


def _update_tile(buffer, steps):
    """Update a tile by `rank1`, `steps` times. It has `rows` rows, a global that `jit.specialize` binds."""
    # A stride of 0 loads one row again and again; both operands of `rank1`, A and B, are the start of the buffer. All
    # numbers are 0: only the time counts. All rows multiply one element of A: the compiler keeps operands that stay the
    # same in registers, of which there are not enough for an element of each row.
    acc = load(buffer, 0, 0, rows)  # noqa: F821
    for _ in range(steps):
        acc = rank1(acc, buffer, 0, 0, buffer, 0)
    store(acc, buffer, 0, panel_width(buffer))


# By rows: as many independent chains of multiply-adds as products have, and as many as gradients have.
_TILES = {rows: njit(specialize(_update_tile, f"update_tile_of_{rows}", rows=rows)) for rows in (ROWS, GRADIENT_ROWS)}


@njit
def _add_terms(buffer, operands, steps):
    """Add terms of bfloat16 to a tile of sums, `steps` times."""
    configure(operands)
    sums = load_sums(buffer, 0, SQUARE, operands)
    for _ in range(steps):
        sums = add_terms(sums, operands, 0, SQUARE, operands, 0)
    store_sums(sums, buffer, 0, SQUARE)
    release(operands)


def _measure(run, operations, threads, seconds):
    """Peak of `threads` threads that each repeat `run`, whose argument is their number, for some seconds.

    Each has its own times: where programs compete for the cores, threads that waited for each other would have no run
    that is undisturbed. `operations` are those of a run.
    """
    run(0)  # compiles it
    begin = time.perf_counter() + 0.001 * threads  # by when all threads have started

    def repeat(thread):
        time.sleep(max(0.0, begin - time.perf_counter()))
        times, end = [], begin + seconds
        while (start := time.perf_counter()) < end or not times:
            run(thread)
            times.append(time.perf_counter() - start)
        fast = float(np.quantile(times, FASTEST, method="lower"))
        return operations / fast, min(1.0, fast * len(times) / sum(times))

    with ThreadPoolExecutor(threads) as pool:
        rates, shares = zip(*pool.map(repeat, range(threads)), strict=True)
    return Peak(sum(rates), sum(shares) / threads)


def bfloat16_peak(threads=None):
    """Measure the peak rate of products of bfloat16 numbers, added up in float32, by the engine for them.

    Parameters
    ----------
    threads : int, optional
        Threads that run at the same time; as many as Numba has by default.

    Returns
    -------
    Peak
        Of floating-point operations, two for each product.
    """
    threads, engine = threads or numba.get_num_threads(), engine_of("uint16")
    buffers, operands = aligned((threads, SQUARE * SQUARE), np.float32, 0), aligned(SQUARE * SQUARE, np.uint16, 0)
    operations = MIXED_STEPS * 2 * engine.rows * SQUARE * engine.terms
    return _measure(lambda i: _add_terms(buffers[i], operands, MIXED_STEPS), operations, threads, SECONDS)


def fma_peak(dtype=np.float32, threads=None):
    """Measure the peak rate of fused multiply-adds, with tiles of several shapes.

    Parameters
    ----------
    dtype : float32 or float64
    threads : int, optional
        Threads that run at the same time; as many as Numba has by default.

    Returns
    -------
    Peak
        Of floating-point operations, two for each multiply-add.
    """
    threads, dtype = threads or numba.get_num_threads(), np.dtype(dtype)
    columns, peaks = WIDTH_BYTES // dtype.itemsize, []
    for rows, update in _TILES.items():
        buffers = aligned((threads, rows * columns), dtype, 0)  # sums stay 0, so that no number can slow the CPU down
        run, operations = (lambda i, u=update, b=buffers: u(b[i], UPDATES)), UPDATES * 2 * rows * columns
        peaks.append(_measure(run, operations, threads, SECONDS / len(_TILES)))
    return max(peaks)
