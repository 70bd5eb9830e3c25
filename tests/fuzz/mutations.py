"""What the fuzz tests of files share: mutations of bytes, commands whose output is watched, counts of outcomes."""

import argparse
import contextlib
import io
import random
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path
from unittest import mock

from fastmlp_kernels.tile.peak import Peak

from fastmlp.cli import main
from fastmlp.terminal import MOST_CHARACTERS

LONGEST, GROWTH = 1.0, 50  # seconds of CPU time for a file, MB for all
KINDS = ["bits", "bytes", "cut", "inserted"]


class Terminal(io.StringIO):
    """Standard output of a terminal, which obeys escape codes."""

    def isatty(self):
        return True


def mutated(kind, content, rng):
    """Bytes with a random mutation of one of KINDS."""
    changed = bytearray(content)
    if kind in ("bits", "bytes"):
        for _ in range(rng.randint(1, 4)):
            position = rng.randrange(len(changed))
            changed[position] = changed[position] ^ 1 << rng.randrange(8) if kind == "bits" else rng.randrange(256)
    elif kind == "cut":
        del changed[rng.randrange(len(changed)) :]
    else:
        position = rng.randrange(len(changed))
        changed[position:position] = rng.randbytes(rng.randint(1, 100))
    return bytes(changed)


def succeeds(*command):
    """Whether a command of `fastmlp` does, perhaps with warnings; else it must end with one line.

    Nothing printed is an escape code.
    """
    status, printed, said = _run(command)
    lines = said.splitlines()
    assert (status, len(lines)) == (2, 1) or (status == 0 and all(": warning: " in line for line in lines)), said
    for line in (printed + said).split("\n"):
        assert line.isprintable(), line
    return status == 0


def check_line(error):
    """Fail unless the message of an error is one short line of printable characters."""
    message = str(error)
    assert message.isprintable(), message
    assert len(message) <= MOST_CHARACTERS, message


def prepare(*command):
    """Run a command that must succeed, and may say that it compiles."""
    status, _, said = _run(command)
    assert status == 0, said


def _run(command):
    """Exit status of a command, and what it writes to standard output and standard error."""
    printed, said = Terminal(), io.StringIO()
    peak = mock.patch("fastmlp.cli.train.fma_peak", return_value=Peak(1e9, 1.0))  # which takes half a second to measure
    with peak, contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        status = main([str(word) for word in command])
    return status, printed.getvalue(), said.getvalue()


def run(fuzz, count, seed):
    """Read `count` mutated files; return the counts by kind and outcome, the longest time, and the growth in MB.

    `fuzz` is a module with the functions `bases(folder)`, all that the files are made of; `mutated(bases, rng)`, the
    kind of a mutation, the name of a file and its bytes; and `outcome(path, bases)`, a text, or an exception if
    anything else happens than what the module's docstring says.
    """
    rng, counts, longest = random.Random(seed), Counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        bases = fuzz.bases(Path(folder))
        before = None
        for done in range(count):
            kind, name, content = fuzz.mutated(bases, rng)
            path = Path(folder) / name
            path.write_bytes(content)
            try:
                outcome, seconds = _timed(fuzz, path, bases)
                if seconds >= LONGEST:  # on a busy machine, CPU time has outliers: what is slow by itself is so again
                    seconds = min(seconds, _timed(fuzz, path, bases)[1])
                counts[kind, outcome] += 1
            except BaseException:
                kept = Path(tempfile.gettempdir()) / name
                kept.write_bytes(content)
                print(f"failed with {kept}")
                raise
            if done >= count // 10:  # until then, functions are compiled and memory fills
                before = before or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                longest = max(longest, seconds)
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert longest < LONGEST, longest
    assert growth < GROWTH, growth
    return dict(sorted(counts.items())), longest, growth


def _timed(fuzz, path, bases):
    """Outcome of a file, and the seconds of CPU time that it took."""
    start = time.process_time()
    return fuzz.outcome(path, bases), time.process_time() - start


def command_line(fuzz):
    """Run the command of a module; see `run`."""
    parser = argparse.ArgumentParser(description=fuzz.__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts, longest, growth = run(fuzz, arguments.count, arguments.seed)
    for key, number in counts.items():
        print(f"{key[0]:10} {key[1]:20} {number:,}")
    print(f"longest {longest:.3f} s, growth {growth:.1f} MB")
