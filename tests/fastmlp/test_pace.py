"""The pace: both drivers are tried, the faster is kept, and slices come out as long as they should."""

import pytest

from fastmlp.pace import LONGEST, SLICE_SECONDS, TRIAL_BATCHES, TRIAL_SHARE, Pace


def run(pace, seconds, slices):
    """The drivers and batches of some slices, for drivers that take so many seconds a batch."""
    picked = []
    for _ in range(slices):
        driver, most = pace.pick()
        pace.note(driver, seconds[driver], most)
        picked.append((driver, most))
    return picked


def test_the_faster_driver_runs_slices_of_the_right_length():
    picked = run(Pace(["serial", "parallel"], 1000), {"serial": 1e-3, "parallel": 1e-5}, 4)
    assert {driver for driver, _ in picked[:2]} == {"serial", "parallel"}
    assert all(most <= TRIAL_BATCHES for _, most in picked[:2])
    assert picked[2:] == [("parallel", round(SLICE_SECONDS / 1e-5))] * 2


def test_slices_of_networks_with_many_parameters_are_longer_but_not_without_limit():
    slices = [Pace(["serial"], 1000, parameters).slice for parameters in (0, 2 * 10**6, 6 * 10**6, 10**9)]
    assert slices == pytest.approx([SLICE_SECONDS, SLICE_SECONDS, 3 * SLICE_SECONDS, LONGEST * SLICE_SECONDS])
    assert slices[-1] < 1  # after which Ctrl-C is noticed
    picked = run(Pace(["serial"], 1000, 10**9), {"serial": 1e-3}, 3)
    assert picked[1:] == [("serial", round(slices[-1] / 1e-3))] * 2


def test_the_slower_driver_gets_its_share_of_the_time_and_takes_over_when_it_is_faster():
    pace, seconds = Pace(["serial", "parallel"], 1000), {"serial": 1e-5, "parallel": 1e-3}
    picked = run(pace, seconds, 100)
    trials = [most for driver, most in picked if driver == "parallel"]
    assert max(trials) <= TRIAL_BATCHES
    spent = {driver: sum(most * seconds[d] for d, most in picked if d == driver) for driver in seconds}
    assert 0.5 * TRIAL_SHARE < spent["parallel"] / spent["serial"] < 1.1 * TRIAL_SHARE
    seconds["parallel"] = 1e-6
    assert run(pace, seconds, 10)[-1][0] == "parallel"


def test_a_large_batch_is_tried_alone_and_one_driver_needs_no_other():
    pace = Pace(["parallel"], 10**12)
    assert run(pace, {"parallel": 5.0}, 40) == [("parallel", 1)] * 40
