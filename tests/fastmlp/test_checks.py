"""Bad input: an error that names the argument, what came and what is accepted, and nothing changed by it."""

import math
import re

import numpy as np
import pytest
from fastmlp_kernels.functions.activations import ACTIVATIONS

from fastmlp import MLP, Trainer, checks
from fastmlp.objective import Objective

RNG = np.random.default_rng(0)
X, Y, LABELS = RNG.normal(size=(40, 3)), RNG.uniform(size=(40, 2)), RNG.integers(0, 2, 40)


def changed(array, position, value, dtype=float):
    array = np.array(array, dtype)
    array[position] = value
    return array


def assert_refused(message, x=X, y=Y, error=ValueError, output="identity", loss="auto", **options):
    """`fit` raises the error, and leaves network and history as they were."""
    net = MLP([3, 4, 2], output_activation=output)
    trainer = Trainer(net, loss, batch_size=8)
    trainer.fit(X, LABELS if trainer.loss == "cross_entropy" else Y, 1, progress=False)
    before, history = net.params.tobytes(), trainer.history
    with pytest.raises(error, match=f"^{message}"):
        trainer.fit(x, y, 2, progress=False, **options)
    assert net.params.tobytes() == before
    assert trainer.history is history
    trainer.fit(X, LABELS if trainer.loss == "cross_entropy" else Y, 1, progress=False)
    assert np.isfinite(net.params).all()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X[:, :2], r"X has shape \(40, 2\); accepted: \(rows, 3\)"),
        (X[0], r"X has shape \(3,\); accepted: \(rows, 3\)"),
        (X[None], r"X has shape \(1, 40, 3\); accepted: \(rows, 3\)"),
        (1.0, r"X has shape \(\); accepted: \(rows, 3\)"),
        (X[:0], "X has no rows; accepted: at least one"),
        ([], r"X has shape \(0,\); accepted: \(rows, 3\)"),
    ],
)
def test_inputs_of_the_wrong_shape_are_refused(x, message):
    assert_refused(message, x)
    with pytest.raises(ValueError, match=f"^{message}"):
        MLP([3, 4, 2]).predict(x)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y[:39], r"y has shape \(39, 2\); accepted: 40 rows, as many as X"),
        (Y[:, :1], r"y has shape \(40, 1\); accepted: \(rows, 2\)"),
        (Y[:, 0], r"y has shape \(40,\); accepted: \(rows, 2\)"),
        (Y[:, :, None], r"y has shape \(40, 2, 1\); accepted: \(rows, 2\)"),
        (3, r"y has shape \(\); accepted: 40 rows"),
    ],
)
def test_targets_of_the_wrong_shape_are_refused(y, message):
    assert_refused(message, y=y)


def test_a_single_column_as_a_vector_gets_a_hint():
    with pytest.raises(ValueError, match=r"reshape\(-1, 1\)"):
        MLP([1, 1]).predict([1.0, 2.0])


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: np.array([["a", "b", "c"]]), "dtype <U1"),
        (lambda: X.astype(complex), "dtype complex128"),
        (lambda: np.array([[object(), 1, 2]]), "does not convert to float32"),
        (lambda: np.array([[1j, 1, 2]], object), "does not convert to float32"),
        (lambda: np.array([["2020-01-01"] * 3], "datetime64[D]"), "dtype datetime64"),
        (lambda: [[1.0, 2.0], [1.0, 2.0, 3.0]], "does not convert to float32"),
        (lambda: [{"a": 1}], "does not convert to float32"),
        (lambda: None, ""),
        (lambda: "data.csv", "dtype <U8"),
    ],
    ids=["strings", "complex", "objects", "complex-objects", "dates", "ragged", "dicts", "none", "path"],
)
def test_what_does_not_convert_to_numbers_is_refused(make, shown):
    assert_refused(f"X .*{shown}.*; accepted: ", make(), error=(TypeError, ValueError))
    net = MLP([3, 4, 2])
    for ask in (net.predict, lambda x: net.backpropagate(x, Y), lambda x: net.evaluate(x, Y)):
        with pytest.raises((TypeError, ValueError), match=r"^X .*; accepted: "):
            ask(make())
    targets = make()
    if targets is not None:
        assert_refused("y .*; accepted: ", y=targets, error=(TypeError, ValueError))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])  # the last is too large for float32
