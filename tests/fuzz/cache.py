"""Damaged and contested kernel caches: processes compute the same whatever becomes of the files, and repair them.

`python -m tests.fuzz.cache 20` damages 30 files of a filled cache in each of the ways of DAMAGE, and has 20 times six
processes start at once with an empty cache.
"""

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fastmlp_kernels.cache import DIGEST

FILES, PROCESSES = 30, 6
TRAIN = "from tests.fuzz.forks import work; print(work())"
PREDICT = "from fastmlp import MLP; print(MLP([6, 20, 3], seed=1).predict([[1, 2, 3, 4, 5, 6]]))"
FUNCTIONS = """
from fastmlp_kernels.functions import activations
print([getattr(activations, name)(0.5) for name in ("tanh", "relu", "sigmoid")])
"""


def cut(path, rng):
    os.truncate(path, rng.randrange(path.stat().st_size))


def flip(path, rng):
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def take_another(path, rng):
    path.write_bytes(rng.choice([other for other in path.parent.glob("*.code") if other.is_file()]).read_bytes())


def become_a_folder(path, rng):
    path.unlink()
    path.mkdir()


def shut(path, rng):
    """Make a file unreadable, or give it to another user, which only root can do, whom nothing is unreadable to."""
    path.chmod(0) if os.getuid() else os.chown(path, 12345, 12345)


WHILE_RUNNING = "removed while running"
DAMAGE = {
    "removed": lambda path, rng: path.unlink(),
    "emptied": lambda path, rng: path.write_bytes(b""),
    "cut": cut,
    "flipped": flip,
    "another": take_another,
    "a folder": become_a_folder,
    **({"shut": shut} if hasattr(os, "getuid") else {}),
    WHILE_RUNNING: lambda path, rng: None,
}


def start(code, cache):
    environment = os.environ | {"FASTMLP_CACHE_DIR": str(cache)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)


def ended(process):
    output = process.communicate()[0]
    assert process.returncode == 0, process.returncode
    return output


def state(path):
    """What a file of a cache is: "valid", or what else."""
    if not path.is_file():
        return "a folder" if path.is_dir() else "missing"
    content = path.read_bytes()
    return "valid" if hashlib.sha256(content[DIGEST:]).digest() == content[:DIGEST] else "damaged"


def filled(code, cache):
    """Contents of the files of a cache that a process has filled, by path, and what it prints."""
    output = ended(start(code, cache))
    return {path: path.read_bytes() for path in sorted(Path(cache).rglob("*.code"))}, output


def remove_while_it_runs(process, paths):
    while process.poll() is None:
        for path in paths:
            path.unlink(missing_ok=True)
        time.sleep(0.1)


def damage(code, rounds, seed):
    """Damage files of a cache, each in another way in each round; return how many became what after a run: a dict."""
    rng, outcomes, kinds = random.Random(seed), Counter(), list(DAMAGE)
    with tempfile.TemporaryDirectory() as folder:
        contents, expected = filled(code, folder)
        chosen = rng.sample(list(contents), min(FILES, len(contents)))
        for round in range(rounds):
            for path, content in contents.items():
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
                path.write_bytes(content)
            done = {path: kinds[(i + round) % len(kinds)] for i, path in enumerate(chosen)}
            for path, kind in done.items():
                DAMAGE[kind](path, rng)
            process = start(code, folder)
            remove_while_it_runs(process, [path for path, kind in done.items() if kind == WHILE_RUNNING])
            outcomes["other results"] += ended(process) != expected
            for path, kind in done.items():
                outcomes[f"{kind}: {state(path)}"] += 1
            outcomes["other results"] += ended(start(code, folder)) != expected
            outcomes["files too many"] += len(set(Path(folder).rglob("*.code*")) - set(contents))
    return dict(outcomes)


def at_once(code, rounds, processes=PROCESSES):
    """Start processes at once with an empty cache, again and again; return what became of it: a dict."""
    outcomes = Counter()
    with tempfile.TemporaryDirectory() as alone:
        contents, expected = filled(code, alone)
    names = {path.name for path in contents}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            started = [start(code, folder) for _ in range(processes)]
            outcomes["processes"] += processes
            outcomes["other results"] += sum(output != expected for output in map(ended, started))
            found = set(Path(folder).rglob("*.code*"))
            outcomes["files missing or too many"] += len(names ^ {path.name for path in found})
            outcomes["invalid files"] += sum(state(path) != "valid" for path in found)
    return dict(outcomes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    damaged = damage(TRAIN, len(DAMAGE), arguments.seed)
    print("damage:", damaged)
    contested = at_once(PREDICT, arguments.count)
    print("at once:", contested)
    faults = "other results", "files too many", "files missing or too many", "invalid files"
    sys.exit(any(found.get(name) for found in (damaged, contested) for name in faults))
