"""Tickets: every item is handed out once, and phases follow each other, whoever asks."""

import numba
import numpy as np
import pytest
from fastmlp_kernels.drivers.phases import RELEASED, SPACING, TAKEN, finish, release, take, wait
from fastmlp_kernels.jit import njit

from tests.kernels.cases import PLAIN

ITEMS, PHASES, PRIME = 10 if PLAIN else 1000, 5 if PLAIN else 300, 1_000_003


@pytest.fixture
def counters(guarded):
    return guarded(np.zeros((RELEASED + 1) * SPACING, np.int64))


@numba.njit(parallel=True)
def take_all(taken, counters, which, threads):
    for _ in numba.prange(threads):
        item = take(counters, which)
        while item < len(taken):
            taken[item] += 1
            item = take(counters, which)


def test_every_item_is_taken_once(guarded, counters):
    taken = guarded(np.zeros(100 * ITEMS, np.int64))
    take_all(taken, counters, 1, numba.get_num_threads())
    np.testing.assert_array_equal(taken, 1)
    assert counters[SPACING] >= len(taken)
    assert np.count_nonzero(counters) == 1, "the other counters stay as they were"


@njit
def go_through_phases(values, ends, counters):
    """Item i of a phase becomes the sum of its neighbours in the phase before, plus one, modulo a prime."""
    item, end = take(counters, TAKEN), 0
    for phase in range(1, len(values)):
        base, end = end, end + values.shape[1]
        before = values[phase - 1]
        while item < end:
            i = item - base
            values[phase, i] = (1 + before[i - 1] + before[(i + 1) % len(before)]) % PRIME
            if finish(counters, end):
                ends[phase] = values[phase, -1] if values[phase, 0] == values[phase, -1] else -1  # all are done
                release(counters, end)
            item = take(counters, TAKEN)
        wait(counters, end)


@numba.njit(parallel=True)
def all_threads(values, ends, counters, threads):
    for _ in numba.prange(threads):
        go_through_phases(values, ends, counters)


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 100])
def test_a_phase_sees_all_of_the_phase_before(guarded, counters, threads):
    """With a hundred, most begin when all is done."""
    values, ends = guarded(np.zeros((PHASES, ITEMS), np.int64)), guarded(np.zeros(PHASES, np.int64))
    all_threads(values, ends, counters, threads)
    expected = [0]
    for _ in range(1, PHASES):
        expected.append((1 + 2 * expected[-1]) % PRIME)
    np.testing.assert_array_equal(values, np.repeat(expected, ITEMS).reshape(PHASES, ITEMS))
    np.testing.assert_array_equal(ends, expected)


def test_threads_that_come_one_after_the_other_get_through(guarded, counters):
    values, ends = guarded(np.zeros((3, 4), np.int64)), guarded(np.zeros(3, np.int64))
    for _ in range(3):
        go_through_phases(values, ends, counters)
    np.testing.assert_array_equal(values[-1], 3)
