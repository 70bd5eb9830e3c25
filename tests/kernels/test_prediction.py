"""Predictions of many rows, in shares, against the reference."""

import numpy as np
import pytest
from fastmlp_kernels.drivers import prediction
from fastmlp_kernels.tile.operations import ROWS

from tests import reference
from tests.kernels.cases import DTYPES, NO_ORDER, RUNS, kernel_network, panels, random, width

SHARES = 3


def predict(guarded, built, x, order, how, shares=SHARES, block=2 * ROWS, finite=True):
    sizes = [built.layers[0].n_in, *built.layers.n_out]
    scratch = guarded((shares, sum(panels(n, x.dtype) for n in sizes) * width(x.dtype) * block), x.dtype)
    outputs = guarded((len(order) or len(x), sizes[-1]), x.dtype)
    prediction.prepare(built)
    run = prediction.predict if how == "parallel" else prediction.predict_serial
    tickets = guarded(np.zeros(2, np.int64))
    run(outputs, built, scratch, x, order, block, tickets)
    assert tickets[-1] == (not finite)
    return outputs


def case(dtype, rows, output="softmax"):
    sizes = [width(dtype) + 1, 5, width(dtype) + 3]
    network = reference.random_network(sizes, ["tanh", output], dtype)
    return network, kernel_network(network, dtype), random((rows, sizes[0]), dtype)


@DTYPES
@RUNS
@pytest.mark.parametrize("output", ["identity", "sigmoid", "softmax"])
@pytest.mark.parametrize("rows", [1, 2 * ROWS - 1, 2 * ROWS, 2 * ROWS + 1, 11 * ROWS + 3])
def test_outputs_are_those_of_the_reference(guarded, dtype, how, output, rows):
    network, built, x = case(dtype, rows, output)
    expected = reference.forward(network, x)[1][-1]
    found = predict(guarded, built, x, NO_ORDER, how)
    rounding = np.finfo(dtype).eps * (sum(len(w) for w in network.weights) + 10)  # a rounding a term, of order one
    np.testing.assert_allclose(found, expected, rtol=rounding, atol=rounding)


@DTYPES
@RUNS
def test_rows_are_taken_in_order(guarded, dtype, how):
    _, built, x = case(dtype, 5 * ROWS + 1)
    order = np.random.default_rng(0).permutation(len(x))[: 3 * ROWS + 1]
    np.testing.assert_array_equal(
        predict(guarded, built, x, order, how), predict(guarded, built, x, NO_ORDER, how)[order]
    )


@DTYPES
def test_shares_and_threads_make_no_difference(guarded, dtype):
    _, built, x = case(dtype, 7 * ROWS + 1)
    found = [
        predict(guarded, built, x, NO_ORDER, how, shares, block).tobytes()
        for how, shares, block in [
            ("serial", 1, ROWS), ("serial", 5, 2 * ROWS), ("parallel", 1, 8 * ROWS), ("parallel", 2, ROWS),
            ("parallel", 20, ROWS),
        ]
    ]  # fmt: skip
    assert len(set(found)) == 1


@RUNS
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("row", [0, 2 * ROWS, 5 * ROWS])
def test_inputs_that_are_not_finite_are_reported(guarded, how, value, row):
    _, built, x = case(np.float32, 5 * ROWS + 1)
    x[row, -1] = value
    predict(guarded, built, x, NO_ORDER, how, finite=False)
