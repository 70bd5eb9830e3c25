"""Compilation by other processes, of a small kernel: what they leave is loaded, and nothing depends on them."""

import logging
import sys
from itertools import chain
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from fastmlp_kernels import background, cache
from fastmlp_kernels.drivers.step import clipping
from fastmlp_kernels.jit import njit

from tests.kernels.cases import PLAIN

if PLAIN:
    pytest.skip("nothing is compiled", allow_module_level=True)

TYPES = numba.float64, numba.float64, numba.float64[::1]


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    """Kernel whose machine code is looked for in an empty folder, by this process and those that it starts."""
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(tmp_path))
    (tmp_path / cache.CACHE_FOLDER.name).mkdir(mode=0o700)
    monkeypatch.setattr(cache, "CACHE_FOLDER", tmp_path / cache.CACHE_FOLDER.name)
    monkeypatch.setattr(background.os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    fresh = njit(clipping.py_func)
    yield fresh
    for process in background._processes.values():
        process.kill()
    background._processes.clear()


def test_what_another_process_compiled_is_loaded(kernel):
    background.compile_elsewhere("this", [(kernel, TYPES)])
    background.wait_for(kernel, TYPES)
    assert not cache.lacks(kernel, TYPES)
    kernel.compile(TYPES)
    assert sum(kernel.stats.cache_hits.values()) == 1
    assert not background._processes


@pytest.mark.parametrize("executable", ["", "/no/such/python", sys.executable.replace("python", "false")])
def test_what_no_other_process_compiles_is_compiled_here(kernel, monkeypatch, executable):
    monkeypatch.setattr(sys, "executable", executable)
    background.compile_elsewhere("this", [(kernel, TYPES)])
    background.wait_for(kernel, TYPES)
    assert cache.lacks(kernel, TYPES)
    kernel.compile(TYPES)
    assert kernel(1.0, 1.0, np.array([4.0])) == 0.5
    assert not cache.lacks(kernel, TYPES)


def test_a_process_that_fails_is_not_waited_for(kernel, monkeypatch):
    monkeypatch.setattr(background, "PROGRAM", "raise SystemExit(1)")
    background.compile_elsewhere("this", [(kernel, TYPES)])
    background.wait_for(kernel, TYPES)
    assert cache.lacks(kernel, TYPES)


def test_an_interrupted_wait_ends_the_process(kernel, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    background.compile_elsewhere("this", [(kernel, TYPES)])
    (process,) = background._processes.values()
    monkeypatch.setattr(background, "time", SimpleNamespace(sleep=interrupt))
    with pytest.raises(KeyboardInterrupt):
        background.wait_for(kernel, TYPES)
    assert process.wait(10) != 0


@pytest.mark.parametrize(("cores", "started"), [(1, 0), (2, 1), (3, 2), (4, 3), (9, 3)])
def test_processes_leave_one_core_and_work_for_it(kernel, monkeypatch, cores, started):
    given = []
    monkeypatch.setattr(background.os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    monkeypatch.setattr(background, "_start", lambda tasks: given.append(tasks))
    tasks = [(kernel, (numba.float64, numba.float64, numba.types.Array(numba.float64, 1, order))) for order in "CAF"]
    background.compile_elsewhere("this", tasks)
    assert len(given) == started
    assert [*chain(*given)] == (tasks if cores > 3 else tasks[:-1] if cores > 1 else [])
    background._processes.clear()


def test_it_is_announced_unless_all_is_in_the_cache(kernel, caplog):
    with caplog.at_level(logging.WARNING):
        assert background.announce("this", [(kernel, TYPES)])
        assert "compiling this for this CPU, once" in caplog.text
        caplog.clear()
        kernel.compile(TYPES)
        assert not background.announce("this", [(kernel, TYPES)])
        assert not caplog.text


def test_it_is_announced_in_every_process_without_a_cache(kernel, monkeypatch, caplog):
    monkeypatch.setattr(cache, "CACHE_FOLDER", None)
    uncached = numba.njit(kernel.py_func)
    assert background.announce("this", [(uncached, TYPES)])
    assert "in every process, as no cache folder can be written" in caplog.text
    background.compile_elsewhere("this", [(uncached, TYPES)])
    assert not background._processes
