"""Ctrl-C: a KeyboardInterrupt wherever it comes, but not between steps that belong together."""

import _signal
import _thread
import contextlib
import os
import signal
import threading
from collections.abc import Iterator

AGAIN_SECONDS = 0.5  # after which a KeyboardInterrupt that was swallowed is raised again
# The functions of `signal` without their conversion of numbers to enums, which would take most of the time.
_handler, _set_handler, SIGINT = _signal.getsignal, _signal.signal, int(signal.SIGINT)


def _is_python_interrupted():
    """Whether Ctrl-C raises a KeyboardInterrupt in this thread: the main one, where nobody has set another handler."""
    main = threading.current_thread() is threading.main_thread()
    return main and _handler(SIGINT) is signal.default_int_handler


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Context in which Ctrl-C raises a KeyboardInterrupt.

    During compilation, C code calls Python functions whose exceptions it drops, or turns into others: so the interrupt
    is raised again, after AGAIN_SECONDS and at the end.
    """
    if not _is_python_interrupted():
        yield
        return
    timers, inside = [], False

    def interrupt(number, frame):
        timers.append(threading.Timer(AGAIN_SECONDS, _thread.interrupt_main))
        timers[-1].start()
        if inside and frame.f_code.co_filename != contextlib.__file__:  # not on the way in or out
            raise KeyboardInterrupt

    _set_handler(SIGINT, interrupt)
    try:
        inside = True
        yield
    except Exception as error:
        if timers:
            raise KeyboardInterrupt from error
        raise
    finally:
        inside = False
        _set_handler(SIGINT, signal.default_int_handler)
        for timer in timers:
            timer.cancel()
    if timers:  # the error was swallowed
        raise KeyboardInterrupt


class uninterrupted:  # 0.9 us; a generator takes 1.7
    """Context at whose end a Ctrl-C in the meantime raises its KeyboardInterrupt."""

    def __enter__(self):
        self.hits, self.holds = [], _is_python_interrupted()
        if self.holds:
            _set_handler(SIGINT, self._note)

    def _note(self, number, frame):
        self.hits.append(number)

    def __exit__(self, *error):
        if self.holds:
            _set_handler(SIGINT, signal.default_int_handler)
            if self.hits:
                raise KeyboardInterrupt


def _leave_contexts():
    """Set Python's handler in a forked child of a thread that is in one of the contexts: they stay in the parent."""
    if getattr(_handler(SIGINT), "__module__", "") == __name__:
        _set_handler(SIGINT, signal.default_int_handler)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_contexts)
