"""Training by several processes, by MPI: what `tests.ranks` and `tests.fuzz.ranks` find."""

import json
import os
import random
import signal
import subprocess
import sys

import pytest

from fastmlp import MLP, Trainer
from tests.builds import ROOT
from tests.fuzz import ranks as lost
from tests.kernels.cases import PLAIN

pytest.importorskip("mpi4py")
pytestmark = [
    pytest.mark.skipif(PLAIN, reason="plain Python is too slow"),
    pytest.mark.skipif(lost.launcher() is None, reason="no mpiexec"),
]


def test_a_group_of_three_ranks_trains_as_one_process_does():
    command = [lost.launcher(), "-n", "3", sys.executable, "-m", "mpi4py", "-m", "tests.ranks"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    failed = {name: text for name, text in found.items() if text and not text.startswith("skipped")}
    assert len(found) > 30
    assert not failed, "\n".join(failed.values())


def test_all_ranks_end_if_one_is_killed_and_go_on_from_the_checkpoint():
    found = lost.main(1, seed=1)
    assert found["slowest end"] < lost.SECONDS
    assert (found["without message"], found["with other results"]) == (0, 0)


def test_all_ranks_end_if_one_hangs(tmp_path):
    lived, output = lost.lose(tmp_path, 2, random.Random(1), signal.SIGSTOP, seconds=0.3, patience=1)
    assert lived < lost.SECONDS
    assert "GroupError: rank 0 of 2 has waited" in output


def test_the_documented_script_runs(tmp_path):
    page = (ROOT / "docs" / "howto" / "mpi.md").read_text(encoding="utf-8")
    (tmp_path / "train.py").write_text(page.split("```python\n")[1].split("```")[0], encoding="utf-8")
    command = [lost.launcher(), "-n", "2", sys.executable, "-m", "mpi4py", "train.py"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout.count("<History of 3 epochs")) == (0, 1), done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"train.py", "run.safetensors", "net.safetensors"}


def test_mpi_is_imported_only_with_a_group():
    script = "import sys, fastmlp; fastmlp.Trainer(fastmlp.MLP([2, 2])); assert 'mpi4py' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_other_objects_are_no_group():
    with pytest.raises(TypeError, match=r"group is 'world'; accepted: a communicator of mpi4py"):
        Trainer(MLP([2, 2]), group="world")
