"""Training that is interrupted and resumed: the same bits as without the interruption."""

import contextlib
import json
import pickle

import numpy as np
import pytest
import safetensors.numpy

from fastmlp import MLP, Trainer, pace, schedules
from fastmlp._kernels import bfloat16_refusal
from fastmlp.callbacks import Checkpoint, CSVLogger
from tests.interrupts import CtrlC, isolated
from tests.settings import SHARED

LINES_APART = 3  # of those at which Ctrl-C is tried
ROWS, EPOCHS, PATH = 230, 6, "run.safetensors"
SETTINGS = {
    **SHARED,
    "warmup": {"learning_rate": schedules.Warmup(schedules.Cosine(1e-2, epochs=EPOCHS), epochs=2)},
    "sum": {"reduction": "sum", "learning_rate": 1e-4, "update_biases": False},
    "float64": {"dtype": "float64", "l2": 1e-3},
    "held out": {"fit": {"validation_fraction": 0.2, "patience": 50}},
    "held out in order": {"fit": {"validation_fraction": 0.2}, "shuffle": False},
    "stopped": {"fit": {"validation_fraction": 0.2, "patience": 2, "tol": 1.0}},
    "weighted": {"fit": {"sample_weight": np.random.default_rng(9).uniform(size=ROWS)}},
    "monitor": {"fit": {"monitor": lambda net: float(np.abs(net.params).sum()), "patience": 3}},
    "sparse": {"sparse": True},
    "scaled": {"scale": True, "fit": {"validation_fraction": 0.2}},
    "bf16-mixed": {"precision": "bf16-mixed", "sizes": [20, 16, 3]},
}


class Case:
    """A training with some settings."""

    def __init__(self, settings):
        settings = dict(settings)
        if settings.get("precision") == "bf16-mixed" and bfloat16_refusal():
            pytest.skip("no engine for bfloat16")
        self.options = {"progress": False, **settings.pop("fit", {})}
        defaults = {"sizes": [20, 9, 3], "dtype": "float32", "scale": False}
        self.layers = {name: settings.pop(name, default) for name, default in defaults.items()}
        rng = np.random.default_rng(0)
        self.x, self.y = rng.normal(size=(ROWS, 20)), rng.normal(size=(ROWS, 3))
        if settings.pop("sparse", False):
            sparse = pytest.importorskip("scipy.sparse")
            self.x = sparse.csr_matrix(self.x * (rng.uniform(size=self.x.shape) < 0.3))
        self.settings = {"batch_size": 32, **settings}

    def trainer(self, **others):
        return Trainer(MLP(activation="tanh", **self.layers), **self.settings | others)

    def fit(self, trainer, epochs=EPOCHS, **others):
        return trainer.fit(self.x, self.y, epochs, **self.options | others)


def outcome(trainer):
    """All results of a training but times: a dict."""
    history = {name: values for name, values in trainer.history.to_dict().items() if "second" not in name}
    state = {name: np.array(value).tobytes() for name, value in trainer.optimizer_state.items()}
    return {"params": trainer.net.params.tobytes(), **state, **history}


class Stop:
    """A callback that interrupts a training, at slice `slice` or after epoch `epoch`, when `save` has been called."""

    def __init__(self, save=None, slice=None, epoch=None):
        self.save, self.slice, self.epoch, self.slices = save, slice, epoch, 0

    def on_slice_end(self, trainer, samples, loss):
        self.slices += 1
        if self.slices == self.slice:
            self.stop(trainer)

    def on_epoch_end(self, trainer, epoch):
        if epoch == self.epoch:
            self.stop(trainer)

    def stop(self, trainer):
        if self.save:
            trainer.save(self.save)
        raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def short_slices(monkeypatch):
    monkeypatch.setattr(pace, "SLICE_SECONDS", 1e-9)


