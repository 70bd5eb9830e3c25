"""Damaged and forged model files: loading and predicting end with a result or with one printable line, never otherwise.

`python -m tests.fuzz.model_files 100000` prints how many files of each kind of mutation had which outcome, the longest
time, and by how much the process grew.
"""

import json
import sys
from typing import NamedTuple

import numpy as np

from fastmlp import MLP, Trainer
from fastmlp.files import ModelFileError
from tests.fuzz import mutations

VALUES = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "a"),
    *("\x1b[2J\x9b", "=cmd|' /C calc'!A0", "ä" * 400, [], {}, [[]], {"": {}}, "relu", "float64", [1, 2, 3], [3, 2]),
]


class Bases(NamedTuple):
    """Bytes of models, the path of the table that they are trained on, and the command that trains them."""

    contents: list
    table: object
    training: list


def bases(folder):
    """A model of the command line, one with its training, and a training of a network that scales its samples."""
    table = folder / "table.csv"
    rng = np.random.default_rng(0)
    rows = [
        f"{a:.3f},{rng.choice(['x', 'y', ''])},{i or ''},{i},{'+='[int(a > 0)]}1"
        for i, a in enumerate(rng.normal(size=60))
    ]
    table.write_text("\n".join(["a,b,c,id,side", *rows]))
    train = ["train", table, "--target", "side", "--id", "id", "--na", "none", "--hidden", "4", "--epochs", "2"]
    mutations.prepare(*train, "--save", folder / "model", "--checkpoint", folder / "state")
    trainer = Trainer(MLP([3, 4, 1], scale=True))
    trainer.fit(rng.normal(size=(60, 3)), rng.normal(size=60), epochs=2, progress=False)
    trainer.save(folder / "scaled")
    return Bases([(folder / name).read_bytes() for name in ("model", "state", "scaled")], table, train)


def mutated(bases, rng):
    """Kind of a random mutation, name and bytes of a file with it."""
    content = rng.choice(bases.contents)
    kind = rng.choice([*mutations.KINDS, "header", "header", "header", "tensors"])
    if kind in mutations.KINDS:
        return kind, "mutated", mutations.mutated(kind, content, rng)
    length = int.from_bytes(content[:8], "little")
    header, rest = json.loads(content[8 : 8 + length]), content[8 + length :]
    notes = header["__metadata__"]
    del notes["checksum"]  # so that the change is not noticed for this reason
    if kind == "tensors":
        mutate(header[rng.choice([name for name in header if name != "__metadata__"])], rng)
    else:
        name = rng.choice([name for name in ("architecture", "metadata", "training") if name in notes])
        value = json.loads(notes[name])
        mutate(value, rng)
        notes[name] = json.dumps(value)
    text = json.dumps(header).encode()
    return kind, "mutated", len(text).to_bytes(8, "little") + text + rest


def mutate(value, rng):
    """Replace, delete or add a random part of a JSON value, in place."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            break
        key = rng.choice(keys)
        if not isinstance(value[key], dict | list) or rng.random() < 0.2:
            break
        value = value[key]
    action = rng.random()
    if not keys or action < 0.1:
        more = rng.choice(VALUES)
        if isinstance(value, dict):
            value["more"] = more
        else:
            value.append(more)
    elif action < 0.25:
        del value[key]
    elif action < 0.4 and isinstance(value[key], int | float):
        value[key] = value[key] * rng.choice([-1, 0, 2, 1e30, 1e-30]) + rng.choice([0, 1, -1])
    else:
        value[key] = rng.choice(VALUES)


def outcome(path, bases):
    """Outcome of reading a file in all ways; anything else than a result or a refusal raises an exception."""
    read = 0
    for load in MLP.load, Trainer.load:
        try:
            load(path)
            read += 1
        except ModelFileError as error:
            mutations.check_line(error)
    read += mutations.succeeds("info", path) + mutations.succeeds("predict", path, bases.table)
    # Last, as it writes the file.
    read += mutations.succeeds(*bases.training, "--checkpoint", path, "--resume")
    return ["refused", "read in one way", *(f"read in {ways} ways" for ways in ("two", "three", "four")), "read"][read]


if __name__ == "__main__":
    mutations.command_line(sys.modules[__name__])
