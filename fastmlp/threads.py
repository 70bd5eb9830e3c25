"""Number of threads that may share the work of a call.

A process made by fork has only one: the threads of OpenMP stay in its parent, and entering a parallel region without
them would end it. So everything runs there in the serial versions of the compiled functions, which give the same bits.
"""

import contextlib
import os
from collections.abc import Iterator

import numba

_forked = False


def _note_fork():
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def available() -> int:
    """Number of threads of this process: Numba's current setting, or 1 in a forked child."""
    return 1 if _forked else numba.get_num_threads()


@contextlib.contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Context in which Numba uses `threads` threads, or all if it has fewer; None changes nothing."""
    if threads is None:
        yield
        return
    previous = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        yield
    finally:
        numba.set_num_threads(previous)
