"""Trainings that are killed at random moments and resumed: the same bits as without.

`python -m tests.fuzz.kills 200` kills 200 processes: while they compile, train, or write a checkpoint.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.fuzz.results import digest

COLD_SHARE, COLD_SECONDS = 1 / 12, 12  # processes that begin with an empty kernel cache, and when they are killed


def train(path, threads):
    """Train, or go on from a checkpoint; print a digest of all results but times."""
    from fastmlp import MLP, Trainer
    from fastmlp.callbacks import Checkpoint

    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(4000, n)).astype("f4") for n in (20, 3))
    trainer = Trainer(MLP([20, 64, 3], "tanh"), dropout=0.2, batch_size=16, clip_norm=1.0, threads=threads)
    checkpoint = Checkpoint(path, "each", seconds=0, state=True)
    resume = path if path.exists() else False
    options = {"validation_fraction": 0.1, "patience": 100, "progress": False, "callbacks": [checkpoint]}
    trainer.fit(x, y, 60, resume=resume, **options)
    print(digest(trainer))


def until_done(command, number, times, seconds, rng, cold, accepted):
    """Run a command again and again until it is done; the first `times` times, a signal is sent at a random moment.

    Parameters
    ----------
    command : function of a number of threads; returns the arguments of a process
    number, times : int; number of the signal, and how often it is sent, at most
    seconds : float; time within which the signal is sent after the start of a process that need not compile
    rng : random.Random
    cold : bool; whether some of the processes that get the signal begin with an empty kernel cache
    accepted : sequence of int; exit statuses of a process that the signal ends

    Returns
    -------
    output : str; of the last process
    statuses : list of int; exit statuses of the processes that the signal ended
    seconds : float; that the last process took
    """
    statuses = []
    while True:
        empty = cold and len(statuses) < times and rng.random() < COLD_SHARE
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | ({"FASTMLP_CACHE_DIR": cache} if empty else {})
            start = time.monotonic()
            process = subprocess.Popen(command(rng.choice([1, 2])), stdout=subprocess.PIPE, env=environment)
            if len(statuses) < times:
                time.sleep(rng.uniform(0, COLD_SECONDS if empty else seconds))
                process.send_signal(number)
            output = process.communicate()[0].decode().strip()
            if process.returncode == 0:
                return output, statuses, time.monotonic() - start
            assert process.returncode in accepted, process.returncode
            statuses.append(process.returncode)


def main(count, seed, cold=True):
    """Kill `count` processes, some while they compile if `cold`; return the numbers of what happened: a dict."""
    rng, done, differ, killed = random.Random(seed), 0, 0, 0

    def trained(kills, seconds):
        path = Path(folder) / f"{rng.getrandbits(64):x}.safetensors"
        child = [sys.executable, "-m", "tests.fuzz.kills", "--child", str(path), "--threads"]
        return until_done(lambda n: [*child, str(n)], signal.SIGKILL, kills, seconds, rng, cold, [-signal.SIGKILL])

    with tempfile.TemporaryDirectory() as folder:
        if cold:
            trained(0, 0)  # which compiles what the others load
        expected, _, seconds = trained(0, 0)
        while killed < count:
            wanted = min(rng.randint(1, 4), count - killed)
            result, statuses, _ = trained(wanted, seconds)
            killed, done, differ = killed + len(statuses), done + 1, differ + (result != expected)
        stale = [path.name for path in Path(folder).iterdir() if path.name.startswith(".")]
    return {"killed": killed, "trainings": done, "with other results": differ, "temporary files left": len(stale)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", type=Path)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.child:
        train(arguments.child, arguments.threads)
    else:
        found = main(arguments.count, arguments.seed)
        print(found)
        sys.exit(bool(found["with other results"] or found["temporary files left"]))
