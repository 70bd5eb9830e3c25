"""Samples that are read block by block: the results of arrays, whatever the source, and nothing left behind."""

import contextlib
import pickle
import threading
import time

import numpy as np
import pytest

from fastmlp import MLP, DivergenceError, Trainer, losses, pace
from fastmlp._kernels import bfloat16_refusal
from fastmlp.streams import Stream
from tests.fastmlp.test_resume import Stop, outcome

ROWS, EPOCHS = 230, 3
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(ROWS, 5)), RNG.normal(size=(ROWS, 2))
WEIGHTS, LABELS = RNG.uniform(0.5, 2, ROWS), RNG.integers(0, 2, ROWS)


class Chunked:
    """An array that lives elsewhere, as data sets of HDF5 and Zarr do; it counts the rows that are read."""

    def __init__(self, array, chunks=(20,)):
        self.array, self.chunks, self.rows_read = array, chunks, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, rows):
        self.rows_read += len(self.array[rows])
        return self.array[rows]


def blocks(*arrays, size=20):
    """A function that returns an iterator of blocks of the arrays."""
    return lambda: (tuple(array[i : i + size] for array in arrays) for i in range(0, len(arrays[0]), size))


def trained(*data, epochs=EPOCHS, sizes=(5, 7, 2), net=None, fit=None, **settings):
    """A trainer that has been fitted to `data`."""
    trainer = Trainer(MLP(list(sizes), "tanh", **net or {}), **{"batch_size": 32} | settings)
    trainer.fit(*data, epochs=epochs, progress=False, **fit or {})
    return trainer


def results(trainer):
    """All results but times."""
    return outcome(trainer)


@pytest.fixture(autouse=True)
def short_slices(monkeypatch):
    monkeypatch.setattr(pace, "SLICE_SECONDS", 1e-9)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [thread.name for thread in threading.enumerate() if "reader" in thread.name]


# ------------------------------------------------------------------------------------------------ the results of arrays

