"""`fastmlp info`: description of a saved model and its training or, without a model, of this machine."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import numba
from fastmlp_kernels.drivers import plan, tuning
from fastmlp_kernels.machine import caches
from fastmlp_kernels.tile.engines import ENGINE, engine_of

import fastmlp
from fastmlp import MLP, group
from fastmlp._kernels import CACHE_FOLDER, bfloat16_peak, bfloat16_refusal, fma_peak
from fastmlp.cli import text
from fastmlp.cli.models import preprocessing_of
from fastmlp.tables.columns import listed
from fastmlp.threads import available, cores

CACHES = "L1d", "L2", "L3"
KINDS = {"float": "float32 and float64", "mixed": "bf16-mixed"}  # precisions of the kinds of networks in `tuning`


def run(args):
    """Run the command."""
    ranks = group.of(group.world())
    found = ranks.share(_cores(ranks.rank))
    if ranks.rank:
        return
    if args.model is None:
        text.facts(_machine())
        if ranks.size > 1:
            text.facts(found)
    else:
        _model(args.model, MLP.load(args.model))


def _cores(rank):
    """Pair (name, value) about the cores that a process of a launcher may use."""
    numbers = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    shown = f" ({', '.join(map(str, numbers))})" if numbers else ""
    return f"rank {rank}", f"{cores()} cores{shown} of {platform.node()}, {available()} threads"


def _model(path, net):
    """Print what is known of a saved model."""
    text.facts(_network(net))
    if "preprocessing" in net.metadata:
        print()
        text.facts(_data(preprocessing_of(path, net)))
    if isinstance(net.metadata.get("training"), dict):
        print()
        text.facts((_name(key), _value(value)) for key, value in net.metadata["training"].items())


def _network(net):
    yield "network", text.network(net)
    for layer, (weights, activation) in enumerate(zip(net.weights, net.activations, strict=True), 1):
        n_in, n_out = weights.shape
        biases = f" + {n_out:,} biases" if net.bias else ""
        yield f"layer {layer}", f"{n_in:>5} -> {n_out:<5} {activation:<10} {weights.size:,} weights{biases}"


def _data(preprocessing):
    """Pairs (name, value) about the target and the features."""
    yield "target", f"{preprocessing.target_name} ({preprocessing.task})"
    if preprocessing.classes:
        yield "classes", listed(preprocessing.classes)
    categorical = sum("categories" in column for column in preprocessing.columns.values())
    numeric = len(preprocessing.columns) - categorical
    yield "features", f"{numeric} numeric (standardized), {categorical} categorical (one-hot)"
    yield "", listed(preprocessing.columns)
    if preprocessing.with_missing:
        yield "imputed", listed(preprocessing.with_missing)
    if preprocessing.ids:
        yield "identifiers", listed(preprocessing.ids)


def _name(key):
    return "epoch kept" if key == "epochs" else key.replace("_", " ")


def _value(value):
    if isinstance(value, dict):
        return text.scores(value) or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else value


def _machine():
    """Pairs (name, value) about this machine and the versions of libraries.

    The register tile is the part of a matrix product whose sums stay in the CPU's registers. Products that give
    gradients have one of another height, which must divide the width of the panels that inputs are stored in.
    """
    threads = available()
    yield "CPU", cpu_name()
    yield "caches", ", ".join(f"{name} {text.size(size)}" for name, size in zip(CACHES, caches(), strict=True))
    yield "instructions", f"{ENGINE.name}, vectors of {ENGINE.lanes(4)} float32 or {ENGINE.lanes(8)} float64"
    yield "register tile", f"{ENGINE.rows} rows of {ENGINE.vecs} vectors, for gradients {ENGINE.gradient_rows} rows"
    for dtype in ("float32", "float64"):
        yield "FMA peak", f"{text.rate(fma_peak(dtype, threads))}, in {dtype}, measured now"
    if engine := engine_of("uint16"):
        rate = text.rate(bfloat16_peak(threads))
        yield "bf16-mixed", f"{engine.name}, tiles of {engine.rows} x {engine.width(4)} sums, {rate}, measured now"
    else:
        yield "bf16-mixed", bfloat16_refusal()
    # Numba knows its threading layer, as it has been asked for the number of threads.
    yield "threads", f"{threads}, Numba's {numba.threading_layer()} layer"
    yield "kept blocks", _kept("float") + (f", {_kept('mixed')}" if engine else "")
    yield "", tuning.path() if tuning.chosen() else "as by default; `fastmlp tune` measures what is fastest here"
    yield "kernel cache", CACHE_FOLDER or "none: no folder can be written"
    yield "versions", f"fastmlp {fastmlp.__version__}, Python {platform.python_version()}"
    yield "", ", ".join(f"{name} {version(name)}" for name in ("numba", "llvmlite", "numpy", "safetensors"))


def _kept(kind):
    """Text about the bytes of blocks that training keeps at a time for a kind of network."""
    kept, tuned = plan.limits_of(kind == "mixed").kept_bytes, " (tuned)" * (kind in tuning.chosen())
    return f"{text.size(kept)}{tuned} in {KINDS[kind]}"


def cpu_name():
    """Return the name that the CPU reports."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or an ARM kernel that gives no name
        return platform.processor() or platform.machine()
