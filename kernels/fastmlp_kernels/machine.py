"""What the operating system tells of this machine: the sizes of its caches.

They may be wrong: a virtual machine may report the L3 cache of a whole server, of which it has a small part.
"""

import ctypes
import functools
import re
import sys
from pathlib import Path
from typing import NamedTuple

LINUX = Path("/sys/devices/system/cpu/cpu0/cache")
# By level, names that macOS has for sizes; the first that it knows counts. Cores of perflevel0 are the fastest.
MACOS = (
    ("hw.perflevel0.l1dcachesize", "hw.l1dcachesize"),
    ("hw.perflevel0.l2cachesize", "hw.l2cachesize"),
    ("hw.l3cachesize",),
)


class Caches(NamedTuple):
    """Sizes in bytes of the caches that a core uses, alone or with others; None where the system does not tell.

    Attributes
    ----------
    l1 : int or None; of data
    l2, l3 : int or None
    """

    l1: int | None = None
    l2: int | None = None
    l3: int | None = None


@functools.cache
def caches():
    """Sizes of the caches of the first core, from Linux and macOS: Caches."""
    if sys.platform == "linux":
        return _linux_caches(LINUX)
    return _macos_caches(_sysctl) if sys.platform == "darwin" else Caches()


def _linux_caches(folder):
    """Caches by a folder of the kernel, in which each cache has a folder with the files level, type and size."""
    sizes = {}
    for cache in folder.glob("index*"):
        try:
            level, kind, size = ((cache / name).read_text().strip() for name in ("level", "type", "size"))
        except (OSError, UnicodeDecodeError):
            continue
        if kind in ("Data", "Unified"):
            sizes[level] = _bytes(size)
    return Caches(*map(sizes.get, "123"))


def _bytes(size):
    """Number of bytes of a text such as 32K; None for what is not such a text, and for 0."""
    parts = re.fullmatch("([0-9]{1,9})([KMG]?)", size)
    return int(parts[1]) << 10 * " KMG".index(parts[2] or " ") or None if parts else None


def _macos_caches(sysctl):
    """Caches by a function that gives the number of a name of sysctl, or None."""
    return Caches(*(next(filter(None, map(sysctl, names)), None) for names in MACOS))


def _sysctl(name):
    """Number that macOS has under a name; None if it has none."""
    value, size = ctypes.c_uint64(), ctypes.c_size_t(8)
    place = ctypes.byref(value), ctypes.byref(size)
    return None if ctypes.CDLL(None).sysctlbyname(name.encode(), *place, None, ctypes.c_size_t()) else value.value
