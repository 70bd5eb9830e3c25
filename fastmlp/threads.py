"""Threads: how many may share the work of a call, and which calls must not run at the same time.

A process made by fork has only one thread: those of OpenMP stay in its parent, and entering a parallel region without
them would end it. So everything runs there in the serial versions of the compiled functions, which give the same bits.
They also run where another Python thread is in a parallel region and Numba's threads cannot serve both. Nor is there
anybody in it to release what another thread had locked: so a fork waits for the function that another thread compiles.

There are never more threads than cores: those beyond would wait for their turn while others wait for them.
"""

import contextlib
import ctypes
import functools
import math
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import llvmlite.binding
import numba
from numba.core.compiler_lock import global_compiler_lock
from numba.np.ufunc import parallel

from .interrupts import AGAIN_SECONDS, uninterrupted

# Numba's lock of its compiler, of the start of its threads, and LLVM's. Who holds one may take those after it.
COMPILER_LOCKS = global_compiler_lock._lock, parallel._backend_init_thread_lock, llvmlite.binding.ffi.lib._lock._lock
GROUPS, OF_PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # control groups of Linux; those of this process
# Files that say how many microseconds of all cores a group may use in a period of so many, by the folder of groups: of
# version 2, and of version 1's controller "cpu".
QUOTA_FILES = {"": ["cpu.max"], "cpu": ["cpu.cfs_quota_us", "cpu.cfs_period_us"]}
_forked = False
_callers = set()  # Python threads, by their ident, that are in a `call` for several threads
_region = threading.Lock()  # held by the Python thread that is in a parallel region, where only one may be


def available() -> int:
    """Number of threads for a call: Numba's current setting or that of `cores`, if fewer; 1 in a forked child."""
    return 1 if _forked else min(numba.get_num_threads(), cores())


def cores() -> int:
    """Number of cores that the calling thread may use now, or whose time its control groups may use, if fewer."""
    openmp = _openmp()
    if openmp:
        allowed = openmp.omp_get_num_procs()  # not the caller's mask, if OpenMP has bound each thread to a core
    elif hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return min(allowed, _quota())


@functools.cache
def _openmp():
    """OpenMP's library if Numba's threads are its, and its functions can be found; else None."""
    numba.get_num_threads()  # chooses the threading layer
    if numba.threading_layer() != "omp":
        return None
    from numba.np.ufunc import omppool

    library = ctypes.PyDLL(omppool.__file__)  # with the libraries that it is linked to
    return library if hasattr(library, "omp_get_num_procs") else None


@functools.cache
def _quota():
    """Number of cores whose time this process may use, rounded up: the least that one of its control groups allows."""
    quotas = [math.inf]
    with contextlib.suppress(OSError, ValueError):
        for line in OF_PROCESS.read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            kind = "cpu" if "cpu" in controllers.split(",") else controllers
            if kind in QUOTA_FILES:
                group = GROUPS / kind / name.strip("/")
                quotas += [_quota_of(folder, QUOTA_FILES[kind]) for folder in (group, *group.parents)]
    return min(quotas)


def _quota_of(group, files):
    """Number of cores whose time a control group may use, rounded up; infinite if its files say nothing else."""
    try:
        quota, period = " ".join((group / file).read_text() for file in files).split()
        return max(1, math.ceil(int(quota) / int(period))) if int(quota) >= 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number
        return math.inf


@contextlib.contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Context in which Numba uses `threads` threads, or as many as before if these are fewer; None changes nothing."""
    if threads is None:
        yield
        return
    previous = numba.get_num_threads()
    numba.set_num_threads(min(threads, previous))
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
    """Call a compiled function that divides its work among `threads` threads, or its serial form if it may not.

    Python threads that are in such calls at the same time share the cores.
    """
    if threads == 1 or driver is serial:
        return serial(*arguments)
    if not _serves_many():
        if not _region.acquire(blocking=False):
            return serial(*arguments)
        try:
            return _call_parallel(driver, threads, arguments)
        finally:
            _region.release()
    caller = threading.get_ident()
    _callers.add(caller)
    try:
        threads //= len(_callers)
        return _call_parallel(driver, threads, arguments) if threads > 1 else serial(*arguments)
    finally:
        _callers.discard(caller)


def _call_parallel(driver, threads, arguments):
    """Call a driver in `threads` threads, at most: any number of them does the work of as many as it asks for."""
    with limited(threads) if threads < numba.get_num_threads() else contextlib.nullcontext():
        return driver(*arguments)


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
