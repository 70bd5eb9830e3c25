"""Fits of the estimators that are interrupted and resumed: the same bits as without the interruption."""

import contextlib
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from fastmlp import MLP, Trainer, optimizers, pace, schedules
from fastmlp.callbacks import Checkpoint

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification

from fastmlp.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
EPOCHS, PATH = 6, "run.safetensors"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
CLASSES = np.array(["a", "b", "c"])[(X[:, 0] > 0) + (X[:, 1] > 0.3).astype(int)]
SETTINGS = {
    "adam": {},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate": "invscaling"},
    "Nesterov": {"solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1},
    "adamw": {"solver": "adamw", "learning_rate": schedules.Cosine(0.05, epochs=EPOCHS)},
    "plateau": {"learning_rate": schedules.Plateau(0.05, patience=1, tol=1.0), "early_stopping": True},
    "early stopping": {"early_stopping": True, "learning_rate_init": 0.3},
    "stops": {"early_stopping": True, "n_iter_no_change": 2, "tol": 1.0},
    "scorer": {"early_stopping": True, "scoring": "neg_log_loss", "shuffle": False},
    "dropout": {"dropout": 0.3, "shuffle": False, "class_weight": {"a": 2.0}},
    "both": {"dropout": 0.3, "early_stopping": True, "hidden_layer_sizes": (6, 5)},
    "float32": {"x": X.astype("float32")},
    "two": {"y": CLASSES == "a", "early_stopping": True},
    "labels": {"y": make_multilabel_classification(90, 4, random_state=0)[1], "early_stopping": True},
    "regression": {"kind": MLPRegressor, "y": X[:, :2] ** 2, "early_stopping": True, "solver": "sgd"},
    "counts": {"kind": MLPRegressor, "y": np.arange(90) % 5, "loss": "poisson"},
    "generator": {"random_state": np.random.RandomState(5), "early_stopping": True},
    "random": {"random_state": None, "early_stopping": True},
}


class Case:
    """A fit with some settings."""

    def __init__(self, settings):
        settings = dict(settings)
        self.x, self.y = settings.pop("x", X), settings.pop("y", CLASSES)
        self.model = settings.pop("kind", MLPClassifier)(
            **{"hidden_layer_sizes": (6,), "batch_size": 20, "max_iter": EPOCHS, "random_state": 3, "threads": 1}
            | settings
        )

    def new(self, **others):
        """New estimator; a random generator among its parameters is as at first."""
        return clone(self.model).set_params(**others)

    def fit(self, model, **options):
        return model.fit(self.x, self.y, **options)


def outcome(model):
    """All results of a fit: a dict of bytes."""
    kept = {name: getattr(model, name, None) for name in vars(model) if name.endswith("_")}
    if isinstance(model.random_state, np.random.RandomState):
        assert model._random_state is model.random_state
    kept["random"] = model._random_state.get_state()[1:3]
    kept |= {"rate": vars(model._optimizer), "state": sorted(model._optimizer_state.items())}
    return {name: pickle.dumps(value) for name, value in kept.items()}


class Save:
    """A callback that saves a training at slices and after epochs: `saved` has the files."""

    def __init__(self, path, slices=(2, 12), epochs=(1, EPOCHS - 1)):
        self.path, self.slices, self.epochs, self.count, self.saved = path, slices, epochs, 0, []

    def on_slice_end(self, trainer, samples, loss):
        self.count += 1
        self.save(trainer, self.count in self.slices)

    def on_epoch_end(self, trainer, epoch):
        self.save(trainer, epoch in self.epochs)

    def save(self, trainer, now):
        if now:
            trainer.save(self.path)
            self.saved.append(self.path.read_bytes())


@pytest.fixture(autouse=True)
def short_slices(monkeypatch):
    monkeypatch.setattr(pace, "SLICE_SECONDS", 1e-9)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_resumed_fit_has_the_same_bits(name, tmp_path):
    path, case = tmp_path / PATH, Case(SETTINGS[name])
    save = Save(path)
    whole = case.fit(case.new(callbacks=[save]))
    assert len(save.saved) >= 2 + (len(whole.loss_curve_) == EPOCHS)
    for content in save.saved:
        path.write_bytes(content)
        model = case.fit(case.new(), resume=path)
        assert outcome(model) == outcome(whole)
        assert (model.predict(case.x) == whole.predict(case.x)).all()
    if not whole.early_stopping:
        more = [pickle.loads(pickle.dumps(one)).partial_fit(case.x, case.y) for one in (model, whole)]
        assert outcome(more[0]) == outcome(more[1])


class Stop:
    """A callback that ends a fit with an exception."""

    def __init__(self, error, slice):
        self.error, self.slices = error, slice

    def on_slice_end(self, trainer, samples, loss):
        self.slices -= 1
        if not self.slices:
            raise self.error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.filterwarnings("ignore:Training interrupted by user")
def test_an_interrupted_estimator_goes_on_from_its_checkpoint(error, tmp_path):
    path, case = tmp_path / PATH, Case({"early_stopping": True, "warm_start": True})
    whole, model = case.fit(case.fit(case.new())), case.fit(case.new())  # second fits, without new weights
    model.set_params(callbacks=[Checkpoint(path, "each", seconds=0, state=True), Stop(error, 12)])
    with contextlib.suppress(RuntimeError):
        case.fit(model)
    assert model.loss_curve_ != whole.loss_curve_
    for other in case.new(), model:
        assert outcome(case.fit(other.set_params(callbacks=[]), resume=path)) == outcome(whole)


@pytest.mark.parametrize("name", ["momentum", "both"])
def test_a_fit_may_be_interrupted_many_times(name, tmp_path):
    path, case = tmp_path / PATH, Case(SETTINGS[name])
    whole, resume = case.fit(case.new()), None
    for slices in 3, 1, 4, 2, 9, 1:
        model = case.new(callbacks=[Checkpoint(path, "each", seconds=0, state=True), Stop(RuntimeError, slices)])
        with pytest.raises(RuntimeError):
            case.fit(model, resume=resume)
        resume = path
    assert len(model.loss_curve_) < EPOCHS
    assert outcome(case.fit(case.new(), resume=path)) == outcome(whole)


def test_a_fit_with_samples_for_validation_is_resumed_with_as_many(tmp_path):
    path, case, held = tmp_path / PATH, Case(SETTINGS["dropout"]), {"X_val": X[:20], "y_val": CLASSES[:20]}
    whole = case.fit(case.new(early_stopping=True, callbacks=[Save(path, (12,), ())]), **held)
    model = case.new(early_stopping=True)
    refused("validation_fraction 'replaced by 20 samples of X_val'; accepted: 0.1", model, X, CLASSES, resume=path)
    assert outcome(case.fit(model, resume=path, **held)) == outcome(whole)


def test_another_process_resumes_a_fit(tmp_path):
    path, case = tmp_path / PATH, Case(SETTINGS["both"])
    whole = case.fit(case.new(callbacks=[Save(path, (12,), ())]))
    (tmp_path / "case").write_bytes(pickle.dumps((case.new(), case.x, case.y)))
    script = (
        "import pickle, sys, warnings; warnings.simplefilter('ignore')\n"
        "model, x, y = pickle.load(open('case', 'rb'))\n"
        f"sys.stdout.buffer.write(pickle.dumps(model.fit(x, y, resume={PATH!r})))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, timeout=60, check=True)
    assert outcome(pickle.loads(done.stdout)) == outcome(whole)


def test_more_epochs_or_more_patience_prolong_a_fit(tmp_path):
    path, case = tmp_path / PATH, Case(SETTINGS["stops"])
    model = case.fit(case.new(callbacks=[Checkpoint(path, "each", state=True)]))
    assert model.n_iter_ < EPOCHS
    assert outcome(case.fit(case.new(max_iter=10), resume=path)) == outcome(model)
    for settings in {"n_iter_no_change": 9}, {"n_iter_no_change": 9, "max_iter": 8}:
        more, whole = case.fit(case.new(**settings), resume=path), case.fit(case.new(**settings))
        assert outcome(more) == outcome(whole)


def refused(words, model, *data, **options):
    """Check that a fit is refused in these words, in one line, and changes nothing."""
    generator = model.random_state if isinstance(model.random_state, np.random.RandomState) else None
    before = pickle.dumps(vars(model)), pickle.dumps(generator)
    with pytest.raises(ValueError, match=words) as caught:
        model.fit(*data, **options)
    assert "\n" not in str(caught.value)
    assert (pickle.dumps(vars(model)), pickle.dumps(generator)) == before


@pytest.mark.parametrize("fitted", [False, True], ids=["new", "fitted"])
def test_what_cannot_be_resumed_is_refused_and_changes_nothing(fitted, tmp_path):
    path, case = tmp_path / PATH, Case(SETTINGS["generator"])
    case.fit(case.new(callbacks=[Save(path, (12,), ())]))

    def new(**settings):
        model = case.new(**settings)
        return model.fit(X[:50, :3], CLASSES[:50] == "a") if fitted else model

    refused("accepted: that of <MLP 4-7-3", new(hidden_layer_sizes=(7,)), X, CLASSES, resume=path)
    refused("accepted: that of <MLP 3-6-3", new(), X[:, 1:], CLASSES, resume=path)
    refused("float32", new(), X.astype("float32"), CLASSES, resume=path)
    refused(r"classes \['a', 'b', 'c'\]; accepted: \[0, 1, 2\]", new(), X, np.arange(90) % 3, resume=path)
    refused("samples 90; accepted: 89", new(), X[1:], CLASSES[1:], resume=path)
    refused("early_stopping True; accepted: False", new(early_stopping=False), X, CLASSES, resume=path)
    refused("validation_fraction 0.1; accepted: 0.2", new(validation_fraction=0.2), X, CLASSES, resume=path)
    refused("batch_size is 21; accepted: 20", new(batch_size=21), X, CLASSES, resume=path)
    refused("shape", new(solver=optimizers.SGD()), X, CLASSES, resume=path)
    refused("resume is .* with solver 'lbfgs'; accepted with solvers", new(solver="lbfgs"), X, CLASSES, resume=path)
    regressor = MLPRegressor(hidden_layer_sizes=(6,), early_stopping=True)
    refused("accepted: that of <MLP 4-6-1", regressor, X, X[:, 0], resume=path)
    refused("inconsistent numbers of samples", new(), X, CLASSES[1:], resume=path)
    trainer = Trainer(MLP([4, 6, 3], "relu", "softmax", dtype="float64"))
    trainer.save(path)
    refused("no fit of an estimator; accepted: a file of Checkpoint", new(), X, CLASSES, resume=path)
    trainer.net.save(path)
    refused("has a network only", new(), X, CLASSES, resume=path)
    with pytest.raises(FileNotFoundError):
        case.fit(new(), resume=tmp_path / "none")


DAMAGES = {
    "no samples": lambda saved: saved["fit"].pop("samples"),
    "a text": lambda saved: saved["attributes"].update(t_="1"),
    "a negative count": lambda saved: saved["attributes"].update(_no_improvement_count=-1),
    "a curve of texts": lambda saved: saved["attributes"]["loss_curve_"].append("1"),
    "a huge number": lambda saved: saved["attributes"].update(best_validation_score_=10**400),
    "no curve": lambda saved: saved["attributes"].update(validation_scores_=None),
    "no rate": lambda saved: saved["rate"].update(learning_rate=None),
    "a place beyond the random numbers": lambda saved: saved["random"].__setitem__(2, 10**6),
    "too few random numbers": lambda saved: saved["split"][1].pop(),
    "random numbers of other kinds": lambda saved: saved["split"].__setitem__(1, ["1"] * 624),
    "another attribute": lambda saved: saved["attributes"].update(alpha="boo"),
    "an attribute less": lambda saved: saved["attributes"].pop("t_"),
    "another of the rate": lambda saved: saved["rate"].update(rate=5),
    "another generator": lambda saved: saved["split"].__setitem__(0, "PCG64"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_states_are_refused(damage, tmp_path):
    path, case = tmp_path / PATH, Case(SETTINGS["early stopping"])
    case.fit(case.new(max_iter=1, callbacks=[Save(path, (), (0,))]))
    with safetensors.safe_open(path, "numpy") as file:
        tensors, header = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    training = json.loads(header["training"])
    DAMAGES[damage](training["position"]["callbacks"][0][1])
    del header["checksum"]
    safetensors.numpy.save_file(tensors, path, header | {"training": json.dumps(training)})
    refused("damaged training state", case.new(), X, CLASSES, resume=path)