SOURCES = {
    "one pool": lambda x, y: (Stream(x, y),),
    "small pools": lambda x, y: (Stream(x, y, pool_rows=50, block_rows=30),),
    "pools below a batch": lambda x, y: (Stream(x, y, pool_rows=7),),
    "chunked": lambda x, y: (Chunked(x), y),
    "chunked targets": lambda x, y: (Chunked(x), Chunked(y)),
    "iterator": lambda x, y: (blocks(x, y),),
    "iterator in pools": lambda x, y: (Stream(blocks(x, y, size=33), pool_rows=60),),
}
CASES = {
    "float32": {},
    "float64": {"net": {"dtype": "float64"}},
    "dropout": {"dropout": 0.3, "l2": 1e-3, "clip_norm": 0.5},
    "average l2": {"l2": 1e-2, "average_l2": True, "reduction": "sum", "learning_rate": 1e-4},
    "batch learning": {"batch_size": ROWS},
    "bf16-mixed": {"precision": "bf16-mixed"},
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("case", CASES)
def test_without_shuffling_results_have_the_bits_of_arrays(source, case):
    if case == "bf16-mixed" and bfloat16_refusal():
        pytest.skip("no engine for bfloat16")
    settings = {"shuffle": False, **CASES[case]}
    expected = results(trained(X, Y, **settings))
    assert results(trained(*SOURCES[source](X, Y), **settings)) == expected


def test_labels_weights_and_class_weights_have_the_bits_of_arrays():
    settings = {"net": {"output_activation": "softmax"}, "shuffle": False, "batch_size": 30}
    fit = {"class_weight": {0: 3.0}}
    arrays = trained(X, LABELS, **settings, fit={"sample_weight": WEIGHTS, **fit})
    for source in (Stream(X, LABELS, WEIGHTS, pool_rows=50, block_rows=20), blocks(X, LABELS, WEIGHTS)):
        streamed = trained(source, **settings, fit=fit)
        np.testing.assert_array_equal(streamed.net.params, arrays.net.params)
        np.testing.assert_allclose(streamed.history.loss, arrays.history.loss, rtol=1e-12)


def test_losses_of_weighted_samples_do_not_depend_on_slices(monkeypatch):
    stream = Stream(X, Y, 10.0 ** RNG.uniform(-9, 3, ROWS))
    losses = []
    for seconds in (1e-9, 1.0):
        monkeypatch.setattr(pace, "SLICE_SECONDS", seconds)
        losses.append(trained(stream, batch_size=5, net={"dtype": "float64"}, epochs=9).history.loss)
    assert losses[0] == losses[1]


@pytest.mark.parametrize("source", [Stream(X, Y, block_rows=20), blocks(X, Y)])
def test_a_scaling_is_that_of_arrays_to_rounding(source):
    streamed, arrays = (trained(*data, net={"scale": True}, epochs=1).net.scaling for data in ((source,), (X, Y)))
    for ours, theirs in zip(streamed, arrays, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-15)


def test_scaled_samples_have_the_bits_of_arrays():
    scaling = trained(X, Y, net={"scale": True}, epochs=1).net.scaling
    found = []
    for data in ((X, Y), (Stream(X, Y, pool_rows=50),)):
        net = MLP([5, 7, 2])
        net.scaling = scaling
        Trainer(net, shuffle=False).fit(*data, epochs=2, progress=False)
        found.append(net.params)
    np.testing.assert_array_equal(*found)


def test_gaussian_targets_are_half_of_the_outputs():
    loss = losses.GaussianNLL()
    arrays = trained(X, Y[:, :1], loss=loss, shuffle=False)
    assert results(trained(Stream(X, Y[:, :1], pool_rows=40), loss=loss, shuffle=False)) == results(arrays)


# ------------------------------------------------------------------------------------------------ order and seed


def batches_of(monkeypatch, *data, **settings):
    """Numbers of the samples in each epoch, in the order of training: a list of arrays."""
    seen, run = [], Trainer._run

    def noted(self, data, settings, size, first, last, when):
        reached = run(self, data, settings, size, first, last, when)
        seen.extend(data.x[data.order[first * size : reached * size], 0])
        return reached

    monkeypatch.setattr(Trainer, "_run", noted)
    trained(*data, sizes=(1, 2), batch_size=32, **settings)
    monkeypatch.undo()
    return np.array(seen).astype(int).reshape(EPOCHS, -1)


COUNTED = np.arange(ROWS, dtype=float)[:, None], np.zeros((ROWS, 2))


def test_blocks_are_shuffled_and_rows_within_pools(monkeypatch):
    epochs = batches_of(monkeypatch, Stream(*COUNTED, block_rows=10, pool_rows=40))
    assert (np.sort(epochs, axis=1) == np.arange(ROWS)).all()
    pools = epochs[0][:200].reshape(-1, 40)
    assert all(len(set(pool // 10)) == 4 and (np.diff(pool) != 1).any() for pool in pools)
    assert (np.diff([pool.min() for pool in pools]) < 0).any()
    assert len({tuple(order) for order in epochs.tolist()}) == EPOCHS


def test_rows_of_an_iterator_are_shuffled_within_pools(monkeypatch):
    epochs = batches_of(monkeypatch, Stream(blocks(*COUNTED), pool_rows=50))
    assert [sorted(pool) for pool in epochs[0][:200].reshape(-1, 50).tolist()] == np.arange(200).reshape(
        -1, 50
    ).tolist()
    assert len({tuple(pool) for epoch in epochs for pool in epoch[:200].reshape(-1, 50) % 50}) == 4 * EPOCHS


@pytest.mark.parametrize("source", [Stream(X, Y, block_rows=20, pool_rows=70), Stream(blocks(X, Y), pool_rows=70)])
def test_the_order_follows_from_the_seed_alone(source):
    first, same, other = (trained(source, seed=s, threads=t).net.params for s, t in ((3, 1), (3, 2), (4, 2)))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_blocks_are_whole_chunks_and_many():
    long = np.zeros((10**6, 8), np.float32)
    for source, most in (
        (long, 10**6 // 64),
        (Chunked(long, (1000, 8)), 15_000),
        (Chunked(long, ((400_000, 600_000),)), 600_000),
    ):
        assert Stream(source, long).source.blocks[0] == most
    assert len(Stream(long[:1], long[:1]).source.blocks) == 1


def test_a_function_orders_the_blocks(monkeypatch):
    def backwards(order):
        order[:] = np.sort(order)[::-1]

    stream = Stream(*COUNTED, block_rows=10, pool_rows=10)
    pools = batches_of(monkeypatch, stream, shuffle=backwards)[0].reshape(-1, 10)
    assert (pools.min(axis=1) == np.arange(ROWS - 10, -1, -10)).all()
    with pytest.raises(ValueError, match="shuffle is a function, but blocks of X have their order"):
        trained(blocks(X, Y), shuffle=backwards)


# ------------------------------------------------------------------------------------------------ resuming

RESUMED = {
    "blocks": (Stream(X, Y, block_rows=20, pool_rows=70), {}),
    "iterator": (Stream(blocks(X, Y), pool_rows=70), {}),
    "weights": (Stream(X, Y, WEIGHTS, pool_rows=70), {"dropout": 0.2}),
    "held out": (Stream(X, Y, block_rows=20, pool_rows=70), {"fit": {"validation_fraction": 0.2, "patience": 9}}),
    "held out of an iterator": (Stream(blocks(X, Y), pool_rows=70), {"fit": {"validation_fraction": 0.2}}),
    "in order": (Stream(X, Y, pool_rows=70), {"shuffle": False}),
    "scaled": (Stream(blocks(X, Y), pool_rows=70), {"net": {"scale": True}}),
}


@pytest.mark.parametrize("place", [{"epoch": 1}, {"slice": 3}, {"slice": 7}, {"slice": 10}], ids=str)
@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_training_has_the_same_bits(name, place, tmp_path):
    (stream, settings), path = RESUMED[name], tmp_path / "run.safetensors"
    settings = dict(settings)
    fit = {"epochs": EPOCHS, "progress": False, **settings.pop("fit", {})}
    expected = results(trained(stream, fit=fit, **settings)) if "epochs" not in fit else None
    trainer = Trainer(MLP([5, 7, 2], "tanh", **settings.pop("net", {})), batch_size=32, **settings)
    whole = pickle.loads(pickle.dumps(trainer))
    whole.fit(stream, **fit)
    expected = results(whole)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(stream, **fit, callbacks=[Stop(path, **place)])
    for resumed in (Trainer.load(path), trainer):
        resumed.fit(stream, **fit, resume=True)
        assert results(resumed) == expected


def test_blocks_before_the_position_are_not_read_again():
    source = Chunked(X)
    trainer = Trainer(MLP([5, 2]), batch_size=10, shuffle=False)
    stream = Stream(source, Y, block_rows=20, pool_rows=20)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(stream, epochs=1, progress=False, callbacks=[Stop(slice=21)])
    done = trainer._position.samples // 20 * 20
    source.rows_read = 0
    trainer.fit(stream, epochs=1, progress=False, resume=True)
    assert source.rows_read == ROWS - done < ROWS


def test_other_pools_or_blocks_than_those_of_the_interrupted_epoch_are_refused():
    trainer = Trainer(MLP([5, 2]), batch_size=32)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(Stream(X, Y, block_rows=10, pool_rows=50), epochs=1, progress=False, callbacks=[Stop(slice=2)])
    for other, message in (({"pool_rows": 60, "block_rows": 10}, "pool_rows is 60"), ({"block_rows": 20}, "12 blocks")):
        with pytest.raises(ValueError, match=message):
            trainer.fit(Stream(X, Y, **other), epochs=1, progress=False, resume=True)


# ------------------------------------------------------------------------------------------------ validation


def test_validation_streams_have_the_loss_and_the_metrics_of_arrays():
    held = X[:60], Y[:60], WEIGHTS[:60]
    given = [held, Stream(*held), blocks(*held), (Chunked(held[0]), *held[1:])]
    fits = [{"validation_data": each, "metrics": ["r2", "mae"]} for each in given]
    histories = [trained(X, Y, fit=fit, shuffle=False).history for fit in fits]
    for history in histories[1:]:
        np.testing.assert_allclose(history.val_loss, histories[0].val_loss, rtol=1e-6)
        np.testing.assert_allclose(history.metrics["mae"], histories[0].metrics["mae"], rtol=1e-6)


@pytest.mark.parametrize("source", [Stream(*COUNTED, block_rows=10), blocks(*COUNTED, size=10)])
def test_blocks_that_are_held_out_are_not_trained_on(source, monkeypatch):
    fit = {"validation_fraction": 0.25, "patience": 5}
    epochs = batches_of(monkeypatch, source, fit=fit)
    assert len(set(epochs[0])) == epochs.shape[1]
    assert epochs.shape[1] in (170, 180)
    assert (np.bincount(epochs[0] // 10, minlength=23) % 10 == 0).all()
    assert trained(source, sizes=(1, 2), fit=fit).history.best_epoch is not None


def test_classes_of_a_stream_have_metrics():
    history = trained(
        blocks(X, LABELS), net={"output_activation": "softmax"}, fit={"validation_fraction": 0.2, "metrics": "accuracy"}
    ).history
    assert all(0 <= value <= 1 for value in history.metrics["accuracy"])


# ------------------------------------------------------------------------------------------------ refusals and errors


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((Stream(X, Y), Y), TypeError, "besides a Stream"),
        ((X,), TypeError, "y is None"),
        ((Chunked(X),), TypeError, "y is None"),
        ((Chunked(X), Y[:-1]), ValueError, "y has shape .229, 2.; accepted: 230 rows"),
        ((blocks(X, Y), Y), TypeError, "y is given with X of function"),
        ((Stream(X, Y, WEIGHTS[:, None]),), ValueError, r"sample_weight of rows [0-9]+ to [0-9]+ has shape .3, 1."),
        ((blocks(X),), TypeError, "block 0 of X is tuple"),
        ((blocks(X[:, :3], Y),), ValueError, "X of block 0 has shape .20, 3."),
        ((blocks(X, Y[:, 0]),), ValueError, "y of block 0 has shape"),
        ((blocks(X, Y, -WEIGHTS),), ValueError, "sample_weight of block 0 is -"),
        ((blocks(X, Y, 0 * WEIGHTS),), ValueError, "sample_weight is 0 everywhere"),
        ((lambda: iter([(X, Y), (X, Y, WEIGHTS)]),), ValueError, "X of block 1 has other kinds of targets or weights"),
        ((lambda: iter([]),), ValueError, "X has no rows in epoch 1"),
        ((blocks(np.where(X[25, 3] == X, np.nan, X), Y),), ValueError, "X of block 1 is nan at row 5, column 3"),
        ((Stream(np.where(X[25, 3] == X, np.inf, X), Y, block_rows=20),), ValueError, "X of rows 20 to 39 is inf"),
    ],
)
def test_what_is_refused_leaves_everything_as_it_was(data, error, message):
    trainer = trained(X, Y, epochs=1)
    before = results(trainer)
    with pytest.raises(error, match=message):
        trainer.fit(*data, epochs=2, progress=False)
    assert {**results(trainer)} == before


def test_settings_that_need_the_number_of_rows_or_all_samples_are_refused():
    with pytest.raises(ValueError, match=r"batch_size is None, and the number of rows of X is not known"):
        trained(blocks(X, Y), batch_size=None)
    trained(Stream(blocks(X, Y), rows=ROWS), batch_size=None)
    with pytest.raises(ValueError, match="class_weight is 'balanced' with a stream"):
        trained(Stream(X, LABELS), net={"output_activation": "softmax"}, fit={"class_weight": "balanced"})
    with pytest.raises(ValueError, match="X has no rows; accepted: at least one"):
        Stream(X[:0], Y[:0])
    with pytest.raises(ValueError, match="there are no rows to evaluate"):
        trained(blocks(X, Y, size=200), fit={"validation_fraction": 0.2})
    with pytest.raises(ValueError, match=r"validation_fraction is 0.2 of 1 blocks; accepted: one that leaves blocks"):
        trained(Stream(X, Y, block_rows=ROWS), fit={"validation_fraction": 0.2})
    sparse = pytest.importorskip("scipy.sparse").csr_matrix(X)
    for source in (lambda: Stream(sparse, Y), lambda: trained(lambda: iter([(sparse, Y)]))):
        with pytest.raises(TypeError, match=r"X.* is a sparse matrix"):
            source()
    for settings in ({"pool_rows": 0}, {"block_rows": 0}, {"rows": 3}, {"columns": ["a"]}):
        with pytest.raises((TypeError, ValueError), match=next(iter(settings))):
            Stream(X, Y, **settings)


def test_estimators_name_the_trainer_for_streams():
    pytest.importorskip("sklearn")
    from fastmlp import sklearn as estimators

    for source in (Stream(X, Y), blocks(X, Y)):
        with pytest.raises(TypeError, match=r"X is a stream, .*; streams are for fastmlp.Trainer"):
            estimators.MLPRegressor().fit(source, Y)


class Broken(Exception):
    """An error of a source."""


@pytest.mark.parametrize("error", [Broken, ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("place", [(0, 9), (1, 0), (2, 5)], ids=str)
def test_an_error_of_the_source_arrives_as_it_is_and_the_training_can_go_on(place, error):
    expected, epoch, works = results(trained(Stream(blocks(X, Y), pool_rows=20))), iter(range(9)), []

    def make():
        now = next(epoch)
        for number, block in enumerate(blocks(X, Y)()):
            if (now, number) == place and not works:
                raise error("a disk")
            yield block

    trainer = Trainer(MLP([5, 7, 2], "tanh"), batch_size=32)
    with pytest.raises(error, match="a disk"):
        trainer.fit(Stream(make, pool_rows=20), epochs=EPOCHS, progress=False)
    assert trainer.optimizer_state["steps"]
    works.append(True)
    trainer.fit(Stream(make, pool_rows=20), epochs=EPOCHS, progress=False, resume=True)
    assert results(trainer) == expected


def test_an_error_before_the_first_update_leaves_everything_as_it_was():
    def make():
        yield X[:5], Y[:5]
        raise Broken

    trainer = trained(X, Y, epochs=1)
    before = results(trainer)
    with pytest.raises(Broken):
        trainer.fit(make, epochs=2, progress=False)
    assert results(trainer) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, Broken, None])
def test_the_reader_ends_when_training_does(error):
    closed = []

    def make():
        try:
            while True:
                yield X, Y
        finally:
            closed.append(True)

    class Ender:
        def on_slice_end(self, trainer, samples, loss):
            if error:
                raise error

        def on_epoch_begin(self, trainer, epoch):
            if not error:
                trainer.learning_rate = 1e30

    with pytest.raises(error or DivergenceError) as caught:
        trained(Stream(make, pool_rows=ROWS), fit={"callbacks": [Ender()]}, optimizer="sgd")
    assert closed == [True], caught  # which keeps the frames, and what they hold


# ------------------------------------------------------------------------------------------------ reading ahead


def test_pools_are_filled_while_others_are_trained_on():
    is_read, overlapped = threading.Event(), []

    def make():
        for number, block in enumerate(blocks(X, Y, size=46)()):
            if number == 2:  # after it, the second pool is full
                is_read.set()
            yield block

    class Wait:
        def on_slice_end(self, trainer, samples, loss):
            overlapped.append(is_read.wait(10))

    trained(Stream(make, pool_rows=46), batch_size=46, epochs=1, fit={"callbacks": [Wait()]})
    assert overlapped[0]


def test_the_history_has_the_time_of_waiting():
    def make():
        time.sleep(0.02)
        yield X, Y

    history = trained(make).history
    assert all(0.01 <= waiting < total for waiting, total in zip(history.seconds_waiting, history.seconds, strict=True))
    assert not trained(X, Y).history.seconds_waiting


def test_samples_need_no_more_memory_than_two_pools():
    seen = []

    def make():
        for _ in range(100):
            seen.append(None)
            yield X, Y

    class Count:
        def on_slice_end(self, trainer, samples, loss):
            counts.append(len(seen))

    counts = []
    trained(Stream(make, pool_rows=ROWS), batch_size=ROWS, epochs=1, fit={"callbacks": [Count()]})
    assert max(count - i for i, count in enumerate(counts)) <= 4


def test_progress_without_a_number_of_rows_shows_rows_and_their_rate(capsys, monkeypatch):
    for module in ("tqdm", "tqdm.auto"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    Trainer(MLP([5, 2]), batch_size=32).fit(blocks(X, Y), epochs=2)
    assert "epoch 2/2" in (line := capsys.readouterr().err)
    assert "460 samples" in line
    assert "left" not in line


# ------------------------------------------------------------------------------------------------ Arrow and files


@pytest.fixture
def table():
    pyarrow = pytest.importorskip("pyarrow")
    columns = {name: X[:, i] for i, name in enumerate("abcde")}
    return pyarrow.table(columns | {"u": Y[:, 0], "v": Y[:, 1], "w": WEIGHTS, "city": ["Bonn"] * ROWS})


NAMES = list("abcde")


@pytest.fixture
def folder(table, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    for number, start in enumerate((0, 100, 200)):
        parquet.write_table(table.slice(start, 100), tmp_path / f"part-{number}.parquet", row_group_size=30)
    return tmp_path


def test_a_folder_of_parquet_files_has_the_bits_of_arrays(folder):
    from pyarrow import dataset

    stream = Stream(dataset.dataset(folder), ["u", "v"], "w", columns=NAMES, pool_rows=50)
    assert repr(stream) == "<Stream of 230 rows in 9 blocks>"
    arrays = trained(X, Y, shuffle=False, fit={"sample_weight": WEIGHTS})
    np.testing.assert_array_equal(trained(stream, shuffle=False).net.params, arrays.net.params)
    shuffled = trained(stream, fit={"validation_fraction": 0.3})
    np.testing.assert_array_equal(shuffled.net.params, trained(stream, fit={"validation_fraction": 0.3}).net.params)


def test_a_table_with_the_name_of_its_target_needs_no_stream(table):
    pytest.importorskip("pandas")
    from pyarrow import dataset

    numbers = table.select([*NAMES, "u"])
    assert [Stream(data, "u").rows for data in (numbers, numbers.to_pandas(), numbers.to_reader())] == [
        ROWS,
        ROWS,
        None,
    ]
    expected = results(trained(X, Y[:, :1], sizes=(5, 1), shuffle=False))
    for data in (dataset.dataset(numbers), numbers, numbers.to_pandas()):
        assert results(trained(data, "u", sizes=(5, 1), shuffle=False)) == expected


def test_a_reader_of_batches_serves_one_epoch(table):
    numbers = table.select([*NAMES, "u"])
    trained(numbers.to_reader(50), "u", sizes=(5, 1), epochs=1)
    with pytest.raises(ValueError, match="X has no rows in epoch 2; accepted"):
        trained(numbers.to_reader(50), "u", sizes=(5, 1), epochs=2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y": "u"}, TypeError, "column 'city' has the type string"),
        ({"y": "x", "columns": NAMES}, ValueError, "X has no column 'x'"),
        ({"y": "u", "columns": ["a", "u"]}, ValueError, "columns has 'u', which is y"),
        ({"y": None}, TypeError, "y is NoneType; accepted: the name of a column"),
    ],
)
def test_columns_that_cannot_be_used_are_refused(table, arguments, error, message):
    with pytest.raises(error, match=message):
        Stream(table, **arguments)


def test_missing_values_of_a_column_are_refused_with_their_file_and_row(folder, table):
    from pyarrow import dataset, parquet

    values = [None if i == 35 else float(i) for i in range(ROWS)]
    parquet.write_table(table.set_column(0, "a", [values]), folder / "part-1.parquet", row_group_size=30)
    stream = Stream(dataset.dataset(folder), "u", columns=NAMES)
    with pytest.raises(
        ValueError, match=r"X of row group 1 of .*part-1.parquet from row 0 on is nan at row 5, column 0"
    ):
        trained(stream, sizes=(5, 1))


@pytest.mark.parametrize("kind", ["bool", "decimal"])
def test_missing_booleans_and_decimals_are_no_numbers(kind, table):
    import pyarrow

    values = [None if i == 3 else i % 2 for i in range(ROWS)]
    column = pyarrow.array(values).cast("bool") if kind == "bool" else pyarrow.array(values, pyarrow.decimal128(3))
    with pytest.raises(ValueError, match="X of record batch 0 is nan at row 3, column 0"):
        trained(pyarrow.table({"x": column, "y": LABELS}), "y", sizes=(1, 1))


def test_whole_numbers_booleans_and_decimals_are_inputs(table):
    import pyarrow

    mixed = pyarrow.table(
        {
            "a": pyarrow.array(LABELS == 1),
            "b": pyarrow.array(LABELS, "int8"),
            "c": pyarrow.array(LABELS.tolist(), pyarrow.decimal128(5, 2)),
            "y": LABELS,
        }
    )
    expected = trained(
        np.stack([LABELS] * 3, 1), LABELS, sizes=(3, 1), net={"output_activation": "sigmoid"}, shuffle=False
    )
    streamed = trained(mixed, "y", sizes=(3, 1), net={"output_activation": "sigmoid"}, shuffle=False)
    np.testing.assert_array_equal(streamed.net.params, expected.net.params)


@pytest.mark.parametrize("library", ["h5py", "zarr", "dask.array"])
def test_arrays_of_other_libraries_have_the_bits_of_numpys(library, tmp_path):
    module = pytest.importorskip(library)
    with contextlib.ExitStack() as stack:
        if library == "h5py":
            file = stack.enter_context(module.File(tmp_path / "samples.h5", "w"))
            data = file.create_dataset("X", data=X, chunks=(16, 5)), file.create_dataset("y", data=Y)
        elif library == "zarr":
            data = [
                module.create_array(tmp_path / name, data=a, chunks=(16, a.shape[1]))
                for name, a in (("X", X), ("y", Y))
            ]
        else:
            data = module.from_array(X, chunks=(50, 3)), module.from_array(Y, chunks=(70, 2))
        assert results(trained(*data, shuffle=False)) == results(trained(X, Y, shuffle=False))
        assert len(trained(*data, batch_size=None).history.seconds_waiting) == EPOCHS