@pytest.mark.parametrize("row", [0, 25, 39])
def test_inputs_that_are_not_finite_are_refused_with_their_position(row, value):
    shown = "nan" if np.isnan(value) else "inf" if value > 0 else "-inf"
    message = f"X is {shown} at row {row}, column 1; accepted: finite float32 values"
    bad = changed(X, (row, 1), value)
    assert_refused(message, bad)
    assert_refused(message, bad, output="sigmoid")
    assert_refused(message, bad, y=LABELS, output="softmax")
    trainer = Trainer(MLP([3, 4, 2]))
    before = trainer.net.params.tobytes()
    with pytest.raises(ValueError, match=f"^{message}"):
        trainer.step(bad, Y)
    assert trainer.net.params.tobytes() == before


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("output", ["identity", "sigmoid"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_inputs_that_are_not_finite_are_refused_among_held_out_samples_too(value, output, shuffle):
    net = MLP([3, 4, 2], "sigmoid", output)
    trainer = Trainer(net, "squared_error", shuffle=shuffle, batch_size=8)
    before = net.params.tobytes()
    with pytest.raises(ValueError, match=r"^X is .* at row 38, column 2; accepted: finite"):
        trainer.fit(changed(X, (38, 2), value), Y, 2, validation_fraction=0.9, progress=False)
    assert net.params.tobytes() == before


def test_inputs_that_are_not_finite_are_refused_by_whatever_shows_them():
    net, bad = MLP([3, 4, 2]), changed(X, (7, 1), np.nan)
    for ask in (net.predict, lambda x: net.evaluate(x, Y), lambda x: net.gradient(x, Y)):
        with pytest.raises(ValueError, match=r"^X is nan at row 7, column 1"):
            ask(bad)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("hidden", [4, 64])
def test_gradients_refuse_infinite_inputs_though_units_saturate(value, hidden):
    net = MLP([3, hidden, 2], "sigmoid", "sigmoid")
    with pytest.raises(ValueError, match=r"^X is -?inf at row 7, column 1"):
        net.gradient(changed(X, (7, 1), value), Y)


def test_the_gradient_of_an_overflowing_network_is_not_passed_off_as_finite():
    net = MLP([3, 4, 2], "identity")
    net.params[:] = 1e30
    loss, gradient = net.gradient(X, Y)
    assert not np.isfinite(loss)
    assert not np.isfinite(gradient).all()
    assert not np.isfinite(net.evaluate(X, Y))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
@pytest.mark.parametrize("row", [0, 39])
def test_targets_that_are_not_finite_are_refused_with_their_position(row, value):
    shown = "nan" if np.isnan(value) else "inf"
    assert_refused(f"y is {shown} at row {row}, column 1; accepted: finite float32", y=changed(Y, (row, 1), value))


@pytest.mark.parametrize(("label", "position"), [(-1, 0), (2, 39), (10**12, 5)])
def test_labels_out_of_range_are_refused_with_their_position(label, position):
    y = changed(LABELS, position, label, int)
    assert_refused(f"y has label {label} at position {position}; accepted: 0 to 1", y=y, output="softmax")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (LABELS.astype(float), r"y has shape \(40,\) and dtype float64; accepted: integer labels"),
        (LABELS[:20], r"y has shape \(20,\); accepted: 40 rows"),
        (np.ones((40, 2)), "y has row 0 adding up to 2; accepted with cross_entropy"),
        (changed(np.eye(2)[LABELS], 7, [1.5, -0.5]), "y has row 7 adding up to 1; accepted with cross_entropy"),
    ],
)
def test_cross_entropy_refuses_what_is_neither_labels_nor_probabilities(y, message):
    assert_refused(message, y=y, output="softmax")


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
@pytest.mark.parametrize(
    "y", [LABELS, LABELS[:, None], LABELS > 0, LABELS.astype(np.uint8), LABELS.tolist()], ids=lambda y: str(np.shape(y))
)
def test_labels_for_several_outputs_that_are_no_softmax_are_refused_with_a_hint(y, output):
    shape, dtype = np.shape(y), np.asarray(y).dtype
    message = (
        rf"y has shape {re.escape(str(shape))} and dtype {dtype}; accepted: \(rows, 2\), or labels of classes with "
    )
    assert_refused(message + 'output_activation="softmax"$', y=y, output=output)


def test_whole_numbers_for_one_output_are_targets():
    for output in ("identity", "sigmoid"):
        net = MLP([3, 4, 1], output_activation=output)
        assert net.evaluate(X, LABELS) == net.evaluate(X, LABELS[:, None]) == net.evaluate(X, LABELS[:, None] * 1.0)


