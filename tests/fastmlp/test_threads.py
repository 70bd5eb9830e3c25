"""Numbers of threads, forks, Python threads and Ctrl-C: results are the same, or an error says what is not possible."""

import math
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numba
import numpy as np
import pytest
import scipy.sparse as scipy_sparse

from fastmlp import MLP, Trainer, _kernels, interrupts, threads
from fastmlp.callbacks import Callback
from fastmlp.interrupts import interruptible, uninterrupted
from fastmlp.threads import available
from tests.builds import LAYERS, python
from tests.interrupts import CtrlC, isolated

X = np.random.default_rng(0).normal(size=(4000, 50)).astype(np.float32)  # enough for all threads


@pytest.fixture(autouse=True)
def pythons_own_handler():
    """Python's handler of Ctrl-C, which shells let background processes ignore."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


def trained(coach=None):
    coach = coach or Trainer(MLP([50, 100, 50]), batch_size=2000)
    net = coach.net
    coach.fit(X, X, 2, validation_fraction=0.2, progress=False)
    return net.params.tobytes(), net.predict(X).tobytes(), net.evaluate(X, X), net.gradient(X, X)[1].tobytes()


PINNED = """
import os
from fastmlp.threads import available
before = available()
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
print(before, available())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be kept to cores")
@pytest.mark.parametrize("layer", LAYERS)
def test_there_are_no_more_threads_than_cores_to_run_on_now(layer):
    cores = threads.cores()
    printed = python("-c", PINNED, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS=str(cores + 2))
    assert printed == f"{cores} 1\n"


def test_threads_that_openmp_binds_to_a_core_each_may_use_them_all():
    script = "from fastmlp.threads import cores; cores(); print(cores())"
    assert python("-c", script, OMP_PROC_BIND="true") == f"{threads.cores()}\n"


QUOTAS = {
    "nothing": ("0::/", {}, math.inf),
    "no limit": ("0::/", {"cpu.max": "max 100000"}, math.inf),
    "one and a half": ("0::/", {"cpu.max": "150000 100000\n"}, 2),
    "one": ("0::/job", {"job/cpu.max": "100000 100000"}, 1),
    "a tenth": ("0::/job", {"job/cpu.max": "10000 100000"}, 1),
    "that of the group above": ("0::/all/job", {"all/cpu.max": "200000 100000", "all/job/cpu.max": "max 100000"}, 2),
    "one number": ("0::/", {"cpu.max": "150000"}, math.inf),
    "no number": ("0::/", {"cpu.max": "many 100000"}, math.inf),
    "no time": ("0::/", {"cpu.max": "150000 0"}, math.inf),
    "no names": ("strange", {"cpu.max": "150000 100000"}, math.inf),
    "version 1": ("3:cpu,cpuacct:/job", {"cpu/job/cpu.cfs_quota_us": "250", "cpu/job/cpu.cfs_period_us": "100"}, 3),
    "version 1, above": ("3:cpuacct,cpu:/job\n0::/", {"cpu/cpu.cfs_quota_us": "5", "cpu/cpu.cfs_period_us": "5"}, 1),
    "version 1, no limit": ("3:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
    "version 1, half of it": ("3:cpu:/", {"cpu/cpu.cfs_quota_us": "100000"}, math.inf),
}


@pytest.mark.parametrize("name", QUOTAS)
def test_threads_are_no_more_than_the_cores_whose_time_control_groups_allow(name, tmp_path, monkeypatch):
    groups, files, expected = QUOTAS[name]
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    (tmp_path / "self").write_text(groups)
    monkeypatch.setattr(threads, "GROUPS", tmp_path)
    monkeypatch.setattr(threads, "OF_PROCESS", tmp_path / "self")
    assert threads._quota.__wrapped__() == expected
    monkeypatch.setattr(threads, "_quota", lambda: expected)
    assert available() <= expected


def test_python_threads_in_calls_at_the_same_time_share_the_cores():
    used, inside, done = [], threading.Event(), threading.Event()

    def driver(wait):
        used.append(numba.get_num_threads())
        if wait:
            inside.set()
            done.wait(10)

    def serial(wait):
        used.append(1)

    before = numba.get_num_threads()
    thread = threading.Thread(target=threads.call, args=(driver, serial, 2, (True,)))
    thread.start()
    inside.wait(10)
    threads.call(driver, serial, 2, (False,))
    done.set()
    thread.join()
    threads.call(driver, serial, 2, (False,))
    assert used == [min(2, before), 1, min(2, before)]
    assert numba.get_num_threads() == before


def test_predictions_go_on_with_the_driver_that_is_faster(monkeypatch):
    calls, (parallel, serial) = [], _kernels.PREDICTION

    def slow(*arguments):
        calls.append(1)
        time.sleep(0.02)
        parallel(*arguments)

    net = MLP([50, 100, 50])
    expected = net.predict(X)
    monkeypatch.setattr(_kernels, "available", lambda: 2)
    monkeypatch.setattr(_kernels, "PREDICTION", (slow, serial))
    for _ in range(20):
        np.testing.assert_array_equal(net.predict(X[:500]), expected[:500])
    assert len(calls) == 2  # the first may have compiled it
    net.predict(X)
    assert len(calls) == 3  # more work is worth any wait for threads


def report(pipe, coach):
    pipe.send((available(), trained(), trained(coach)))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_trains_and_predicts_to_the_same_bits():
    coach = Trainer(MLP([50, 100, 50]), batch_size=2000)
    here = trained(coach)  # OpenMP's threads are there now
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=report, args=(theirs, coach))
    child.start()
    theirs.close()
    assert ours.poll(60), "the child says nothing"
    threads, there, more = ours.recv()
    child.join(10)
    assert child.exitcode == 0
    assert threads == 1
    assert there == here
    assert more == trained(coach)


