"""Ctrl-C at a chosen line of Python code."""

import signal
import sys


class CtrlC:
    """Context that calls the handler of Ctrl-C at a line, counted from 1, of those that run in some files.

    Parameters
    ----------
    files : tuple of str; ends of the names of the files whose lines count
    line : int; none if it is 0

    Attributes
    ----------
    lines : int; lines that ran
    handler : function; that of Ctrl-C at the end
    """

    def __init__(self, files, line=0):
        self.files, self.line, self.lines = files, line, 0

    def __enter__(self):
        # Some shells let processes ignore it.
        self._previous = signal.signal(signal.SIGINT, signal.default_int_handler)
        self._tracer = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *error):
        sys.settrace(self._tracer)
        self.handler = signal.signal(signal.SIGINT, self._previous)

    def _trace(self, frame, event, argument):
        if not frame.f_code.co_filename.endswith(self.files):
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.line:
                signal.getsignal(signal.SIGINT)(signal.SIGINT, frame)
        return self._trace


def isolated(function, *arguments, **keywords):
    """Call a function in a generator, which has an exception state of its own.

    Python 3.11 does not restore that of a thread where a trace function raises an exception while one is handled.
    """

    def call():
        yield function(*arguments, **keywords)

    return next(call())
