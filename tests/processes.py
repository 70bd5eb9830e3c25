"""Processes that multiply bfloat16 numbers in threads, forked and spawned children, in random orders.

python -m tests.processes 1000      # so many processes; exit status 1 if one of them, or of their children, fails

None may end by a signal, whichever of them first asks for the CPU's matrix units: a process draws, from its seed, the
threading layer and several actions, some of which are done in a thread or in a child.
"""

import argparse
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tests.builds import LAYERS, ROOT

PLACES = ["here", "thread", "fork", "spawn"]
MOST_ACTIONS = 5
MOST_SECONDS = 120  # of a process


def work():
    """Train with bfloat16 products and predict; the results are finite."""
    from fastmlp import MLP, Trainer

    x = np.random.default_rng(0).standard_normal((300, 20), dtype=np.float32)
    net = MLP([20, 70, 3], "tanh", seed=1)
    Trainer(net, precision="bf16-mixed", batch_size=150).fit(x, np.sin(x[:, :3]), 2, progress=False)
    assert np.isfinite(net.predict(x, precision="bf16-mixed")).all()


def act(seed, depth=0):
    """Do a random number of actions, each in a random place; children act in turn, but have no children."""
    rng = np.random.default_rng([seed, depth])
    for action in range(rng.integers(1, MOST_ACTIONS - 3 * depth)):
        place = PLACES[rng.integers(len(PLACES) if depth == 0 else 2)]
        if place == "here":
            work()
        elif place == "thread":
            thread = threading.Thread(target=work)
            thread.start()
            if rng.integers(2) and os.environ["NUMBA_THREADING_LAYER"] != "workqueue":
                work()  # at the same time
            thread.join()
        else:
            child = multiprocessing.get_context(place).Process(target=act, args=(100 * seed + action, depth + 1))
            child.start()
            child.join()
            assert child.exitcode == 0, f"a child made by {place} ended with status {child.exitcode}"


def run(seed):
    """Start a process with a seed: an empty text, or what went wrong."""
    layer = LAYERS[seed % len(LAYERS)]
    command = [sys.executable, "-m", "tests.processes", "--seed", str(seed)]
    environment = os.environ | {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)
    try:
        _, errors = process.communicate(timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children, too
        _, errors = process.communicate()
        return f"seed {seed}, {layer}: does not end\n{errors[-2000:]}"
    return f"seed {seed}, {layer}: status {process.returncode}\n{errors[-2000:]}" if process.returncode else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=10)
    parser.add_argument("--seed", type=int, help="be the process with this seed")
    options = parser.parse_args()
    if options.seed is not None:
        return act(options.seed)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failed = [text for text in pool.map(run, range(options.count)) if text]
    print(*failed, f"{len(failed)} of {options.count} processes failed", sep="\n")
    return sys.exit(bool(failed))


if __name__ == "__main__":
    main()
