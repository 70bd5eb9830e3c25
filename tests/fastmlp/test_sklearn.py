"""The estimators against scikit-learn's: the same training up to rounding, the same contracts, and what is new."""

import copy
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from fastmlp_kernels import custom

from fastmlp import MLP, register_activation, schedules
from fastmlp.threads import available, limited

pytest.importorskip("sklearn")
import sklearn.neural_network
from sklearn.base import clone
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from fastmlp.sklearn import MLPClassifier, MLPRegressor, held_out
from fastmlp.sklearn.scoring import represent_classes

ROOT = Path(__file__).resolve().parents[2]
DIGITS, NUMBERS = load_digits(return_X_y=True)
DIGITS, NUMBERS = DIGITS[:300] / 16, NUMBERS[:300]
TWO = np.c_[NUMBERS, -NUMBERS].astype(float)
MANY = make_multilabel_classification(200, 12, random_state=0)
WEIGHTS = np.random.default_rng(0).integers(0, 4, 300).astype(float)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@parametrize_with_checks([MLPClassifier(max_iter=100), MLPRegressor(max_iter=100)])
def test_checks_of_scikit_learn(estimator, check):
    if (
        check.func.__name__ == "check_sample_weight_equivalence_on_dense_data"
    ):  # with what scikit-learn sets for its own
        lbfgs, estimator = isinstance(estimator, MLPClassifier), clone(estimator)
        estimator.set_params(**{"solver": "lbfgs"} if lbfgs else {"solver": "sgd", "tol": 1e-2, "random_state": 42})
    check(estimator)


@pytest.mark.outer
def test_scikit_learns_own_tests_pass_with_these_classes():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.sklearn_plugin.swap", "--pyargs"]
    module = "sklearn.neural_network.tests.test_mlp"
    done = subprocess.run([*command, module], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 xfailed" in done.stdout


# ------------------------------------------------------------------------------------ the same training as scikit-learn

COURSES = {
    "adam": ("MLPClassifier", DIGITS, NUMBERS, {}),
    "momentum": ("MLPClassifier", DIGITS, NUMBERS, {"solver": "sgd", "nesterovs_momentum": False, "batch_size": 77}),
    "inverse scaling": ("MLPRegressor", DIGITS, NUMBERS, {"solver": "sgd", "learning_rate": "invscaling"}),
    "adaptive": (
        "MLPClassifier", DIGITS, NUMBERS,
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 1},
    ),
    "early stopping": ("MLPClassifier", DIGITS, NUMBERS > 4, {"early_stopping": True, "activation": "logistic"}),
    "several outputs": ("MLPRegressor", DIGITS, TWO, {"early_stopping": True, "alpha": 1.0, "activation": "tanh"}),
    "several labels": ("MLPClassifier", *MANY, {"shuffle": False, "batch_size": 64}),
    "Poisson": ("MLPRegressor", DIGITS, NUMBERS, {"loss": "poisson", "activation": "identity", "alpha": 0.1}),
    "lbfgs": ("MLPClassifier", DIGITS, NUMBERS, {"solver": "lbfgs"}),
    "lbfgs of several outputs": ("MLPRegressor", DIGITS, TWO, {"solver": "lbfgs", "alpha": 0.1}),
}  # fmt: skip


def both(name, *data, weights=None, **settings):
    """The estimators of scikit-learn and of this library, fitted to the same."""
    return [
        getattr(module, name)(random_state=3, **settings).fit(*data, sample_weight=weights)
        for module in (sklearn.neural_network, sys.modules["fastmlp.sklearn"])
    ]


@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_training_follows_scikit_learns_up_to_rounding(course, weighted):
    name, x, y, settings = COURSES[course]
    theirs, ours = both(name, x, y, weights=WEIGHTS[: len(x)] if weighted else None, max_iter=15, **settings)
    close = {"rtol": 1e-6 if "lbfgs" in course else 1e-9, "atol": 1e-9}
    for attribute, value in vars(theirs).items():
        if attribute.endswith("_") and not attribute.startswith("_") and attribute not in ("coefs_", "intercepts_"):
            got = getattr(ours, attribute)
            if value is None or isinstance(value, str):
                assert got == value, attribute
            else:
                np.testing.assert_allclose(got, value, **close, err_msg=attribute)
    for got, expected in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(got, expected, **close)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), **close)


