"""The command line: parses the arguments, runs one command, and reports users' errors in one line each.

`options` declares the commands. Each is run by `run(args)` in the module of its name, which is imported only then, so
that `--help` does not wait for Numba.
"""

import os
import signal
import sys
from importlib import import_module

from fastmlp.cli.options import parser
from fastmlp.cli.text import tell
from fastmlp.terminal import printable

# Raised for bad input, a full disk, a missing extra or diverging training. All others are bugs and show a traceback.
USER_ERRORS = (ValueError, TypeError, OSError, ImportError, MemoryError, ArithmeticError)


def main(argv=None):
    """Run the command line `argv` (default: `sys.argv[1:]`) and return the exit status.

    0: done; 2: an error of the user, in one line on stderr; 130: interrupted; 141: the reader of stdout has ended.
    """
    for name in "stdout", "stderr":
        if getattr(sys, name) is None:  # closed when Python started
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    command = "fastmlp"
    try:
        try:
            args = parser().parse_args(argv)
            command += f" {args.command}"
            import_module(f"fastmlp.cli.{args.command}").run(args)
        finally:
            sys.stdout.flush()  # also what `--help` has printed
    except KeyboardInterrupt:
        tell("\nfastmlp: interrupted")
        return 128 + signal.SIGINT
    except BrokenPipeError:  # as after `| head`
        return 128 + 13  # SIGPIPE, which Python on Windows does not define
    except USER_ERRORS as error:
        if isinstance(error, OSError) and error.filename is None and not _is_written(sys.stdout):
            error.filename = "standard output"
        tell(f"{command}: error: {_one_line(error)}")
        return 2
    finally:
        for stream in sys.stdout, sys.stderr:
            if not _is_written(stream):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python writes the rest once more at exit
    return 0


def _is_written(stream):
    """Write what a stream still holds; return whether that was possible."""
    try:
        stream.flush()
    except OSError:
        return False
    return True


def _one_line(error):
    if isinstance(error, OSError) and error.filename is not None:
        return printable(f"{error.filename}: {error.strerror}")
    return printable(" ".join(str(error).split())) or type(error).__name__
