"""Comparison of the speed of two commits, which fails if benchmarks became slower: python gate.py BASE HEAD.

Both commits run the benchmark files of this folder, each in its own process, in turns of a twentieth of a second, so
that other programs slow both alike. A round is such a pair of new processes. In a round the fastest sample of each side
counts; over the rounds the median of head / base. A benchmark whose median exceeds the factor is only suspected: it is
measured again CONFIRMATIONS times, in twice as many rounds, and fails if the median exceeds the factor every time.
Standard error shows what is being measured, and how long it will take.
"""

import argparse
import io
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import suite

HERE = Path(__file__).resolve().parent
PACKAGES = "fastmlp", "kernels"
SOURCES = HERE / "sources"  # folder of the sources of the compared commits, and of their compiled code
TURNS = 6  # turns of each side in a round
CONFIRMATIONS = 2  # repeated measurements of a suspected benchmark
# A confirmation takes twice as many rounds as the first measurement, or twice this number if that is larger: among
# hundreds of benchmarks some are disturbed in both of two rounds.
LEAST_ROUNDS = 3
SKIPPED = "NotImplementedError"  # the error by which a benchmark skips itself, in asv too
LOG_SECONDS = 10  # time between progress lines on a stream that is no terminal
SIDES = "base", "head"
# Each kernel once, steps from three microseconds to a few milliseconds, one step of sparse inputs, and a prediction;
# where there is an engine for bfloat16, the same of bf16-mixed precision.
DEFAULT = r"""(?x)
    (products|mixed)\.\w+\.time_\w+\(256,\ 256\) | activations\.Slopes\.\w+\('(relu|tanh|gelu)'\)
    | losses\.\w+\.\w+\('cross_entropy\ softmax',\ 10\) | updates\.\w+\.\w+\('(momentum|adam)',\ 1024\)
    | packing\.Rows\.time_pack\(300\) | dropout\.\w+\.\w+ | sparse\.\w+\.\w+\(1000\)
    | (step|mixed)\.Step\.\w+\('(8-16-1@32|64-32-10@200|784-128-10@128|300-200-100-5@1000)'\)
    | (prediction|mixed)\.Prediction\.\w+\('64-32-10@200'\)
"""


def git(*arguments):
    """Run a git command; return its output as bytes."""
    return subprocess.run(["git", "-C", str(HERE.parent), *arguments], check=True, stdout=subprocess.PIPE).stdout


def unpack(commit):
    """Folder with the sources of a commit, which are written to it if it does not exist.

    It is named after their content and kept, and so is the compiled code, which Numba finds by the path and the
    modification time of its sources.
    """
    trees = git("rev-parse", *(f"{commit}:{package}" for package in PACKAGES)).decode().split()
    folder = SOURCES / "-".join(tree[:12] for tree in trees)
    if not folder.exists():
        SOURCES.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=SOURCES) as partial:
            with tarfile.open(fileobj=io.BytesIO(git("archive", commit, *PACKAGES))) as files:
                files.extractall(Path(partial) / "whole", filter="data")
            (Path(partial) / "whole").rename(folder)
    return folder


class Worker:
    """Process that measures the sources in a folder (see `gate_worker`). Used as a context, at whose end it stops."""

    def __init__(self, folder):
        path = os.pathsep.join([str(folder), str(folder / "kernels")])
        environment = os.environ | {"PYTHONPATH": path, "FASTMLP_CACHE_DIR": str(SOURCES / "compiled")}
        command, pipe = [sys.executable, str(HERE / "gate_worker.py")], subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def turn(self, name):
        """Measure the benchmark `name` for a turn: {"seconds": fastest run}, or {"error": message}."""
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


class Progress:
    """Line on standard error with the benchmark that is measured, the side, the round, and the time left.

    On a terminal each line replaces the previous one; elsewhere one is printed every LOG_SECONDS.
    """

    def __init__(self, rounds, stream=sys.stderr, clock=time.monotonic):
        self.rounds, self.stream, self.clock = rounds, stream, clock
        self.start, self.said, self.done, self.place = clock(), -LOG_SECONDS, 0, ""

    def begin(self, name, turn, number, count):
        """Note that benchmark `number` of `count` is next, in round `turn`; both are counted from 0."""
        left = "?"
        if self.done:
            pairs = (self.rounds - turn) * count - number  # pairs of a benchmark and a round that are left
            left = f"{(self.clock() - self.start) / self.done * pairs / 60:.1f} min"
        self.place = f"round {turn + 1} of {self.rounds}, {number + 1} of {count}, {left} left: {name}"
        self.done += 1

    def turn(self, side):
        """Print the line, as a side of the benchmark (0 or 1) is measured now."""
        terminal = self.stream.isatty()
        if terminal or self.clock() - self.said >= LOG_SECONDS:
            start, end = ("\r\x1b[K", "") if terminal else ("", "\n")
            print(f"{start}{self.place}, {SIDES[side]}", end=end, file=self.stream, flush=True)
            self.said = self.clock()

    def end(self):
        """Clear the line at the end of the measurements."""
        if self.stream.isatty():
            print("\r\x1b[K", end="", file=self.stream, flush=True)