def test_partial_fit_follows_scikit_learns_after_a_fit_and_pickling():
    theirs, ours = (
        module.MLPClassifier(random_state=0) for module in (sklearn.neural_network, sys.modules["fastmlp.sklearn"])
    )
    for model in (theirs, ours):
        model.set_params(max_iter=2).fit(DIGITS, NUMBERS)
    for _ in range(3):
        ours = pickle.loads(pickle.dumps(ours))
        for model in (theirs, ours):
            model.partial_fit(DIGITS, NUMBERS)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)


FITS = {
    "again": [{}, {}, {"max_iter": 7}, {"max_iter": 2}],
    "other solvers": [{}, {"solver": "sgd"}, {"solver": "lbfgs"}, {"solver": "adam"}],
    "other rates": [{"solver": "sgd", "learning_rate": "adaptive", "tol": 9.0, "n_iter_no_change": 1}, {"alpha": 1.0}],
    "other batches": [{}, {"batch_size": 30, "shuffle": False}],
    "stopping twice": [{"early_stopping": True, "learning_rate_init": 0.1}, {"random_state": 5, "max_iter": 3}],
    "from new weights": [{}, {"warm_start": False}],
}


@pytest.mark.parametrize(("name", "labels"), [("MLPClassifier", NUMBERS % 3), ("MLPRegressor", TWO)])
@pytest.mark.parametrize("fits", FITS)
def test_warm_starts_are_scikit_learns(fits, name, labels):
    first, *others = FITS[fits]
    theirs, ours = both(name, DIGITS, labels, hidden_layer_sizes=(9,), warm_start=True, **{"max_iter": 4} | first)
    for settings in others:
        for model in theirs, ours:
            model.set_params(**settings).fit(DIGITS, labels)
        for attribute in ("n_iter_", "t_", "loss_", "best_loss_", "loss_curve_", "validation_scores_"):
            got, expected = (np.array(getattr(model, attribute), float) for model in (ours, theirs))
            np.testing.assert_allclose(got, expected, rtol=1e-6, err_msg=attribute)
        for got, expected in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"early_stopping": True}, {"early_stopping": False}),
        ({"early_stopping": False}, {"early_stopping": True}),
        ({"solver": "lbfgs"}, {"solver": "adam"}),
        ({"solver": "lbfgs"}, {"solver": "sgd", "early_stopping": True}),
    ],
)
def test_a_warm_start_may_watch_what_the_last_fit_did_not(kind, before, after):
    model = kind(max_iter=3, warm_start=True, random_state=0, **before).fit(DIGITS, NUMBERS)
    first = model._net.params.copy()
    model.set_params(**after, max_iter=2).fit(DIGITS, NUMBERS)
    assert model.n_iter_ == 2
    assert len(model.loss_curve_) == (2 if "solver" in before else 5)
    assert (model.validation_scores_ is None) == (model.best_validation_score_ is None) == (not model.early_stopping)
    assert (model.best_loss_ is None) == model.early_stopping
    assert not np.array_equal(model._net.params, first)


def test_a_warm_start_without_a_better_epoch_keeps_the_best_weights():
    settings = {"early_stopping": True, "warm_start": True, "max_iter": 5, "random_state": 0}
    model = MLPClassifier(learning_rate_init=0.01, **settings).fit(DIGITS, NUMBERS)
    kept = model._net.params.copy()
    for _ in range(2):
        model.set_params(learning_rate_init=10.0).fit(DIGITS, NUMBERS)
        np.testing.assert_array_equal(model._net.params, kept)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_fit_that_is_refused_leaves_the_estimator_as_it_was(solver):
    settings = {"solver": solver, "max_iter": 2, "random_state": 0}
    for kind, y in (MLPClassifier, NUMBERS % 3), (MLPRegressor, NUMBERS):
        model, fresh = kind(hidden_layer_sizes=(5,), warm_start=True, **settings).fit(DIGITS, y), kind(alpha=-1.0)
        before = pickle.dumps(model)
        with pytest.raises(ValueError, match="alpha"):
            fresh.fit(DIGITS, y)
        assert not hasattr(fresh, "n_features_in_")
        for changed in {"hidden_layer_sizes": (5, 5)}, {"hidden_layer_sizes": (7,)}:
            with pytest.raises(ValueError, match=r"^hidden_layer_sizes is \[.*\]; accepted: \[5\], as weights"):
                model.set_params(**changed).fit(DIGITS, y)
        model.set_params(hidden_layer_sizes=(5,))
        for data in (DIGITS, np.c_[y, y] / 7), (DIGITS[:, 1:], y), (DIGITS, y[1:]):
            with pytest.raises(ValueError, match=r"y has|features|y is|inconsistent|sparse multilabel|classes|Unknown"):
                model.fit(*data)
        assert pickle.dumps(model) == before