def test_a_column_of_labels_is_accepted_for_a_softmax():
    net = MLP([3, 4, 2], output_activation="softmax")
    for y in (LABELS[:, None], LABELS[:, None].astype(np.int8), [[label] for label in LABELS.tolist()]):
        assert net.evaluate(X, y) == net.evaluate(X, LABELS)
        assert net.gradient(X, y)[1].tobytes() == net.gradient(X, LABELS)[1].tobytes()
    history = Trainer(net).fit(X, LABELS[:, None], 1, validation_data=(X, LABELS[:, None]), progress=False)
    assert history.val_loss == [net.evaluate(X, LABELS)]
    y = changed(LABELS[:, None], (7, 0), 2, int)
    assert_refused("y has label 2 at position 7; accepted: 0 to 1", y=y, output="softmax")
    message = r"y has shape \(40, 1\) and dtype float64; accepted: integer labels \(rows,\), or one-hot rows"
    assert_refused(message, y=LABELS[:, None].astype(float), output="softmax")


@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_binary_cross_entropy_refuses_targets_beyond_0_and_1(value):
    message = f"y is {value} at row 9, column 0; accepted with binary_cross_entropy: 0 to 1"
    assert_refused(message, y=changed(Y, (9, 0), value), output="sigmoid")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"validation_data": (X[:, :2], Y)}, ValueError, r"validation_data\[0\] has shape \(40, 2\)"),
        ({"validation_data": (X, Y[:3])}, ValueError, r"validation_data\[1\] has shape \(3, 2\)"),
        ({"validation_data": (X, Y[:, :1])}, ValueError, r"validation_data\[1\] has shape \(40, 1\)"),
        ({"validation_data": (X * np.nan, Y)}, ValueError, r"validation_data\[0\] is nan at row 0, column 0"),
        ({"validation_data": (X, Y * np.inf)}, ValueError, r"validation_data\[1\] is inf at row 0, column 0"),
        ({"validation_data": (X[:0], Y[:0])}, ValueError, r"validation_data\[0\] has no rows"),
        ({"validation_data": X}, TypeError, r"validation_data is not a pair; accepted: \(X, y\)"),
        ({"validation_data": (X, Y, X, Y)}, TypeError, r"validation_data is not a pair; accepted: \(X, y\)"),
        (
            {"validation_data": (X, Y), "validation_fraction": 0.1},
            ValueError,
            "validation_data and validation_fraction",
        ),
        ({"validation_fraction": 0}, ValueError, r"validation_fraction is 0; accepted: a number in \(0, 1\)"),
        ({"validation_fraction": 1.0}, ValueError, r"validation_fraction is 1.0; accepted: a number in \(0, 1\)"),
        ({"validation_fraction": -0.1}, ValueError, "validation_fraction is -0.1; accepted: a number in"),
        ({"validation_fraction": 0.99}, ValueError, "validation_fraction is 0.99 of 40 rows; accepted"),
        ({"validation_fraction": "half"}, TypeError, "validation_fraction is 'half'; accepted: a number in"),
        ({"tol": -1}, ValueError, "tol is -1; accepted: a number in"),
        ({"tol": math.nan}, ValueError, "tol is nan; accepted: a number in"),
        ({"patience": 0}, ValueError, "patience is 0; accepted: a whole number from 1 on"),
        ({"patience": 1.5}, TypeError, "patience is 1.5; accepted: a whole number from 1 on"),
        ({"target_loss": math.nan}, ValueError, "target_loss is nan; accepted: a number in"),
        ({"target_loss": "low"}, TypeError, "target_loss is 'low'; accepted: a number in"),
    ],
)
def test_arguments_of_fit_out_of_range_are_refused(options, error, message):
    assert_refused(message, error=error, **options)


@pytest.mark.parametrize("epochs", [0, -1, 1.5, True, "many"])
def test_epochs_must_be_a_whole_number_from_1_on(epochs):
    with pytest.raises((TypeError, ValueError), match=r"^epochs is .*; accepted: a whole number from 1 on"):
        Trainer(MLP([3, 2])).fit(X, Y, epochs)


