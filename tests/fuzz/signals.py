"""SIGTERM to `fastmlp train --checkpoint`, and Ctrl-C in Python, at random moments: all can go on, with the same bits.

`python -m tests.fuzz.signals 100` interrupts 100 processes, which compile, train, predict or evaluate, and half as many
trainings of the command line. It prints how long the interrupts took to be a KeyboardInterrupt, and what ran when one
took longer than it should.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

from tests.fuzz.kills import COLD_SECONDS, COLD_SHARE, until_done
from tests.fuzz.results import digest

LONGEST, LOST = 1.0, 600  # seconds until an interrupt is noticed, and after which it never is
SECONDS = 2.5  # from the beginning of the work to an interrupt, at most
EPOCHS = 20
ENDED = [128 + signal.SIGTERM, -signal.SIGTERM]  # statuses: during a training, and before or after it


def terminate(count, seed, cold=True):
    """End `count` trainings of the command line, and resume them; return the numbers of what happened: a dict."""
    from fastmlp import Trainer

    rng, results, statuses, seconds = random.Random(seed), [], [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        table, state = Path(folder) / "table.csv", Path(folder) / "state"
        rows = np.random.default_rng(0).normal(size=(4000, 5))
        np.savetxt(table, rows, delimiter=",", header="a,b,c,d,target", comments="", fmt="%.4f")
        train = [sys.executable, "-m", "fastmlp", "train", str(table), "--target", "target", "--batch-size", "16"]
        train += ["--hidden", "32", "--epochs", "3000", "--checkpoint", str(state), "--resume", "--threads"]

        def trained(times):
            _, ended, took = until_done(lambda n: [*train, str(n)], signal.SIGTERM, times, seconds, rng, cold, ENDED)
            results.append(digest(Trainer.load(state)))
            state.unlink()
            statuses.extend(ended)
            return took

        trained(0)  # which compiles what the others load
        seconds = trained(0)
        while len(statuses) < count:
            trained(min(rng.randint(1, 4), count - len(statuses)))
        stale = [path.name for path in Path(folder).iterdir() if path.name.startswith(".")]
    differ = sum(result != results[0] for result in results)
    training = statuses.count(ENDED[0])
    return {
        "terminated": count,
        "while training": training,
        "with other results": differ,
        "temporary files left": len(stale),
    }


class Work:
    """A training, a prediction and an evaluation, again and again; `doing` says which, and `trainer` is the latest."""

    def __init__(self):
        self.doing = "constructing"
        rng = np.random.default_rng(0)
        self.x, self.y = (rng.normal(size=(20_000, n)).astype("f4") for n in (20, 3))

    def train(self, resume=False):
        self.trainer.fit(self.x, self.y, EPOCHS, validation_fraction=0.1, progress=False, resume=resume)

    def once(self):
        from fastmlp import MLP, Trainer

        self.doing = "constructing"
        self.trainer = Trainer(MLP([20, 64, 3], "tanh"), batch_size=200, dropout=0.1)
        self.doing = "training"
        self.train()
        return self.rest()

    def rest(self):
        """Digest of what follows a training."""
        net = self.trainer.net
        self.doing = "predicting"
        predictions = [net.predict(self.x) for _ in range(20)]
        self.doing = "evaluating"
        return digest(self.trainer, predictions[-1], *{net.evaluate(self.x, self.y) for _ in range(20)})

    def after_an_interrupt(self):
        """Digests of the work that was interrupted, completed, and of the same from its start."""
        results = []
        if self.doing == "training":
            position = self.trainer._position
            if not (position and position.ended):
                self.train(resume=position is not None)
        if self.doing != "constructing":
            results.append(self.rest())
        return [*results, self.once()]


def work():
    """Work until an interrupt; then print its time, what ran, and the results afterwards, as JSON."""
    import fastmlp.trainer  # noqa: F401  Python itself is slow to be interrupted while it imports

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
    works = Work()
    print("ready", flush=True)
    try:
        while True:
            works.once()
    except KeyboardInterrupt as error:
        caught, frames = time.monotonic(), traceback.extract_tb(error.__traceback__)
    where = [f"{Path(frame.filename).name}:{frame.name}" for frame in frames[-3:]]
    print(json.dumps([caught, works.doing, where, works.after_an_interrupt()]))


def interrupt(count, seed, cold=True):
    """Interrupt `count` processes; return the numbers of what happened, and the latencies, in seconds: a dict."""
    rng, latencies, slow, differ, lost = random.Random(seed), [], [], 0, 0
    expected = Work().once()
    for _ in range(count):
        compiles = cold and rng.random() < COLD_SHARE
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | ({"FASTMLP_CACHE_DIR": cache} if compiles else {})
            pipes = {"stdout": subprocess.PIPE, "text": True, "env": environment}
            process = subprocess.Popen([sys.executable, "-m", "tests.fuzz.signals", "--child"], **pipes)
            assert process.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0, COLD_SECONDS if compiles else SECONDS))
            start = time.monotonic()
            process.send_signal(signal.SIGINT)
            try:
                output = process.communicate(timeout=LOST)[0]
            except subprocess.TimeoutExpired:
                process.kill()
                lost += 1
                continue
        assert process.returncode == 0, f"status {process.returncode}"
        caught, doing, where, results = json.loads(output)
        latencies.append(caught - start)
        differ += set(results) != {expected}
        if latencies[-1] > LONGEST:
            slow.append(f"{latencies[-1]:.2f} s: {doing}{', cold' if compiles else ''}, {' '.join(where)}")
    times = {"longest": round(max(latencies), 3), "median": round(statistics.median(latencies), 3)}
    return {"interrupted": count, "lost": lost, "with other results": differ, **times, "slow": slow}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", action="store_true")
    arguments = parser.parse_args()
    if arguments.child:
        work()
    else:
        terminated = terminate(-(-arguments.count // 2), arguments.seed)
        print("SIGTERM:", terminated)
        interrupted = interrupt(arguments.count, arguments.seed)
        print("Ctrl-C:", interrupted)
        faults = [
            terminated["with other results"],
            *(interrupted[name] for name in ("lost", "with other results", "slow")),
        ]
        sys.exit(any(faults))
