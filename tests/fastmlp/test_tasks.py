"""scikit-learn's callbacks in fits of the estimators: tasks, what they get, how they stop a fit, and searches."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn.callback", reason="scikit-learn has no callbacks before 1.9")
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
CLASSES = np.array(["a", "b", "c"])[(X[:, 0] > 0) + (X[:, 1] > 0.3).astype(int)]
CLASSIFIER = MLPClassifier((5,), max_iter=4, random_state=0)
REGRESSOR = MLPRegressor(hidden_layer_sizes=(5,), max_iter=4, random_state=0)


class Noting:
    """Notes each call with the name of its task, and predictions after it; asks to stop at, or fails in, one task."""

    def __init__(self, stops=None, fails=None):
        self.calls, self.outputs, self.samples, self.stops, self.fails = [], [], None, stops, fails

    def note(self, event, context):
        self.calls.append(f"{event} {context.task_name} {context.task_id}")
        if self.calls[-1] == self.fails:
            raise RuntimeError("no more")

    def setup(self, estimator, context):
        self.note("setup", context)

    def teardown(self, estimator, context):
        self.note("teardown", context)

    def on_fit_task_begin(self, estimator, context):
        self.note("begin", context)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.note("end", context)
        self.samples = X, y, metadata
        self.fitted = fitted_estimator
        self.outputs.append(fitted_estimator and fitted_estimator.predict(X))
        return self.calls[-1] == self.stops


def tasks(name, count, last="end fit 0"):
    parts = [f"{event} {name} {i}" for i in range(count) for event in ("begin", "end")]
    return ["setup fit 0", "begin fit 0", *parts, last, "teardown fit 0"]


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(("model", "y"), [(CLASSIFIER, CLASSES), (REGRESSOR, X[:, :2])])
def test_a_fit_is_a_task_with_one_for_each_epoch_or_iteration(model, y, solver):
    noting, name = Noting(), "iteration" if solver == "lbfgs" else "epoch"
    model = clone(model).set_params(solver=solver).set_callbacks(noting)
    alone = clone(model).set_callbacks().fit(X, y)
    model.fit(X, y)
    assert noting.calls == tasks(name, 4)
    assert all((a == b).all() for a, b in zip(model.coefs_, alone.coefs_, strict=True))
    assert (noting.outputs[-1] == alone.predict(X)).all()
    early = clone(alone).set_params(max_iter=2).fit(X, y)
    assert (noting.outputs[1] == early.predict(X)).all()
    assert noting.samples[0] is X
    assert noting.samples[2] is None
    assert "_callback_fit_ctx" not in vars(model)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_callback_can_stop_a_fit(solver):
    name = "iteration" if solver == "lbfgs" else "epoch"
    noting = Noting(stops=f"end {name} 1")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = clone(REGRESSOR).set_params(solver=solver).set_callbacks(noting).fit(X, X[:, 0])
    assert model.n_iter_ == 2
    assert noting.calls == tasks(name, 2)
    assert (model.predict(X) == noting.outputs[-1]).all()


@pytest.mark.parametrize("fails", ["setup fit 0", "begin epoch 1", "end epoch 1", "end fit 0"])
def test_after_a_callback_that_fails_the_others_are_torn_down(fails):
    noting = Noting(fails=fails)
    model = clone(CLASSIFIER).set_callbacks(noting)
    with pytest.raises(RuntimeError, match="no more"):
        model.fit(X, CLASSES)
    assert noting.calls[-2:] == [fails, "teardown fit 0"]
    noting.fails = None
    assert model.fit(X, CLASSES).n_iter_ == 4


def test_a_fit_that_is_refused_begins_no_task():
    noting = Noting()
    with pytest.raises(ValueError, match="max_iter"):
        clone(CLASSIFIER).set_params(max_iter=0).set_callbacks(noting).fit(X, CLASSES)
    with pytest.raises(ValueError, match="loss is 'hinge'"):
        clone(CLASSIFIER).set_params(loss="hinge").set_callbacks(noting).fit(X, CLASSES)
    assert noting.calls == []


def test_callbacks_get_the_samples_that_are_trained_on():
    pandas = pytest.importorskip("pandas")
    frame, y, weights = pandas.DataFrame(X, columns=list("abcd")), pandas.Series(CLASSES), np.arange(60.0)
    noting = Noting()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = clone(CLASSIFIER).set_params(early_stopping=True).set_callbacks(noting).fit(frame, y, weights)
    given, labels, metadata = noting.samples
    assert list(given.columns) == list("abcd")
    assert len(given) == 54
    assert (labels == y[given.index]).all()
    assert (metadata["sample_weight"] == weights[given.index]).all()
    assert (noting.outputs[-1] == model.predict(given)).all()
    assert [len(curve) for curve in (noting.fitted.loss_curve_, noting.fitted.validation_scores_)] == [4, 4]


def test_an_epoch_that_is_interrupted_ends_its_task():
    class Interrupt:
        def on_slice_end(self, trainer, samples, loss):
            if trainer.history.loss:
                raise KeyboardInterrupt

    noting = Noting()
    model = clone(CLASSIFIER).set_params(callbacks=[Interrupt()]).set_callbacks(noting)
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X, CLASSES)
    assert noting.calls == tasks("epoch", 2)
    assert noting.outputs[1] is None


@pytest.mark.parametrize("event", ["on_slice_end", "on_epoch_end"])
def test_a_resumed_fit_has_tasks_for_the_epochs_that_are_left(tmp_path, event):
    path, noting = tmp_path / "state", Noting()
    save = SimpleNamespace(is_last=True)
    setattr(save, event, lambda trainer, *_: trainer.save(path) if len(trainer.history.loss) == 2 else None)
    model = clone(CLASSIFIER).set_params(callbacks=[save]).fit(X, CLASSES)
    save.__dict__.pop(event)
    save.on_fit_end = lambda trainer: None
    model.set_callbacks(noting).fit(X, CLASSES, resume=path)
    assert noting.calls == tasks("epoch", 2)


def test_a_partial_fit_has_no_tasks():
    noting = Noting()
    clone(CLASSIFIER).set_callbacks(noting).partial_fit(X, CLASSES, classes=["a", "b", "c"])
    assert noting.calls == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_monitor_scores_each_epoch_in_pipelines_and_searches(jobs):
    joblib, monitor = pytest.importorskip("joblib"), ScoringMonitor(scoring="accuracy")
    search = GridSearchCV(make_pipeline(StandardScaler(), clone(CLASSIFIER).set_callbacks(monitor)), {}, cv=2)
    with joblib.parallel_config("threading", n_jobs=jobs):
        search.fit(X, CLASSES)
    logs = monitor.get_logs("all")
    rows = [row for log in logs for row in log.data if row["task_name"] == "epoch"]
    assert len(rows) == 3 * 4
    last = [row["accuracy"] for row in rows if row["task_id"] == 3]
    assert search.score(X, CLASSES) in last
