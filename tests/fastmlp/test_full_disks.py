"""Full and broken disks, closed pipes: every writer leaves files that are whole, and says in one line what failed."""

import errno
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from fastmlp_kernels.tile.peak import Peak

from fastmlp import MLP, Trainer, plots
from fastmlp.callbacks import Checkpoint, CSVLogger
from fastmlp.cli import main
from fastmlp.cli import train as training
from fastmlp.history import History
from tests.faults import STREAMS, broken, failing

FAULTS = [
    ("open", errno.EACCES),
    ("open", errno.EROFS),
    ("write", errno.ENOSPC),
    ("write", errno.ENOSPC, 100),
    ("write", errno.EIO, 1),
    ("fsync", errno.EIO),
    ("chmod", errno.EPERM),
    ("replace", errno.ENOSPC),
]
NAMES = ["-".join([operation, errno.errorcode[code], *map(str, after)]) for operation, code, *after in FAULTS]
X, Y = np.random.default_rng(0).normal(size=(2, 40, 3))


def fit(callback, epochs=2):
    trainer = Trainer(MLP([3, 4, 3]), batch_size=10)
    trainer.fit(X, Y, epochs, progress=False, callbacks=[callback])


WRITERS = {
    "MLP.save": lambda path: MLP([3, 40, 2]).save(path),
    "MLP.to_onnx": lambda path: MLP([3, 40, 2]).to_onnx(path),
    "MLP.save_torch": lambda path: MLP([3, 40, 2]).save_torch(path),
    "Trainer.save": lambda path: Trainer(MLP([3, 40, 2])).save(path),
    "best epochs": lambda path: fit(Checkpoint(path)),
    "each epoch": lambda path: fit(Checkpoint(path, "each")),
    "each epoch with state": lambda path: fit(Checkpoint(path, "each", state=True)),
    "each slice with state": lambda path: fit(Checkpoint(path, "each", every=9, seconds=0, state=True)),
    "picture": lambda path: plots.loss_curves(History(loss=[2.0, 1.0]), path),
}
NEEDED = {"picture": "matplotlib", "MLP.to_onnx": "onnx"}  # packages that writers need


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_cannot_be_written_is_as_it_was(tmp_path, writer, fault):
    if writer in NEEDED:
        pytest.importorskip(NEEDED[writer])
    path = tmp_path / "file.png"
    path.write_bytes(b"old")
    with failing(tmp_path, *fault) as failures, pytest.raises(OSError, match=r"file\.png") as caught:
        WRITERS[writer](path)
    assert failures
    assert str(caught.value) == f"[Errno {fault[1]}] {os.strerror(fault[1])}: '{path}'"
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("fault", [("fsync folder", errno.EIO), ("close", errno.EIO)])
def test_what_fails_when_the_new_file_is_in_its_place_is_no_error(tmp_path, fault):
    path, net = tmp_path / "model.safetensors", MLP([3, 2])
    with failing(tmp_path, *fault) as failures:
        net.save(path)
    assert failures
    assert MLP.load(path).params.tobytes() == net.params.tobytes()
    assert [*tmp_path.iterdir()] == [path]


def test_a_temporary_file_that_cannot_be_deleted_does_not_hide_the_error(tmp_path):
    path = tmp_path / "model.safetensors"
    unlinking = failing(tmp_path, "unlink", errno.EROFS)
    raised = pytest.raises(OSError, match=f"{os.strerror(errno.EIO)}: '{path}'")
    with failing(tmp_path, "replace", errno.EIO), unlinking as failures, raised:
        MLP([3, 2]).save(path)
    assert failures
    MLP([3, 2]).save(path)
    assert [*tmp_path.iterdir()] == [path]  # the next one deletes it


