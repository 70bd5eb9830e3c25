"""Compares two commits and fails when benchmarks became slower: python asv_benchmarks/gate.py BASE HEAD.

Both commits run the benchmark files of this folder, in processes of their own that take turns of a twentieth of a
second, so that whatever else the machine does hits both alike. A round is such a pair of fresh processes. In a round
the fastest sample of each side counts; over the rounds the median of head / base. A benchmark whose median exceeds
the factor is only suspected: it is measured again, in twice as many rounds, as often as CONFIRMATIONS says, and fails
if the median exceeds the factor every time. Standard error says what is being measured, and how long it will take.
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
SOURCES = HERE / "sources"  # of the commits compared, and their compiled code
TURNS = 6  # of each side in a round
CONFIRMATIONS = 2
# From which the rounds of a confirmation are doubled, at least: the median of two, of hundreds of benchmarks, is not
# enough to tell one that is slower from one that was disturbed twice.
LEAST_ROUNDS = 3
LOG_SECONDS = 10  # between lines that say what is being measured, where they do not replace each other
SIDES = "base", "head"
# Each kernel once, steps from three microseconds to some milliseconds, one of sparse inputs, and a prediction.
DEFAULT = r"""(?x)
    products\.\w+\.time_\w+\(256,\ 256\) | activations\.Slopes\.\w+\('(relu|tanh|gelu)'\)
    | losses\.\w+\.\w+\('cross_entropy\ softmax',\ 10\) | updates\.\w+\.\w+\('(momentum|adam)',\ 1024\)
    | packing\.Rows\.time_pack\(300\) | dropout\.\w+\.\w+ | sparse\.\w+\.\w+\(1000\)
    | step\.Step\.\w+\('(8-16-1@32|64-32-10@200|784-128-10@128|300-200-100-5@1000)'\)
    | prediction\.\w+\.\w+\('64-32-10@200'\)
"""


def git(*arguments):
    """What a git command prints."""
    return subprocess.run(["git", "-C", str(HERE.parent), *arguments], check=True, stdout=subprocess.PIPE).stdout


def unpack(commit):
    """The folder with the sources of a commit, named after their content.

    It is kept, and so is the compiled code, which Numba finds again by the path and time of its sources.
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
    """A process that measures the sources in a folder (see `gate_worker`)."""

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
        """{"seconds": ...} of the fastest run in a turn, or {"error": ...}."""
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


class Progress:
    """A line on standard error: the benchmark that is measured, the side, the round, and the time left.

    On a terminal each replaces the one before; elsewhere there is one in LOG_SECONDS.
    """

    def __init__(self, rounds, stream=sys.stderr, clock=time.monotonic):
        self.rounds, self.stream, self.clock = rounds, stream, clock
        self.start, self.said, self.done, self.place = clock(), -LOG_SECONDS, 0, ""

    def begin(self, name, turn, number, count):
        """Benchmark `number` of `count` comes next, in round `turn`; both from 0 on."""
        left = "?"
        if self.done:
            pairs = (self.rounds - turn) * count - number  # of a benchmark and a round
            left = f"{(self.clock() - self.start) / self.done * pairs / 60:.1f} min"
        self.place = f"round {turn + 1} of {self.rounds}, {number + 1} of {count}, {left} left: {name}"
        self.done += 1

    def turn(self, side):
        """A side of the benchmark is measured now."""
        terminal = self.stream.isatty()
        if terminal or self.clock() - self.said >= LOG_SECONDS:
            start, end = ("\r\x1b[K", "") if terminal else ("", "\n")
            print(f"{start}{self.place}, {SIDES[side]}", end=end, file=self.stream, flush=True)
            self.said = self.clock()

    def end(self):
        """Nothing is measured any more."""
        if self.stream.isatty():
            print("\r\x1b[K", end="", file=self.stream, flush=True)


def compare(workers, name, first, announce=lambda side: None):
    """Seconds of the fastest run of each worker, as they take turns A B B A A B ..., beginning with `first`.

    Where a worker can not run the benchmark, its error stands instead. `announce` is called with the side of each turn.
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
    """{name: [head / base of each round]} of the benchmarks that run at both commits.

    Raises
    ------
    SystemExit
        If a benchmark does not run at the head, or none at the base; one that does not is left out, and said to be.
    """
    ratios, progress = {name: [] for name in names}, Progress(rounds)
    for turn in range(rounds):
        with Worker(folders[0]) as base, Worker(folders[1]) as head:
            for number, name in enumerate(left := list(ratios)):
                progress.begin(name, turn, number, len(left))
                before, after = compare([base, head], name, turn % 2, progress.turn)
                if isinstance(after, str):
                    sys.exit(f"{name} does not run at the head: {after}")
                if isinstance(before, str):
                    print(f"{name} does not run at the base, and is left out: {before}")
                    del ratios[name]
                else:
                    ratios[name].append(after / before)
    progress.end()
    return ratios or sys.exit("no benchmark runs at the base")


def regressions(measure, names, rounds, factor):
    """The benchmarks that are slower by more than `factor` in every measurement.

    Parameters
    ----------
    measure : function
        (names, rounds) to {name: ratios}.
    names : list of str
    rounds : int
        Of the first measurement; those that confirm it take twice as many, of LEAST_ROUNDS at least.
    factor : float

    Returns
    -------
    dict
        From the name to the median ratio of the last measurement.
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
