"""Compares two commits and fails when benchmarks became slower: python asv_benchmarks/gate.py BASE HEAD.

Both commits run the benchmark files of this folder, in processes of their own that take turns of a twentieth of a
second, so that whatever else the machine does hits both alike. A round is such a pair of fresh processes. In a round
the fastest sample of each side counts; over the rounds the median of head / base. A benchmark whose median exceeds
the factor is only suspected: it is measured again, in twice as many rounds, as often as CONFIRMATIONS says, and fails
if the median exceeds the factor every time.
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
from pathlib import Path

import suite

HERE = Path(__file__).resolve().parent
PACKAGES = "fastmlp", "kernels"
SOURCES = HERE / "sources"  # of the commits compared, and their compiled code
TURNS = 6  # of each side in a round
CONFIRMATIONS = 2
# Each kernel once, steps from three microseconds to some milliseconds, and a prediction.
DEFAULT = r"""(?x)
    products\.\w+\.time_\w+\(256,\ 256\) | activations\.Slopes\.\w+\('(relu|tanh|gelu)'\)
    | losses\.\w+\.\w+\('cross_entropy\ softmax',\ 10\) | updates\.\w+\.\w+\('(momentum|adam)',\ 1024\)
    | packing\.Rows\.time_pack\(300\)
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


def compare(workers, name, first):
    """Seconds of the fastest run of each worker, as they take turns A B B A A B ..., beginning with `first`.

    Where a worker can not run the benchmark, its error stands instead.
    """
    order = itertools.cycle([first, 1 - first, 1 - first, first])
    turns = [], []
    for side in itertools.islice(order, 2 * TURNS):
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
    ratios = {name: [] for name in names}
    for turn in range(rounds):
        with Worker(folders[0]) as base, Worker(folders[1]) as head:
            for name in list(ratios):
                before, after = compare([base, head], name, turn % 2)
                if isinstance(after, str):
                    sys.exit(f"{name} does not run at the head: {after}")
                if isinstance(before, str):
                    print(f"{name} does not run at the base, and is left out: {before}")
                    del ratios[name]
                else:
                    ratios[name].append(after / before)
    return ratios or sys.exit("no benchmark runs at the base")


def regressions(measure, names, rounds, factor):
    """The benchmarks that are slower by more than `factor` in every measurement.

    Parameters
    ----------
    measure : function
        (names, rounds) to {name: ratios}.
    names : list of str
    rounds : int
        Of the first measurement; those that confirm it take twice as many.
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
        ratios = measure(list(suspects), rounds if attempt == 0 else 2 * rounds)
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
