"""Groups of processes of which one is killed or stopped at a random moment: all end, and go on from the checkpoint.

`python -m tests.fuzz.ranks 20` kills 20 ranks. Each time, `mpiexec` must end with an error within SECONDS, leave no
process, and leave a checkpoint from which as many ranks go on to the same bits as without.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SECONDS = 30  # within which all ranks end after the loss of one
START_SECONDS = 120  # within which they all train
ROWS, EPOCHS = 6000, 40


def launcher():
    """Path of `mpiexec`, beside Python or elsewhere; None if there is none."""
    beside = Path(sys.executable).with_name("mpiexec")
    return str(beside) if beside.exists() else shutil.which("mpiexec")


def train(folder, patience):
    """Train as one rank, or go on from a checkpoint; rank 0 prints a digest of all results but times."""
    from mpi4py import MPI

    from fastmlp import MLP, Trainer, group
    from fastmlp.callbacks import Checkpoint
    from tests.fuzz.results import digest

    group.SECONDS = patience
    world, path, begun = MPI.COMM_WORLD, folder / "run.safetensors", folder / "begun"
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(ROWS, n)).astype("f4")[world.rank :: world.size] for n in (20, 3))
    net = MLP([20, 64, 3], "tanh", seed=1)
    trainer = Trainer(net, dropout=0.2, batch_size=100, clip_norm=1.0, group=world, threads=1)

    class Begun:
        """Callback that notes that all ranks train."""

        def on_slice_end(self, trainer, samples, loss):
            if not begun.exists():
                begun.touch()

    (folder / f"{world.rank}.pid").write_text(str(os.getpid()))
    checkpoint = Checkpoint(path, "each", seconds=0, state=True)
    resume = path if world.bcast(path.exists()) else False
    options = {"validation_fraction": 0.1, "patience": 100, "progress": False, "callbacks": [checkpoint, Begun()]}
    trainer.fit(x, y, EPOCHS, resume=resume, **options)
    if world.rank == 0:
        print(digest(trainer))


def start(folder, ranks, patience):
    """Start `mpiexec` with so many ranks."""
    (folder / "begun").unlink(missing_ok=True)
    child = [sys.executable, "-m", "mpi4py", "-m", "tests.fuzz.ranks", "--child", str(folder)]
    command = [launcher(), "-n", str(ranks), *child, "--patience", str(patience)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def exists(pid):
    """Whether a process runs: no zombie, which only its parent, `mpiexec`, could have left."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def complete(folder, ranks):
    """Digest of a training that goes on from where it is, and the seconds that it took from its first slice on."""
    process, begun = start(folder, ranks, SECONDS), folder / "begun"
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return output.strip(), time.time() - begun.stat().st_mtime if begun.exists() else 0.0


def lose(folder, ranks, rng, number, seconds, patience):
    """Send a signal to a random rank within `seconds` of training: how long the others lived, their messages.

    Only ranks that have no callbacks are stopped: others wait for these. If the training has ended before, the time is
    None.
    """
    process, limit = start(folder, ranks, patience), time.monotonic() + START_SECONDS
    while not (folder / "begun").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < limit, "training does not begin"
        time.sleep(0.01)
    time.sleep(rng.uniform(0, seconds))
    pids = [int((folder / f"{rank}.pid").read_text()) for rank in range(ranks)]
    sent = time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        os.kill(rng.choice(pids[1:] if number == signal.SIGSTOP else pids), number)
    output, errors = process.communicate(timeout=SECONDS + patience)
    lived = time.monotonic() - sent
    limit = time.monotonic() + 5
    while left := [pid for pid in pids if exists(pid)]:  # the system may need a moment
        assert time.monotonic() < limit, f"processes are left: {left}"
        time.sleep(0.05)
    return lived if process.returncode else None, output + errors


def main(count, seed, ranks=2, number=signal.SIGKILL, patience=SECONDS):
    """Lose a rank `count` times; return the numbers of what happened: a dict."""
    rng, lives, differ, silent = random.Random(seed), [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        expected, seconds = complete(Path(folder), ranks)
    while len(lives) < count:
        with tempfile.TemporaryDirectory() as folder:
            lived, errors = lose(Path(folder), ranks, rng, number, 0.8 * seconds, patience)
            if lived is not None:
                lives.append(lived)
                silent += not errors
                differ += complete(Path(folder), ranks)[0] != expected
    return {"lost": count, "slowest end": round(max(lives), 2), "without message": silent, "with other results": differ}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--stop", action="store_true", help="stop the rank, rather than kill it")
    parser.add_argument("--child", type=Path)
    parser.add_argument("--patience", type=float, default=SECONDS)
    options = parser.parse_args()
    if options.child:
        train(options.child, options.patience)
    else:
        number = signal.SIGSTOP if options.stop else signal.SIGKILL
        results = main(options.count, options.seed, options.ranks, number, options.patience)
        print(results)
        sys.exit(bool(results["with other results"] or results["without message"] or results["slowest end"] > SECONDS))
