"""Promises beside right results: the same bits on any number of threads, no memory per step, no second compilation."""

import json
import os
import subprocess
import sys
import textwrap
import tracemalloc

import numba
import numpy as np
import pytest
from fastmlp_kernels.drivers import evaluation, plan, prediction, training
from fastmlp_kernels.drivers.workspace import workspace
from fastmlp_kernels.functions import activations, updates
from fastmlp_kernels.layout import network as packed
from fastmlp_kernels.layout import panels
from fastmlp_kernels.panelwise import losses
from fastmlp_kernels.products import forward
from fastmlp_kernels.tile import engines as cpu
from numba.core.runtime import _nrt_python, rtsys

from fastmlp import MLP, Momentum, Trainer, pace, progress, schedules

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="about compiled code")


def run_python(script, **environment):
    """The JSON that a script prints when run in a new process."""
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def samples(rows, n_in, n_out, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, n_in)).astype(dtype), rng.normal(size=(rows, n_out)).astype(dtype)


# ---------------------------------------------------------------------------------------------------------------- bits

# name: sizes, dtype, rows, batch size, clip_norm, whether a step keeps the activations of the whole batch
SHAPES = {
    "row groups": ([33, 40, 5], "float32", 5000, 2048, None, False),
    "row groups, clipped": ([33, 40, 5], "float32", 5000, 2048, 0.01, False),
    "row groups, float64": ([7, 15, 70, 3], "float64", 4200, 4100, None, False),
    "whole batch kept": ([200, 130, 10], "float32", 1300, 600, None, True),
    "whole batch kept, clipped": ([200, 130, 10], "float32", 1300, 600, 0.01, True),
    "whole batch kept, float64": ([300, 60, 60, 1], "float64", 900, 500, 0.01, True),
    "small steps": ([5, 3, 2], "float32", 100, 7, None, False),
}

THREADS_SCRIPT = """
    import hashlib, json
    import numpy as np
    from fastmlp import MLP, Trainer, threads
    threads.cores = lambda: 4  # even if there are fewer
    found = {}
    for name, (sizes, dtype, rows, batch, clip, _) in SHAPES.items():
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(rows, sizes[0])), rng.normal(size=(rows, sizes[-1]))
        x, y = x.astype(dtype), y.astype(dtype)
        found[name] = []
        for most in (1, 2, 3, 4):
            net = MLP(sizes, "tanh", dtype=dtype)
            trainer = Trainer(net, optimizer="momentum", batch_size=batch, clip_norm=clip, l2=1e-3, threads=most)
            history = trainer.fit(x, y, 2, validation_data=(x[:999], y[:999]), progress=False)
            sums = [values for name, values in history.to_dict().items() if "second" not in name and values]
            results = net.params, net.predict(x), *sums
            found[name].append([hashlib.sha256(np.array(result).tobytes()).hexdigest() for result in results])
    print(json.dumps(found))
"""


