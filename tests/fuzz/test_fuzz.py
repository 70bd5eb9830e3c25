"""A few cases of each kind of fault (see the modules of this folder)."""

import sys

import pytest

from tests.fuzz import cache, forks, kills, memory, model_files, mutations, signals, threads
from tests.kernels.cases import PLAIN

pytestmark = pytest.mark.skipif(PLAIN, reason="plain Python is too slow")


def test_model_files():
    mutations.run(model_files, 300, seed=1)


def test_tables():
    pytest.importorskip("pyarrow")
    from tests.fuzz import tables

    mutations.run(tables, 300, seed=1)


def test_kills():
    found = kills.main(4, seed=1, cold=False)
    assert found["killed"] > 0
    assert (found["with other results"], found["temporary files left"]) == (0, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_forks():
    found = forks.main(3, seed=1, cold=False)
    assert found["same bits"] == 3


@pytest.mark.skipif(sys.platform == "win32", reason="signals are a matter of POSIX")
def test_signals():
    found = signals.interrupt(1, seed=1, cold=False)
    assert (found["lost"], found["with other results"], found["slow"]) == (0, 0, [])


def test_cache():
    found = cache.damage(cache.FUNCTIONS, 1, seed=1)
    assert (found["other results"], found["files too many"]) == (0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory():
    before, after = memory.growth(memory.fit, 200, seed=1)
    assert after < before * (1 + memory.MOST)


def test_threads():
    found = threads.main(1, runs=1)
    assert (found["other results"], found["trainings with other results"]) == (0, 0)