TRAINER_ARGUMENTS = [
    ({"batch_size": 0}, "batch_size is 0; accepted: a whole number from 1 on"),
    ({"batch_size": 2.0}, "batch_size is 2.0; accepted: a whole number from 1 on"),
    ({"learning_rate": 0}, r"learning_rate is 0; accepted: a number in \(0, inf\)"),
    ({"learning_rate": math.inf}, "learning_rate is inf; accepted: a number in"),
    ({"learning_rate": math.nan}, "learning_rate is nan; accepted: a number in"),
    ({"l2": -1e-3}, r"l2 is -0.001; accepted: a number in \[0, inf\)"),
    ({"clip_norm": 0}, r"clip_norm is 0; accepted: a number in \(0, inf\)"),
    ({"clip_norm": "1"}, "clip_norm is '1'; accepted: a number in"),
    ({"threads": 0}, "threads is 0; accepted: a whole number from 1 on"),
    ({"optimizer": "adams"}, r"optimizer is 'adams' \(did you mean 'adam'\?\); accepted: sgd, momentum, "),
    ({"optimizer": None}, "optimizer is None; accepted: sgd"),
    ({"loss": "cross_entrpy"}, r"loss is 'cross_entrpy' \(did you mean 'cross_entropy'\?\); accepted: auto, squar"),
    ({"loss": "cross_entropy"}, "loss is 'cross_entropy' with output_activation 'identity'; accepted: softmax"),
    (
        {"loss": "binary_cross_entropy"},
        "loss is 'binary_cross_entropy' with output_activation 'identity'; accepted: sig",
    ),
    ({"reduction": "average"}, "reduction is 'average'.*; accepted: mean, sum"),
]


@pytest.mark.parametrize(("options", "message"), TRAINER_ARGUMENTS)
def test_arguments_of_the_trainer_out_of_range_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        Trainer(MLP([3, 4, 2]), **options)


NETWORK_ARGUMENTS = [
    ({"sizes": [3]}, r"sizes is \(3,\); accepted: at least an input and an output layer"),
    ({"sizes": [3, 0, 2]}, "sizes is 0; accepted: a whole number from 1 on"),
    ({"sizes": [3, 2.5]}, "sizes is 2.5; accepted: a whole number from 1 on"),
    ({"sizes": 3}, "sizes is 3; accepted: "),
    ({"sizes": "32"}, "sizes is '3'; accepted: "),
    ({"activation": "rleu"}, r"activation is 'rleu' \(did you mean 'relu'\?\); accepted: identity, "),
    ({"activation": "softmax"}, "activation is 'softmax'.*; accepted: identity, "),
    ({"activation": ["relu", "tanh"]}, "activation has 2 names; accepted: one, or one for each of 1 hidden layers"),
    ({"activation": ["tanhh"]}, r"activation is 'tanhh' \(did you mean 'tanh'\?\)"),
    ({"activation": None}, r"activation is None \(did you mean 'identity'\?\); accepted: identity, "),
    ({"activation": np.tanh}, "activation is <ufunc 'tanh'>; accepted: identity, "),
    ({"output_activation": "sofmax"}, r"output_activation is 'sofmax' \(did you mean 'softmax'\?\); accepted: "),
    ({"dtype": "float16"}, r"dtype is 'float16'.*; accepted: float32, float64"),
    ({"dtype": "double precision"}, r"dtype is 'double precision'.*; accepted: float32, float64"),
    ({"init": "he"}, "init is 'he'.*; accepted: auto, glorot_uniform, "),
]


@pytest.mark.parametrize(("options", "message"), NETWORK_ARGUMENTS)
def test_arguments_of_the_network_out_of_range_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        MLP(**{"sizes": [3, 4, 2]} | options)


@pytest.mark.parametrize("names", [{"activation": "threshold"}, {"output_activation": "threshold"}])
def test_training_through_a_threshold_is_refused_but_predicting_is_not(names):
    net = MLP([3, 4, 2], **names)
    assert net.predict(X).shape == (40, 2)
    layer = 1 if "activation" in names else 2
    message = f"^activation of layer {layer} is 'threshold', which has no usable derivative .*; accepted: identity, "
    for ask in (lambda: Trainer(net), lambda: net.gradient(X, Y), lambda: net.backpropagate(X, Y)):
        with pytest.raises(ValueError, match=message) as caught:
            ask()
        assert "threshold" not in str(caught.value).split("accepted")[1]


def test_every_activation_that_is_differentiable_is_accepted_in_training():
    for name, entry in ACTIVATIONS.items():
        if entry.differentiable:
            Trainer(MLP([3, 4, 2], name, name), "squared_error")


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_questions_to_the_network_check_their_loss_and_reduction(loss):
    net = MLP([3, 4, 2])
    for ask in (net.evaluate, net.gradient, net.input_gradient, net.backpropagate):
        with pytest.raises(ValueError, match=f"^loss is '{loss}'"):
            ask(X, Y, loss=loss)
        with pytest.raises(ValueError, match=r"^reduction is 'total'.*; accepted: mean, sum"):
            ask(X * np.nan, Y, reduction="total")  # found first, before anything is computed


