"""Scratch memory: asking for it compiles nothing, and training without what was compiled says so."""

import os
import subprocess
import sys

import numpy as np
import pytest
from fastmlp_kernels.drivers import training
from fastmlp_kernels.drivers.workspace import workspace
from fastmlp_kernels.tile.operations import ROWS

from tests import reference
from tests.kernels.cases import PLAIN, RUNS, kernel_network
from tests.kernels.test_training import Case

SCRIPT = """
from fastmlp_kernels.drivers.workspace import prediction_scratch, workspace
from fastmlp_kernels.functions.activation_table import SOFTMAX
from fastmlp_kernels.layout.network import build
network = build((40, 20, 5), "float32", codes=[SOFTMAX] * 2)
workspace(network, 4096, 2, samples=100, nonzeros=50), prediction_scratch(network, 100, 2)
"""


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_asking_for_memory_compiles_nothing(tmp_path):
    environment = {**os.environ, "FASTMLP_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True)
    assert not list(tmp_path.rglob("*.code"))


def test_partial_sums_have_room_only_where_sums_are_cut():
    sizes = {(4, 300, 5): 0, (4, 5, 300): 1, (300, 4): 0}
    for units, panels in sizes.items():
        built = kernel_network(reference.random_network(units, ["tanh"] * (len(units) - 1), np.float32), np.float32)
        space = workspace(built, ROWS, 1, block_rows=ROWS)
        assert bool(space.scratch.partial_sums.size) == bool(panels)


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
@RUNS
def test_training_that_was_not_prepared_is_refused(how, guarded):
    case = Case(guarded, np.float32)
    kept = training.thread_by_address.addresses.copy()
    training.thread_by_address.addresses[:] = 0
    try:
        with pytest.raises(RuntimeError, match="training_workspace"):
            case.train(reference.Optimizer("sgd"), how)
    finally:
        training.thread_by_address.addresses[:] = kept


@RUNS
def test_a_workspace_to_evaluate_is_not_trained_with(how, guarded):
    case = Case(guarded, np.float32)
    case.workspace = workspace(case.built, 0, 1, len(case.x), block_rows=ROWS)
    before = case.digest()
    with pytest.raises(RuntimeError, match="training_workspace"):
        case.train(reference.Optimizer("sgd"), how)
    assert case.digest() == before