def compare(workers, name, first, announce=lambda side: None):
    """Measure a benchmark with two workers, in turns A B B A A B ...

    Parameters
    ----------
    workers : pair of Worker
    name : str; name of the benchmark
    first : int; side that begins, 0 or 1
    announce : function that is called with the side before each turn

    Returns
    -------
    pair
        Seconds of the fastest run of each side. If a worker cannot run the benchmark, errors: for each side a message,
        or None.
    """
    order = itertools.cycle([first, 1 - first, 1 - first, first])
    turns = [], []
    for side in itertools.islice(order, 2 * TURNS):
        announce(side)
        answer = workers[side].turn(name)
        if "error" in answer:
            turns[side].append(answer["error"])
            break
        turns[side].append(answer["seconds"])
    errors = [next((entry for entry in side if isinstance(entry, str)), None) for side in turns]
    return errors if any(errors) else [min(side) for side in turns]


def measure(folders, names, rounds):
    """Measure benchmarks at both commits.

    Parameters
    ----------
    folders : pair of folders with the sources of base and head
    names : list of str; names of benchmarks
    rounds : int

    Returns
    -------
    dict
        By name, the ratios head / base of all rounds. A benchmark that does not run at the base, or that skips itself
        on this machine, is left out, with a message.

    Raises
    ------
    SystemExit
        If a benchmark does not run at the head, or none runs on both sides.
    """
    ratios, progress = {name: [] for name in names}, Progress(rounds)
    for turn in range(rounds):
        with Worker(folders[0]) as base, Worker(folders[1]) as head:
            for number, name in enumerate(left := list(ratios)):
                progress.begin(name, turn, number, len(left))
                before, after = compare([base, head], name, turn % 2, progress.turn)
                if isinstance(after, str) and not after.startswith(SKIPPED):
                    sys.exit(f"{name} does not run at the head: {after}")
                if isinstance(before, str) or isinstance(after, str):
                    print(f"{name} is left out: {after or before}")
                    del ratios[name]
                else:
                    ratios[name].append(after / before)
    progress.end()
    return ratios or sys.exit("no benchmark runs on both sides")


def regressions(measure, names, rounds, factor):
    """Benchmarks that are slower by more than `factor` in every measurement.

    Parameters
    ----------
    measure : function
        (names, rounds) to {name: ratios head / base}.
    names : list of str
    rounds : int
        Rounds of the first measurement; confirmations take 2 * max(rounds, LEAST_ROUNDS).
    factor : float

    Returns
    -------
    dict
        By name, the median ratio of the last measurement.
    """
    suspects = dict.fromkeys(names)
    for attempt in range(1 + CONFIRMATIONS):
        if not suspects:
            break
        ratios = measure(list(suspects), rounds if attempt == 0 else 2 * max(rounds, LEAST_ROUNDS))
        medians = {name: statistics.median(values) for name, values in ratios.items()}
        for name, median in medians.items():
            print(f"{median:6.2f}  {name}{'  slower?' if median > factor else ''}", flush=True)
        suspects = {name: median for name, median in medians.items() if median > factor}
    return suspects


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="commit to compare with")
    parser.add_argument("head", help="commit that must not be slower")
    parser.add_argument("--factor", type=float, default=1.1, help="slower by more than this fails (default 1.1)")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of processes (default 5)")
    parser.add_argument("--benchmarks", default=DEFAULT, help="regular expression; default: a few of each kind")
    options = parser.parse_args()
    chosen = [b.name for b in suite.discover() if b.kind == "time" and re.match(options.benchmarks, b.name)]
    if not chosen:
        sys.exit("no benchmark has such a name")
    folders = [unpack(options.base), unpack(options.head)]
    print(f"head / base, {len(chosen)} benchmarks", flush=True)
    slower = regressions(lambda names, rounds: measure(folders, names, rounds), chosen, options.rounds, options.factor)
    for name, median in slower.items():
        print(f"slower by a factor of {median:.2f}: {name}")
    sys.exit(1 if slower else 0)


if __name__ == "__main__":
    main()
