"""Bytes of blocks that are kept at a time: by the size of the L3 cache, or as `fastmlp tune` measured on this machine.

They decide only how many slots and chunks there are, on which no bit of a result depends. There is a number for each
*kind* of network, "float" (Network) and "mixed" (MixedNetwork). Those that were chosen are in a file beside the folders
of machine code, where later sources find them. Machines that share such a folder have a file each.
"""

import contextlib
import functools
import hashlib
import json
import os

from llvmlite.binding import get_host_cpu_name

from ..cache import path_beside, read_beside, write_whole
from ..machine import caches
from ..tile.engines import ENGINE, engine_of

FEWEST = 6 << 20  # bytes to keep by default if the L3 cache is small: fewer were never measured
LEAST, MOST = 1 << 20, 1 << 30  # bytes that are accepted from a file
_tried = {}  # by kind, bytes that `trying` sets


def kept_bytes(kind, default):
    """Bytes of blocks that a kind of network keeps; `default` if none were chosen for this machine."""
    return (chosen() | _tried).get(kind, default)


def by_cache(most):
    """Bytes of blocks to keep by default: three quarters of the L3 cache, from FEWEST to `most`.

    What does not fit into that cache comes from memory: on a CPU with 32 MB, 24 MB were 8 % faster than 48 MB with
    layers of 1024 units. What fits makes little difference: on a Xeon that reports 480 MB, steps with 6 to 24 MB took
    the same time, or with 24 MB up to 6 % more. So a larger cache is no reason to keep more, all the less as a virtual
    machine has but a part of what it reports.
    """
    l3 = caches().l3
    return min(most, max(FEWEST, l3 * 3 // 4)) if l3 else most


@functools.cache
def chosen():
    """Bytes that were chosen for this machine, by kind; empty if there is no file, or none that can be used."""
    file = path()
    try:
        found = json.loads(read_beside(file)) if file else None
    except (OSError, ValueError, RecursionError):  # there is none, or one that is damaged
        return {}
    match found:
        case {"machine": described, "kept_bytes": {**numbers}} if described == machine():
            return {kind: n for kind, n in numbers.items() if type(n) is int and LEAST <= n <= MOST}
    return {}


def choose(numbers):
    """Keep such bytes by kind, a dict, for this and later processes; an OSError if the file cannot be written."""
    write_whole(path(), json.dumps({"machine": machine(), "kept_bytes": numbers}, indent=1).encode())
    chosen.cache_clear()


@contextlib.contextmanager
def trying(kind, number):
    """Context in which workspaces keep `number` bytes, whatever was chosen: to measure how fast that is."""
    _tried[kind] = number
    try:
        yield
    finally:
        del _tried[kind]


def path():
    """Path of the file for this machine; None if there is no folder for it."""
    return path_beside(f"tuned-{hashlib.sha256(json.dumps(machine()).encode()).hexdigest()[:16]}.json")


def machine():
    """Description of what the choice depends on, as JSON has it."""
    engines = [engine.name if engine else None for engine in (ENGINE, engine_of("uint16"))]
    return {"cpu": get_host_cpu_name(), "cores": os.cpu_count(), "caches": list(caches()), "engines": engines}
