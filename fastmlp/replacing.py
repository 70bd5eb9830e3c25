"""Files that are replaced completely or not at all."""

import contextlib
import glob
import os
import secrets
import stat
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

MOST_NAME_BYTES = 230  # of a name in that of a temporary file: file systems accept names of 255


def replace(path, data):
    """Replace the file at `path` by one with the bytes `data`, completely or not at all.

    The bytes are written to a temporary file in the same folder, which is renamed once it is on the disk. The file
    keeps its permissions; a symbolic link is replaced, not followed. Temporary files that a killed process has left are
    deleted where the file system has locks, not on Windows.

    Raises
    ------
    ValueError
        If `path` exists and is not a file: a device, say.
    OSError
        If the file cannot be written; its `filename` is `path`. The file that was there is as it was.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"path must be that of a file; got {path}, which is not a file")
    name = path.name.encode()[:MOST_NAME_BYTES].decode(errors="ignore")
    for stale in path.parent.glob(f".{glob.escape(name)}.{'[0-9a-f]' * 16}"):
        _delete_unless_locked(stale)
    temporary = path.with_name(f".{name}.{secrets.token_hex(8)}")
    keeps = path.is_file() and not path.is_symlink()
    mode = stat.S_IMODE(path.stat().st_mode) if keeps else 0o666
    try:
        with naming(path):
            file = open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode))  # noqa: SIM115
            try:
                with contextlib.suppress(OSError):  # where a file system has no locks, nothing stale is deleted either
                    _lock(file)
                file.write(data)
                file.flush()
                if keeps:
                    os.chmod(temporary, mode)
                os.fsync(file.fileno())
                os.replace(temporary, path)
            finally:
                with contextlib.suppress(OSError):  # all is on the disk, or an earlier error is to be raised
                    file.close()
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync(path.parent)


def check_writable(path, *sources):
    """Raise an OSError if a file could not be written to `path`, before the work whose result it is for.

    A ValueError if it is one of the `sources`, paths of files or names of other things, that the work is done with.
    """
    for source in sources:
        if path.exists() and os.path.exists(source) and path.samefile(source):
            raise ValueError(f"{path} is to be written, and is read, too; accepted: another file")
    if path.exists() and not path.is_file():
        raise FileExistsError(None, "exists and is not a file", str(path))
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(None, "no such folder", str(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError(None, "this folder is not writable", str(folder))


@contextlib.contextmanager
def naming(path):
    """Context of work on the file at `path`, whose OSErrors name it, rather than a temporary file or none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _lock(file):
    """Lock a file as long as it is open in this process, which fails if another has locked it; not on Windows."""
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _delete_unless_locked(path):
    if fcntl:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            _lock(file)
            path.unlink()


def _sync(folder):
    """Put a folder's entries on the disk, where the operating system can; each is a whole file if it cannot."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
