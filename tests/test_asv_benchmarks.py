"""Every benchmark runs, for the first choice of its parameters; the gate decides as it says."""

import contextlib
import io
import json
import os
import re
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import bits
import gate
import gate_worker
import numpy as np
import pytest
import suite
from benchmarks import kernels
from benchmarks.buffers import GUARD, Buffers
from fastmlp_kernels import jit
from numba.core import config

ROOT = Path(__file__).parents[1]
BENCHMARKS = list({(b.module, b.owner, b.method): b for b in reversed(suite.discover())}.values())[::-1]
NAMES = ["forward", "backward", "gradient"]


@pytest.fixture
def environment(monkeypatch):
    """The environment variables as they were, after a benchmark that sets some."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.mark.skipif(config.DISABLE_JIT, reason="benchmarks are of compiled code")
@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_benchmark_runs(benchmark, environment, monkeypatch):
    monkeypatch.setattr("benchmarks.repeated.BEST_SECONDS", 0)
    monkeypatch.setattr("benchmarks.repeated.SAMPLE_SECONDS", 0)
    monkeypatch.setattr("benchmarks.cases.MOST_BATCHES", 2)
    instance = benchmark.instance()
    try:
        getattr(instance, "setup", lambda *_: None)(*benchmark.parameters)
    except NotImplementedError as reason:
        pytest.skip(str(reason))
    result = getattr(instance, benchmark.method)(*benchmark.parameters)
    getattr(instance, "teardown", lambda *_: None)(*benchmark.parameters)
    if benchmark.kind == "track":
        assert 0 < result < np.inf
        assert getattr(instance, benchmark.method).unit
    elif benchmark.kind == "timeraw":
        statement, setup = (result, "") if isinstance(result, str) else result
        exec(f"{setup}\n{statement}", {})
    else:
        assert result is None


@pytest.mark.parametrize("offset", [0, 16])
@pytest.mark.parametrize("shape", [7, (3, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_buffers_notice_what_is_written_next_to_them(offset, shape, dtype):
    buffers = Buffers(offset)
    array = buffers.new(shape, dtype, 1)
    assert array.ctypes.data % 64 == offset
    assert array.shape == np.empty(shape).shape
    assert array.dtype == dtype
    assert (array == 1).all()
    array[...] = 2
    buffers.check()
    memory = array.base
    while memory.base is not None:
        memory = memory.base
    start = array.ctypes.data - memory.ctypes.data
    for place, where in ((start - 1, "before"), (start - GUARD, "before"), (start + array.nbytes, "past")):
        kept, memory[place] = memory[place], 0
        with pytest.raises(AssertionError, match=where):
            buffers.check()
        memory[place] = kept
    buffers.check()


def test_a_record_is_copied_with_its_arrays():
    class Inner(NamedTuple):
        values: np.ndarray

    class Outer(NamedTuple):
        count: int
        table: np.ndarray
        inner: Inner

    given = Outer(3, np.zeros(2, [("n", np.int64)]), Inner(np.arange(4.0)))
    buffers = Buffers()
    copy = buffers.copy(given)
    assert copy.count == 3
    assert copy.table is given.table
    np.testing.assert_array_equal(copy.inner.values, given.inner.values)
    assert not np.shares_memory(copy.inner.values, given.inner.values)
    assert len(buffers.made) == 1


def test_kernels_are_found_where_they_are_or_were():
    assert kernels.find("njit", "jit", "no_such_module") is jit.njit
    assert kernels.find("njit", "no_such_module", "calls", "jit") is jit.njit
    missing = kernels.find("no_such_kernel", "jit", "no_such_module")
    with pytest.raises(ImportError, match="these kernels have no no_such_kernel"):
        missing(1, 2)
    lacking = [name for name, value in vars(kernels).items() if getattr(value, "__name__", "").startswith("missing")]
    assert not lacking


def test_no_benchmark_has_what_asv_takes_for_a_setup():
    """It looks for `setup` in classes and modules whatever the case."""
    for module in {benchmark.module for benchmark in BENCHMARKS}:
        for place in (sys.modules[f"benchmarks.{module}"], *{b.owner for b in BENCHMARKS if b.module == module}):
            names = [name for name in dir(place) if name.lower() in ("setup", "teardown")]
            assert all(callable(getattr(place, name)) for name in names), (place, names)


def test_asv_finds_the_same_benchmarks():
    discovery = pytest.importorskip("asv_runner.discovery")
    found = {benchmark.name for benchmark in discovery.disc_benchmarks("benchmarks")}
    assert found == {benchmark.name.split("(")[0] for benchmark in BENCHMARKS}


def test_a_clock_counts_seconds_per_unit_of_work():
    from benchmarks.repeated import Repeated

    class Nothing(Repeated):
        units = 1000

        def prepare(self):
            self.made = 0

        def run(self, calls):
            for _ in range(calls):
                self.made += 1

    nothing = Nothing()
    nothing.setup()
    made, seconds = nothing.made, nothing.best()
    assert nothing.calls > 1000
    assert 0 < seconds < 1e-6
    nothing.setup()
    assert nothing.made > made, "the second setup prepared anew"


class Measurements:
    """Stands for `gate.measure`: lognormal noise, one sample of ten disturbed, around a true ratio of each name."""

    def __init__(self, true, seed, noise=0.05):
        self.true, self.rng, self.noise, self.asked = true, np.random.default_rng(seed), noise, []

    def __call__(self, names, rounds):
        self.asked.append((names, rounds))
        return {name: [self._ratio(name) for _ in range(rounds)] for name in names}

    def _ratio(self, name):
        disturbed = self.rng.choice([1.0, 2.0, 0.5], p=[0.9, 0.05, 0.05])
        return self.true.get(name, 1.0) * np.exp(self.rng.normal(0, self.noise)) * disturbed


@pytest.mark.parametrize("seed", range(10))
def test_gate_is_silent_on_noise(seed):
    assert not gate.regressions(Measurements({}, seed), NAMES, rounds=5, factor=1.1)


@pytest.mark.parametrize("rounds", [1, 2, 5])
@pytest.mark.parametrize("seed", range(10))
def test_gate_is_silent_on_noise_in_very_many_benchmarks(seed, rounds, capsys):
    """Some are suspected at first, but none is confirmed."""
    names = [f"benchmark {i}" for i in range(200)]
    measurements = Measurements({}, seed)
    assert not gate.regressions(measurements, names, rounds, factor=1.1)
    assert len(measurements.asked) > 1 or rounds == 5, "a test of confirmations in which nothing is confirmed"


@pytest.mark.parametrize("seed", range(10))
def test_gate_finds_what_became_slower_in_very_many_benchmarks(seed, capsys):
    names = [f"benchmark {i}" for i in range(200)]
    true = {"benchmark 7": 1.3, "benchmark 150": 1.25}
    assert list(gate.regressions(Measurements(true, seed), names, rounds=5, factor=1.1)) == list(true)


@pytest.mark.parametrize("seed", range(10))
def test_gate_is_silent_on_what_became_faster(seed):
    assert not gate.regressions(Measurements(dict.fromkeys(NAMES, 0.7), seed), NAMES, rounds=5, factor=1.1)


@pytest.mark.parametrize("seed", range(10))
def test_gate_fires_on_what_became_slower_and_on_nothing_else(seed):
    slower = gate.regressions(Measurements({"backward": 1.3}, seed), NAMES, rounds=5, factor=1.1)
    assert list(slower) == ["backward"]
    assert slower["backward"] == pytest.approx(1.3, rel=0.1)


def test_only_suspects_are_measured_again():
    measurements = Measurements({"gradient": 1.5}, seed=0, noise=0)
    gate.regressions(measurements, NAMES, rounds=3, factor=1.1)
    assert measurements.asked == [(NAMES, 3)] + [(["gradient"], 6)] * gate.CONFIRMATIONS


def test_a_suspicion_that_is_not_confirmed_is_dropped():
    answers = iter([{"forward": [1.4] * 3}, {"forward": [1.0] * 6}])
    assert not gate.regressions(lambda names, rounds: next(answers), ["forward"], rounds=3, factor=1.1)


class Scripted:
    """Stands for a worker: gives its answers one after the other, and notes its turns."""

    def __init__(self, answers, side, turns):
        self.answers, self.side, self.turns = iter(answers), side, turns

    def turn(self, name):
        self.turns.append(self.side)
        return next(self.answers)


@pytest.mark.parametrize("first", [0, 1])
def test_workers_take_turns_and_the_fastest_counts(first):
    turns, seconds = [], [{"seconds": s} for s in range(9, 9 - gate.TURNS, -1)]
    workers = [Scripted(seconds, side, turns) for side in (0, 1)]
    assert gate.compare(workers, "forward", first) == [10 - gate.TURNS] * 2
    assert turns[:4] == [first, 1 - first, 1 - first, first]
    assert statistics.mean(turns) == 0.5


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.isatty = lambda: terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_names_benchmark_side_round_and_time_left(terminal):
    now = [0.0]
    stream = Stream(terminal)
    progress = gate.Progress(3, stream, lambda: now[0])
    progress.begin("forward", 0, 0, 2)
    progress.turn(0)
    progress.turn(1)
    now[0] = 60.0
    progress.begin("backward", 0, 1, 2)
    progress.turn(1)
    progress.end()
    said = stream.getvalue().replace("\r\x1b[K", "\n").split("\n")
    expected = [
        "round 1 of 3, 1 of 2, ? left: forward, base",
        "round 1 of 3, 1 of 2, ? left: forward, head",
        "round 1 of 3, 2 of 2, 5.0 min left: backward, head",
    ]
    assert [line for line in said if line] == (expected if terminal else [expected[0], expected[2]])


def test_the_default_of_the_gate_has_every_kind_of_step():
    chosen = [b.name for b in suite.discover() if b.kind == "time" and re.match(gate.DEFAULT, b.name)]
    mixed = {"mixed.Gradient.time_gradient(256, 256)", "mixed.Prediction.time_predict('64-32-10@200')"}
    assert {"dropout.Dropout.time_dropout", "sparse.SparseStep.time_step(1000)", *mixed} <= set(chosen)
    assert {name.split(".")[0] for name in chosen} >= {"products", "activations", "losses", "updates", "step"}


def test_a_worker_keeps_the_data_of_one_benchmark_alone(monkeypatch):
    monkeypatch.setattr(gate_worker, "TURN_SECONDS", 0)
    monkeypatch.setattr(gate_worker, "prepare", lambda name: (lambda: None, time.perf_counter))
    prepared = {}
    for name in ("first", "second", "second"):
        assert "seconds" in gate_worker.answer(name, prepared)
        assert list(prepared) == [name]


def test_a_benchmark_that_does_not_run_at_the_base_is_an_error_of_the_base():
    workers = [Scripted([{"error": "no such kernel"}], 0, []), Scripted([{"seconds": 1.0}] * gate.TURNS, 1, [])]
    assert gate.compare(workers, "forward", 0)[0] == "no such kernel"


@pytest.mark.parametrize("side", gate.SIDES)
def test_a_benchmark_that_skips_itself_is_left_out(side, monkeypatch, capsys):
    def compare(workers, name, first, announce):
        if name == "forward":
            return [None, f"{gate.SKIPPED}: no engine"][:: 1 if side == "head" else -1]
        return [1.0, 2.0]

    monkeypatch.setattr(gate, "Worker", contextlib.nullcontext)
    monkeypatch.setattr(gate, "compare", compare)
    assert gate.measure(["base", "head"], ["forward", "backward"], 3) == {"backward": [2.0] * 3}
    assert "forward is left out: NotImplementedError: no engine" in capsys.readouterr().out


@pytest.mark.parametrize("error", ["TypeError: no such argument", None])
def test_a_benchmark_that_runs_on_no_side_ends_the_gate(error, monkeypatch):
    monkeypatch.setattr(gate, "Worker", contextlib.nullcontext)
    monkeypatch.setattr(gate, "compare", lambda *_: [gate.SKIPPED, error])
    with pytest.raises(
        SystemExit, match="does not run at the head: TypeError" if error else "no benchmark runs on both"
    ):
        gate.measure(["base", "head"], ["forward"], 1)


@pytest.mark.skipif(config.DISABLE_JIT, reason="benchmarks are of compiled code")
def test_a_worker_measures_and_survives_what_does_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "SOURCES", tmp_path)
    with gate.Worker(ROOT) as worker:
        assert "error" in worker.turn("no.Such.time_benchmark")
        assert 0 < worker.turn("packing.Rows.time_pack(8)")["seconds"] < 1e-3


@pytest.mark.skipif(config.DISABLE_JIT, reason="benchmarks are of compiled code")
def test_a_file_of_benchmarks_that_needs_what_the_sources_lack_leaves_the_others_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "benchmarks.losses", None)  # importing it raises ImportError
    assert "error" in gate_worker.answer("losses.Loss.time_loss('squared_error identity', 10)", {})
    assert "seconds" in gate_worker.answer("packing.Rows.time_pack(8)", {})


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not in a clone")
def test_the_sources_of_a_commit_are_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "SOURCES", tmp_path)
    folder = gate.unpack("HEAD")
    assert folder == gate.unpack("HEAD")
    assert (folder / "fastmlp" / "__init__.py").exists()
    assert (folder / "kernels" / "fastmlp_kernels" / "__init__.py").exists()


# Bits


def test_settings_are_drawn_again_the_same():
    settings = [bits.draw(number) for number in range(100)]
    assert settings == [bits.draw(number) for number in range(100)]
    assert json.loads(json.dumps(settings)) == settings
    assert len({json.dumps(setting) for setting in settings}) == 100
    for name, count in {"sparse": 2, "bias": 2, "dtype": 2, "optimizer": len(bits.OPTIMIZERS), "threads": 4}.items():
        assert len({setting[name] for setting in settings}) == count, name


def test_a_number_that_changed_is_noticed(monkeypatch):
    def numbers(changed):
        monkeypatch.setattr(bits, "compute", lambda setting: [np.arange(3.0), np.array([1.0, 2.0 + changed])])
        return bits.digests(range(2))

    assert numbers(0) == numbers(0)
    assert numbers(0)[1] != numbers(2**-51)[1]


@pytest.mark.parametrize("differs", [False, True])
def test_commits_that_differ_are_an_error(differs, monkeypatch, capsys):
    class Worker:
        def __init__(self, folder, tile, count):
            self.found = dict.fromkeys(map(str, range(count)), "same")
            if differs and tile == "avx2":
                self.found["1"] = folder

        def communicate(self):
            return json.dumps(self.found), None

    monkeypatch.setattr(bits, "unpack", lambda commit: commit)
    monkeypatch.setattr(bits, "worker", Worker)
    monkeypatch.setattr(sys, "argv", ["bits.py", "main", "HEAD", "--count", "3"])
    with pytest.raises(SystemExit) as left:
        bits.main()
    assert left.value.code == int(differs)
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first == "sse: 3 of 3 digests are equal"
    assert second == f"avx2: {3 - differs} of 3 digests are equal"
    assert rest == ([f"  differs: {bits.draw(1)}"] if differs else [])


@pytest.mark.skipif(config.DISABLE_JIT, reason="hours as plain Python")
def test_a_worker_digests_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(bits, "SOURCES", tmp_path)
    (tmp_path / "compiled").symlink_to(jit.CACHE_FOLDER.parent)  # what these tests compile is compiled once
    pytest.importorskip("scipy")
    process = bits.worker(ROOT, os.environ.get("FASTMLP_TILE", ""), 2)
    found = json.loads(process.communicate(timeout=600)[0])
    assert process.returncode == 0
    assert list(found) == ["0", "1"]
    assert found["0"] != found["1"]