@jit_only
def test_results_have_the_same_bits_on_1_2_3_and_4_threads():
    found = run_python(f"SHAPES = {SHAPES!r}\n" + textwrap.dedent(THREADS_SCRIPT), NUMBA_NUM_THREADS="4")
    for name, hashes in found.items():
        assert hashes == [hashes[0]] * 4, name
    assert len({json.dumps(hashes) for hashes in found.values()}) == len(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_both_kinds_of_step_are_among_the_shapes(name):
    sizes, dtype, _, batch, _, keep = SHAPES[name]
    assert workspace(packed.build(sizes, dtype), batch, 1).keep == keep
    assert plan.is_serial(tuple(sizes), batch) == (name == "small steps")


@pytest.mark.parametrize("name", SHAPES)
def test_the_gradient_of_a_batch_has_the_same_bits_every_time(name):
    """Asked often: threads that read what others have yet to write are right now and then."""
    sizes, dtype, _, batch, _, _ = SHAPES[name]
    net = MLP(sizes, "tanh", dtype=dtype)
    x, y = samples(batch, sizes[0], sizes[-1], dtype)
    assert len({net.gradient(x, y)[1].tobytes() for _ in range(100)}) == 1


def fitted(
    dtype="float32",
    rows=500,
    batch_size=64,
    epochs=3,
    seed=0,
    net_seed=0,
    sizes=(6, 9, 2),
    sample_weight=None,
    **options,
):
    """(params as bytes, history) of a network fitted to noise."""
    x, y = samples(rows, sizes[0], sizes[-1])
    net = MLP(sizes, "tanh", seed=net_seed, dtype=dtype)
    trainer = Trainer(net, batch_size=batch_size, seed=seed, **options)
    history = trainer.fit(x, y, epochs, progress=False, sample_weight=sample_weight)
    return net.params.tobytes(), history


def test_shuffled_training_is_reproduced_by_its_seeds():
    params = fitted()[0]
    assert fitted()[0] == params
    assert fitted(seed=1)[0] != params
    assert fitted(net_seed=1)[0] != params
    assert fitted(shuffle=False)[0] != params


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slices_of_time_change_no_bit(monkeypatch, dtype):
    """However many batches a call into compiled code makes: that depends on the speed of the machine."""
    results = []
    for seconds in (1e-9, 2e-5, 1e-4, 1e9):  # the two in the middle make slices of a few batches
        monkeypatch.setattr(pace, "SLICE_SECONDS", seconds)
        weight = np.random.default_rng(0).uniform(size=1000)
        params, history = fitted(dtype, rows=1000, batch_size=7, optimizer="adam", l2=1e-3, sample_weight=weight)
        timeless = {name: value for name, value in history.to_dict().items() if "second" not in name}
        results.append((params, timeless))
    assert len(results[0][1]["objective"]) > 0
    assert results == results[:1] * 4


# -------------------------------------------------------------------------------------------------------------- memory

STEPS = [([20, 300, 5], 40), ([50, 130, 10], 600), ([33, 40, 5], 2048), ([5, 3, 2], 7)]  # every kind of step


@jit_only
@pytest.mark.parametrize(("sizes", "batch"), STEPS)
@pytest.mark.parametrize("clip", [None, 0.01])
def test_compiled_steps_allocate_nothing_on_the_heap(monkeypatch, sizes, batch, clip):
    _nrt_python.memsys_enable_stats()
    monkeypatch.setattr(pace, "SLICE_SECONDS", 1e9)  # one call into compiled code per epoch
    net, allocations = MLP(sizes), []
    x, y = samples(40 * batch, sizes[0], sizes[-1])
    coach = Trainer(net, batch_size=batch, clip_norm=clip)
    coach.fit(x, y, 1, progress=False)
    for batches in (2, 40):
        before = rtsys.get_allocation_stats()
        coach.fit(x[: batches * batch], y[: batches * batch], 1, progress=False)
        allocations.append(rtsys.get_allocation_stats().alloc - before.alloc)
    assert allocations == [0, 0]
    before = rtsys.get_allocation_stats()
    numba.njit(lambda: np.empty(9).size)()
    assert rtsys.get_allocation_stats().alloc > before.alloc, "allocations are not counted"


class MemoryWatch(progress.Silent):
    """A display that notes NumPy's memory between slices."""

    def __init__(self):
        self.arrays, self.temporary = [], []

    def update(self, samples, loss):
        domain = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
        traces = tracemalloc.take_snapshot().filter_traces([domain]).traces
        self.arrays.append(len(traces))
        now, peak = tracemalloc.get_traced_memory()
        self.temporary.append(peak - now)
        tracemalloc.reset_peak()


@pytest.mark.parametrize(("sizes", "batch"), STEPS)
def test_steps_make_no_new_arrays_and_memory_stays_flat(monkeypatch, sizes, batch):
    watch = MemoryWatch()
    monkeypatch.setattr(pace, "SLICE_SECONDS", 1e-9)  # Python looks in after every batch
    monkeypatch.setattr(progress, "start", lambda *_: watch)
    x, y = samples(20 * batch, sizes[0], sizes[-1])
    coach = Trainer(MLP(sizes), batch_size=batch)
    tracemalloc.start()
    try:
        coach.fit(x, y, 1)
    finally:
        tracemalloc.stop()
    assert len(watch.arrays) == 20
    assert len(set(watch.arrays[1:])) == 1
    assert max(watch.temporary[5:]) < 64_000  # mostly this watch's own


# --------------------------------------------------------------------------------------------------------- compilation


def dispatchers():
    """Every compiled function of the kernels, by name."""
    modules = (activations, evaluation, forward, losses, packed, panels, prediction, training, updates)
    found = {f"{m.__name__}.{k}": v for m in modules for k, v in vars(m).items()}
    return {name: value for name, value in found.items() if hasattr(value, "nopython_signatures")}


def signatures():
    return {name: len(dispatcher.signatures) for name, dispatcher in dispatchers().items()}


def use_everything(dtype, sizes=(4, 3, 2), rows=60, batch=16, x=None, y=None, **options):
    """Train, evaluate and predict; small and large, so that all the compiled drivers run."""
    made = samples(rows, sizes[0], sizes[-1], dtype)
    x, y = made[0] if x is None else x, made[1] if y is None else y
    net = MLP(sizes, "tanh", dtype=dtype, bias=options.pop("bias", True))
    coach = Trainer(net, "squared_error", batch_size=batch, **options)
    coach.fit(x, y, 1, validation_fraction=0.25, progress=False)
    coach.step(x, y)
    net.predict(x), net.evaluate(x, y), net.gradient(x, y), net.backpropagate(x, y)


@pytest.fixture(scope="module", params=["float32", "float64"])
def warm_dtype(request):
    use_everything(request.param)
    use_everything(request.param, (40, 60, 20), 2000, 900)
    return request.param


@jit_only
@pytest.mark.parametrize(
    ("sizes", "rows", "batch"),
    [((1, 1), 3, 1), ((9, 8, 7, 6, 5, 4), 100, 33), ((300, 5), 700, 700), ((2, 200, 200, 2), 500, 200)],
)
@pytest.mark.parametrize("bias", [True, False])
def test_a_new_shape_of_network_compiles_nothing(warm_dtype, sizes, rows, batch, bias):
    before = signatures()
    assert before["fastmlp_kernels.drivers.training.train"] <= 6  # one for each precision, and kind of inputs
    use_everything(warm_dtype, sizes, rows, batch, bias=bias)
    assert signatures() == before


@jit_only
@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": Momentum(0), "learning_rate": 1},
        {"optimizer": "nesterov", "learning_rate": np.float32(0.1), "l2": np.float32(0.1), "clip_norm": 1},
        {"learning_rate": schedules.Step(1, every=2), "update_biases": False, "reduction": "sum", "shuffle": False},
        {"learning_rate": schedules.Warmup(schedules.Constant(1), 3), "threads": 1, "l2": 1},
    ],
    ids=repr,
)
def test_other_settings_compile_nothing(warm_dtype, options):
    before = signatures()
    use_everything(warm_dtype, **options)
    assert signatures() == before


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    assert not view.flags.aligned
    return view


