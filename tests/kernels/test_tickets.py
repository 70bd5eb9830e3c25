"""Tickets: every item is handed out once, whoever asks."""

import numba
import numpy as np
from fastmlp_kernels.tickets import SPACING, take

from tests.kernels.cases import PLAIN

ITEMS = 100 if PLAIN else 100_000


@numba.njit(parallel=True)
def take_all(taken, counters, which, threads):
    for _ in numba.prange(threads):
        item = take(counters, which)
        while item < len(taken):
            taken[item] += 1
            item = take(counters, which)


def test_every_item_is_taken_once():
    taken, counters = np.zeros(ITEMS, np.int64), np.zeros(3 * SPACING, np.int64)
    take_all(taken, counters, 1, numba.get_num_threads())
    np.testing.assert_array_equal(taken, 1)
    assert counters[SPACING] >= ITEMS
    assert np.count_nonzero(counters) == 1, "the other counters stay as they were"
