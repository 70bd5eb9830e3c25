"""Metrics: against scikit-learn's, and as recorded by training."""

import numpy as np
import pytest

from fastmlp import MLP, Trainer
from fastmlp.metrics import METRICS

reference = pytest.importorskip("sklearn.metrics")
RNG = np.random.default_rng(0)


def samples(classes, rows=200):
    """Labels, and outputs that favor them, with ties."""
    labels = RNG.integers(0, classes, rows)
    outputs = np.round(RNG.random((rows, classes)) + 0.5 * np.eye(classes)[labels], 1) + 0.05
    return labels, (outputs / outputs.sum(1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("form", ["labels", "one-hot"])
@pytest.mark.parametrize("classes", [2, 5])
def test_metrics_of_classes_are_those_of_scikit_learn(classes, form):
    labels, outputs = samples(classes)
    areas = [reference.roc_auc_score(labels == k, outputs[:, k]) for k in range(classes)]
    probabilities = outputs / outputs.astype(float).sum(1, keepdims=True)
    expected = {
        "accuracy": reference.accuracy_score(labels, outputs.argmax(1)),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, outputs.argmax(1)),
        "auc": areas[1] if classes == 2 else np.mean(areas),
        "log_loss": reference.log_loss(labels, probabilities),
    }
    y = labels if form == "labels" else np.eye(classes)[labels]
    for name, value in expected.items():
        assert METRICS[name](y, outputs) == pytest.approx(value, rel=1e-5), name


def test_one_output_is_the_probability_of_the_second_class():
    labels, outputs = samples(2)
    for name in ("accuracy", "balanced_accuracy", "auc", "log_loss"):
        one = METRICS[name](labels[:, None].astype(np.float32), outputs[:, 1:])
        assert one == pytest.approx(METRICS[name](labels, outputs), rel=1e-5)


def test_metrics_of_quantities_are_those_of_scikit_learn():
    y, outputs = RNG.normal(size=(2, 50, 3))
    assert METRICS["r2"](y, outputs) == pytest.approx(reference.r2_score(y, outputs))
    assert METRICS["rmse"](y, outputs) == pytest.approx(reference.mean_squared_error(y, outputs) ** 0.5)
    assert METRICS["mae"](y, outputs) == pytest.approx(reference.mean_absolute_error(y, outputs))
    assert np.isnan(METRICS["r2"](np.ones((5, 1)), outputs[:5, :1]))


@pytest.mark.parametrize("factor", [2.0**900, 2.0**-900, 2.0**520, -(2.0**-540)])
def test_quantities_of_any_size_have_the_same_metrics(factor):
    y, outputs = RNG.normal(size=(2, 50, 1)) + 3
    assert METRICS["r2"](y * factor, outputs * factor) == METRICS["r2"](y, outputs)
    for name in ("rmse", "mae"):
        assert METRICS[name](y * factor, outputs * factor) / abs(factor) == METRICS[name](y, outputs)


def test_classes_that_do_not_occur_are_left_out():
    labels, outputs = samples(4)
    few = labels < 2
    labels, outputs = labels[few], outputs[few]
    expected = np.mean([reference.roc_auc_score(labels == k, outputs[:, k]) for k in (0, 1)])
    assert METRICS["auc"](labels, outputs) == pytest.approx(expected)
    assert np.isnan(METRICS["auc"](np.zeros(3, int), outputs[:3]))
    right = labels == outputs.argmax(1)
    mean = np.mean([right[labels == k].mean() for k in (0, 1)])
    assert METRICS["balanced_accuracy"](labels, outputs) == pytest.approx(mean)


def test_a_probability_of_zero_costs_a_finite_loss():
    assert 700 < METRICS["log_loss"](np.array([1]), np.array([[1.0, 0.0]], np.float32)) < 710


def test_rows_of_several_classes_are_refused():
    with pytest.raises(ValueError, match="several classes"):
        METRICS["accuracy"](np.array([[1, 1, 0]]), np.array([[0.1, 0.2, 0.7]]))


X = RNG.normal(size=(300, 4))
LABELS = (X[:, 0] > 0) + (X[:, 1] > 0.5).astype(int)
DATA = {"validation_fraction": 0.2}, {"validation_data": (X[:50], LABELS[:50])}


@pytest.mark.parametrize("data", DATA, ids=["held out", "given"])
def test_training_records_metrics_of_the_validation_samples(data):
    net = MLP([4, 8, 3], output_activation="softmax")
    seen = []

    def share(y, outputs):
        seen.append(outputs)
        return METRICS["accuracy"](y, outputs)

    history = Trainer(net, seed=3).fit(X, LABELS, 5, **data, metrics=["accuracy", "auc", share], progress=False)
    assert history.metrics.keys() == {"accuracy", "auc", "share"}
    assert history.metrics["share"] == history.metrics["accuracy"]
    assert [len(values) for values in history.metrics.values()] == [5, 5, 5]
    assert {len(outputs) for outputs in seen} == {60 if "validation_fraction" in data else 50}
    if "validation_data" in data:
        last = METRICS["auc"](LABELS[:50], net.predict(X[:50]))
        assert history.metrics["auc"][-1] == last
        np.testing.assert_array_equal(seen[-1], net.predict(X[:50]))
    assert history.to_dict()["val_auc"] == history.metrics["auc"]
    assert "val_auc" in repr(history)


def test_sparse_samples_have_metrics_too():
    scipy = pytest.importorskip("scipy.sparse")
    fits = [
        Trainer(MLP([4, 8, 3], output_activation="softmax")).fit(
            x, LABELS, 2, validation_fraction=0.2, metrics="auc", progress=False
        )
        for x in (X, scipy.csr_array(X))
    ]
    np.testing.assert_allclose(*(fit.metrics["auc"] for fit in fits), atol=1e-3)


@pytest.mark.parametrize(
    ("output", "given", "message"),
    [
        ("softmax", {"metrics": "auc"}, "without validation"),
        ("softmax", {"metrics": "acc", "validation_fraction": 0.1}, "did you mean 'accuracy'"),
        ("identity", {"metrics": ["auc"], "validation_fraction": 0.1}, "for classes, with identity outputs"),
    ],
)
def test_metrics_that_cannot_be_measured_are_refused(output, given, message):
    trainer = Trainer(MLP([4, 8, 3], output_activation=output))
    y = LABELS if output == "softmax" else np.eye(3)[LABELS]
    with pytest.raises(ValueError, match=message):
        trainer.fit(X, y, 1, **given, progress=False)
    assert not trainer.history.loss


def test_a_resumed_training_goes_on_with_its_metrics(tmp_path):
    def trainer():
        return Trainer(MLP([4, 8, 3], output_activation="softmax"))

    given = {"validation_fraction": 0.2, "metrics": ["auc"], "progress": False}
    whole, first = trainer(), trainer()
    whole.fit(X, LABELS, 4, **given)
    first.fit(X, LABELS, 2, **given)
    first.save(tmp_path / "half")
    resumed = trainer()
    resumed.fit(X, LABELS, 2, resume=tmp_path / "half", **given)
    assert resumed.history.metrics == whole.history.metrics


def test_metrics_of_scaled_targets_are_in_their_own_units():
    y = 1000 + 50 * X[:, :1]
    net = MLP([4, 8, 1], scale=True)
    history = Trainer(net).fit(X, y, 3, validation_data=(X[:50], y[:50]), metrics=["rmse", "r2"], progress=False)
    assert history.metrics["rmse"][-1] == pytest.approx(METRICS["rmse"](y[:50], net.predict(X[:50])), rel=1e-3)
    assert history.metrics["r2"][-1] == pytest.approx(METRICS["r2"](y[:50], net.predict(X[:50])), abs=1e-3)


@pytest.mark.parametrize(("first", "then"), [(["auc"], ["accuracy"]), (["auc"], []), ([], ["auc"])])
def test_a_fit_is_resumed_with_its_metrics_only(tmp_path, first, then):
    trainer, given = (
        Trainer(MLP([4, 8, 3], output_activation="softmax")),
        {"validation_fraction": 0.2, "progress": False},
    )
    trainer.fit(X, LABELS, 2, metrics=first, **given)
    trainer.save(tmp_path / "run")
    before = trainer.net.params.copy(), trainer.history.to_dict()
    with pytest.raises(ValueError, match=r"^metrics has .*; accepted: .*, as in the fit that is resumed"):
        trainer.fit(X, LABELS, 2, metrics=then, resume=True, **given)
    np.testing.assert_array_equal(trainer.net.params, before[0])
    assert trainer.history.to_dict() == before[1]
    trainer.fit(X, LABELS, 2, metrics=first, resume=True, **given)
    assert len(trainer.history.loss) == 4
    trainer.fit(X, LABELS, 1, metrics=then, **given)  # a new one


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([lambda y, a: 0, lambda y, a: 1], "'<lambda>', that of another one"),
        (["auc", "auc"], "'auc', that of another one"),
        ([type("loss", (), {"__call__": lambda self, y, a: 0})()], "'loss', that of the validation loss"),
    ],
)
def test_names_of_metrics_differ(metrics, message):
    trainer = Trainer(MLP([4, 8, 3], output_activation="softmax"))
    with pytest.raises(ValueError, match=message):
        trainer.fit(X, LABELS, 1, validation_fraction=0.2, metrics=metrics, progress=False)


@pytest.mark.parametrize("value", [None, "high", [1.0, 2.0]])
def test_a_metric_that_gives_no_number_is_named_and_changes_nothing(value):
    def mine(y, outputs):
        return value

    net = MLP([4, 8, 3], output_activation="softmax")
    trainer, before = Trainer(net), net.params.copy()
    with pytest.raises(TypeError, match=r"^metric mine returned .*; accepted: a number"):
        trainer.fit(X, LABELS, 1, validation_fraction=0.2, metrics=mine, progress=False)
    np.testing.assert_array_equal(net.params, before)
    assert trainer.history.metrics == {}
