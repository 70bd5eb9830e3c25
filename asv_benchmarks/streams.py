"""Training on a folder of Parquet files that is larger than the pools in memory: python streams.py --rows 8000000.

Writes the folder, then trains 64-256-256-1 in batches of 4096 for an epoch, in one process on the folder and in another
on so many of its rows as arrays as `--in-memory` says, in turns. Prints the rows per second of each, their ratio, the
share of the time in which the training on the folder waited for data, and the most memory that each process had, of
which 260 MB are Python with its libraries.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

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


def trained(folder, rows, pool_rows):
    """Results of an epoch over the folder, or over `rows` of its rows in memory."""
    data = dataset.dataset(folder)
    if rows:
        table = data.head(rows)
        given = [np.stack([table[f"x{i}"].to_numpy() for i in range(SIZES[0])], 1), table["y"].to_numpy()]
        del table
    else:
        given = [Stream(data, "y", pool_rows=pool_rows)]
    trainer = Trainer(MLP(SIZES), batch_size=BATCH_SIZE)
    rng = np.random.default_rng(0)  # compiled first
    trainer.fit(*(rng.standard_normal((BATCH_SIZE, n), np.float32) for n in (64, 1)), epochs=1, progress=False)
    history = trainer.fit(*given, epochs=1, progress=False)
    return {
        "rows_per_second": history.samples_per_second[0],
        "waiting": sum(history.seconds_waiting) / history.seconds[0],
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "loss": history.loss[0],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--in-memory", type=int, default=1_000_000, help="rows of the training in memory")
    parser.add_argument("--pool-rows", type=int, default=250_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", help="where to write; by default a temporary folder")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        made = write(given.folder, given.rows) if given.step == "write" else trained(*json.loads(given.step))
        print(json.dumps(made))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:

        def in_a_process(step):  # this one stays small, as the peak of a process that it starts begins with its own
            command = [sys.executable, __file__, "--folder", folder, "--rows", str(given.rows), "--step", step]
            return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

        size = in_a_process("write")
        print(f"{given.rows} rows in a folder of {size:.0f} MB; pools of {given.pool_rows} rows")
        runs = {"folder": [], "memory": []}
        for _ in range(given.rounds):
            for name, rows in (("folder", 0), ("memory", given.in_memory)):
                runs[name].append(in_a_process(json.dumps([folder, rows, given.pool_rows])))
                print(name, {key: round(value, 4) for key, value in runs[name][-1].items()}, flush=True)
    folder, memory = (median(run["rows_per_second"] for run in runs[name]) for name in runs)
    print(f"{folder / memory:.1%} of the speed in memory")


if __name__ == "__main__":
    main()