def test_parameters_are_scikit_learns_and_more():
    for ours, theirs in (
        (MLPClassifier(), sklearn.neural_network.MLPClassifier()),
        (MLPRegressor(), sklearn.neural_network.MLPRegressor()),
    ):
        assert theirs.get_params().items() <= ours.get_params().items()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_float32_is_kept(solver):
    model = MLPRegressor(solver=solver, max_iter=5).fit(DIGITS.astype("float32"), NUMBERS)
    assert {a.dtype.name for a in [*model.coefs_, *model.intercepts_, model.predict(DIGITS.astype("float32"))]} == {
        "float32"
    }


# ---------------------------------------------------------------------------------------------------- weights that move


@pytest.mark.parametrize("labels", [NUMBERS, NUMBERS > 4, NUMBERS.astype(str)], ids=["many", "two", "text"])
def test_weights_move_to_and_from_scikit_learn(labels):
    theirs, ours = both("MLPClassifier", DIGITS, labels, max_iter=5)
    for model, moved in ((theirs, MLPClassifier.from_sklearn(theirs)), (ours, ours.to_sklearn())):
        np.testing.assert_allclose(moved.predict_proba(DIGITS), model.predict_proba(DIGITS), rtol=1e-12)
        assert (moved.predict(DIGITS) == model.predict(DIGITS)).all()
        moved.partial_fit(DIGITS, labels)
    with pytest.raises(TypeError, match="model is MLPRegressor; accepted: scikit-learn's MLPClassifier"):
        MLPClassifier.from_sklearn(sklearn.neural_network.MLPRegressor())
    with pytest.raises(ValueError, match="activation is 'gelu'"):
        MLPClassifier((5,), "gelu", max_iter=1).fit(DIGITS, labels).to_sklearn()


def test_regressors_move_too():
    theirs, ours = both("MLPRegressor", DIGITS, TWO, max_iter=5)
    for model, moved in ((theirs, MLPRegressor.from_sklearn(theirs)), (ours, ours.to_sklearn())):
        np.testing.assert_allclose(moved.predict(DIGITS), model.predict(DIGITS), rtol=1e-12, atol=1e-15)


def test_training_of_the_moved_leaves_the_source_as_it_was():
    for model in both("MLPClassifier", DIGITS, NUMBERS, max_iter=2):
        ours = isinstance(model, MLPClassifier)
        moved = model.to_sklearn() if ours else MLPClassifier.from_sklearn(model)
        moved.partial_fit(DIGITS, NUMBERS)
        assert (len(moved.loss_curve_), len(model.loss_curve_)) == (3, 2)


@pytest.mark.parametrize(("activation", "moved"), [("gelu", "relu"), ([], "relu"), ("tanh", "tanh")])
def test_without_hidden_layers_any_activation_moves(activation, moved):
    model = MLPRegressor(hidden_layer_sizes=(), activation=activation, max_iter=2).fit(DIGITS, NUMBERS)
    theirs = model.to_sklearn()
    assert theirs.activation == moved
    np.testing.assert_allclose(theirs.predict(DIGITS), model.predict(DIGITS), rtol=1e-12, atol=1e-15)