def data_frame(a):
    return pytest.importorskip("pandas").DataFrame(a)


FORMS = {
    "read-only": read_only,
    "Fortran order": np.asfortranarray,
    "every other row and column": lambda a: np.repeat(np.repeat(a, 2, axis=0), 2, axis=1)[::2, ::2],
    "backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "float64": lambda a: a.astype("float64"),
    "float32": lambda a: a.astype("float32"),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "unaligned": unaligned,
    "nested lists": lambda a: a.tolist(),
    "objects": lambda a: a.astype(object),
    "DataFrame": data_frame,
    "masked": np.ma.masked_array,
}


@jit_only
@pytest.mark.parametrize("form", FORMS)
def test_data_in_other_forms_compile_nothing(warm_dtype, form):
    before = signatures()
    x, y = samples(50, 4, 2, warm_dtype)
    use_everything(warm_dtype, x=FORMS[form](x), y=FORMS[form](y))
    assert signatures() == before


def trained_on(x, y, dtype):
    net = MLP([4, 3, 2], "tanh", dtype=dtype)
    Trainer(net, batch_size=16).fit(x, y, 2, progress=False)
    return net.params.tobytes()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data_in_other_forms_train_to_the_same_bits(form, dtype):
    x, y = (a.astype(dtype) for a in samples(50, 4, 2, "float32"))  # float32 values, exact in either
    assert trained_on(FORMS[form](x), FORMS[form](y), dtype) == trained_on(x, y, dtype)


def test_a_memory_map_is_trained_on_where_it_lies(tmp_path, warm_dtype):
    x, y = samples(50, 4, 2, warm_dtype)
    x.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", warm_dtype, "r", shape=x.shape)
    before = signatures()
    assert trained_on(mapped, y, warm_dtype) == trained_on(x, y, warm_dtype)
    assert signatures() == before
    data, _ = MLP([4, 3, 2], dtype=warm_dtype).data(mapped, y, "auto")
    assert data.x.ctypes.data == mapped.ctypes.data


def test_a_read_only_array_is_neither_copied_nor_written():
    x, y = samples(50, 4, 2)
    x, y = read_only(x), read_only(y)
    bits = x.tobytes(), y.tobytes()
    net = MLP([4, 3, 2])
    data, _ = net.data(x, y, "auto")
    assert (data.x.ctypes.data, data.y.ctypes.data) == (x.ctypes.data, y.ctypes.data)
    Trainer(net, batch_size=16).fit(x, y, 2, progress=False)
    net.predict(x)
    assert (x.tobytes(), y.tobytes()) == bits
    assert not x.flags.writeable


WARM_SCRIPT = """
    import json
    import numpy as np
    from fastmlp import MLP, Trainer
    from fastmlp_kernels.layout import network as packed
    from fastmlp_kernels import calls as pointers
    from fastmlp_kernels.drivers import evaluation, prediction
    from fastmlp_kernels.drivers import training
    x, y = np.ones((50, 4), "f4"), np.ones((50, 2), "f4")
    net = MLP([4, 3, 2], "tanh")
    Trainer(net, batch_size=16).fit(x, y, 1, validation_fraction=0.25, progress=False)
    net.predict(x), net.evaluate(x, y), net.gradient(x, y)
    used = training.train_serial, evaluation.evaluate_serial, prediction.predict_serial
    used += packed.pack, packed.unpack, packed.nonfinite_layer
    hits = sum(sum(f.stats.cache_hits.values()) for f in used) + sum(f.cache_hits for f in pointers._kept)
    misses = sum(sum(f.stats.cache_misses.values()) for f in used)
    print(json.dumps([hits, misses, len(used) + len(pointers._kept)]))
"""


@jit_only
def test_a_second_process_compiles_nothing():
    run_python(WARM_SCRIPT)
    hits, misses, functions = run_python(WARM_SCRIPT)
    assert misses == 0
    assert hits == functions


def test_another_tile_shape_has_a_cache_of_its_own():
    script = "import json; from fastmlp_kernels import compile; print(json.dumps(str(compile.CACHE_FOLDER)))"
    other = next(shape.name for shape in cpu.ENGINES[::-1] if shape != cpu.ENGINE)
    assert run_python(script, FASTMLP_TILE=other) != run_python(script)
