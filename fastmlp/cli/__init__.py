"""The command line: reads the arguments, runs one command and turns what users can get wrong into one line each.

`options` declares the commands; each is carried out by `run(args)` in the module of its name, imported only when it is
asked for, so that `--help` does not wait for Numba.
"""

import os
import signal
import sys
from importlib import import_module

from fastmlp.cli.options import parser

# What bad input, a full disk, a missing extra or diverging training raise. All else is a defect and shows a traceback.
USER_ERRORS = (ValueError, TypeError, OSError, ImportError, MemoryError, ArithmeticError)


def main(argv=None):
    """Run the command line `argv` (default: `sys.argv[1:]`) and return the exit status.

    0: done; 2: bad input, told in one line on stderr; 130: interrupted; 141: the reader of stdout went away.
    """
    args = parser().parse_args(argv)
    try:
        import_module(f"fastmlp.cli.{args.command}").run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\nfastmlp: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # As after `| head`. Python flushes stdout once more as it exits, which must find something to write to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # SIGPIPE, which Windows has no name for
    except USER_ERRORS as error:
        print(f"fastmlp {args.command}: error: {_one_line(error)}", file=sys.stderr)
        return 2
    return 0


def _one_line(error):
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
