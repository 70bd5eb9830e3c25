"""Training by several processes, by MPI: what `tests.ranks` and `tests.fuzz.ranks` find."""

import json
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


@pytest.mark.parametrize(("number", "patience"), [(signal.SIGKILL, 30), (signal.SIGSTOP, 1)])
def test_all_ranks_end_if_one_is_lost_and_go_on_from_the_checkpoint(number, patience):
    found = lost.main(1, seed=1, number=number, patience=patience)
    assert found["slowest end"] < lost.SECONDS
    assert (found["without message"], found["with other results"]) == (0, 0)


def test_mpi_is_imported_only_with_a_group():
    script = "import sys, fastmlp; fastmlp.Trainer(fastmlp.MLP([2, 2])); assert 'mpi4py' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_other_objects_are_no_group():
    with pytest.raises(TypeError, match=r"group is 'world'; accepted: a communicator of mpi4py"):
        Trainer(MLP([2, 2]), group="world")
