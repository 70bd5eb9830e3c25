"""The command line: parses the arguments, runs one command, and reports users' errors in one line each.

`options` declares the commands. Each is run by `run(args)` in the module of its name, which is imported only then, so
that `--help` does not wait for Numba.
"""

import os
import signal
import sys
from importlib import import_module

from fastmlp.cli.options import parser
from fastmlp.terminal import printable

# Raised for bad input, a full disk, a missing extra or diverging training. All others are bugs and show a traceback.
USER_ERRORS = (ValueError, TypeError, OSError, ImportError, MemoryError, ArithmeticError)


def main(argv=None):
    """Run the command line `argv` (default: `sys.argv[1:]`) and return the exit status.

    0: done; 2: an error of the user, in one line on stderr; 130: interrupted; 141: the reader of stdout has ended.
    """
    args = parser().parse_args(argv)
    try:
        import_module(f"fastmlp.cli.{args.command}").run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\nfastmlp: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # As after `| head`. Python flushes stdout once more at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # SIGPIPE, which Python on Windows does not define
    except USER_ERRORS as error:
        print(f"fastmlp {args.command}: error: {_one_line(error)}", file=sys.stderr)
        return 2
    return 0


def _one_line(error):
    if isinstance(error, OSError) and error.filename is not None:
        return printable(f"{error.filename}: {error.strerror}")
    return printable(" ".join(str(error).split())) or type(error).__name__