def test_copies_and_replaced_weights_count():
    model = MLPRegressor(max_iter=5).fit(DIGITS, NUMBERS)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert (other.predict(DIGITS) == model.predict(DIGITS)).all()
        other.coefs_[0][...] = 0
        assert len(set(other.predict(DIGITS))) == 1
        other.coefs_ = [coef.copy() for coef in model.coefs_]
        assert (other.predict(DIGITS) == model.predict(DIGITS)).all()
    assert not hasattr(clone(model), "coefs_")


# -------------------------------------------------------------------------------------------------------- what is new


def test_early_stopping_watches_any_scorer():
    settings = {"early_stopping": True, "max_iter": 8, "random_state": 0}
    for scoring in ("roc_auc", "neg_log_loss", lambda model, x, y: model.score(x, y)):
        model = MLPClassifier(scoring=scoring, **settings).fit(DIGITS, NUMBERS > 4)
        assert len(model.validation_scores_) == 8
        assert model.best_validation_score_ == max(model.validation_scores_)
    model = MLPClassifier(scoring="loss", **settings).fit(DIGITS, NUMBERS)
    np.testing.assert_allclose(model.validation_scores_, -np.array(model.validation_loss_curve_))
    negative = MLPClassifier(scoring="neg_log_loss", **settings).fit(DIGITS, NUMBERS)
    np.testing.assert_allclose(negative.validation_scores_, model.validation_scores_, rtol=1e-9)


@pytest.mark.parametrize(
    ("model", "targets", "scoring"),
    [
        (MLPClassifier, NUMBERS, "accuracy"),
        (MLPClassifier, np.eye(10, dtype=int)[NUMBERS] | (NUMBERS[:, None] == 0), "accuracy"),
        (MLPRegressor, TWO, "r2"),
        (MLPRegressor, np.c_[TWO, np.ones(300)], "r2"),
    ],
)
def test_the_default_scores_are_those_of_score(model, targets, scoring):
    found, expected = (
        model(early_stopping=True, max_iter=8, random_state=0, scoring=name).fit(DIGITS, targets, WEIGHTS + 1)
        for name in (None, scoring)
    )
    np.testing.assert_allclose(found.validation_scores_, expected.validation_scores_, rtol=1e-9)


RARE = np.r_[np.repeat(["common", "second"], 60), ["rare"] * 2, ["lone"]]
TARGETS = {
    "text": RARE,
    "whole numbers": np.unique(RARE, return_inverse=True)[1] * 7 - 5,
    "two": np.where(RARE == "rare", 3, -1),
    "two, one of them once": RARE == "lone",
    "several labels": np.c_[RARE == "rare", RARE == "lone", RARE == "common"].astype(int),
}


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("weights", ["none", "of samples", "of classes"])
def test_scorers_of_probabilities_meet_every_class(targets, weights):
    y, x = TARGETS[targets], np.random.default_rng(1).normal(size=(len(RARE), 3))
    labels = y.ndim == 2 or len(set(y)) == 2
    sample_weight = np.arange(len(y)) % 3 if weights == "of samples" else None
    class_weight = "balanced" if weights == "of classes" else None
    scorings = ["roc_auc" if labels else "roc_auc_ovr", lambda model, x, y: model.predict_proba(x).mean()]
    scorings += [] if y.ndim == 2 else ["neg_log_loss"]
    settings = {"early_stopping": True, "max_iter": 2, "threads": 1, "class_weight": class_weight}
    for scoring in scorings:
        for seed in range(3):
            model = MLPClassifier((2,), scoring=scoring, random_state=seed, **settings).fit(x, y, sample_weight)
            assert np.isfinite(model.validation_scores_).all()


