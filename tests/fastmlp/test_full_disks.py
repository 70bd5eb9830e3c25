"""Full and broken disks, closed pipes: every writer leaves files that are whole, and says in one line what failed."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from fastmlp import MLP, Trainer, plots
from fastmlp.callbacks import Checkpoint, CSVLogger
from fastmlp.history import History
from tests.faults import failing

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
    "Trainer.save": lambda path: Trainer(MLP([3, 40, 2])).save(path),
    "best epochs": lambda path: fit(Checkpoint(path)),
    "each epoch": lambda path: fit(Checkpoint(path, "each")),
    "each epoch with state": lambda path: fit(Checkpoint(path, "each", state=True)),
    "each slice with state": lambda path: fit(Checkpoint(path, "each", every=9, seconds=0, state=True)),
    "picture": lambda path: plots.loss_curves(History(loss=[2.0, 1.0]), path),
}


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_cannot_be_written_is_as_it_was(tmp_path, writer, fault):
    if writer == "picture":
        pytest.importorskip("matplotlib")
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
    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "is_symlink", interrupt)
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