PLACES = {"after an epoch": {"epoch": 1}, "within an epoch": {"slice": 11}, "within the first": {"slice": 2}}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_resumed_training_has_the_same_bits(name, place, tmp_path):
    case, path = Case(SETTINGS[name]), tmp_path / PATH
    whole = case.trainer()
    case.fit(whole)
    expected = outcome(whole)
    interrupted = case.trainer(threads=1)
    with pytest.raises(KeyboardInterrupt):
        case.fit(interrupted, callbacks=[Stop(path, **PLACES[place])])
    others = case.trainer(threads=2, seed=5), Trainer.load(path), pickle.loads(pickle.dumps(interrupted))
    others[0].net.params[:] = 1
    for trainer, resume in zip((*others, interrupted), (path, True, True, True), strict=True):
        case.fit(trainer, resume=resume)
        assert outcome(trainer) == expected
        np.testing.assert_array_equal(trainer.net.predict(case.x), whole.net.predict(case.x))


@pytest.mark.parametrize("name", SETTINGS)
def test_two_fits_equal_one(name, tmp_path):
    case = Case(SETTINGS[name])
    whole, parts = case.trainer(), case.trainer()
    case.fit(whole)
    case.fit(parts, 2)
    parts.save(tmp_path / PATH)
    case.fit(parts, EPOCHS - 2, resume=True)
    assert outcome(parts) == outcome(whole)
    loaded = Trainer.load(tmp_path / PATH)
    case.fit(loaded, EPOCHS - 2, resume=True)
    assert outcome(loaded) == outcome(whole)
    other = case.trainer()
    case.fit(other, EPOCHS - 2, resume=tmp_path / PATH)
    assert outcome(other) == outcome(whole)


def test_the_file_is_a_model(tmp_path):
    case, path = Case({}), tmp_path / PATH
    trainer = case.trainer()
    trainer.net.metadata = {"source": "here"}
    case.fit(trainer, 1)
    trainer.save(path)
    net = MLP.load(path)
    np.testing.assert_array_equal(net.params, trainer.net.params)
    assert net.metadata == trainer.net.metadata


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_kept(name, tmp_path):
    trainer = Case(SETTINGS[name]).trainer()
    trainer.save(tmp_path / PATH)
    assert repr(Trainer.load(tmp_path / PATH)).replace("seed=0", "") == repr(trainer).replace("seed=0", "")


class Own:
    def rate(self, epoch, losses):
        return 1e-3


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": Own()},
        {"learning_rate": schedules.Warmup(Own())},
        {"shuffle": lambda order: order.sort()},
    ],
)
def test_objects_of_the_users_own_have_to_be_given(settings, tmp_path):
    case, path = Case(settings), tmp_path / PATH
    whole, interrupted = case.trainer(), case.trainer()
    case.fit(whole)
    with pytest.raises(KeyboardInterrupt):
        case.fit(interrupted, callbacks=[Stop(path, epoch=1)])
    (name,) = settings
    with pytest.raises(ValueError, match=rf"Trainer.load\(path, {name}=...\)"):
        Trainer.load(path)
    loaded = Trainer.load(path, **settings)
    case.fit(loaded, resume=True)
    assert outcome(loaded) == outcome(whole)


def test_a_stopped_training_stays_stopped_unless_given_more_patience():
    case = Case(SETTINGS["stopped"])
    trainer = case.trainer()
    case.fit(trainer)
    epochs = len(trainer.history.loss)
    assert epochs < EPOCHS
    before = outcome(trainer)
    case.fit(trainer, resume=True)
    assert outcome(trainer) == before
    case.fit(trainer, 2, resume=True, patience=20)
    assert len(trainer.history.loss) == epochs + 2


def test_weights_assigned_after_a_fit_are_trained_from():
    case = Case({"fit": {"patience": 1, "tol": 10.0}})
    trainer = case.trainer()
    case.fit(trainer)
    trainer.net.params = np.full(trainer.net.n_params, 0.5)
    seen = []
    listener = type("Listener", (), {"on_fit_begin": lambda self, t, *a: seen.append(t.net.params.copy())})()
    case.fit(trainer, resume=True, callbacks=[listener])
    np.testing.assert_array_equal(seen[0], 0.5)


