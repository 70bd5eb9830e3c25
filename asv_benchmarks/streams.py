"""Training on a folder of Parquet files that is larger than the pools in memory: python streams.py --rows 8000000.

Writes the folder and trains 64-256-256-1 in batches of 4096, in processes of their own: an epoch on the whole folder,
whose peak of memory is printed, of which 260 MB are Python with its libraries; then epochs on its first file, from the
disk and as arrays in turns, and the ratio of the fastest of each. "waiting" is the share of the time without data.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import dataset, parquet

from fastmlp import MLP, Trainer
from fastmlp.streams import Stream

SIZES, BATCH_SIZE, FILE_ROWS, GROUP_ROWS = [64, 256, 256, 1], 4096, 1_000_000, 100_000


def write(folder, rows):
    """Write files of random rows; the target is their mean. Return the size of the folder in megabytes."""
    rng = np.random.default_rng(0)
    for number, start in enumerate(range(0, rows, FILE_ROWS)):
        x = rng.standard_normal((min(FILE_ROWS, rows - start), SIZES[0]), np.float32)
        columns = {f"x{i}": column for i, column in enumerate(x.T)} | {"y": x.mean(1)}
        path = Path(folder) / f"part-{number:04}.parquet"
        parquet.write_table(pa.table(columns), path, compression="none", row_group_size=GROUP_ROWS)
    return sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6


def trainer():
    """A trainer whose functions are compiled."""
    rng, made = np.random.default_rng(0), Trainer(MLP(SIZES), batch_size=BATCH_SIZE)
    made.fit(*(rng.standard_normal((BATCH_SIZE, n), np.float32) for n in (SIZES[0], 1)), epochs=1, progress=False)
    return made


def epoch(trainer, *data):
    """Rows per second, and the share of the time in which there was nothing to train on."""
    history = trainer.fit(*data, epochs=1, progress=False)
    return history.samples_per_second[0], sum(history.seconds_waiting) / history.seconds[0]


def whole(folder, pool_rows):
    """Rows per second, share of waiting and peak of memory in MB, of an epoch on a folder."""
    speed, waiting = epoch(trainer(), Stream(dataset.dataset(folder), "y", pool_rows=pool_rows))
    return speed, waiting, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_turns(folder, pool_rows, rounds):
    """Rows per second of epochs on the first file, read and as arrays: pairs."""
    first = dataset.dataset(min(Path(folder).iterdir()))
    table = first.to_table()
    x, y = np.stack([table[f"x{i}"].to_numpy() for i in range(SIZES[0])], 1), table["y"].to_numpy()
    made, stream = trainer(), Stream(first, "y", pool_rows=pool_rows)
    return [(epoch(made, stream)[0], epoch(made, x, y)[0]) for _ in range(rounds)]


STEPS = {function.__name__: function for function in (write, whole, in_turns)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=8_000_000)
    parser.add_argument("--pool-rows", type=int, default=250_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where to write; by default a temporary folder")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        name, *arguments = json.loads(given.step)
        print(json.dumps(STEPS[name](*arguments)))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:

        def in_a_process(name, *arguments):  # not this one, whose peak another begins with
            command = [sys.executable, __file__, "--step", json.dumps([name, folder, *arguments])]
            return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

        size = in_a_process("write", given.rows)
        speed, waiting, peak = in_a_process("whole", given.pool_rows)
        print(f"{given.rows} rows, {size:.0f} MB: {speed:,.0f} rows/s, {waiting:.1%} waiting, peak {peak:.0f} MB")
        pairs = in_a_process("in_turns", given.pool_rows, given.rounds)
        read, arrays = map(max, zip(*pairs, strict=True))
        print(f"{read:,.0f} rows/s read, {arrays:,.0f} in memory: {read / arrays:.1%}; of rounds "
              f"{', '.join(f'{r / a:.1%}' for r, a in pairs)}")  # fmt: skip


if __name__ == "__main__":
    main()