VALIDATION = {
    "classes": (MLPClassifier, NUMBERS),
    "two": (MLPClassifier, NUMBERS > 4),
    "labels": (MLPClassifier, np.c_[NUMBERS > 4, NUMBERS % 2, NUMBERS == 0].astype(int)),
    "numbers": (MLPRegressor, NUMBERS.astype(float)),
    "pairs": (MLPRegressor, TWO),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize(("kind", "y"), VALIDATION.values(), ids=VALIDATION)
def test_samples_for_validation_take_the_place_of_a_share(kind, y, weighted, monkeypatch):
    """The same samples give the same scores, whether they are held out or given; the batches come in one order."""
    train, out = np.split(np.random.default_rng(0).permutation(300), [270])
    monkeypatch.setattr(held_out, "split", lambda *_: (train, out))
    settings = {"early_stopping": True, "max_iter": 3, "random_state": 0, "hidden_layer_sizes": (8,), "shuffle": False}
    split = kind(**settings).fit(DIGITS, y, WEIGHTS + 1 if weighted else None)
    weights = {"sample_weight": WEIGHTS[train] + 1, "sample_weight_val": WEIGHTS[out] + 1} if weighted else {}
    model = kind(**settings).fit(DIGITS[train], y[train], X_val=DIGITS[out], y_val=y[out], **weights)
    assert model.validation_loss_curve_ == split.validation_loss_curve_
    assert model.validation_scores_ == split.validation_scores_
    np.testing.assert_array_equal(model.coefs_[0], split.coefs_[0])


def test_weights_of_classes_are_the_same_for_training_and_validation():
    y, rare = np.r_[np.zeros(90, int), np.ones(10, int)], np.r_[np.zeros(5, int), np.ones(5, int)]
    curves = []
    for weight, weights in (("balanced", None), ({0: 100 / 180, 1: 5.0}, None), (None, [100 / 180] * 5 + [5.0] * 5)):
        model = MLPClassifier((4,), class_weight=weight, early_stopping=True, max_iter=1, random_state=0)
        sample_weight = np.where(y, 5.0, 100 / 180) if weight is None else None
        model.fit(DIGITS[:100], y, sample_weight, X_val=DIGITS[100:110], y_val=rare, sample_weight_val=weights)
        curves.append(model.validation_loss_curve_)
    assert curves[0] == curves[1] == curves[2]


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        ({}, {"X_val": DIGITS}, "y_val is None with X_val"),
        ({}, {"sample_weight_val": WEIGHTS, "y_val": NUMBERS}, "X_val is None with y_val"),
        ({"early_stopping": False}, {"X_val": DIGITS, "y_val": NUMBERS}, "early_stopping False; accepted: True"),
        ({"solver": "lbfgs"}, {"X_val": DIGITS, "y_val": NUMBERS}, "X_val is given with solver 'lbfgs'"),
        ({}, {"X_val": DIGITS, "y_val": NUMBERS + 5}, r"y_val has classes \[10 11 12 13 14\]"),
        ({}, {"X_val": DIGITS, "y_val": TWO}, r"y_val has shape \(300, 2\) where y has \(300,\)"),
        ({}, {"X_val": DIGITS[:, 1:], "y_val": NUMBERS}, "63 features"),
        ({}, {"X_val": DIGITS[1:], "y_val": NUMBERS}, "inconsistent numbers of samples"),
        ({}, {"X_val": [[10**400] * 64], "y_val": [1]}, "^X_val is about"),
    ],
)
def test_samples_for_validation_that_do_not_fit_are_refused_and_leave_the_estimator(settings, given, message):
    model = MLPClassifier(**{"early_stopping": True} | settings)
    with pytest.raises(ValueError, match=message):
        model.fit(DIGITS, NUMBERS, **given)
    assert not hasattr(model, "coefs_")


def test_a_pipeline_transforms_samples_for_validation():
    shifted = DIGITS * 7 + 3
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier((8,), early_stopping=True, max_iter=2, random_state=0)
        model.set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
        curves = [
            pipeline.fit(x, NUMBERS, X_val=x[:50], y_val=NUMBERS[:50])[-1].validation_loss_curve_
            for x in (DIGITS, shifted)
        ]
    np.testing.assert_allclose(*curves, rtol=1e-6)


def test_all_samples_are_trained_on_or_held_out_but_the_only_one_of_a_class_is_both():
    classes, places = np.r_[np.zeros(8), [1, 1, 2]][:, None], np.arange(11)
    train, held = represent_classes(places[2:], places[:2], classes, None)
    assert sorted(train) == [2, 3, 4, 5, 6, 7, 9, 10]
    assert sorted(held) == [0, 1, 8, 10]
    weightless = represent_classes(places[2:], places[:2], classes, 1.0 * (places != 8))
    assert sorted(weightless[1]) == [0, 1, 9, 10]
    unchanged = represent_classes(train, held, classes, None)
    assert all(map(np.array_equal, unchanged, (train, held)))


