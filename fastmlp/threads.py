"""Threads: how many may share the work of a call, and which calls must not run at the same time.

A process made by fork has only one thread: those of OpenMP stay in its parent, and entering a parallel region without
them would end it. So everything runs there in the serial versions of the compiled functions, which give the same bits.
They also run where another Python thread is in a parallel region and Numba's threads cannot serve both. Nor is there
anybody in it to release what another thread had locked: so a fork waits for the function that another thread compiles.
"""

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Iterator

import llvmlite.binding
import numba
from numba.core.compiler_lock import global_compiler_lock
from numba.np.ufunc import parallel

from .interrupts import AGAIN_SECONDS, uninterrupted

# Numba's lock of its compiler, of the start of its threads, and LLVM's. Who holds one may take those after it.
COMPILER_LOCKS = global_compiler_lock._lock, parallel._backend_init_thread_lock, llvmlite.binding.ffi.lib._lock._lock
_forked = False
_region = threading.Lock()  # held by the Python thread that is in a parallel region, where only one may be


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


def _serves_many():
    """Whether several Python threads may be in parallel regions: not with Numba's workqueue layer, which aborts."""
    try:
        return numba.threading_layer() != "workqueue"
    except ValueError:  # none is chosen before the first region
        return False


def call(driver, serial, threads: int, arguments: tuple):
    """Call a compiled function that divides its work among `threads` threads, or its serial form if it may not."""
    if threads == 1:
        return serial(*arguments)
    if _serves_many():
        return driver(*arguments)
    if not _region.acquire(blocking=False):
        return serial(*arguments)
    try:
        return driver(*arguments)
    finally:
        _region.release()


def _note_fork():
    global _forked
    _forked = True


def _hold(lock):
    """Acquire a lock before a fork, where exceptions are lost: a KeyboardInterrupt is raised soon after."""
    try:
        with uninterrupted():
            lock.acquire()
    except KeyboardInterrupt:
        threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGINT)).start()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
    for lock in reversed(COMPILER_LOCKS):  # what is registered last is called first before a fork
        hold = functools.partial(_hold, lock)
        os.register_at_fork(before=hold, after_in_parent=lock.release, after_in_child=lock.release)


def one_at_a_time(method):
    """Decorate a method of an object with a lock `turn`: a RuntimeError while another thread is in such a method."""

    @functools.wraps(method)
    def called(self, *args, **kwargs):
        if not self.turn.acquire(blocking=False):
            raise RuntimeError(
                f"{type(self).__name__}.{method.__name__} is called while another thread uses this object; "
                "accepted: one thread at a time, or an object for each"
            )
        try:
            return method(self, *args, **kwargs)
        finally:
            self.turn.release()

    return called
