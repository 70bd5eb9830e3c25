"""The benchmark: that all libraries do the same work, that the figures follow from the times, and how it reports."""

import re

import numpy as np
import pytest
from fastmlp_kernels.tile import peak
from fastmlp_kernels.tile.peak import Peak

from fastmlp.benchmark import bench, peers
from fastmlp.benchmark.peers import COMPARED, LIBRARIES, PEERS, Task, compared
from fastmlp.cli import main
from fastmlp.cli.bench import points, rows

SMALL = bench.Case((4, 8, 2), 16)
MADE_UP = [
    bench.Result(bench.Case((100, 10), 1000), {"fastmlp": 20e-6, "numpy": 50e-6, "torch": None}, Peak(300e9, 1.0)),
    bench.Result(bench.Case((100, 10, 10), 1000, "float64"), {"fastmlp": None, "numpy": 46e-3}, Peak(400e9, 1.0)),
]


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(peak, "SECONDS", 0.05)
    monkeypatch.setattr(bench, "BANDWIDTH_BYTES", 1 << 16)


def test_operations_and_bytes_of_a_step():
    first, second = (result.case for result in MADE_UP)
    assert (first.flops, second.flops) == (4_000_000, 4_600_000)
    assert first.intensity == pytest.approx(4_000_000 / (4 * (1000 * 110 + 4 * 1010)))
    assert second.intensity == pytest.approx(4_600_000 / (8 * (1000 * 110 + 4 * 1120)))


def test_the_figures_follow_from_the_times():
    assert list(rows(MADE_UP, 400e9)) == [
        ("100-10 @ 1000", "fastmlp", "20", "50,000,000", "200", "50.0%", ""),
        ("", "numpy", "50", "20,000,000", "80", "20.0%", "2.5×"),
        ("", "torch", "failed", "", "", "", ""),
        ("100-10-10 @ 1000", "fastmlp", "failed", "", "", "", ""),
        ("", "numpy", "46,000", "21,700", "0.1", "0.0%", ""),
    ]


def test_the_picture_shows_what_did_not_fail():
    drawn = list(points(MADE_UP))
    assert [point[:2] for point in drawn] == [
        ("100-10 @ 1000", "fastmlp"),
        ("100-10 @ 1000", "numpy"),
        ("100-10-10 @ 1000", "numpy"),
    ]
    assert [rate for *_, rate in drawn] == pytest.approx([200e9, 80e9, 0.1e9])


def small_task(sizes, dtype):
    """Two batches, and a rate at which two steps change the weights visibly."""
    task = Task.random(sizes, 16, dtype, learning_rate=0.1)
    return task._replace(x=task.x[:32], y=task.y[:32])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(5, 3), (5, 9, 1), (6, 20, 7, 3)])
