"""Children that are forked while another thread compiles, trains or predicts: they do the same, to the same bits.

`python -m tests.fuzz.forks 50` forks 50 children of processes that begin with an empty kernel cache.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from multiprocessing import get_context

import numpy as np

from tests.fuzz.results import digest

CHILDREN = 5  # of a process
SECONDS = 2.0  # pause before a fork, at most; a thread that compiles makes it longer
LONGEST = 600  # seconds that a child may take
HANGS, ENDS = "no result", "ended without a result"


def work():
    """Digest of a training and a prediction."""
    from fastmlp import MLP, Trainer

    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(300, n)).astype("f4") for n in (6, 3))
    trainer = Trainer(MLP([6, 20, 3], "tanh"), batch_size=64)
    trainer.fit(x, y, 3, validation_fraction=0.1, progress=False)
    return digest(trainer, trainer.net.predict(x))


def fork(count, seed):
    """Print a dict, as JSON: the outcomes of `count` children, and the longest time that a fork took."""
    rng, context, children, longest = random.Random(seed), get_context("fork"), [], 0.0
    results, enough = set(), threading.Event()

    def go_on():
        while not enough.is_set():
            results.add(work())

    import fastmlp.trainer  # noqa: F401  a child can hang, too, that is forked while a thread imports what it needs

    thread = threading.Thread(target=go_on)
    thread.start()
    for _ in range(count):
        time.sleep(rng.uniform(0, SECONDS))
        start, (ours, theirs) = time.monotonic(), context.Pipe(duplex=False)
        child = context.Process(target=lambda pipe: pipe.send(work()), args=(theirs,))
        child.start()
        theirs.close()
        longest = max(longest, time.monotonic() - start)
        children.append((child, ours))
    received = [outcome(child, pipe) for child, pipe in children]
    enough.set()
    thread.join()
    (expected,) = results
    names = {expected: "same bits", HANGS: HANGS, ENDS: ENDS}
    outcomes = Counter(names.get(result, "other bits") for result in received)
    print(json.dumps({**outcomes, "longest": longest}))


def outcome(child, pipe):
    """Digest that a child sends, or HANGS or ENDS."""
    try:
        result = pipe.recv() if pipe.poll(LONGEST) else HANGS
    except EOFError:
        result = ENDS
    child.join(10)
    child.kill()
    child.join()
    return ENDS if child.exitcode and result != HANGS else result


def main(count, seed, cold=True):
    """Fork `count` children; return the numbers of outcomes, and the longest time of a fork: a dict."""
    totals, longest = Counter({"same bits": 0}), 0.0
    for first in range(0, count, CHILDREN):
        with tempfile.TemporaryDirectory() as cache:
            arguments = ["--forks", str(min(CHILDREN, count - first)), "--seed", str(seed + first)]
            environment = os.environ | ({"FASTMLP_CACHE_DIR": cache} if cold else {})
            command = [sys.executable, "-m", "tests.fuzz.forks", *arguments]
            found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True).stdout)
        longest = max(longest, found.pop("longest"))
        totals.update(found)
    return {**totals, "longest time of a fork": round(longest, 1)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--forks", type=int)
    arguments = parser.parse_args()
    if arguments.forks:
        fork(arguments.forks, arguments.seed)
    else:
        found = main(arguments.count, arguments.seed)
        print(found)
        sys.exit(found["same bits"] < arguments.count)
