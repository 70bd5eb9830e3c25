"""`fastmlp tune`: measures which sizes train fastest on this machine, and keeps them for it."""

import os

from fastmlp._kernels import bfloat16_refusal, plan, tuning
from fastmlp.benchmark import tune
from fastmlp.cli import text
from fastmlp.cli.info import KINDS, cpu_name
from fastmlp.replacing import check_writable


def run(args):
    """Run the command."""
    path = tuning.path()
    if path is None:
        given = os.environ.get("FASTMLP_CACHE_DIR")
        raise ValueError(
            f"FASTMLP_CACHE_DIR is {given!r}, and there is no other folder to keep the choice in; accepted: a folder "
            "in which only you can write"
        )
    check_writable(path)
    text.facts([("CPU", cpu_name())])
    numbers = {}
    for kind, limits in {"float": plan.FLOAT, "mixed": plan.MIXED}.items():
        if kind == "mixed" and bfloat16_refusal():
            continue
        verdict = tune.tune(kind, limits.kept_bytes, text.tell)
        text.facts([("kept blocks", f"{KINDS[kind]}: {_found(verdict)}")])
        if verdict.clear:
            numbers[kind] = verdict.best
    tuning.choose(numbers)
    text.facts([("kept in", path)])


def _found(verdict):
    """Text about a verdict: `24 MB -> 12 MB: 1.03 times as fast`, or that the default stays."""
    default, best = map(text.size, (verdict.default, verdict.best))
    if verdict.clear:
        return f"{default} -> {best}: {verdict.gain:.3g} times as fast"
    if verdict.best == verdict.default:
        return f"{default} stays: nothing else was clearly faster"
    return f"{default} stays: measured again, {best} was {verdict.gain:.3g} times as fast, which is not clear"
