"""Damaged and forged model files: loading and predicting end with a result or with one printable line, never otherwise.

`python -m tests.fuzz.model_files 100000` prints how many files of each kind of mutation had which outcome, the longest
time, and by how much the process grew.
"""

import argparse
import contextlib
import io
import json
import random
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from fastmlp import MLP, Trainer
from fastmlp.cli import main
from fastmlp.files import ModelFileError

LONGEST, GROWTH = 1.0, 50  # seconds, MB
VALUES = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "a"),
    *("\x1b[2J\x9b", "=cmd|' /C calc'!A0", "ä" * 400, [], {}, [[]], {"": {}}, "relu", "float64", [1, 2, 3], [3, 2]),
]


class Terminal(io.StringIO):
    """Standard output of a terminal, which obeys escape codes."""

    def isatty(self):
        return True


def bases(folder):
    """Bytes of a model of the command line, and of one with its training."""
    table = folder / "table.csv"
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{rng.choice(['x', 'y'])},{'+='[int(a > 0)]}1" for a in rng.normal(size=60)]
    table.write_text("\n".join(["a,b,side", *rows]))
    train = ["train", str(table), "--target", "side", "--hidden", "4", "--epochs", "2", "--save"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main([*train, str(folder / "model"), "--checkpoint", str(folder / "state")]) == 0
    return table, [(folder / name).read_bytes() for name in ("model", "state")]


def mutated(content, choice):
    """Kind of a random mutation, and the bytes of a file with it."""
    kind = choice.choice(["bits", "bytes", "cut", "inserted", "header", "header", "header", "tensors"])
    changed = bytearray(content)
    if kind in ("bits", "bytes"):
        for _ in range(choice.randint(1, 4)):
            position = choice.randrange(len(changed))
            changed[position] = (
                changed[position] ^ 1 << choice.randrange(8) if kind == "bits" else choice.randrange(256)
            )
    elif kind == "cut":
        del changed[choice.randrange(len(changed)) :]
    elif kind == "inserted":
        position = choice.randrange(len(changed))
        changed[position:position] = choice.randbytes(choice.randint(1, 100))
    else:
        length = int.from_bytes(changed[:8], "little")
        header, rest = json.loads(changed[8 : 8 + length]), changed[8 + length :]
        notes = header["__metadata__"]
        del notes["checksum"]  # so that the change is not noticed for this reason
        if kind == "tensors":
            name = choice.choice([name for name in header if name != "__metadata__"])
            mutate(header[name], choice)
        else:
            name = choice.choice([name for name in ("architecture", "metadata", "training") if name in notes])
            value = json.loads(notes[name])
            mutate(value, choice)
            notes[name] = json.dumps(value)
        text = json.dumps(header).encode()
        changed = len(text).to_bytes(8, "little") + text + rest
    return kind, bytes(changed)


def mutate(value, choice):
    """Replace, delete or add a random part of a JSON value, in place."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            break
        key = choice.choice(keys)
        if not isinstance(value[key], dict | list) or choice.random() < 0.2:
            break
        value = value[key]
    action = choice.random()
    if not keys or action < 0.1:
        value.update({"more": choice.choice(VALUES)}) if isinstance(value, dict) else value.append(
            choice.choice(VALUES)
        )
    elif action < 0.25:
        del value[key]
    elif action < 0.4 and isinstance(value[key], int | float):
        value[key] = value[key] * choice.choice([-1, 0, 2, 1e30, 1e-30]) + choice.choice([0, 1, -1])
    else:
        value[key] = choice.choice(VALUES)


def outcome(path, table):
    """Outcome of reading a file in all ways: "read", or "refused"; anything else raises an exception."""
    read = 0
    for load in MLP.load, Trainer.load:
        try:
            load(path)
            read += 1
        except ModelFileError as error:
            message = str(error)
        else:
            continue
        assert message.isprintable(), message
        assert len(message) < 300, message
    for command in ["info", str(path)], ["predict", str(path), str(table)]:
        printed, said = Terminal(), io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
            status = main(command)
        assert (status, len(said.getvalue().splitlines())) in [(0, 0), (2, 1)], said.getvalue()
        for line in (printed.getvalue() + said.getvalue()).split("\n"):
            assert line.isprintable(), line
        read += status == 0
    return ["refused", "read in one way", "read in two ways", "read in three ways", "read"][read]


def run(count, seed):
    """Read `count` mutated files; return the counts by kind and outcome, the longest time, and the growth in MB."""
    choice, counts, longest = random.Random(seed), Counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        table, contents = bases(Path(folder))
        path = Path(folder) / "mutated"
        for content in contents:
            path.write_bytes(content)
            outcome(path, table)  # so that everything is compiled
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(count):
            kind, content = mutated(choice.choice(contents), choice)
            path.write_bytes(content)
            start = time.perf_counter()
            counts[kind, outcome(path, table)] += 1
            longest = max(longest, time.perf_counter() - start)
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert longest < LONGEST, longest
    assert growth < GROWTH, growth
    return dict(sorted(counts.items())), longest, growth


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts, longest, growth = run(arguments.count, arguments.seed)
    for key, number in counts.items():
        print(f"{key[0]:10} {key[1]:20} {number:,}")
    print(f"longest {longest:.3f} s, growth {growth:.1f} MB")