def fork_while_another_thread_holds(lock, then=lambda: None):
    """Fork while a thread holds a lock, for 0.2 s, and then calls a function; whether the child can take the lock."""
    held, (ours, theirs) = threading.Event(), multiprocessing.Pipe(duplex=False)

    def hold():
        with lock:
            held.set()
            time.sleep(0.2)
            then()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = multiprocessing.get_context("fork").Process(target=lambda: theirs.send(lock.acquire(timeout=5)))
    child.start()
    taken = ours.recv()
    child.join()
    thread.join()
    return taken


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.parametrize("lock", threads.COMPILER_LOCKS)
def test_a_fork_waits_for_the_locks_of_a_compiler_in_another_thread(lock):
    assert fork_while_another_thread_holds(lock)
    assert lock.acquire(timeout=5)  # here, too
    lock.release()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_ctrl_c_while_a_fork_waits_comes_after_it(monkeypatch):
    monkeypatch.setattr(interrupts, "AGAIN_SECONDS", 0.3)
    assert fork_while_another_thread_holds(threads.COMPILER_LOCKS[0], lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        time.sleep(10)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_child_that_a_thread_forks_during_compilation_is_interrupted_once():
    ours, theirs = multiprocessing.Pipe(duplex=False)

    def say():
        theirs.send(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    child = multiprocessing.get_context("fork").Process(target=say)
    thread = threading.Thread(target=child.start)
    with interruptible():
        thread.start()
        thread.join()
    assert ours.recv()
    child.join()


def test_one_trainer_in_two_threads_is_refused_and_goes_on(tmp_path):
    coach, errors = Trainer(MLP([50, 8, 50]), batch_size=2000), []

    def use():
        for call in (
            lambda: coach.fit(X, X, 1, progress=False),
            lambda: coach.step(X, X),
            lambda: coach.save(tmp_path / "state"),  # of two moments
        ):
            try:
                call()
            except RuntimeError as error:
                errors.append(str(error))

    class Other(Callback):
        def on_epoch_end(self, trainer, epoch):
            thread = threading.Thread(target=use)
            thread.start()
            thread.join()

    history = coach.fit(X, X, 2, progress=False, callbacks=[Other()])
    assert len(history.loss) == 2
    assert [error.split(" is called while")[0] for error in errors] == [
        "Trainer.fit",
        "Trainer.step",
        "Trainer.save",
    ] * 2
    alone = Trainer(MLP([50, 8, 50]), batch_size=2000)
    alone.fit(X, X, 2, progress=False)
    assert alone.net.params.tobytes() == coach.net.params.tobytes()
    use()  # in the same thread, when nobody else does
    assert len(errors) == 6
    assert pickle.loads(pickle.dumps(coach)).step(X, X) > 0


WORKQUEUE = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from fastmlp import MLP, Trainer

X = np.random.default_rng(0).normal(size=(20_000, 64)).astype(np.float32)
nets = [MLP([64, 128, 4], seed=seed) for seed in range(4)]

def work(net):
    fitted = MLP([64, 128, 4], seed=1)
    Trainer(fitted, batch_size=5000).fit(X, X[:, :4], 2, progress=False)
    return net.predict(X).tobytes(), net.evaluate(X, X[:, :4]), fitted.params.tobytes()

expected = [work(net) for net in nets]
with ThreadPoolExecutor(4) as pool:
    assert list(pool.map(work, nets * 5)) == expected * 5
import numba
print(numba.threading_layer())
"""


def test_threads_work_at_the_same_time_where_only_one_may_be_in_a_parallel_region():
    environment = os.environ | {"NUMBA_THREADING_LAYER": "workqueue", "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", WORKQUEUE], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "workqueue\n"), done.stderr[-2000:]


def test_slices_of_predictions_and_evaluations_change_no_bit(monkeypatch):
    net, weights = MLP([50, 100, 50]), np.random.default_rng(1).random(len(X))
    sparse = scipy_sparse.csr_array(np.where(X > 1, X, 0))

    def results():
        evaluated = net.evaluate(X, X), net.evaluate(X, X, sample_weight=weights), net.evaluate(sparse, X)
        return net.predict(X).tobytes(), net.predict(sparse).tobytes(), *evaluated

    whole = results()
    monkeypatch.setattr(_kernels, "SLICE_FLOPS", 1)
    assert results() == whole


def test_predictions_and_evaluations_notice_an_interrupt_between_slices(monkeypatch):
    net, calls, call = MLP([50, 100, 50]), [], _kernels.Forward._call
    expected = net.predict(X)

    def interrupted(self, *arguments):
        calls.append(1)
        call(self, *arguments)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(_kernels, "SLICE_FLOPS", 1)
    monkeypatch.setattr(_kernels.Forward, "_call", interrupted)
    for use in (lambda: net.predict(X), lambda: net.evaluate(X, X)):
        with pytest.raises(KeyboardInterrupt):
            use()
    assert len(calls) == 2
    monkeypatch.setattr(_kernels.Forward, "_call", call)
    np.testing.assert_array_equal(net.predict(X), expected)


def swallow():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        return


def mistake():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt as error:
        raise RuntimeError("no such module") from error


@pytest.mark.parametrize("reaction", [swallow, mistake, lambda: signal.raise_signal(signal.SIGINT)])
def test_an_interrupt_stays_one_whatever_becomes_of_it(reaction):
    with pytest.raises(KeyboardInterrupt), interruptible():
        reaction()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_that_is_swallowed_comes_again_soon(monkeypatch):
    monkeypatch.setattr(interrupts, "AGAIN_SECONDS", 0.01)
    begin = time.monotonic()

    def go_on():
        swallow()
        while time.monotonic() < begin + 30:
            pass

    with pytest.raises(KeyboardInterrupt), interruptible():
        go_on()
    assert time.monotonic() < begin + 10


@pytest.mark.parametrize(("context", "file"), [(interruptible, "contextlib.py"), (uninterrupted, "interrupts.py")])
def test_an_interrupt_on_the_way_into_or_out_of_a_context_is_one_interrupt(monkeypatch, context, file):
    monkeypatch.setattr(interrupts, "AGAIN_SECONDS", 0.01)
    files, caught = (f"/{file}",), 0

    def enter_and_leave():
        with context():
            pass

    with CtrlC(files) as counted:
        enter_and_leave()
    for line in range(1, counted.lines + 1):
        ctrl_c = CtrlC(files, line)
        try:
            with ctrl_c:
                isolated(enter_and_leave)
        except KeyboardInterrupt:
            caught += 1
        time.sleep(0.02)  # so that one that comes again would come
        assert ctrl_c.handler is signal.default_int_handler
    assert caught == counted.lines > 4


LOADING = """
import signal
import numpy as np
from fastmlp_kernels.cache import KernelCache
from fastmlp import MLP, Trainer, losses
from fastmlp.objective import Objective

load = KernelCache.load_overload

def watched(self, *arguments):
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        print(use.__name__, self._name)
    return load(self, *arguments)

def network(net):
    net.network = net.network

def objective(net):
    Objective(net, x, y, loss=losses.Huber(1.0))(net.params)

def state(net):
    trainer = Trainer(net, "absolute_error")
    trainer.optimizer_state = trainer.optimizer_state

def backpropagate(net):
    net.backpropagate(x, y, "log_cosh")

def training(net):
    Trainer(net, "squared_error").step(x, y)

def others(net):
    Trainer(net, losses.Quantile(0.5), dropout=0.1).fit(x, y, 1, validation_fraction=0.5, progress=False)
    net.predict(x), net.evaluate(x, y), net.gradient(x, y)

KernelCache.load_overload = watched
signal.signal(signal.SIGINT, signal.default_int_handler)
x, y = np.ones((4, 3), "f4"), np.ones((4, 2), "f4")
for use in network, objective, state, backpropagate, training, others:
    use(MLP([3, 5, 2], "tanh"))
"""


def test_whatever_loads_or_compiles_functions_is_interruptible():
    assert python("-c", LOADING) == ""


def test_other_errors_and_handlers_stay_as_they_are():
    with pytest.raises(ValueError, match="mine"), interruptible():
        raise ValueError("mine")
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, previous)
