"""Permission to use AMX, which Linux grants to a process that asks for it.

Without it, the first instruction on a tile register ends the process. Threads and forked children have it from the
process that asked.
"""

import ctypes
import functools
import platform
import sys

# Of Linux on x86-64: the system call arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA.
_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18


@functools.cache
def amx_refusal():
    """Ask once for the tile registers, and return the reason for a refusal, in words; empty if there is none.

    Call it only on a CPU with AMX: elsewhere Linux refuses.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"AMX is used on Linux on x86-64 only, not on {sys.platform} on {platform.machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA):
        return f"the operating system refuses AMX's tile registers (errno {ctypes.get_errno()})"
    return ""
