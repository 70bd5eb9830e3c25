"""The measured peak: that of a C program, from all threads or one; and that a busy machine is found to be busy."""

import ctypes
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest
from fastmlp_kernels.tile import peak
from fastmlp_kernels.tile.engines import engine_of

from tests.kernels.cases import DTYPES, PLAIN

CHAINS = 24  # of peak.c
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
NUMBERS = ("float32", "float64", "bfloat16")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(peak, "UPDATES", 10 if PLAIN else 10_000)
    monkeypatch.setattr(peak, "SECONDS", 0.05)


@DTYPES
def test_the_peak_is_a_rate_a_machine_can_have(dtype):
    measured = peak.fma_peak(dtype)
    cores, gigahertz, vectors, lanes = numba.get_num_threads(), 6e9, 4, 32  # more than any core has
    assert 0 < measured.rate < cores * gigahertz * vectors * lanes * 2
    assert 0 < measured.share <= 1


def test_two_measurements_are_joined():
    one, other = peak.Peak(2e9, 0.9), peak.Peak(1e9, 0.5)
    assert one.joined(other) == other.joined(one) == peak.Peak(2e9, 0.5)
    assert not one.busy
    assert one.joined(other).busy


def test_runs_that_are_held_up_take_a_share_of_the_time():
    # Long enough for a busy machine; the first run compiles.
    waits = [iter([0.0, *[0.01, 0.05] * 1000]), iter([0.01, 0.05] * 1000)]
    measured = peak._measure(lambda thread: time.sleep(next(waits[thread])), 1, 2, 0.5)
    assert measured.rate == pytest.approx(2 / 0.01, rel=0.2)
    assert measured.share == pytest.approx(1 / 3, abs=0.08)  # 10 ms each, rather than 30 ms on average
    assert measured.busy


@pytest.mark.skipif(PLAIN, reason="the peak of plain Python is no CPU's")
def test_beside_other_programs_a_machine_is_busy_and_has_the_same_peak(monkeypatch):
    monkeypatch.setattr(peak, "SECONDS", 0.3)
    alone = peak.fma_peak()
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * numba.get_num_threads())]
    try:
        time.sleep(0.2)
        beside = peak.fma_peak()
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert beside.busy
    assert beside.rate == pytest.approx(alone.rate, rel=0.25) or alone.busy


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Library that peak.c is compiled to, for this CPU."""
    if PLAIN or COMPILER is None:
        pytest.skip("no machine code, or no C compiler")
    library = tmp_path_factory.mktemp("peak") / "peak.so"
    options = ["-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC", "-o", library]
    done = subprocess.run([COMPILER, *options, Path(__file__).with_name("peak.c")], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the C compiler cannot: {done.stderr.splitlines()[0]}")
    return ctypes.CDLL(str(library))


def kernel(program, numbers):
    """Name of the function for some numbers, operations of a step, and a number of steps that takes about 0.1 ms."""
    if numbers != "bfloat16":
        lanes = getattr(program, f"{numbers}_lanes")()
        if engine_of(numbers).lanes(np.dtype(numbers).itemsize) != lanes:
            pytest.skip("narrower vectors are asked for than the CPU has")
        return numbers, 2 * CHAINS * lanes, 20_000
    engine = engine_of("uint16")
    name = {"bf16-amx": "amx", "bf16-dot": "dot"}.get(engine.name) if engine else None
    if name is None or not hasattr(program, name):
        pytest.skip("no instructions for bfloat16, or the compiler does not know them")
    return name, *((2 * 32 * 32 * 32, 5_000) if name == "amx" else (2 * CHAINS * 32, 20_000))


@pytest.mark.parametrize("numbers", NUMBERS)
def test_the_peak_is_that_of_a_c_program(program, numbers, monkeypatch):
    name, operations, steps = kernel(program, numbers)
    monkeypatch.setattr(peak, "UPDATES", 50_000)
    monkeypatch.setattr(peak, "SECONDS", 0.1)
    measure = peak.bfloat16_peak if numbers == "bfloat16" else lambda: peak.fma_peak(np.dtype(numbers))
    function, threads = getattr(program, name), numba.get_num_threads()
    function.argtypes, function.restype = [ctypes.c_long], ctypes.c_double if numbers == "float64" else ctypes.c_float

    def rate_of_a_thread(_):
        """Rate of one thread while the others do the same."""
        end, best = time.perf_counter() + 0.1, float("inf")
        while (start := time.perf_counter()) < end:
            function(steps)
            best = min(best, time.perf_counter() - start)
        return steps * operations / best

    ours, theirs = [], []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(4):  # in turns, as the clock rate changes
            ours.append(measure())
            theirs.append(sum(pool.map(rate_of_a_thread, range(threads))))
    assert max(ours).rate == pytest.approx(max(theirs), rel=0.1)