def test_ctrl_c_is_raised_even_if_what_was_written_by_then_cannot_be(tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "chmod", interrupt)
    (tmp_path / "file.png").touch()
    with failing(tmp_path, "close", errno.ENOSPC) as failures, pytest.raises(KeyboardInterrupt):
        MLP([3, 2]).save(tmp_path / "file.png")
    assert failures
    assert [*tmp_path.iterdir()] == [tmp_path / "file.png"]


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
@pytest.mark.parametrize("most", [0, 1, 100, 400])
def test_files_that_the_operating_system_lets_grow_no_more_are_whole(tmp_path, most):
    """A file may have `most` bytes: the system takes a part of what is written, and refuses the rest."""
    resource = pytest.importorskip("resource")
    model, log, refused = tmp_path / "model.safetensors", tmp_path / "log", os.strerror(errno.EFBIG)
    net = MLP([3, 2], seed=1)
    net.save(model)
    fit(CSVLogger(log))
    lines = log.read_text().splitlines(True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises(OSError, match=f"{refused}: '{model}'"):
            MLP([3, 2]).save(model)
        with pytest.raises(OSError, match=f"{refused}: '{log}'"):
            fit(CSVLogger(log), 99)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert MLP.load(model).params.tobytes() == net.params.tobytes()
    assert {*tmp_path.iterdir()} == {model, log}
    text = log.read_text()
    assert len(text) <= most
    assert not text or text.startswith(lines[0])
    assert text.endswith("\n") or not text


# ------------------------------------------------------------------------------------------------------ command line


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a table and a model of it."""
    folder = tmp_path_factory.mktemp("data")
    table = np.random.default_rng(0).normal(size=(60, 3))
    np.savetxt(folder / "table.csv", table, delimiter=",", header="x,y,z", comments="")
    assert main([*train(folder), "--save", str(folder / "model.safetensors")]) == 0
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The peak of the CPU, which a training prints, is not measured."""
    monkeypatch.setattr(training, "fma_peak", lambda *_: Peak(1e9, 1.0))


def train(folder, *options):
    return ["train", str(folder / "table.csv"), "--target", "z", "--hidden", "3", "--epochs", "2", *options]


def commands(folder):
    """Command lines by name, for files in a folder; each prints."""
    table, model = str(folder / "table.csv"), str(folder / "model.safetensors")
    return {
        "train": train(folder),
        "predict": ["predict", model, table],
        "evaluate": ["evaluate", model, table],
        "info": ["info", model],
        "trace": ["trace", "a", "--steps", "1"],
    }


OUTPUTS = {
    "predict --output": lambda folder, path: [*commands(folder)["predict"], "--output", str(path)],
    "train --save": lambda folder, path: train(folder, "--save", str(path)),
    "train --checkpoint": lambda folder, path: train(folder, "--checkpoint", str(path)),
    "train --plot": lambda folder, path: train(folder, "--plot", str(path.parent)),
    "trace --plot": lambda folder, path: ["trace", "a", "--plot", str(path)],
}


@pytest.mark.parametrize("fault", [FAULTS[0], FAULTS[3], FAULTS[-1]], ids=str)
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_command_that_cannot_write_a_file_says_so_in_one_line(data, tmp_path, capsys, output, fault):
    if output.endswith("--plot"):
        pytest.importorskip("matplotlib")
    path = tmp_path / "table-loss.png"
    path.write_bytes(b"old")
    argv = OUTPUTS[output](data, path)
    with failing(tmp_path, *fault) as failures:
        assert main(argv) == 2
    assert failures
    assert capsys.readouterr().err == f"fastmlp {argv[0]}: error: {path}: {os.strerror(fault[1])}\n"
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("name", commands(Path()))
def test_a_standard_output_that_cannot_be_written_ends_a_command_in_its_status(data, capsys, name, stream):
    with broken(stream) as stdout, redirect_stdout(stdout):
        assert main(commands(data)[name]) == (2 if stream == "full" else 141)
    full = f"fastmlp {name}: error: standard output: {os.strerror(errno.ENOSPC)}\n"
    assert capsys.readouterr().err == (full if stream == "full" else "")


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("name", commands(Path()))
def test_a_standard_error_that_cannot_be_written_changes_no_status(data, capsys, name, stream):
    with broken(stream) as stderr, redirect_stderr(stderr):
        assert main(commands(data)[name]) == 0
        assert main([name, "nowhere", "nowhere"][: 2 + (name in ("predict", "evaluate"))]) == 2
    assert capsys.readouterr().out


@pytest.mark.parametrize("name", commands(Path()))
def test_commands_run_without_standard_streams(data, monkeypatch, name):
    monkeypatch.setattr(sys, "stdout", None)  # as after >&-
    monkeypatch.setattr(sys, "stderr", None)
    assert main(commands(data)[name]) == 0


@pytest.mark.parametrize("seeds", ["1", "2"])
@pytest.mark.parametrize("stream", STREAMS)
def test_a_model_is_saved_before_anything_is_printed_or_drawn(data, tmp_path, monkeypatch, capsys, stream, seeds):
    def trained(*arguments):
        patch.setattr(sys, "stdout", stdout)
        return real(*arguments)

    pytest.importorskip("matplotlib")
    real = training._fit
    argv = train(data, "--save", str(tmp_path / "model"), "--plot", str(tmp_path), "--seeds", seeds)
    with broken(stream) as stdout, monkeypatch.context() as patch:
        patch.setattr(training, "_fit", trained)
        assert main(argv) == (2 if stream == "full" else 141)
    assert MLP.load(tmp_path / "model").metadata["training"]["test_scores"]
    assert "data" in capsys.readouterr().out


def test_scores_are_printed_even_if_the_model_cannot_be_saved(data, tmp_path, capsys):
    with failing(tmp_path, "write", errno.ENOSPC):
        assert main(train(data, "--save", str(tmp_path / "model"), "--seeds", "2")) == 2
    out = capsys.readouterr().out
    assert "test RMSE" in out
    assert "saved" not in out


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize(("argv", "redirected"), [(["--help"], "stdout"), (["train"], "stderr")])
def test_the_status_of_a_process_is_that_of_the_command(argv, redirected, stream):
    """Python itself ends with status 120, and a traceback, if it cannot write the rest at exit."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    environment.pop("PYTHONUNBUFFERED", None)
    with broken(stream) as file:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, redirected: file}
        done = subprocess.run([sys.executable, "-m", "fastmlp", *argv], env=environment, text=True, **streams)
    assert done.returncode == (141 if (redirected, stream) == ("stdout", "closed") else 2)
    assert not done.stdout
    full = f"fastmlp: error: standard output: {os.strerror(errno.ENOSPC)}\n"
    assert not done.stderr or done.stderr == full


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM is a matter of POSIX")
@pytest.mark.parametrize("stream", STREAMS)
def test_a_training_that_sigterm_ended_has_its_status_without_a_standard_error(data, tmp_path, monkeypatch, stream):
    monkeypatch.setattr(Checkpoint, "on_epoch_end", lambda *_: signal.raise_signal(signal.SIGTERM))
    with broken(stream) as stderr, redirect_stderr(stderr), pytest.raises(SystemExit) as caught:
        main(train(data, "--checkpoint", str(tmp_path / "run")))
    assert caught.value.code == 128 + signal.SIGTERM
    assert len(Trainer.load(tmp_path / "run").history.loss) == 1
