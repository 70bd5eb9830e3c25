"""How many threads may share a piece of work.

A child that was forked has but one: those of OpenMP live in its parent, and to enter a parallel region without them
kills it. There everything runs on the serial drivers, which give the same bits.
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
    """Threads of this process: as many as Numba is set to, or 1 in a forked child."""
    return 1 if _forked else numba.get_num_threads()


@contextlib.contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Numba's thread count set to `threads`, or to all there are of fewer; None leaves it as it is."""
    previous = numba.get_num_threads()
    if threads is not None:
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        yield
    finally:
        numba.set_num_threads(previous)
