"""The compiler options of every kernel, and where their machine code is kept.

Numba keys its disk cache on the file a function is written in, not on the files of the functions it calls, so an edited
callee would leave stale callers behind. Here all kernels share one cache folder named after a hash of every source file
of this package: any edit, in any file of any folder, starts a new one.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from types import FunctionType

import numba
from numba.core import config
from numba.core.cpu_options import ParallelOptions
from numba.extending import register_jitable

# No fastmath: sums keep their order and NaN checks stay. The numpy error model makes x / 0 inf instead of a branch.
# No reference counts: arrays are the caller's, and counting them, an atomic operation for each array of a tuple at each
# call, was a fifth of the smallest steps. Nothing compiled can allocate, then, or return an array.
OPTIONS = {"error_model": "numpy", "nogil": True, "boundscheck": False, "_nrt": False}
INLINED = {"forceinline": True, **OPTIONS}  # of a kernel that always becomes part of its callers
# Only `prange` makes parallel regions. Left on, these would turn array assignments into regions too, and fuse regions
# that follow each other, although the second needs all of the first to be done.
AUTOMATIC = ("comprehension", "fusion", "inplace_binop", "numpy", "reduction", "setitem", "stencil")
KEPT_CACHES = 8  # folders of earlier sources, or of other tile shapes, that are not deleted


def _sources_hash():
    digest = hashlib.sha256(os.environ.get("FASTMLP_TILE", "").encode())
    root = Path(__file__).parent
    for source in sorted(root.rglob("*.py")):
        digest.update(source.relative_to(root).as_posix().encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


SOURCES = _sources_hash()  # of this version of the kernels, for this tile


def _cache_folder():
    """The folder for this version of the sources, made if need be: in the user's cache folder, or a temporary one."""
    roots = [
        os.environ.get("FASTMLP_CACHE_DIR") or config.CACHE_DIR,
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastmlp",
        Path(tempfile.gettempdir()) / f"fastmlp-{os.getuid() if hasattr(os, 'getuid') else 'user'}",
    ]
    for root in filter(None, roots):
        folder = Path(root) / f"kernels-{SOURCES}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            folder.touch()  # its time of last use
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            others = sorted(folder.parent.glob("kernels-*"), key=lambda path: path.stat().st_mtime, reverse=True)
            for stale in others[KEPT_CACHES:]:
                shutil.rmtree(stale, ignore_errors=True)
            return folder
    return None


CACHE_FOLDER = _cache_folder()


def _cached(decorate):
    """`decorate(cache=...)` with Numba's cache folder set to ours while it looks."""
    previous, config.CACHE_DIR = config.CACHE_DIR, str(CACHE_FOLDER or "")
    try:
        return decorate(cache=CACHE_FOLDER is not None)
    finally:
        config.CACHE_DIR = previous


def njit(function):
    """Compile a serial kernel: the only way a kernel is compiled, so that all share the same options and cache."""
    return _cached(lambda cache: numba.njit(cache=cache, **OPTIONS)(function))


def inlined(function):
    """Compile a kernel that always becomes part of its callers: a tile that goes in or out must stay in registers."""
    return _cached(lambda cache: numba.njit(cache=cache, **INLINED)(function))


def uncached(function):
    """Compile a function of the user's as part of its callers, none of which may be kept on disk.

    What it depends on can change unnoticed: it may be from a notebook, and call anything.
    """
    return numba.njit(**INLINED)(function)


def parallel_njit(function):
    """Compile a driver whose `prange` loops run on Numba's threads."""
    regions = ParallelOptions(dict.fromkeys(AUTOMATIC, False))  # a dict Numba would empty at the first signature
    return _cached(lambda cache: numba.njit(cache=cache, parallel=regions, **OPTIONS)(function))


def cached_njit(**options):
    """numba.njit(**options) for functions that call kernels: kept on disk until a source of the kernels changes.

    Functions of one's own that take a `Network` need not be compiled so: its type changes with the sources, and
    `cache=True` does. This is for others, and their own source is looked at as ever.
    """
    return lambda function: _cached(lambda cache: numba.njit(cache=cache, **options)(function))


# A function that makes arrays: plain Python to Python, and compiled into compiled callers, with their options.
allocating = register_jitable


def specialise(template, name, **names):
    """Copy the plain function `template`, calling it `name` and binding its global `names` to other objects.

    One loop nest can so serve several inner functions, each inlined and cached on disk under its own name (Numba can
    not cache closures over compiled functions, and keys its cache on the function's name).
    """
    function = FunctionType(template.__code__, {**template.__globals__, **names}, name, template.__defaults__)
    function.__qualname__, function.__doc__ = name, template.__doc__
    return function