def test_a_scorer_that_gives_no_number_is_an_error():
    settings = {"early_stopping": True, "max_iter": 2, "random_state": 0}
    never = np.c_[NUMBERS > 4, NUMBERS > 7, np.zeros(300, int)]  # a label that does not occur
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"^scoring is 'roc_auc', whose scores are nan; accepted: finite"):
            MLPClassifier(scoring="roc_auc", **settings).fit(DIGITS, never)


def test_warnings_name_the_caller():
    class Interrupts:
        def on_epoch_end(self, trainer, epoch):
            raise KeyboardInterrupt

    for settings in {"batch_size": 1000}, {"callbacks": [Interrupts()]}:
        with pytest.warns(UserWarning, match=r"clipped|interrupted") as caught:
            MLPRegressor(max_iter=2, **settings).fit(DIGITS, NUMBERS)
        assert caught[0].filename == __file__


def test_scorers_without_weights_are_called_without():
    settings = {"early_stopping": True, "max_iter": 2, "random_state": 0}
    model = MLPRegressor(scoring="neg_max_error", **settings).fit(DIGITS, NUMBERS, sample_weight=WEIGHTS)
    assert max(model.validation_scores_) < 0


@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "adamw", "weight_decay": 0.1},
        {"learning_rate": schedules.Cosine(0.02, epochs=20), "learning_rate_init": 1.0},
        {"clip_norm": 0.1},
        {"hidden_layer_sizes": (20, 20), "activation": ("gelu", "tanh"), "threads": 1},
        {"dropout": 0.2},
        {"loss": "focal"},
        {"label_smoothing": 0.1},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_what_is_new_changes_training_and_still_learns(settings):
    plain, model = (
        MLPClassifier(**{"learning_rate_init": 0.01, "max_iter": 20, "random_state": 0, **extra}).fit(DIGITS, NUMBERS)
        for extra in ({}, settings)
    )
    assert model.score(DIGITS, NUMBERS) > 0.85
    assert model.loss_curve_ != plain.loss_curve_


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile"])
def test_regressors_take_further_losses(loss):
    model = MLPRegressor(loss, max_iter=100, learning_rate_init=0.01, random_state=0).fit(DIGITS, NUMBERS)
    assert model.score(DIGITS, NUMBERS) > 0.8


def test_class_weights_are_sample_weights():
    settings, weights = {"max_iter": 5, "random_state": 0}, {True: 3.0, False: 1.0}
    balanced, by_class = (
        MLPClassifier(class_weight=weight, **settings).fit(DIGITS, NUMBERS == 3) for weight in ("balanced", weights)
    )
    by_sample = MLPClassifier(**settings).fit(DIGITS, NUMBERS == 3, sample_weight=1 + 2 * (NUMBERS == 3))
    np.testing.assert_allclose(by_class.loss_curve_, by_sample.loss_curve_, rtol=1e-12)
    assert balanced.predict(DIGITS).sum() > by_class.predict(DIGITS).sum()
    with pytest.raises(ValueError, match="class_weight is 'balanced', for which all samples"):
        MLPClassifier(class_weight="balanced").partial_fit(DIGITS, NUMBERS, classes=np.arange(10))


def test_lbfgs_says_how_far_it_is_and_refuses_what_needs_batches(capsys):
    model = MLPRegressor(solver="lbfgs", max_iter=3, verbose=True, random_state=0).fit(DIGITS, NUMBERS)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"Iteration {i}" for i in (1, 2, 3)]
    assert float(lines[-1].split()[-1]) == pytest.approx(model.loss_, abs=1e-7)
    for setting in ({"dropout": 0.5}, {"clip_norm": 1.0}, {"callbacks": [object()]}):
        with pytest.raises(ValueError, match=f"{next(iter(setting))} is .* with solver 'lbfgs'; accepted"):
            MLPRegressor(solver="lbfgs", **setting).fit(DIGITS, NUMBERS)


