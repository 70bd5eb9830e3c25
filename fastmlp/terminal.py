"""Text that comes from files, in a form that is safe to print; standard error, where it can be written."""

import sys
from contextlib import suppress

MOST_CHARACTERS = 299  # of a line about a file


def printable(text):
    """Text with all characters that cannot be printed, such as those that control a terminal, as escape sequences."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


class LineError(ValueError):
    """Error about a file; its message, which may quote the file, is a line of at most 299 printable characters."""

    def __init__(self, message):
        line = printable(message)
        if len(line) > MOST_CHARACTERS:
            half = (MOST_CHARACTERS - 5) // 2
            line = f"{line[:half]} ... {line[-half:]}"
        super().__init__(line)


class StandardError:
    """Standard error, where it can be written; the rest, say for a closed pipe, is lost, and no training with it."""

    def __init__(self):
        self._stream = sys.stderr

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        with suppress(OSError):
            self._stream.write(text)

    def flush(self):
        with suppress(OSError):
            self._stream.flush()