def refused(trainer, words, case, **options):
    """Check that a fit is refused in these words, and changes nothing."""
    before = outcome(trainer), trainer._position, repr(trainer._rng.bit_generator.state)
    with pytest.raises(ValueError, match=words):
        case.fit(trainer, **options)
    assert (outcome(trainer), trainer._position, repr(trainer._rng.bit_generator.state)) == before


def test_what_cannot_be_resumed_is_refused_and_changes_nothing(tmp_path):
    case, path = Case({}), tmp_path / PATH
    trainer = case.trainer()
    refused(trainer, "no fit to go on from", case, resume=True)
    case.fit(trainer, 1)
    trainer.save(path)
    refused(Case({"sizes": [20, 8, 3]}).trainer(), "accepted: that of <MLP 20-8-3", case, resume=path)
    refused(Case({"dtype": "float64"}).trainer(), "float64", case, resume=path)
    refused(case.trainer(optimizer="sgd"), "shape", case, resume=path)
    refused(case.trainer(), "validation_fraction", case, resume=path, validation_fraction=0.5)
    shorter = Case({})
    shorter.x, shorter.y = shorter.x[:-1], shorter.y[:-1]
    refused(trainer, "X has 229 rows; accepted: the 230", shorter, resume=True)
    refused(case.trainer(), "X has 229 rows; accepted: the 230", shorter, resume=path)
    trainer.net.save(path)
    refused(trainer, "has a network only", case, resume=path)
    path.write_bytes(b"no file")
    refused(trainer, "cannot be read", case, resume=path)
    with pytest.raises(FileNotFoundError):
        case.fit(trainer, resume=tmp_path / "none")


@pytest.mark.parametrize("epoch", [0, 2])
def test_an_evaluation_that_is_interrupted_is_made_when_the_training_is_resumed(epoch):
    case = Case({"fit": {"validation_fraction": 0.2, "patience": 50}})
    whole, interrupted, calls = case.trainer(), case.trainer(), []

    def measure(net):
        calls.append(net)
        if len(calls) == epoch + 1:
            raise KeyboardInterrupt
        return float(np.abs(net.params).sum())

    with pytest.raises(KeyboardInterrupt):
        case.fit(interrupted, monitor=measure)
    assert len(interrupted.history.loss) == len(interrupted.history.val_loss) == epoch
    calls = [None] * 100
    case.fit(whole, monitor=measure)
    case.fit(interrupted, monitor=measure, resume=True)
    assert outcome(interrupted) == outcome(whole)


def test_a_training_goes_on_from_ctrl_c_at_any_line():
    case, files = (
        Case({"fit": {"validation_fraction": 0.5, "patience": 50}, "dropout": 0.1}),
        ("trainer.py", "stopping.py"),
    )
    whole = case.trainer()
    with CtrlC(files) as counted:
        case.fit(whole, 2)
    for line in range(1, counted.lines, LINES_APART):
        trainer = case.trainer()
        with contextlib.suppress(KeyboardInterrupt), CtrlC(files, line):
            isolated(case.fit, trainer, 2)
        position = trainer._position
        if not (position and position.ended):
            case.fit(trainer, 2, resume=position is not None)
        assert outcome(trainer) == outcome(whole), line


def test_a_trainer_can_be_pickled_while_it_trains():
    case, pickled = Case({}), []
    whole = case.trainer()
    callback = type(
        "Pickling", (), {"on_epoch_end": lambda self, trainer, epoch: pickled.append(pickle.dumps(trainer))}
    )
    case.fit(whole, callbacks=[callback()])
    trainer = pickle.loads(pickled[1])
    case.fit(trainer, resume=True)
    assert outcome(trainer) == outcome(whole)


