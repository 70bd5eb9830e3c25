"""The thread that reads: it fills the next pool while the network is trained on another one."""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue

from ..interrupts import uninterrupted
from .pools import fill

POOLS = 2  # one that is trained on, one that is filled


class _Closed(Exception):
    """Raised in the thread when its pools are no longer wanted."""


class Reader:
    """Context and iterator: pools as a thread fills them. Each is filled anew when the next one is asked for.

    The thread ends with the context. What a source raises is raised by the iterator.

    Parameters
    ----------
    blocks : generator of feed.Block
    pools : list of Pool; those that may be filled, to which up to POOLS are appended
    make : function of a block that returns a new Pool
    seed, number : see `pools.fill`

    Attributes
    ----------
    waited : float
        Seconds for which the iterator has waited for pools.
    failed : bool
        Whether it has raised an exception of the source.
    """

    def __init__(self, blocks, pools, make, seed=None, number=0):
        self.waited, self.failed, self._closed = 0.0, False, False
        self._blocks, self._pools, self._make, self._order = blocks, pools, make, (seed, number)
        self._free, self._full = SimpleQueue(), SimpleQueue()
        for pool in pools:
            self._free.put(pool)
        self._thread = threading.Thread(target=self._run, name="fastmlp reader", daemon=True)

    def __enter__(self):
        try:
            self._thread.start()
        except BaseException:  # Ctrl-C too
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        with uninterrupted():
            self._closed = True
            self._free.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def __iter__(self):
        while (pool := self._next()) is not None:
            yield pool
            self._free.put(pool)

    def _next(self):
        start = time.perf_counter()
        found = self._full.get()
        self.waited += time.perf_counter() - start
        if isinstance(found, BaseException):
            self.failed = True
            raise found
        return found

    def _run(self):
        try:
            for pool in fill(self._wanted(), self._take, *self._order):
                self._full.put(pool)
            self._full.put(None)
        except _Closed:
            pass
        except BaseException as error:
            self._full.put(error)
        finally:
            self._blocks.close()

    def _wanted(self):
        while not self._closed:
            if (block := next(self._blocks, None)) is None:
                return
            yield block
        raise _Closed

    def _take(self, block):
        if self._free.empty() and len(self._pools) < POOLS:
            self._pools.append(self._make(block))
            return self._pools[-1]
        if (pool := self._free.get()) is None:
            raise _Closed
        return pool
