"""Every benchmark runs, for the first choice of its parameters; the gate decides as it says."""

import os
import statistics
import sys
from pathlib import Path

import gate
import gate_worker
import numpy as np
import pytest
import suite
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


def test_a_benchmark_that_does_not_run_at_the_base_is_an_error_of_the_base():
    workers = [Scripted([{"error": "no such kernel"}], 0, []), Scripted([{"seconds": 1.0}] * gate.TURNS, 1, [])]
    assert gate.compare(workers, "forward", 0)[0] == "no such kernel"


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
    assert (folder / "kernels" / "fastmlp_kernels" / "training.py").exists()
