"""Speed of a group of processes against one: mpiexec -n 2 python ranks.py (two free cores).

The ranks, each with a share of the cores as threads, and one process with all of them, train in turns on the same
samples, which each rank has a part of. The table, in Markdown, has samples per second of each, the best of all rounds,
as other programs only make them slower; the ratio; and the shortest time of adding up the gradient alone, and what that
makes in bytes per second.
"""

import argparse
import os
import time

import numpy as np
from mpi4py import MPI

from fastmlp import MLP, Trainer, group

CASES = {
    "1024-1024-1024-1024": [1024, 1024, 1024, 1024],
    "256-512-512-10": [256, 512, 512, 10],
}
WORLD = MPI.COMM_WORLD


def meet():
    """Wait until all ranks are here, without taking a core from those that work."""
    request = WORLD.Ibarrier()
    while not request.Test():
        time.sleep(0.005)


def trainer(sizes, batch_size, ranks, threads):
    """Trainer of the group, or of one process."""
    net = MLP(sizes, "relu", seed=0)
    return Trainer(net, "squared_error", batch_size=batch_size, group=ranks, threads=threads)


def rate(trained, x, y):
    """Samples per second of an epoch."""
    return trained.fit(x, y, 1, progress=False).samples_per_second[0]


def measure(sizes, batch_size, batches, rounds, cores):
    """Best rates of one process and of the group, shortest time of a sum, and bytes of a gradient."""
    rows, rng = batches * batch_size, np.random.default_rng(0)
    x, y = (rng.normal(size=(rows, n)).astype(np.float32) for n in (sizes[0], sizes[-1]))
    own = slice(rows * WORLD.rank // WORLD.size, rows * (WORLD.rank + 1) // WORLD.size)
    together = trainer(sizes, batch_size, WORLD, cores // WORLD.size)
    alone = trainer(sizes, batch_size, None, cores)
    gradient, ranks = np.ones_like(together.net.params), group.of(WORLD)
    rates, sums = [], []
    for _ in range(rounds + 1):  # the first round compiles
        single = rate(alone, x, y) if WORLD.rank == 0 else 0.0
        meet()
        rates.append((single, rate(together, x[own], y[own])))
        for _ in range(5):
            meet()
            begin = time.perf_counter()
            ranks.add(gradient)
            sums.append(time.perf_counter() - begin)
            gradient[:] = 1
    single, group_ = map(max, zip(*rates[1:], strict=True))
    return single, group_, min(sums[5:]), gradient.nbytes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    if WORLD.rank == 0:
        print(f"load {os.getloadavg()[0]:.1f}, {WORLD.size} ranks of {options.cores // WORLD.size} threads\n")
        print("| network | one process, samples/s | group, samples/s | ratio | sum, ms | gradient, MB | GB/s |")
        print("|---|---|---|---|---|---|---|")
    for name, sizes in CASES.items():
        one, many, seconds, size = measure(sizes, options.batch_size, options.batches, options.rounds, options.cores)
        if WORLD.rank == 0:
            moved = 2 * (WORLD.size - 1) / WORLD.size * size / seconds / 1e9
            row = f"{one:,.0f}", f"{many:,.0f}", f"{many / one:.2f}", f"{seconds * 1e3:.2f}", f"{size / 1e6:.1f}"
            print(f"| {name}@{options.batch_size} | {' | '.join(row)} | {moved:.1f} |", flush=True)


if __name__ == "__main__":
    main()