def test_whole_numbers_of_numpy_are_whole_numbers():
    assert checks.count("n", np.int32(3)) == 3
    assert checks.number("x", np.float32(0.5)) == 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [300, 5])
def test_prediction_and_evaluation_find_inputs_that_saturating_units_hide(value, rows):
    net = MLP([20, 8, 1], activation="sigmoid", output_activation="sigmoid")
    net.weights[0][:] = 1
    X, y = np.ones((rows, 20)), np.ones((rows, 1))
    X[rows - 2, 17] = value
    for call in (lambda: net.predict(X), lambda: net.evaluate(X, y)):
        with pytest.raises(ValueError, match=f"X is {value} at row {rows - 2}, column 17"):
            call()


@pytest.mark.parametrize("argument", ["X", "y", "sample_weight"])
def test_masked_values_are_refused(argument):
    net, rng = MLP([2, 3, 1]), np.random.default_rng(0)
    given = {"X": rng.normal(size=(9, 2)), "y": rng.normal(size=9), "sample_weight": rng.uniform(size=9)}
    for method in net.gradient, net.evaluate, lambda **given: Trainer(net).fit(**given, progress=False):
        hidden = np.zeros(given[argument].shape, bool)
        masked = given | {argument: np.ma.masked_array(given[argument], hidden)}
        method(**masked)  # nothing is hidden
        hidden[5] = True
        masked[argument] = np.ma.masked_array(given[argument], hidden)
        with pytest.raises(ValueError, match=rf"{argument} is masked at position \(5.*nothing is masked"):
            method(**masked)


def test_masked_inputs_of_a_prediction_are_refused():
    with pytest.raises(ValueError, match=r"X is masked at position \(1, 0\)"):
        MLP([2, 1]).predict(np.ma.masked_equal([[1.0, 2.0], [-9999.0, 3.0]], -9999))


# By what messages show: whole numbers beyond all of float64, and of more digits than Python prints.
BEYOND = {"about 10**400": 10**400, "about -10**5000": -(10**5000)}


@pytest.mark.parametrize("shown", BEYOND)
def test_whole_numbers_beyond_float64_are_refused_with_their_position(shown):
    value, number, net = BEYOND[shown], re.escape(shown), MLP([3, 4, 2])
    message = rf"{{}} is {number} at position \({{}}\); accepted: finite float64 values"
    bad = changed(X, (7, 1), value, object).tolist()
    assert_refused(message.format("X", "7, 1"), bad)
    for ask in (net.predict, lambda x: net.evaluate(x, Y), lambda x: net.gradient(x, Y)):
        with pytest.raises(ValueError, match="^" + message.format("X", "7, 1")):
            ask(bad)
    assert_refused(message.format("y", "7, 1"), y=changed(Y, (7, 1), value, object).tolist())
    assert_refused(message.format("sample_weight", "39"), sample_weight=[1] * 39 + [value])
    classes = {"y": LABELS, "output": "softmax"}
    assert_refused(f"class_weight has label {number}; accepted: 0 to 1", class_weight={value: 1}, **classes)
    assert_refused(rf"class_weight\[0\] is {number}; accepted: a number", class_weight={0: value}, **classes)
    classes["y"] = changed(LABELS, 3, value, object)
    assert_refused(r"y has shape \(40,\) and dtype object; accepted: integer labels", **classes)
    for name in "l2", "clip_norm", "learning_rate", "label_smoothing", "dropout":
        with pytest.raises(ValueError, match=f"^{name} is {number}; accepted: a number in "):
            Trainer(net, **{name: value})
    with pytest.raises(TypeError, match=r"^params has dtype object; accepted"):
        Objective(net, X, Y)([value] * net.n_params)


@pytest.mark.parametrize("value", [-(2**63), 2**63, 2**64 - 1])
def test_labels_at_the_ends_of_64_bits_are_refused(value):
    y = [1] * 39 + [value] if value < 0 else np.array([1] * 39 + [value], np.uint64)
    assert_refused(f"y has label {value} at position 39; accepted: 0 to 1", y=y, output="softmax")


def test_networks_of_no_possible_size_are_refused():
    for size, shown in ((2**62, 2**62), (2**70, 2**70), (10**5000, r"about 10\*\*5000")):
        with pytest.raises(ValueError, match=rf"^sizes is \(3, {shown}, 1\); accepted: "):
            MLP([3, size, 1])
    with pytest.raises(ValueError, match=r"^sizes is about -10\*\*5000; accepted: a whole number from 1 on"):
        MLP([3, -(10**5000), 1])