@pytest.mark.parametrize("threads", [1, 1000])
def test_predictions_keep_to_the_threads_or_to_all_there_are(threads, monkeypatch):
    used = []
    predict = MLP.predict
    monkeypatch.setattr(MLP, "predict", lambda *arguments: used.append(available()) or predict(*arguments))
    before = available()
    MLPRegressor(max_iter=1, threads=threads).fit(DIGITS, NUMBERS).predict(DIGITS)
    assert used == [min(threads, before)]
    assert available() == before


@pytest.mark.parametrize("limit", [1, 1000])
def test_limits_of_threadpoolctl_hold(limit):
    before = available()
    with threadpool_limits(limit), limited(1000):
        assert available() == min(limit, before)
    assert available() == before


def test_schedules_count_epochs_of_a_fit_and_of_all_partial_fits():
    rates, schedule = [], schedules.Cosine(0.02, epochs=6)
    note = type(
        "Note", (), {"on_epoch_end": lambda self, trainer, epoch: rates.append(trainer.history.learning_rate[-1])}
    )
    model = MLPRegressor(learning_rate=schedule, callbacks=[note()], max_iter=4).fit(DIGITS, NUMBERS)
    for _ in range(2):
        model.partial_fit(DIGITS, NUMBERS)
    assert rates == [schedule.rate(epoch, []) for epoch in range(6)]


def test_callbacks_are_called_in_a_fit():
    class Stopper:
        def on_epoch_end(self, trainer, epoch):
            return epoch == 2

    model = MLPClassifier(callbacks=[Stopper()])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        assert len(model.fit(DIGITS, NUMBERS).loss_curve_) == model.n_iter_ == 3


# ---------------------------------------------------------------------------------------------------------- processes


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_a_grid_search_in_processes_finds_what_one_process_finds(backend):
    joblib = pytest.importorskip("joblib")
    MLPClassifier((200,), max_iter=1).fit(
        np.tile(DIGITS, (10, 1)), np.tile(NUMBERS, 10)
    )  # threads are there, before a fork
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((30,), max_iter=5, random_state=0))
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1.0]}, cv=2)
    alone = clone(search).fit(DIGITS, NUMBERS).cv_results_["mean_test_score"]
    with joblib.parallel_config(backend, n_jobs=2):
        shared = search.fit(DIGITS, NUMBERS).cv_results_["mean_test_score"]
    assert (shared == alone).all()


