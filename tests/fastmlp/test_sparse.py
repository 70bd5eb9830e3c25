"""Sparse matrices of scipy as inputs: any kind of them, equal to the same numbers in an array."""

import numpy as np
import pytest

from fastmlp import MLP, Trainer, checks

sparse = pytest.importorskip("scipy.sparse")

ROWS, COLUMNS = 300, 200


@pytest.fixture
def X():
    matrix = sparse.random(ROWS, COLUMNS, 0.05, "csr", np.float32, random_state=0)
    matrix.data[3:50] = 0  # zeros among what is stored, and a row of nothing else
    return matrix


@pytest.fixture
def y():
    return np.random.default_rng(0).integers(0, 3, ROWS)


def trained(X, y, **settings):
    net = MLP([COLUMNS, 20, 3], output_activation="softmax")
    trainer = Trainer(net, batch_size=70, learning_rate=0.01, l2=1e-3)  # the last batch holds what is left
    return net, trainer.fit(X, y, epochs=3, progress=False, **settings)


def unsorted(X):
    """X with each row's non-zeros the other way round, as 64-bit indices."""
    order = np.concatenate([np.arange(a, b)[::-1] for a, b in zip(X.indptr, X.indptr[1:], strict=False)])
    turned = X.copy()
    turned.data, turned.indices = X.data[order], X.indices[order]
    turned.indptr, turned.indices = turned.indptr.astype(np.int64), turned.indices.astype(np.int64)
    turned.has_sorted_indices = turned.has_canonical_format = False
    return turned


def doubled(X):
    """X with each number stored as two halves."""
    coo = X.tocoo()
    halves, row, column = np.tile(coo.data / 2, 2), np.tile(coo.row, 2), np.tile(coo.col, 2)
    return sparse.coo_array((halves, (row, column)), X.shape)


FORMATS = {
    "array": sparse.csr_array,
    "csc": lambda X: X.tocsc(),
    "lil": lambda X: X.tolil(),
    "float64": lambda X: X.astype(float),
    "unsorted": unsorted,
    "doubled": doubled,
}


def test_training_is_that_of_an_array_up_to_rounding(X, y):
    validation = {"validation_fraction": 0.2}
    (net, history), (other, expected) = trained(X, y, **validation), trained(X.toarray(), y, **validation)
    np.testing.assert_allclose(net.params, other.params, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(history.loss + history.val_loss, expected.loss + expected.val_loss, rtol=1e-5)
    np.testing.assert_allclose(net.predict(X), net.predict(X.toarray()), rtol=1e-5)
    found, expected = net.gradient(X, y), net.gradient(X.toarray(), y)
    np.testing.assert_allclose(net.evaluate(X, y), found[0], rtol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", FORMATS)
def test_every_kind_gives_the_same_bits(X, y, name):
    net = MLP([COLUMNS, 20, 3], output_activation="softmax")
    given = FORMATS[name](X)
    before = given.copy()
    np.testing.assert_array_equal(net.predict(given), net.predict(X))
    assert given.nnz == before.nnz, "the caller's matrix is as it was"


def test_compressed_rows_are_used_where_they_lie(X):
    X.sum_duplicates()
    rows = checks.inputs("X", X, COLUMNS, np.dtype(np.float32))
    assert np.shares_memory(rows.values, X.data)
    assert np.shares_memory(rows.indices, X.indices)


def test_validation_data_may_be_sparse_or_not(X, y):
    losses = [trained(X, y, validation_data=(V, y))[1].val_loss for V in (X, X.toarray())]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_steps_take_batches_of_any_number_of_non_zeros(X, y):
    nets = [MLP([COLUMNS, 20, 3], output_activation="softmax") for _ in range(2)]
    for net, x in zip(nets, (X, X.toarray()), strict=True):
        trainer = Trainer(net)
        for first, last in ((0, 5), (5, 200), (7, 8), (100, 110)):
            trainer.step(x[first:last], y[first:last])
    np.testing.assert_allclose(nets[0].params, nets[1].params, rtol=1e-4, atol=1e-5)


def test_what_is_not_finite_is_named_with_its_place(X, y):
    X = X.tolil()
    X[11, 5] = np.nan
    net = MLP([COLUMNS, 20, 3], output_activation="softmax")
    for call in (net.predict, lambda X: net.evaluate(X, y), lambda X: net.gradient(X, y), lambda X: trained(X, y)):
        with pytest.raises(ValueError, match="X is nan at row 11, column 5; accepted: finite float32 values"):
            call(X)


def test_errors_say_what_is_accepted(X, y):
    net = MLP([COLUMNS, 20, 3], output_activation="softmax")
    with pytest.raises(TypeError, match="X is a sparse matrix; accepted: an array"):
        net.input_gradient(X, y)
    with pytest.raises(ValueError, match=r"X has shape \(300, 199\); accepted: \(rows, 200\)"):
        net.predict(X[:, 1:])
    with pytest.raises(ValueError, match="X has no rows; accepted: at least one"):
        net.predict(X[:0])
    with pytest.raises(TypeError, match="X has dtype complex64; accepted: numbers that convert to float32"):
        net.predict(X.astype(np.complex64))
    X.indices[3] = COLUMNS
    with pytest.raises(ValueError, match=r"X is not a valid sparse matrix: .*; accepted: indices within its shape"):
        net.predict(X)