@pytest.mark.parametrize("library", PEERS)
def test_every_library_takes_the_same_two_steps(library, sizes, dtype):
    pytest.importorskip(PEERS[library])
    task = small_task(sizes, dtype)
    ours, theirs = LIBRARIES["fastmlp"](task), LIBRARIES[library](task)
    for trained in (ours, theirs):
        trained.train(1)
    for start, mine, other in zip(task.weights, ours.weights(), theirs.weights(), strict=True):
        assert mine.dtype == other.dtype == dtype
        change = mine - start
        assert np.abs(change).max() > 1e-3
        np.testing.assert_allclose(other - start, change, rtol=0, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("library", COMPARED["bf16-mixed"][2:])
@pytest.mark.parametrize("sizes", [(5, 3), (6, 20, 7, 3)])
def test_libraries_that_multiply_bfloat16_numbers_take_nearly_the_same_steps(library, sizes):
    pytest.importorskip(PEERS[library.split()[0]])
    task = small_task(sizes, "float32")
    ours, theirs = LIBRARIES["fastmlp float32"](task), LIBRARIES[library](task)
    for trained in (ours, theirs):
        trained.train(1)
    for start, mine, other in zip(task.weights, ours.weights(), theirs.weights(), strict=True):
        assert mine.dtype == other.dtype == "float32"
        rounding = 2**-9 * np.linalg.norm(start) if library == "torch bfloat16" else 0  # of the weights themselves
        assert np.linalg.norm(other - mine) < 0.02 * np.linalg.norm(mine - start) + 3 * rounding


def test_peers_are_compared_in_the_precision_that_is_asked_for():
    assert compared("float32", ["torch", "numpy"]) == ["fastmlp", "torch", "numpy"]
    mixed = ["fastmlp", "fastmlp float32", "jax bfloat16", "torch autocast", "torch bfloat16", "torch medium"]
    assert compared("bf16-mixed", ["jax", "torch", "numpy"]) == mixed


@pytest.mark.parametrize("library", LIBRARIES)
def test_epochs_are_passes_over_the_data(library):
    pytest.importorskip(PEERS.get(library.split()[0], "fastmlp"))
    exact = library in COMPARED["float32"]
    task = small_task((5, 9, 2), "float64" if exact else "float32")
    twice = task._replace(x=np.tile(task.x, (2, 1)), y=np.tile(task.y, (2, 1)))
    two_epochs, one_longer = LIBRARIES[library](task), LIBRARIES[library](twice)
    two_epochs.train(2)
    one_longer.train(1)
    for weights, expected in zip(two_epochs.weights(), one_longer.weights(), strict=True):
        np.testing.assert_allclose(weights, expected, rtol=1e-12 if exact else 0, atol=0 if exact else 1e-6)


def test_the_command_prints_a_table_and_draws_a_picture(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    network, settings = ["--layers", "4-8-2", "--batch-size", "16"], ["--peers", "numpy", "--threads", "1"]
    assert main(["bench", *network, *settings, "--rounds", "1", "--plot", str(tmp_path / "roofline.png")]) == 0
    out, err = capsys.readouterr()
    table = [line for line in out.splitlines() if line.startswith("|")]
    assert [line.split("|")[1:3] for line in table[2:]] == [
        [" 4-8-2 @ 16      ", " fastmlp "],
        ["                 ", " numpy   "],
    ]
    assert len({len(line) for line in table}) == 1
    assert table[1].replace("-", "").replace(" ", "") == "|||:|:|:|:|:|"
    assert table[3].endswith("× |")
    assert err.splitlines() == ["4-8-2 @ 16: warming up", "4-8-2 @ 16: round 1 of 1"]
    assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")


def test_a_library_that_fails_is_told_and_the_others_go_on():
    lines = []
    result = bench.measure(SMALL, ["nothing", "numpy"], 1, 1, lines.append)
    assert result.seconds["nothing"] is None
    assert result.seconds["numpy"] > 0
    assert "4-8-2 @ 16: nothing failed: KeyError: 'nothing'" in lines


def test_processes_do_not_outlive_their_turns():
    with bench._Worker("numpy", SMALL, 1) as worker:
        assert worker.turn() > 0
    assert worker.process.returncode is not None


def test_bandwidth_is_a_number():
    assert 0 < bench.bandwidth(2) < float("inf")


def test_peers_are_those_installed(monkeypatch, capsys):
    monkeypatch.setattr(peers, "find_spec", lambda module: module in ("numpy", "sklearn"))
    assert peers.installed() == ["numpy", "scikit-learn"]
    assert main(["bench", "--peers", "numpy,torch"]) == 2
    assert "--peers is 'torch', which is not installed; accepted: none, numpy, scikit-learn" in capsys.readouterr().err


BAD = {
    "unknown peer": ("--peers numpi", "--peers is 'numpi' (did you mean 'numpy'?); accepted: none, numpy"),
    "unknown dtype": ("--dtype float16", "--dtype is 'float16'"),
    "unknown precision": ("--precision half", "precision is 'half'; accepted: float32, bf16-mixed"),
    "mixed float64": ("--dtype float64 --precision bf16-mixed", "for a network of dtype float64; accepted: float32"),
    "no threads": ("--threads 0", "--threads is 0"),
    "too many threads": ("--threads 100000", "--threads is 100000; accepted: 1 to "),
    "a single layer": ("--layers 8", "--layers has 1 widths"),
    "batches of no network": ("--batch-size 32", "--batch-size is 32; accepted: with --layers"),
    "unknown kind of picture": ("--plot roofline.txt", "path must end in one of"),
    "no such folder": ("--plot nowhere/roofline.png", "no such folder"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_ends_in_one_line(options, message, capsys):
    pytest.importorskip("matplotlib")
    assert main(["bench", *options.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fastmlp bench: error: ")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize("options", ["--layers 8,x", "--layers 8,0", "--rounds 0", "--batch-size 0"])
def test_numbers_that_do_not_parse_end_in_one_line(options, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["bench", *options.split()])
    assert exit.value.code == 2
    assert re.fullmatch("fastmlp bench: error: --.* accepted: .* from 1 on.*\n", capsys.readouterr().err)


def test_help_names_the_peers(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    out = capsys.readouterr().out
    assert all(peer in out for peer in PEERS)