def test_a_fit_that_fails_can_be_resumed_as_before():
    case = Case({})
    trainer, whole = case.trainer(), case.trainer()
    case.fit(whole, 4)
    case.fit(trainer, 2)

    def fail(net):
        raise ValueError("no measure")

    refused(trainer, "no measure", case, resume=True, monitor=fail)
    case.fit(trainer, 2, resume=True)
    assert outcome(trainer) == outcome(whole)


def test_checkpoints_within_epochs(tmp_path):
    case, path = Case({"fit": {"validation_fraction": 0.2}}), tmp_path / PATH
    whole = case.trainer()
    case.fit(whole)

    class Copies(Checkpoint):
        files = ()

        def on_slice_end(self, *arguments):
            super().on_slice_end(*arguments)
            self.files = [*self.files, path.read_bytes()]

    copies = Copies(path, "each", seconds=0, state=True)
    case.fit(case.trainer(), callbacks=[copies])
    assert len(set(copies.files)) == len(copies.files) > 3 * EPOCHS
    for content in copies.files[::5]:
        path.write_bytes(content)
        trainer = Trainer.load(path)
        case.fit(trainer, resume=True)
        assert outcome(trainer) == outcome(whole)


def test_every_so_many_epochs(tmp_path):
    case = Case({})
    case.fit(case.trainer(), callbacks=[Checkpoint(tmp_path / "{epoch}", "each", every=2, state=True)])
    assert {path.name for path in tmp_path.iterdir()} == {"1", "3", "5"}
    assert len(Trainer.load(tmp_path / "3").history.loss) == 4


@pytest.mark.parametrize("state", [False, True])
def test_a_new_run_keeps_a_better_best(tmp_path, state):
    case, path = Case({}), tmp_path / PATH
    case.fit(case.trainer(), 20, callbacks=[Checkpoint(path, state=state)])
    best = path.read_bytes()
    for checkpoint in Checkpoint(path), Checkpoint(path, state=True):
        case.fit(case.trainer(learning_rate=1e-9), 2, callbacks=[checkpoint])
        assert path.read_bytes() == best
    case.fit(case.trainer(loss="absolute_error", learning_rate=1e-9), 1, callbacks=[Checkpoint(path)])
    assert path.read_bytes() != best, "losses of other kinds cannot be compared"


def test_a_resumed_run_remembers_the_best(tmp_path):
    case, path = Case({}), tmp_path / PATH
    trainer = case.trainer()
    case.fit(trainer, 20, callbacks=[Checkpoint(tmp_path / "best")])
    trainer.save(path)
    best = (tmp_path / "best").read_bytes()
    worse = case.trainer(learning_rate=0.9)
    case.fit(worse, 1, resume=path, callbacks=[Checkpoint(tmp_path / "best")])
    assert (tmp_path / "best").read_bytes() == best


def test_a_log_has_every_epoch_once(tmp_path):
    case, path, log = Case({}), tmp_path / PATH, tmp_path / "log.csv"
    with pytest.raises(KeyboardInterrupt):
        case.fit(
            case.trainer(), callbacks=[Checkpoint(path, "each", every=2, state=True), CSVLogger(log), Stop(epoch=2)]
        )
    case.fit(case.trainer(), resume=path, callbacks=[CSVLogger(log)])
    assert [line.split(",")[0] for line in log.read_text().splitlines()] == ["epoch", *map(str, range(EPOCHS))]


@pytest.mark.parametrize("key", ["settings", "optimizer", "random", "dropout_seed", "best_epoch", "position"])
@pytest.mark.parametrize("value", [None, 1, "a", [], {}, {"a": 1}])
def test_damaged_states_are_refused(tmp_path, key, value):
    path = tmp_path / PATH
    trainer = Case({}).trainer()
    trainer.save(path)
    with safetensors.safe_open(path, "numpy") as file:
        tensors, header = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    numbers = json.loads(header["training"])
    if numbers[key] == value:
        return
    numbers[key] = value
    del header["checksum"]
    safetensors.numpy.save_file(tensors, path, header | {"training": json.dumps(numbers)})
    if (key, value) == ("dropout_seed", 1):
        Trainer.load(path)
        return
    with pytest.raises(ValueError, match="damaged training state"):
        Trainer.load(path)


