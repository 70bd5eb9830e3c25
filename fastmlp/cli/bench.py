"""`fastmlp bench`: speed of training on this CPU, next to its peak and to other libraries, as a table in Markdown."""

import functools
from importlib.metadata import version

from fastmlp import __version__, plots
from fastmlp._kernels import Peak, engine_of
from fastmlp.benchmark import bench, peers
from fastmlp.checks import choice, count
from fastmlp.cli import text
from fastmlp.cli.info import cpu_name
from fastmlp.precision import asks_mixed
from fastmlp.replacing import check_writable
from fastmlp.threads import available

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
    dtype, threads = choice("--dtype", args.dtype, ["float32", "float64"]), _threads(args.threads)
    mixed = asks_mixed(args.precision, dtype)
    products, engine = (args.precision, engine_of("uint16")) if mixed else (dtype, engine_of(dtype))
    packages = _peers(args.peers, args.precision)
    libraries = peers.compared(args.precision, packages)
    cases = [bench.Case(*case, dtype, args.precision) for case in _cases(args)]
    if args.plot:
        plots.check(args.plot)
        check_writable(args.plot)

    text.facts(_setting(["fastmlp", *packages], products, threads, args.rounds))
    results = [bench.measure(case, libraries, threads, args.rounds, text.tell) for case in cases]
    peak = functools.reduce(Peak.joined, (result.peak for result in results))
    best = f"{text.rate(peak)}, the best of what was measured before and after each round"
    text.facts([("peak", f"{products} products, {engine.name}: {best}")])
    print()
    text.markdown(HEADER, rows(results, peak.rate), left=2)
    if args.plot:
        rate = bench.bandwidth(threads)
        plots.roofline(points(results), peak.rate, rate, args.plot)
        print()
        text.facts([("memory", f"{rate / 1e9:.3g} GB/s"), ("drawn", args.plot)])


def _peers(names, precision):
    """Packages to measure besides fastmlp: those in `names`, in their order, or for None all that can be measured."""
    installed = peers.installed(precision)
    for name in names or ():
        if choice("--peers", name, ["none", *peers.PEERS]) not in installed:
            lacks = (
                "is not installed" if precision == "float32" else "is not installed or multiplies no bfloat16 numbers"
            )
            raise ValueError(f"--peers is {name!r}, which {lacks}; accepted: {', '.join(['none', *installed])}")
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
    most = available()
    if threads is None:
        return most
    if count("--threads", threads) > most:
        raise ValueError(f"--threads is {threads}; accepted: 1 to {most}, all that there are")
    return threads


def _setting(packages, products, threads, rounds):
    yield "CPU", cpu_name()
    yield "versions", ", ".join(f"{name} {__version__ if name == 'fastmlp' else version(name)}" for name in packages)
    yield "step", "forward, error signals, gradients, momentum; ReLU layers, squared error"
    yield "measured", f"{products}, {threads} threads, medians of {rounds} rounds"


def rows(results, peak):
    """Rows of the table, as tuples of text: for each `Result` of `bench.measure`, one row for each library.

    `peak` is the peak rate of fastmlp's products in floating-point operations per second.
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
