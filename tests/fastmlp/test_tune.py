"""`fastmlp tune`: what it may choose, what it measures, what it says; and that no result depends on it."""

import numpy as np
import pytest
from fastmlp_kernels.drivers import plan, tuning

from fastmlp import MLP, Trainer
from fastmlp._kernels import bfloat16_refusal, slot_count
from fastmlp.benchmark import tune
from fastmlp.benchmark.bench import Case
from fastmlp.cli import main
from fastmlp.precision import asks_mixed
from fastmlp.threads import limited

MB = 1 << 20
MIXED = pytest.param("float32", "bf16-mixed", marks=pytest.mark.skipif(bool(bfloat16_refusal()), reason="no engine"))
TINY = Case((64, 128, 128, 10), 512)  # 8 blocks, which are kept


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """A folder in which nothing was chosen yet; machine code stays where it is."""
    monkeypatch.setattr(tuning, "path_beside", lambda name: tmp_path / name)
    tuning.chosen.cache_clear()
    yield
    tuning.chosen.cache_clear()


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize(("dtype", "precision"), [("float32", "float32"), ("float64", "float32"), MIXED])
def test_no_bit_depends_on_what_is_kept(monkeypatch, dtype, precision, sparse):
    rng, mixed = np.random.default_rng(0), asks_mixed(precision, dtype)
    sizes, batch = (40, 160, 160, 5), 900
    x, y = (rng.standard_normal((2100, n)).astype(dtype) for n in (sizes[0], sizes[-1]))
    if sparse:
        x = pytest.importorskip("scipy.sparse").csr_array(x * (x > 1))
    settings = {"l2": 0.01, "clip_norm": 0.05, "dropout": 0.2, "precision": precision, "batch_size": batch}
    monkeypatch.setattr(plan, "MIXED", plan.MIXED._replace(kept_gradients=0, block=96))
    found, slots = set(), set()
    for kept in (0, MB // 2, MB, 2 * MB, 4 * MB, 100 * MB):
        net = MLP(sizes, dtype=dtype)
        with tuning.trying("mixed" if mixed else "float", kept), limited(2):
            slots.add(slot_count(net, batch, mixed))
            history = Trainer(net, optimizer="adam", seed=1, **settings).fit(x, y, epochs=2, progress=False)
        found.add((net.params.tobytes(), *history.loss, *history.delta_rms[-1]))
    assert len(slots) > 2
    assert len(found) == 1
    assert np.isfinite(net.params).all()


CASES = [pytest.param("float", case, id=str(case)) for case in (*tune.CASES["float"][:2], tune.CASES["float"][3])]
CASES += [pytest.param("mixed", case, id=f"{case}, mixed", marks=MIXED.marks) for case in tune.CASES["mixed"][:2]]


@pytest.mark.parametrize(("kind", "case"), CASES)
def test_candidates_differ_for_the_networks_that_are_measured(kind, case):
    net, slots = MLP(case.sizes, dtype=case.dtype), set()
    for number in tune.CANDIDATES:
        with tuning.trying(kind, number), limited(2):
            slots.add(slot_count(net, case.batch_size, mixed=kind == "mixed"))
    assert len(slots) >= 2


def speeds(*networks):
    """Relative speeds of some networks, each in five rounds about its own."""
    return np.array(networks)[:, None] * [0.99, 1.0, 1.0, 1.0, 1.01]


@pytest.mark.parametrize(
    ("measured", "clear"),
    [
        (speeds(1.02, 1.02, 1.02), True),
        (speeds(1.0, 1.0, 1.0), False),
        (speeds(1.01, 1.01, 1.01), False),
        (speeds(1.1, 1.0, 0.985), True),
        (speeds(1.1, 1.1, 0.97), False),  # slower with one
        (np.array([[1.5, 1.5, 1.5, 0.9, 0.9]]), False),  # in three rounds of five
        (np.array([[1.5, 1.5, 1.5, 1.5, 0.9]]), True),
    ],
)
def test_a_gain_must_be_clear(measured, clear):
    assert tune.is_clear(measured) == clear


def test_the_gain_is_the_mean_over_networks_of_the_medians_over_rounds():
    assert tune.gain(np.array([[1.0, 2.0, 9.0], [8.0, 0.1, 0.5]])) == pytest.approx(1)


@pytest.mark.parametrize(
    ("first", "again", "expected"),
    [
        ({6: 1.1, 12: 1.2, 48: 0.9}, 1.05, (24, 12, 1.05, True)),
        ({6: 1.1, 12: 1.2, 48: 0.9}, 1.0, (24, 12, 1.0, False)),
        ({6: 1.01, 12: 1.0, 48: 0.9}, None, (24, 24, 1.0, False)),
    ],
    ids=["faster", "lucky", "not faster"],
)
def test_the_best_is_measured_again(monkeypatch, first, again, expected):
    def measured(kind, case, numbers, rounds, tell):
        values = [1.0, again] if rounds == 9 else [first.get(number // MB, 1.0) for number in numbers]
        return speeds(*values)

    monkeypatch.setattr(tune, "_speeds", measured)
    default, best, gain, clear = tune.tune("float", 24 * MB, None, candidates=[n * MB for n in (6, 12, 24, 48)])
    assert (default // MB, best // MB, pytest.approx(gain), clear) == expected


def test_a_tiny_network_is_measured(monkeypatch):
    monkeypatch.setattr(tune, "TURN_SECONDS", 0.002)
    monkeypatch.setattr(tune, "GAIN", 0.0)
    monkeypatch.setattr(tune, "LOSS", 0.0)
    monkeypatch.setattr(tune.np, "quantile", lambda *_: 2.0)
    lines = []
    verdict = tune.tune("float", 24 * MB, lines.append, [TINY], candidates=(0, 1, 24 * MB), rounds=(2, 1))
    assert verdict.default == 24 * MB
    assert verdict.best in (0, 1)
    assert verdict.gain > 0
    assert verdict.clear
    assert lines[0].startswith("64-128-128-10 @ 512, float32: warming up")
    found = [line for line in lines if "speeds" in line]  # others tell of the turns, if they take long
    assert found[0].startswith("64-128-128-10 @ 512, float32: speeds relative to 24 MB: 0 MB ")
    assert len(found) == 2


def test_what_makes_no_difference_is_not_measured():
    lines = []
    assert tune.tune("float", 24 * MB, lines.append, [Case((8, 16, 1), 32)]) == tune.Verdict(24 * MB, 24 * MB)
    assert lines[1] == "8-16-1 @ 32, float32: all numbers of bytes keep equally many blocks"


def report(monkeypatch, capsys, verdict):
    """What `fastmlp tune` prints if the measurement has a result, and what `fastmlp info` prints then."""
    monkeypatch.setattr(tune, "tune", lambda kind, default, tell: verdict)
    assert main(["tune"]) == 0
    tuned = capsys.readouterr().out
    tuning.chosen.cache_clear()
    assert main(["info"]) == 0
    return tuned, capsys.readouterr().out


def test_a_gain_is_told_and_kept(monkeypatch, capsys):
    tuned, info = report(monkeypatch, capsys, tune.Verdict(24 * MB, 12 * MB, 1.0312, True))
    assert "kept blocks    float32 and float64: 24 MB -> 12 MB: 1.03 times as fast\n" in tuned
    assert f"kept in        {tuning.path()}\n" in tuned
    assert "kept blocks    12 MB (tuned) in float32 and float64" in info
    assert f"\n               {tuning.path()}\n" in info
    assert plan.limits_of(False).kept_bytes == 12 * MB


def test_no_gain_changes_nothing(monkeypatch, capsys):
    tuning.choose({"float": 6 * MB})
    tuned, info = report(monkeypatch, capsys, tune.Verdict(24 * MB, 12 * MB, 1.012))
    assert "24 MB stays: measured again, 12 MB was 1.01 times as fast, which is not clear\n" in tuned
    assert f"kept blocks    {plan.FLOAT.kept_bytes // MB} MB in float32 and float64" in info
    assert "`fastmlp tune`" in info
    tuned, _ = report(monkeypatch, capsys, tune.Verdict(24 * MB, 24 * MB))
    assert "24 MB stays: nothing else was clearly faster\n" in tuned


def test_without_a_folder_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(tune, "tune", None)
    tuning.path().mkdir()
    assert main(["tune"]) == 2
    assert "exists and is not a file" in capsys.readouterr().err
    monkeypatch.setattr(tuning, "path_beside", lambda name: None)
    assert main(["tune"]) == 2
    assert "there is no other folder to keep the choice in" in capsys.readouterr().err


def test_info_tells_the_sizes_of_caches(capsys):
    assert main(["info"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("caches ")]
    assert all(f"{name} " in line for name in ("L1d", "L2", "L3"))
