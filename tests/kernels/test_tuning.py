"""Bytes of blocks that are kept: by the caches, or as a file says that was written on this machine."""

import errno
import json
import os
from types import SimpleNamespace

import pytest
from fastmlp_kernels import cache
from fastmlp_kernels.drivers import plan, tuning
from fastmlp_kernels.machine import Caches

from tests.faults import failing

MB = 1 << 20


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Folder in which nothing was chosen yet."""
    monkeypatch.setattr(cache, "CACHE_FOLDER", tmp_path / "kernels-1")
    tuning.chosen.cache_clear()
    yield tmp_path
    tuning.chosen.cache_clear()


def read():
    """What a new process finds."""
    tuning.chosen.cache_clear()
    return tuning.chosen()


@pytest.mark.parametrize(
    ("l3", "float", "mixed"),
    [(None, 24, 32), (480, 24, 32), (64, 24, 32), (32, 24, 24), (16, 12, 12), (8, 6, 6), (1, 6, 6)],
)
def test_defaults_fit_into_the_cache_and_are_no_larger_where_it_is(monkeypatch, l3, float, mixed):
    """24 MB were chosen on a CPU with 32 MB, and 32 MB for mixed precision on one that reports 480 MB."""
    monkeypatch.setattr(tuning, "caches", lambda: Caches(l3=l3 and l3 * MB))
    assert (tuning.by_cache(24 * MB), tuning.by_cache(32 * MB)) == (float * MB, mixed * MB)


def test_what_was_chosen_counts_in_later_processes_and_with_other_sources(monkeypatch, folder):
    assert read() == {}
    assert [plan.limits_of(mixed) for mixed in (False, True)] == [plan.FLOAT, plan.MIXED]
    tuning.choose({"float": 7 * MB})
    for _ in range(2):
        assert plan.limits_of(False) == plan.FLOAT._replace(kept_bytes=7 * MB)
        assert plan.limits_of(True) == plan.MIXED
        monkeypatch.setattr(cache, "CACHE_FOLDER", folder / "kernels-2")
        assert read() == {"float": 7 * MB}
    tuning.choose({"mixed": 9 * MB})
    assert tuning.chosen() == read() == {"mixed": 9 * MB}
    tuning.path().unlink()
    assert read() == {}
    assert not list(folder.iterdir())


def test_what_is_tried_counts_before_what_was_chosen():
    tuning.choose({"float": 7 * MB, "mixed": 8 * MB})
    with tuning.trying("float", 0):
        assert [plan.limits_of(mixed).kept_bytes for mixed in (False, True)] == [0, 8 * MB]
    assert plan.limits_of(False).kept_bytes == 7 * MB


def content(**changes):
    return json.dumps({"machine": tuning.machine(), "kept_bytes": {"float": 7 * MB}} | changes).encode()


DAMAGED = {
    "empty": b"",
    "cut": content()[:-3],
    "no text": b"\xff\xfe\x00",
    "zeros": bytes(100),
    "a list": b"[1, 2]",
    "a number": b"7",
    "nested": b"[" * 100_000,
    "of a long number": b"9" * 10_000,
    "of another machine": content(machine=tuning.machine() | {"cpu": "another"}),
    "of no machine": content(machine=None),
    "without numbers": content(kept_bytes=None),
    "too little": content(kept_bytes={"float": 1000}),
    "too much": content(kept_bytes={"float": 1 << 40}),
    "true": content(kept_bytes={"float": True}),
    "text": content(kept_bytes={"float": "7"}),
    "infinite": b'{"machine": Infinity, "kept_bytes": NaN}',
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_damaged_and_foreign_files_are_ignored_and_replaced(damaged):
    tuning.path().write_bytes(damaged)
    assert read() == {}
    tuning.choose({"float": 7 * MB})
    assert read() == {"float": 7 * MB}


def opened(path):
    path.chmod(0o666)


def linked(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def foreign(path):
    if os.getuid():
        pytest.skip("only root can give files away")
    os.chown(path, 12345, 12345)


def piped(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files of other users are a matter of Windows")
@pytest.mark.parametrize("change", [opened, linked, foreign, piped])
def test_a_file_that_others_may_have_written_is_not_read(change):
    tuning.choose({"float": 7 * MB})
    assert read()
    change(tuning.path())
    assert read() == {}


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="modes are of POSIX")
@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_nobody_else_can_write_the_file(mask):
    before = os.umask(mask)
    try:
        tuning.choose({"float": 7 * MB})
    finally:
        os.umask(before)
    assert tuning.path().stat().st_mode & 0o777 == 0o644 & ~mask
    assert read()


def test_machines_have_a_file_each(monkeypatch):
    tuning.choose({"float": 7 * MB})
    monkeypatch.setattr(tuning, "caches", lambda: Caches(l2=12345))
    assert read() == {}
    tuning.choose({"float": 8 * MB})
    assert read() == {"float": 8 * MB}
    monkeypatch.undo()
    monkeypatch.setattr(tuning, "path_beside", lambda name: SimpleNamespace(name=name))
    assert tuning.path().name.startswith("tuned-")


@pytest.mark.parametrize("fault", [("open", errno.EROFS), ("write", errno.ENOSPC), ("replace", errno.EACCES)])
def test_a_file_that_cannot_be_written_stays_as_it_was(folder, fault):
    tuning.choose({"float": 7 * MB})
    with failing(folder, *fault), pytest.raises(OSError, match=os.strerror(fault[1])):
        tuning.choose({"float": 8 * MB})
    assert read() == {"float": 7 * MB}
    assert list(folder.iterdir()) == [tuning.path()]


def test_without_a_folder_nothing_is_read(monkeypatch):
    monkeypatch.setattr(cache, "CACHE_FOLDER", None)
    assert tuning.path() is None
    assert read() == {}