def test_workers_of_loky_share_the_cores():
    joblib = pytest.importorskip("joblib")
    cores = joblib.cpu_count()
    (threads,) = set(joblib.Parallel(2)(joblib.delayed(available)() for _ in range(2)))
    assert threads <= max(1, cores // 2)


def test_workers_of_loky_get_what_is_registered():
    def compute(_, z):
        return custom.registered["activation", "own"]["value"](z)

    joblib = pytest.importorskip("joblib")
    for factor in 2.0, 3.0:
        register_activation("own", lambda z, factor=factor: factor * z, lambda z, factor=factor: factor)
        assert set(joblib.Parallel(2)(joblib.delayed(compute)(MLPRegressor(), 5.0) for _ in range(4))) == {5 * factor}


def test_without_scikit_learn_the_message_says_what_to_install():
    script = "import sys; sys.modules['sklearn'] = None; import fastmlp; import fastmlp.sklearn"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert "fastmlp.sklearn needs scikit-learn" in done.stderr
    assert "pip install 'fastmlp[sklearn]'" in done.stderr


def test_an_older_scikit_learn_is_named():
    script = "import sklearn; sklearn.__version__ = '1.6.1'; import fastmlp.sklearn"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert "fastmlp.sklearn needs scikit-learn 1.7 or newer, found 1.6.1" in done.stderr


@pytest.mark.parametrize("sizes", [(10.9,), [5.5, 3.2], (10.0,), True, ("7",), 2.0])
def test_hidden_layers_of_no_whole_size_are_refused(sizes):
    for kind in MLPClassifier, MLPRegressor:
        with pytest.raises((TypeError, ValueError), match="hidden_layer_sizes"):
            kind(hidden_layer_sizes=sizes).fit(DIGITS, NUMBERS > 0)


def test_whole_numbers_beyond_float64_are_refused_with_their_position():
    bad, beyond = [[0.0, 10**400]] * 3, r" is about 10\*\*400 at position \({}\); accepted: finite float64 values"
    for kind in MLPClassifier, MLPRegressor:
        with pytest.raises(ValueError, match="^X" + beyond.format("0, 1")):
            kind().fit(bad, [0, 1, 1])
        with pytest.raises(ValueError, match="^sample_weight" + beyond.format("1")):
            kind().fit([[0], [1], [2]], [0, 1, 1], sample_weight=[1, 10**400, 1])
        with pytest.raises(ValueError, match="^X" + beyond.format("0, 1")):
            kind(max_iter=1).fit(np.eye(2), [0, 1]).predict(bad)
    with pytest.raises(ValueError, match="^y" + beyond.format("2")):
        MLPRegressor().fit([[0], [1], [2]], [0, 1, 10**400])
    with pytest.raises(ValueError, match="^class_weight" + beyond.format("1")):
        MLPClassifier(class_weight={0: 1, 1: 10**400}).fit([[0], [1], [2]], [0, 1, 1])
    for name in "alpha", "learning_rate_init", "tol":
        with pytest.raises(ValueError, match=rf"^{name} is about 10\*\*5000; accepted: a number in "):
            MLPRegressor(**{name: 10**5000}).fit([[0], [1]], [0, 1])
    with pytest.raises(TypeError, match=r"^hidden_layer_sizes is \(3, about 10\*\*5000\); accepted: whole numbers"):
        MLPRegressor(hidden_layer_sizes=(3, 10**5000)).fit([[0], [1]], [0, 1])
    with pytest.raises(ValueError, match=r"^sizes is \(1, 9223372036854775808, 1\); accepted"):
        MLPRegressor(hidden_layer_sizes=[2**63]).fit([[0], [1]], [0, 1])


@pytest.mark.parametrize("bits", [64, 70, 20_000])
def test_labels_of_more_than_64_bits_are_refused_in_one_line(bits):
    with pytest.raises(
        ValueError, match=r"^Unknown label type: y is .*; accepted: strings, or whole numbers of 64 bits$"
    ):
        MLPClassifier().fit([[0], [1], [2]], [0, 1, 2**bits])


@pytest.mark.parametrize("label", [-(2**63), 2**64 - 1])
def test_labels_at_the_ends_of_64_bits_are_learnt(label):
    y = np.array([label, 1] * 20, np.uint64 if label > 0 else np.int64)
    x = np.repeat((y == label)[:, None], 2, axis=1) * 2.0 - 1
    model = MLPClassifier(early_stopping=True, scoring="neg_log_loss", learning_rate_init=0.1, random_state=0).fit(x, y)
    assert model.predict(x).tolist() == y.tolist()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_what_is_handed_to_scikit_learn_can_be_trained_further(early_stopping):
    X = np.random.default_rng(0).normal(size=(200, 4))
    y = (X[:, 0] > 0).astype(int)
    X[:, 0] += 3 * np.sign(X[:, 0])  # easy: no epoch can exceed the best validation score, 1
    settings = {"early_stopping": early_stopping, "warm_start": True, "max_iter": 60, "random_state": 0}
    model = MLPClassifier(**settings).fit(X, y).to_sklearn().set_params(max_iter=3).fit(X, y)
    assert model.score(X, y) == 1


@pytest.mark.parametrize("activation", ["tanh", "logistic", "identity", ("tanh",)])
def test_a_changed_activation_counts_before_and_after_pickling(activation):
    X = np.random.default_rng(0).normal(size=(90, 4))
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.3)
    settings = {"max_iter": 30, "random_state": 2, "warm_start": True}
    model, theirs = (kind((6,), **settings).fit(X, y) for kind in (MLPClassifier, sklearn.neural_network.MLPClassifier))
    model.set_params(activation=activation)
    theirs.set_params(activation=activation if isinstance(activation, str) else activation[0])
    for _ in "changed", "trained on":
        np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)
        for copied in pickle.loads(pickle.dumps(model)), copy.deepcopy(model):
            np.testing.assert_array_equal(copied.predict_proba(X), model.predict_proba(X))
        model.fit(X, y), theirs.fit(X, y)
