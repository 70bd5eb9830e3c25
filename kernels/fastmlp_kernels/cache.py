"""Machine code on disk: the folder that all kernels share, and the file of each compiled signature in it.

Numba keys its own disk cache on the file that a function is written in, not on the files of the functions it calls, so
an edited callee would leave stale callers behind. Here the folder is named after a hash of every source file of this
package: any edit, in any file of any folder, starts a new one.

Reading machine code is running it, and a file may be damaged, or lost, at any time. So a folder is used only if nobody
but this user can write in it; a file begins with the digest of the rest, and appears under its name when it is
complete; and what cannot be read is compiled anew, what cannot be written is used from memory. Each signature has a
file of its own, and no file lists the others: processes that compile at the same time have nothing to agree on.
"""

import errno
import hashlib
import linecache
import os
import pickle
import secrets
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import numba
from numba.core import config
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

KEPT_CACHES = 8  # cache folders that are not deleted: the current one, and those of earlier sources or other engines
MARK = ".fastmlp-kernels"  # empty file in each folder made here; no other folder is ever deleted
PACKAGE = Path(__file__).parent
DIGEST = hashlib.sha256().digest_size  # bytes


def _sources_hash():
    """Hash of all source files of the package and of FASTMLP_TILE, the variable that forces an engine: 16 digits."""
    digest = hashlib.sha256(os.environ.get("FASTMLP_TILE", "").encode())
    for source in sorted(PACKAGE.rglob("*.py")):
        digest.update(source.relative_to(PACKAGE).as_posix().encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


SOURCES = _sources_hash()  # identifies this version of the kernels, and the engine if one is forced


def _is_ours(path, shared=False, is_kind=stat.S_ISDIR):
    """Whether this user or the system owns a folder in which nobody else can write.

    With `shared`, everybody may write in it if nobody can rename what others put there (the sticky bit of /tmp). With
    `is_kind=stat.S_ISREG`, it is a file.
    """
    found = path.lstat()
    if not hasattr(os, "getuid"):  # Windows: folders of a user's profile are private
        return is_kind(found.st_mode)
    closed = not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or (shared and found.st_mode & stat.S_ISVTX)
    return is_kind(found.st_mode) and found.st_uid in (os.getuid(), 0) and bool(closed)


def _last_use(folder):
    """Time when a cache folder was last used; 0 if another process has deleted it."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _delete_old(folders):
    """Delete all but the KEPT_CACHES last used of the folders that bear our mark and belong to this user."""
    marked = [folder for folder in folders if (folder / MARK).is_file() and _is_ours(folder)]
    for stale in sorted(marked, key=_last_use, reverse=True)[KEPT_CACHES:]:
        shutil.rmtree(stale, ignore_errors=True)


def _cache_folder():
    """Find or make the folder for this version of the sources, and delete those not used for long.

    Returns
    -------
    pathlib.Path or None
        In FASTMLP_CACHE_DIR or NUMBA_CACHE_DIR if set, else in the user's cache folder, else in a temporary folder: the
        first that nobody else can write in. It may be read-only, if it is there. None if there is none, so that nothing
        is cached.
    """
    roots = [
        os.environ.get("FASTMLP_CACHE_DIR") or config.CACHE_DIR,
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastmlp",
        Path(tempfile.gettempdir()) / f"fastmlp-{os.getuid() if hasattr(os, 'getuid') else 'user'}",
    ]
    for root in filter(None, roots):
        folder = Path(root) / f"kernels-{SOURCES}"
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            if not _is_ours(folder.parent.resolve(), shared=True) or not _is_ours(folder):
                continue
        except OSError:
            continue
        try:
            (folder / MARK).touch()
            folder.touch()  # its time of last use
            _delete_old(folder.parent.glob("kernels-*"))
        except OSError:
            pass  # a read-only cache is read
        return folder
    return None


CACHE_FOLDER = _cache_folder()


def path_beside(name):
    """Path of a file beside the cache folder, which later sources find there, too; None if nothing is cached."""
    return None if CACHE_FOLDER is None else CACHE_FOLDER.parent / name


def read_beside(path):
    """Bytes of a file beside the cache folder.

    Raises
    ------
    OSError
        If it cannot be read, or is one that others can write: they may have put it into a folder that is shared.
    """
    if not _is_ours(path, is_kind=stat.S_ISREG):
        raise PermissionError(errno.EPERM, "is not a file that only this user can write", str(path))
    return path.read_bytes()


def write_whole(path, content):
    """Write a file that only this user can write. It appears under its name when it is complete."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, 0o644)) as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:  # Ctrl-C, too
        with suppress(OSError):
            temporary.unlink()
        raise


class KernelCache(_Cache):
    """Cache of the machine code of one function, for Numba's dispatchers and C functions (see `use`).

    Parameters
    ----------
    function : Python function
    source : str
        Text of the file that it is written in, if that is not in this package.
    """

    def __init__(self, function, source):
        self._function, self._enabled = function, True
        closed = dumps([cell.cell_contents for cell in function.__closure__ or ()])
        parts = function.__code__.co_code, closed, source.encode(), numba.__version__.encode()
        digests = [hashlib.sha256(part).digest() for part in parts]
        self._identity = [function.__module__, function.__qualname__, *digests]

    @property
    def cache_path(self):
        """Folder of the files, as a str."""
        return str(CACHE_FOLDER)

    def enable(self):
        """Use the cache, as a new one does."""
        self._enabled = True

    def disable(self):
        """Neither read nor write any more."""
        self._enabled = False

    def flush(self):
        """Delete the files of this function."""
        with suppress(OSError):
            for path in CACHE_FOLDER.glob(f"{self._name}.*"):
                path.unlink()

    def load_overload(self, sig, target_context):
        """Machine code for a signature; None if there is no file for it, or a damaged one."""
        if not self._enabled:
            return None
        target_context.refresh()
        key = self._key(sig, target_context.codegen())
        try:
            content = self._path(key).read_bytes()
            if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
                return None
            saved, code = pickle.loads(content[DIGEST:])
            return CompileResult._rebuild(target_context, *code) if saved == key else None
        except Exception:  # whatever it is, compiling anew mends it
            return None

    def save_overload(self, sig, data):
        """Write the machine code for a signature, unless it holds addresses of this process."""
        if not self._enabled or data.library.has_dynamic_globals:
            return
        key = self._key(sig, data.codegen)
        content = dumps((key, data._reduce()))
        with suppress(OSError):  # a full disk or a deleted folder is no obstacle
            write_whole(self._path(key), hashlib.sha256(content).digest() + content)

    def holds(self, sig, codegen):
        """Whether there is a file for a signature, which may be damaged."""
        return self._path(self._key(sig, codegen)).is_file()

    @property
    def _name(self):
        module = self._function.__module__.removeprefix(f"{__package__}.")
        return f"{module}.{self._function.__qualname__}".replace("<", "").replace(">", "")

    def _key(self, sig, codegen):
        """What machine code depends on besides the sources of this package."""
        return sig, codegen.magic_tuple(), self._identity

    def _path(self, key):
        """File for a key. Other keys may have the same, as types may look alike: so the key is in the file, too."""
        return CACHE_FOLDER / f"{self._name}.{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.code"


def use(compiled, function):
    """Have a dispatcher or a C function of Numba, not compiled yet, look for its machine code on disk; return it."""
    filename, source = function.__code__.co_filename, ""
    if PACKAGE not in Path(filename).parents:
        linecache.checkcache(filename)
        source = "".join(linecache.getlines(filename, function.__globals__))  # of a file, or a notebook's cell
        if not source:
            return compiled
    if CACHE_FOLDER is not None and not config.DISABLE_JIT:
        compiled._cache = KernelCache(function, source)
    return compiled


def lacks(compiled, types):
    """Whether a dispatcher has to be compiled for a tuple of types, as its machine code is not on disk."""
    if config.DISABLE_JIT:
        return False
    kept = compiled._cache
    return not (isinstance(kept, KernelCache) and kept.holds(types, compiled.targetctx.codegen()))
