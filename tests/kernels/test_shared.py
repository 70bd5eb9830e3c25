"""Updates from a gradient that several processes have added up: the bits of training, if there is but one process."""

import numba
import numpy as np
import pytest
from fastmlp_kernels.drivers import shared
from fastmlp_kernels.functions import updates

from tests import reference
from tests.kernels.cases import DTYPES, RUNS
from tests.kernels.test_training import BATCH, MODES, Case, call
from tests.kernels.test_updates import kernel_optimizer, kernel_state

OPTIMIZERS = {
    "sgd": reference.Optimizer("sgd", learning_rate=0.1),
    "clipped": reference.Optimizer("adam", learning_rate=0.01, l2=0.1, clip_norm=1e-3),
    "penalized": reference.Optimizer("momentum", learning_rate=0.1, l2=0.1, average_l2=True),
    "sums": reference.Optimizer("adamw", learning_rate=0.01, mean=False, update_biases=False),
}


@DTYPES
@RUNS
@MODES
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_from_the_gradient_of_a_batch_has_the_bits_of_training(guarded, dtype, how, groups, name):
    trained, case = (Case(guarded, dtype, groups=groups, weighted=True) for _ in range(2))
    optimizer = kernel_optimizer(OPTIMIZERS[name])
    trained.train(OPTIMIZERS[name], how)
    state = guarded(kernel_state(OPTIMIZERS[name].kind, case.built.weights.shape, dtype))
    samples, threads = len(case.x), numba.get_num_threads()
    update = shared.update if how == "parallel" else shared.update_serial
    for batch in range(-(-samples // BATCH)):
        arguments = case.built, case.workspace, case.data, case.loss
        call("train", how, *arguments, updates.NO_UPDATE, state, case.progress, BATCH, batch, batch + 1)
        rows = min(BATCH, samples - batch * BATCH)
        blocks = -(-rows // case.workspace.block_rows)
        weight = sum(case.workspace.sums.weights[:blocks].tolist())
        update(*arguments, optimizer, state, case.progress, rows, weight, threads)
        update(*arguments, optimizer, state, case.progress, rows, weight, 0)  # does nothing
    assert case.digest() == trained.digest()
    assert state.steps[0] == batch + 1
    np.testing.assert_array_equal(case.progress.means[1], trained.progress.means[1])  # the penalty
