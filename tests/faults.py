"""Disks that fail: operations on the files of a folder, each of which can be made to raise an OSError; broken streams.

What is written passes through Python's buffers, as with a real file: it may arrive late, in parts, or be tried again.
"""

import builtins
import contextlib
import io
import os
import stat
from pathlib import Path

import pytest

FULL = "/dev/full"  # a device that never has room
STREAMS = [
    pytest.param("full", marks=pytest.mark.skipif(not os.path.exists(FULL), reason=f"no {FULL}")),
    pytest.param("closed", marks=pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")),
]


class _File(io.FileIO):
    """File opened for writing. Takes `room` bytes, or any number if that is None; `fail` is called for the others.

    With `loses`, closing it fails, too.
    """

    def __init__(self, path, mode, fail, room, loses):
        super().__init__(path, mode)
        self._fail, self._room, self._loses = fail, room, loses

    def write(self, data):
        if self._room is not None:
            if not self._room:
                self._fail()
            data = memoryview(data)[: self._room]
            self._room -= len(data)
        return super().write(data)

    def close(self):
        was_open = not self.closed
        super().close()
        if was_open and self._loses:
            self._fail()


@contextlib.contextmanager
def failing(folder, operation, code, after=0):
    """Context in which an operation on the files below a folder fails; gives a list with an entry for each failure.

    Parameters
    ----------
    folder : path
    operation : {"open", "write", "close", "fsync", "fsync folder", "chmod", "replace", "unlink", "mkdir"}
        Files are only hindered from being opened for writing. "fsync" fails everywhere.
    code : int; errno
    after : int; number of bytes that a file takes before "write" fails
    """
    failures, real_open = [], io.open

    def fail(*paths):
        failures.append(paths)
        raise OSError(code, os.strerror(code), *paths)

    def is_below(path):
        return not isinstance(path, int) and Path(path).absolute().is_relative_to(folder)

    def opened(path, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **others):
        if mode.startswith("r") or not is_below(path):
            return real_open(path, mode, buffering, encoding, errors, newline, **others)
        if operation == "open":
            fail(str(path))
        file = _File(path, mode.strip("bt"), fail, after if operation == "write" else None, operation == "close")
        if buffering == 0:
            return file
        file = io.BufferedWriter(file)
        return file if "b" in mode else io.TextIOWrapper(file, encoding, errors, newline)

    def called(path, *arguments, **options):
        if is_below(path):
            fail(str(path))
        return real(path, *arguments, **options)

    def synced(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == (operation == "fsync folder"):
            fail()
        return real(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        if operation in ("open", "write", "close"):
            patch.setattr(builtins, "open", opened)
            patch.setattr(io, "open", opened)  # that of pathlib
        else:
            name = operation.split()[0]
            real = getattr(os, name)
            patch.setattr(os, name, synced if name == "fsync" else called)
        yield failures


@contextlib.contextmanager
def broken(kind):
    """Context with a text stream that cannot be written: on a "full" disk, or into a pipe that is "closed"."""
    if kind == "full":
        stream = open(FULL, "w")  # noqa: SIM115
    else:
        reading, writing = os.pipe()
        os.close(reading)
        stream = open(writing, "w")  # noqa: SIM115
    yield stream
    with contextlib.suppress(OSError):
        stream.close()
