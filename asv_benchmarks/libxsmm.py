"""Training steps of libxsmm-dnn's example of an MLP and of fastmlp, which take turns: python libxsmm.py mlp_example.

How to build the example, and what its steps leave out, is in README.md. GFLOP/s are counted alike for both, from the
network as it is named. The table, in Markdown, has medians over the rounds. Linux only.

On several threads, a turn begins when the CPUs are idle, and a round is repeated if other processes took much of them,
for ten minutes at most. With --threads 1 CPU time is measured, which other processes change less.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time

from benchmarks import cases

# By case: layers of libxsmm-dnn, whose outputs are padded to 16, and its fastest blocks: rows, units.
LAYERS_AND_BLOCKS = {
    "1024-1024-1024-1024@4096": ("1024 1024 1024 1024", 128, 64),
    "2048-4096-1024@2048": ("2048 4096 1024", 256, 64),
    "256-512-512-10@4096": ("256 512 512 16", 256, 32),
    "784-128-10@4096": ("784 128 16", 64, 16),
    "64-64-64-64-1@16384": ("64 64 64 64 16", 256, 16),
}
STEPS = 4  # of a turn, at least
FLOPS = 1.5e11  # operations of a turn and thread, about: those of a second
HUGE_PAGES = "glibc.malloc.hugetlb=1"  # NumPy asks for them, too; libxsmm-dnn is up to a tenth faster with them
IDLE_SECONDS, PATIENCE = 0.5, 600  # that CPUs are idle before a turn; for which the rounds of a case may be repeated


def cpu_seconds(who):
    """CPU time of this process (RUSAGE_SELF) or of its children that have ended (RUSAGE_CHILDREN)."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def libxsmm_run(program, case, steps, threads):
    """Seconds per step that the example prints, and its CPU time as a whole."""
    (layers, rows, units), (_, batch) = LAYERS_AND_BLOCKS[case], cases.parse(case)
    # Bias, ReLU with a mask (3), all passes (A), rows, outputs and inputs of a block, float32 (0), packed (1).
    command = [program, *f"{steps} {batch} 3 A {rows} {units} {units} 0 1 {layers}".split()]
    settings = {"OMP_NUM_THREADS": str(threads), "OMP_PROC_BIND": "close", "GLIBC_TUNABLES": HUGE_PAGES}
    before = cpu_seconds(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=True)
    # The last line ends in the seconds, and in GFLOP/s of the layers as the example has them.
    return float(done.stdout.split()[-1].split(",")[-2]), cpu_seconds(resource.RUSAGE_CHILDREN) - before


def libxsmm_seconds(program, case, steps, threads):
    """Seconds per step; of CPU time, without that of making data, if `threads` is 1."""
    if threads > 1:
        return libxsmm_run(program, case, steps, threads)[0]
    return (libxsmm_run(program, case, steps + 1, 1)[1] - libxsmm_run(program, case, 1, 1)[1]) / steps


def fastmlp_seconds(trainer, x, y, steps, batches, threads):
    """Seconds per step, over whole epochs; of CPU time if `threads` is 1."""
    clock = time.process_time if threads == 1 else time.perf_counter
    epochs, start = -(-steps // batches), clock()
    trainer.fit(x, y, epochs=epochs, progress=False)
    return (clock() - start) / (epochs * batches)


def others_share(run):
    """What `run` returns, and the share of all CPUs that was taken by processes not started here."""

    def other_work():
        with open("/proc/stat") as file:
            user, nice, system, _, _, *interrupts = map(int, file.readline().split()[1:9])
        own = cpu_seconds(resource.RUSAGE_SELF) + cpu_seconds(resource.RUSAGE_CHILDREN)
        return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK") - own

    worked, start = other_work(), time.perf_counter()
    result = run()
    return result, (other_work() - worked) / (time.perf_counter() - start) / os.cpu_count()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="path of mlp_example")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--case", action="append", choices=LAYERS_AND_BLOCKS, help="all, unless it is given")
    parser.add_argument("--others", type=float, default=0.05, help="share of the CPUs that others may take")
    options = parser.parse_args()
    threads, most = options.threads, 1 if options.threads == 1 else options.others
    print("| network @ batch | libxsmm-dnn, GFLOP/s | fastmlp, GFLOP/s | ratio | of single rounds |")
    print("|---|--:|--:|--:|--:|")
    for case in options.case or LAYERS_AND_BLOCKS:
        flops, (x, y, batches) = cases.training_flops(case), cases.data(case)
        steps = max(STEPS, round(FLOPS * threads / flops))
        fastmlp = cases.trainer(case, threads=threads, optimizer="sgd"), x, y
        fastmlp_seconds(*fastmlp, 2 * batches, batches, threads)  # compiles
        rounds, end = [], time.perf_counter() + PATIENCE
        while len(rounds) < options.rounds:
            found = []
            for seconds, arguments in (
                (libxsmm_seconds, (options.program, case, steps, threads)),
                (fastmlp_seconds, (*fastmlp, steps, batches, threads)),
            ):
                while others_share(lambda: time.sleep(IDLE_SECONDS))[1] > most and time.perf_counter() < end:
                    pass
                found.append(others_share(lambda seconds=seconds, arguments=arguments: seconds(*arguments)))
            (theirs, ours), shares = zip(*found, strict=True)
            if max(shares) <= most or time.perf_counter() > end:
                rounds.append((flops / theirs / 1e9, flops / ours / 1e9, theirs / ours, max(shares)))
        *rates, ratios, shares = zip(*rounds, strict=True)
        theirs, ours, ratio = map(statistics.median, (*rates, ratios))
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"| {case.replace('@', ' @ ')} | {theirs:.0f} | {ours:.0f} | {ratio:.2f} | {spread} |", flush=True)
        if max(shares) > most:
            print(f"{case}: other processes took up to {max(shares):.0%} of the CPUs", file=sys.stderr)


if __name__ == "__main__":
    main()
