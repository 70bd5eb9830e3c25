"""Damaged and forged tables: reading, training and predicting end with a result or with one printable line.

`python -m tests.fuzz.tables 100000` prints how many files of each kind of mutation had which outcome, the longest time,
and by how much the process grew.
"""

import gzip
import io
import re
import struct
import sys
import zipfile
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from fastmlp.compilation import compile_kernels
from fastmlp.tables import datasets
from tests.fuzz import mutations

TARGET = "side"
CELLS = [
    *("", "nan", "inf", "-1e400", "1e308", "1_0", "0x1", "true", "1,5", "1.234,5", "01", "2020-01-01", "1" * 400),
    *("$5", "7 %", "1 234,5"),
    *(
        '"',
        '""',
        '"a\nb"',
        "\x1b[2J",
        "\x9b31m",
        "\x00",
        "=cmd|' /C calc'!A0",
        "ä" * 300,
        "\ud7ff",
        ",",
        ";;",
        "\r",
        "\n",
    ),
]
WORDS = b"-1 0 1 4294967297 9223372036854775807 1e9 None '<U0' '|S0' '|O' '<f2'".split()


class Bases(NamedTuple):
    """A table by name of its file, and models that are trained on it."""

    files: dict
    models: list


def bases(folder):
    """Bytes of tables of all kinds, and the models of two."""
    compile_kernels()  # or a table might wait for it, whose time is taken
    rng = np.random.default_rng(0)
    numbers, texts = rng.normal(size=(40, 2)).round(3), rng.choice(["u", "v", "01"], 40)
    side = np.where(numbers[:, 0] > 0, "a", "b")
    table = pa.table({"x": numbers[:, 0], "size, m": numbers[:, 1], "kind": texts, TARGET: side})
    files = {}
    for name, separator in {"comma": ",", "semicolon": ";", "tab": "\t"}.items():
        text = io.BytesIO()
        pyarrow.csv.write_csv(table, text, pyarrow.csv.WriteOptions(delimiter=separator))
        files[f"{name}.csv"] = text.getvalue()
    files["decimal_commas.csv"] = files["semicolon.csv"].replace(b".", b",")
    files["missing.csv"] = re.sub(rb',0[.]\d+|"u"', lambda cell: cell[0][:1].strip(b'"'), files["comma.csv"])
    files["utf_16.csv"] = files["tab.csv"].decode().encode("utf-16")
    files["packed.csv.gz"] = gzip.compress(files["comma.csv"])
    files["packed.csv.zst"] = pa.Codec("zstd").compress(files["comma.csv"], asbytes=True)
    for compression in "snappy", "none":
        pyarrow.parquet.write_table(table, folder / "t.parquet", compression=compression)
        files[f"{compression}.parquet"] = (folder / "t.parquet").read_bytes()
    for name, save in ("stored.npz", np.savez), ("packed.npz", np.savez_compressed):
        save(folder / name, X=np.c_[numbers, numbers], **{TARGET: side})
        files[name] = (folder / name).read_bytes()
    np.save(folder / "t.npy", np.c_[numbers, numbers[:, 0] > 0])
    files["t.npy"] = (folder / "t.npy").read_bytes()
    models = []
    for name in "comma.csv", "missing.csv", "stored.npz":
        (folder / name).write_bytes(files[name])
        models.append(folder / f"{name}.model")
        mutations.prepare(*_training(folder / name), "--save", models[-1])
    return Bases(files, models)


def _training(path):
    return ("train", path, "--target", TARGET, "--hidden", "4", "--epochs", "1", "--threads", "1")


def mutated(bases, rng):
    """Kind of a random mutation, name and bytes of a file with it."""
    name = rng.choice(list(bases.files))
    content, suffix = bases.files[name], name.partition(".")[2]
    kind = rng.choice([*mutations.KINDS, *{"csv": ["cells", "cells"], "npy": ["header"]}.get(suffix, ["fields"])])
    if kind in mutations.KINDS:
        content = mutations.mutated(kind, content, rng)
    elif kind == "cells":
        content = _with_other_cells(content, rng)
    elif kind == "header":
        content = _with_other_header(content, rng)
    elif suffix == "npz":
        content = _with_other_member(content, rng)
    else:
        content = _with_other_number(content, rng)
    return f"{kind} {suffix}", f"mutated.{suffix}", content


def _with_other_cells(content, rng):
    """CSV table in which some cells are others, or many."""
    rows = [line.split(b",") for line in content.split(b"\n")]
    for _ in range(rng.randint(1, 3)):
        row = rows[rng.randrange(min(len(rows), 3) if rng.random() < 0.5 else len(rows))]
        cell = rng.choice(CELLS).encode()
        row[rng.randrange(len(row))] = b'"' + cell + b'"' if rng.random() < 0.3 else cell
        if rng.random() < 0.1:
            row += [cell] * rng.randint(1, 5)
    rows += rows[1:-1] * rng.choice([0, 0, 0, 30])
    return b"\n".join(b",".join(row) for row in rows)


def _with_other_header(content, rng):
    """NPY array in whose header a word is another one."""
    length = int.from_bytes(content[8:10], "little")
    words = content[10 : 10 + length].split(b" ")
    words[rng.randrange(len(words))] = rng.choice(WORDS) + rng.choice([b"", b",", b"}", b"(", b")", b"),"])
    header = b" ".join(words)
    return content[:8] + struct.pack("<H", len(header)) + header + content[10 + length :]


def _with_other_member(content, rng):
    """NPZ file of which one member is damaged, or has another header, and is packed anew."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        changed = rng.choice(old.namelist())
        for member in old.namelist():
            data = old.read(member)
            if member == changed:
                kind = rng.choice(["header", *mutations.KINDS])
                data = _with_other_header(data, rng) if kind == "header" else mutations.mutated(kind, data, rng)
            new.writestr(member, data)
    return packed.getvalue()


def _with_other_number(content, rng):
    """File in which four or eight bytes near the end, where Parquet has its description, are another number."""
    position = max(len(content) - rng.randint(4, 1500), 0)
    number = rng.choice([0, 1, 2**31 - 1, 2**32 - 1, rng.getrandbits(31)])
    changed = content[:position] + struct.pack("<I", number) + content[position + 4 :]
    return changed[: len(content)]


def outcome(path, bases):
    """Outcome of reading a table in all ways; anything else than a result or a refusal raises an exception."""
    done = []
    try:
        datasets.load(path, TARGET if path.suffix != ".npy" else None)
        done.append("read")
    except datasets.TableError as error:
        mutations.check_line(error)
    for model in bases.models:
        done += ["predicted"] * mutations.succeeds("predict", model, path)
        done += ["evaluated"] * mutations.succeeds("evaluate", model, path)
    if path.stat().st_size % 5 == 0:
        done += ["trained"] * mutations.succeeds(*_training(path))
    return ", ".join(dict.fromkeys(done)) or "refused"


if __name__ == "__main__":
    mutations.command_line(sys.modules[__name__])
