"""`fastmlp bench`: speed of training on this CPU, next to its peak and to other libraries, as a table in Markdown."""

import sys
from importlib.metadata import version

import numba

from fastmlp import __version__, plots
from fastmlp.benchmark import bench, peers
from fastmlp.checks import choice, count
from fastmlp.cli import text
from fastmlp.cli.info import cpu_name

CASES = (
    ((8, 16, 1), 32),
    ((64, 32, 10), 200),
    ((784, 128, 10), 128),
    ((784, 128, 10), 4096),
    ((64, 64, 64, 64, 1), 16384),
    ((256, 512, 512, 10), 4096),
    ((1024, 1024, 1024, 1024), 4096),
)
HEADER = ("network @ batch", "library", "µs/step", "samples/s", "GFLOP/s", "of peak", "fastmlp's speed-up")


def run(args):
    """Run the command."""
    libraries = ["fastmlp", *_peers(args.peers)]
    dtype, threads = choice("--dtype", args.dtype, ["float32", "float64"]), _threads(args.threads)
    cases = [bench.Case(*case, dtype) for case in _cases(args)]
    if args.plot:
        plots.check(args.plot)
        text.check_writable(args.plot)

    text.facts(_setting(args, libraries, threads))
    results = [bench.measure(case, libraries, threads, args.rounds, _tell) for case in cases]
    peak = max(result.peak for result in results)
    text.facts([("FMA peak", f"{peak / 1e9:,.0f} GFLOP/s, the best of what was measured after each round")])
    print()
    text.markdown(HEADER, rows(results, peak), left=2)
    if args.plot:
        rate = bench.bandwidth(threads)
        plots.roofline(points(results), peak, rate, args.plot)
        print()
        text.facts([("memory", f"{rate / 1e9:.3g} GB/s"), ("drawn", args.plot)])


def _peers(names):
    """Libraries to measure besides fastmlp: those in `names`, in their order, or all that are installed for None."""
    installed = peers.installed()
    for name in names or ():
        if choice("--peers", name, ["none", *peers.PEERS]) not in installed:
            raise ValueError(f"--peers is {name!r}, which is not installed; accepted: none, {', '.join(installed)}")
    return installed if names is None else list(dict.fromkeys(names))


def _cases(args):
    """Networks and batch sizes to measure: pairs (sizes, batch size)."""
    if args.layers is None:
        if args.batch_size is not None:
            raise ValueError(f"--batch-size is {args.batch_size}; accepted: with --layers")
        return CASES
    if len(args.layers) < 2:
        raise ValueError(f"--layers has {len(args.layers)} widths; accepted: those of inputs, hidden layers, outputs")
    return [(args.layers, 4096 if args.batch_size is None else args.batch_size)]


def _threads(threads):
    most = numba.config.NUMBA_NUM_THREADS
    if threads is None:
        return most
    if count("--threads", threads) > most:
        raise ValueError(f"--threads is {threads}; accepted: 1 to {most}, all that Numba has")
    return threads


def _tell(line):
    print(line, file=sys.stderr, flush=True)


def _setting(args, libraries, threads):
    yield "CPU", cpu_name()
    yield "versions", ", ".join(f"{name} {__version__ if name == 'fastmlp' else version(name)}" for name in libraries)
    yield "step", "forward, error signals, gradients, momentum; ReLU layers, squared error"
    yield "measured", f"{args.dtype}, {threads} threads, medians of {args.rounds} rounds"


def rows(results, peak):
    """Rows of the table, as tuples of text: for each `Result` of `bench.measure`, one row for each library.

    `peak` is the FMA peak in floating-point operations per second.
    """
    for case, seconds, _ in results:
        for library, step in seconds.items():
            name = str(case) if library == next(iter(seconds)) else ""
            if step is None:
                yield name, library, "failed", "", "", "", ""
                continue
            rate, ours = case.flops / step, seconds["fastmlp"]
            speedup = f"{_short(step / ours)}×" if ours and library != "fastmlp" else ""
            figures = map(_short, (step * 1e6, case.batch_size / step, rate / 1e9))
            yield name, library, *figures, f"{rate / peak:.1%}", speedup


def points(results):
    """Points (case, library, intensity, rate) for `plots.roofline`, one for each case and library that was measured."""
    for case, seconds, _ in results:
        for library, step in seconds.items():
            if step is not None:
                yield str(case), library, case.intensity, case.flops / step


def _short(value):
    """Text of a number with three significant digits, without an exponent."""
    value = float(f"{value:.3g}")
    return f"{value:,.0f}" if value >= 100 else f"{value:g}"
