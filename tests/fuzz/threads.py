"""Many Python threads that train and predict at once, and any number of Numba's threads: always the same bits.

`python -m tests.fuzz.threads 100` has eight threads make 100 fits each, and repeats 20 random trainings with one to
four threads; all under each threading layer of Numba, in a process for each.
"""

import argparse
import json
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse

from tests.builds import LAYERS, python
from tests.fuzz.results import digest

THREADS, MOST, RUNS = 8, 4, 20  # Python threads; Numba's, at most; random trainings
ROWS = 3000


def trained(seed, threads=None):
    """Trainer of a random training, after it; its inputs, and its precision."""
    from fastmlp import MLP, Trainer, optimizers
    from fastmlp._kernels import bfloat16_refusal

    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.choice([2, 17, 64, 150], rng.integers(2, 5))]
    dtype, precision = [("float32", "float32"), ("float64", "float32"), ("float32", "bf16-mixed")][rng.integers(3)]
    if bfloat16_refusal():
        precision = "float32"
    x, y = rng.normal(size=(ROWS, sizes[0])).astype(dtype), rng.normal(size=(ROWS, sizes[-1])).astype(dtype)
    if rng.integers(2):
        x = scipy.sparse.csr_array(np.where(x > 1, x, 0))
    net = MLP(sizes, str(rng.choice(["relu", "tanh", "silu"])), dtype=dtype, seed=seed)
    settings = {
        "optimizer": str(rng.choice(list(optimizers.OPTIMIZERS))),
        "batch_size": int(rng.choice([30, 500, ROWS])),
        "dropout": float(rng.choice([0, 0.2])),
        "clip_norm": [None, 0.1][rng.integers(2)],
        "l2": float(rng.choice([0, 1e-3])),
    }
    trainer = Trainer(net, learning_rate=1e-3, precision=precision, threads=threads, **settings)
    trainer.fit(x, y, 2, validation_fraction=0.2, progress=False)
    return trainer, x, precision


def result(seed, threads=None):
    trainer, x, precision = trained(seed, threads)
    return digest(trainer, trainer.net.predict(x, precision=precision))


def at_once(count):
    """Fits and predictions of THREADS threads at once, `count` of each in each; numbers of what happened: a dict."""
    from fastmlp import MLP, Trainer

    rng, outcomes = np.random.default_rng(0), Counter()
    x, y = (rng.normal(size=(ROWS, n)).astype("f4") for n in (40, 3))
    shared = MLP([40, 100, 3], "tanh")
    predicted = shared.predict(x).tobytes()
    sizes = [[40, 20 + 20 * n, 3] for n in range(THREADS)]
    one_for_all = Trainer(MLP([40, 30, 3]), batch_size=10)

    def own(n):
        trainer = Trainer(MLP(sizes[n]), batch_size=1000)
        trainer.fit(x, y, 2, progress=False)
        return digest(trainer, trainer.net.predict(x))

    def work(n):
        for _ in range(count):
            outcomes_here = {
                "fits": 1,
                "other results": (own(n) != expected[n]) + (shared.predict(x).tobytes() != predicted),
            }
            try:
                one_for_all.fit(x, y, 3, progress=False)
                outcomes_here["fits of one trainer"] = 1
            except RuntimeError:
                outcomes_here["fits of it refused"] = 1
            with lock:
                outcomes.update(outcomes_here)

    lock, expected = threading.Lock(), [own(n) for n in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    alone = Trainer(MLP([40, 30, 3]), batch_size=10)
    for _ in range(outcomes["fits of one trainer"]):
        alone.fit(x, y, 3, progress=False)
    outcomes["other results"] += digest(alone) != digest(one_for_all)
    return outcomes


def main(count, runs=RUNS):
    """Run both under every threading layer; return the numbers of what happened: a dict."""
    outcomes, results = Counter(), {}
    for layer in LAYERS:
        environment = {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": str(MOST)}
        found = json.loads(
            python("-m", "tests.fuzz.threads", str(count), "--runs", str(runs), "--child", **environment)
        )
        outcomes.update(found["at once"])
        for seed, digests in enumerate(found["results"]):
            results.setdefault(seed, set()).update(digests)
    outcomes["trainings"] = len(results) * MOST * len(LAYERS)
    outcomes["trainings with other results"] = sum(len(digests) > 1 for digests in results.values())
    return {"layers": LAYERS, **outcomes}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=10)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--child", action="store_true")
    arguments = parser.parse_args()
    if arguments.child:
        import fastmlp.threads

        fastmlp.threads.cores = lambda: MOST  # even if there are fewer
        digests = [[result(seed, threads) for threads in range(1, MOST + 1)] for seed in range(arguments.runs)]
        json.dump({"results": digests, "at once": at_once(arguments.count)}, sys.stdout)
    else:
        found = main(arguments.count, arguments.runs)
        print(found)
        sys.exit(bool(found["other results"] or found["trainings with other results"]))
