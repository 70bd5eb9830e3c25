"""Compilation that takes seconds: it is announced, and divided among processes, which leave machine code in the cache.

Numba's compiler uses one core of a process. What such a process does not leave, for whatever reason, is compiled by the
process that needs it.
"""

import logging
import os
import pickle
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module

from . import cache

LOGGER = logging.getLogger("fastmlp_kernels")  # warnings are printed on standard error, unless programs set handlers
POLL_SECONDS = 0.01
# What a process runs. It gets the path of this one, since kernels may lie anywhere.
PROGRAM = f"import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from {__name__} import _run; _run()"
_processes = {}  # by kernel and types


def announce(work, tasks):
    """Log that the kernels for some `work` are compiled, if any of the `tasks` is not in the cache; return these."""
    tasks = [task for task in tasks if cache.lacks(*task)]
    if tasks:
        when = "once" if cache.CACHE_FOLDER else "in every process, as no cache folder can be written"
        LOGGER.warning("compiling %s for this CPU, %s: some seconds", work, when)
    return tasks


def compile_elsewhere(work, tasks):
    """Start compiling kernels that are not in the cache, on cores besides the one that this process uses.

    Parameters
    ----------
    work : str; what they are for
    tasks : list of (kernel, tuple of Numba types); if there are more than cores, the last is left to this process
    """
    tasks = announce(work, tasks)
    cores = (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) - 1
    if cores and sys.executable and cache.CACHE_FOLDER:
        given = tasks[:-1] if cores < len(tasks) else tasks
        for i in range(min(cores, len(given))):
            with suppress(OSError):  # such as a limit on processes
                process = _start(given[i::cores])
                _processes.update(dict.fromkeys(given[i::cores], process))


def wait_for(kernel, types):
    """Wait for a process that compiles a kernel for these types, if there is one; end it if the wait is interrupted."""
    process = _processes.pop((kernel, types), None)
    try:
        while process and process.poll() is None and cache.lacks(kernel, types):
            time.sleep(POLL_SECONDS)
    except BaseException:
        process.kill()
        raise


def _start(tasks):
    """Start a process that compiles kernels one after the other."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], **pipes)
    with suppress(OSError), process.stdin:  # it may have ended already
        pickle.dump(sys.path, process.stdin)
        pickle.dump([(kernel.__module__, kernel.__name__, types) for kernel, types in tasks], process.stdin)
    return process


def _run():
    """Compile what `_start` wrote to standard input."""
    for module, name, types in pickle.load(sys.stdin.buffer):
        getattr(import_module(module), name).compile(types)