TENSORS = {
    "a number twice": ("position.order", lambda order: np.zeros_like(order)),
    "a number beyond": ("position.order", lambda order: order + 1),
    "another dtype": ("position.order", lambda order: order.astype(np.int32)),
    "a short moment": ("first", lambda first: first[:-1]),
    "a moment in float64": ("second", lambda second: second.astype(float)),
    "a short history": ("history.seconds", lambda seconds: seconds[:-1]),
    "a history without layers": ("history.delta_rms", lambda rms: rms[:, 0]),
    "no sums": ("position.sums.0", lambda sums: sums[:0]),
    "short parameters": ("position.best_params", lambda params: np.zeros(3, np.float32)),
}


@pytest.mark.parametrize("name", TENSORS)
def test_damaged_tensors_are_refused(tmp_path, name):
    path, (tensor, change) = tmp_path / PATH, TENSORS[name]
    case = Case({})
    trainer = case.trainer()
    case.fit(trainer, 2)
    trainer.save(path)
    with safetensors.safe_open(path, "numpy") as file:
        tensors, header = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    tensors["training." + tensor] = change(tensors["training." + tensor])
    del header["checksum"]
    safetensors.numpy.save_file(tensors, path, header)
    with pytest.raises(ValueError, match="damaged training state"):
        Trainer.load(path)
    refused(trainer, "damaged training state", case, resume=path)


@pytest.mark.parametrize("change", ["best epoch", "no validation losses", "layers", "best", "Warmup"])
def test_states_that_do_not_fit_together_are_refused(tmp_path, change):
    path, case = tmp_path / PATH, Case({"fit": {"validation_fraction": 0.2, "patience": 5}})
    trainer = case.trainer()
    case.fit(trainer, 2)
    trainer.save(path)
    with safetensors.safe_open(path, "numpy") as file:
        tensors, header = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    if change == "best epoch":
        header["training"] = json.dumps(json.loads(header["training"]) | {"best_epoch": 2})
    elif change == "Warmup":
        training, schedule = json.loads(header["training"]), 0.1
        for _ in range(600):
            schedule = {"class": "Warmup", "schedule": schedule, "epochs": 1}
        training["settings"]["learning_rate"] = schedule
        header["training"] = json.dumps(training)
    elif change == "best":
        tensors["training.position.best_params"] = np.full(trainer.net.n_params, np.nan, np.float32)
    else:
        tensors["training.history.val_loss"] = np.zeros((2, 0) if change == "layers" else 0)
    del header["checksum"]
    safetensors.numpy.save_file(tensors, path, header)
    refused(trainer, "damaged training state", case, resume=path)


def test_batches_of_another_size_cannot_complete_an_epoch(tmp_path):
    case, path = Case({}), tmp_path / PATH
    trainer = case.trainer()
    with pytest.raises(KeyboardInterrupt):
        case.fit(trainer, callbacks=[Stop(path, slice=3)])
    refused(case.trainer(batch_size=31), "batch_size is 31; accepted: 32", case, resume=path)
    with pytest.raises(KeyboardInterrupt):
        case.fit(trainer, resume=True, callbacks=[Stop(path, epoch=0)])
    other = case.trainer(batch_size=31)
    case.fit(other, 2, resume=path)
    assert len(other.history.loss) == 2


def test_counts_may_be_of_any_size(tmp_path):
    case, path = Case({"batch_size": 2**70}), tmp_path / PATH
    trainer = case.trainer()
    case.fit(trainer, 1, patience=2**70)
    trainer.save(path)
    assert Trainer.load(path).batch_size == 2**70
