"""Names that users of other libraries write: an error that says what to write here."""

import copy
import inspect
import pickle
import re
from operator import attrgetter

import numpy as np
import pytest

import fastmlp
from fastmlp import MLP, SGD, Adam, Trainer, hints, initializers, losses, metrics, optimizers, precision
from fastmlp._kernels import ACTIVATIONS

X, Y = np.ones((4, 2)), np.ones((4, 1))
NET = MLP([2, 3, 1])
CALLS = {
    "MLP": lambda **given: MLP([2, 3, 1], **given),
    "Trainer": lambda **given: Trainer(NET, **given),
    "Trainer.fit": lambda **given: Trainer(NET).fit(X, Y, progress=False, **given),
    "MLP.evaluate": lambda **given: NET.evaluate(X, Y, **given),
    "SGD": SGD,
    "Adam": Adam,
}


@pytest.mark.parametrize(
    ("place", "given", "meant"),
    [
        ("Trainer", {"lr": 0.1}, "Trainer(learning_rate=...)"),
        ("Trainer", {"LR": 0.1}, "Trainer(learning_rate=...)"),
        ("Trainer", {"learning_rate_init": 0.1}, "Trainer(learning_rate=...)"),
        ("Trainer", {"batch": 32}, "Trainer(batch_size=...)"),
        ("Trainer", {"weight_decay": 0.1}, "Trainer(optimizer=fastmlp.AdamW(weight_decay=...))"),
        ("Trainer", {"momentum": 0.9}, "Trainer(optimizer=fastmlp.Momentum(momentum=...))"),
        ("Trainer", {"alpha": 0.1}, "Trainer(l2=...)"),
        ("Trainer", {"criterion": "mse"}, "Trainer(loss=...)"),
        ("Trainer", {"random_state": 0}, "Trainer(seed=...)"),
        ("MLP", {"random_state": 0}, "MLP(seed=...)"),
        ("MLP", {"hidden_layer_sizes": (3,)}, "MLP(sizes=[inputs, hidden, outputs])"),
        ("MLP", {"units": 3}, "MLP(sizes=[inputs, hidden, outputs])"),
        ("Trainer.fit", {"validation_split": 0.1}, "Trainer.fit(validation_fraction=...)"),
        ("Trainer.fit", {"X_val": None}, "Trainer.fit(validation_data=(X, y))"),
        ("Trainer.fit", {"verbose": 0}, "Trainer.fit(progress=...)"),
        ("Trainer.fit", {"n_epochs": 3}, "Trainer.fit(epochs=...)"),
        ("Trainer.fit", {"max_iter": 3}, "Trainer.fit(epochs=...)"),
        ("Trainer.fit", {"eval_metric": "auc"}, "Trainer.fit(metrics=[...])"),
        # Arguments of another function here
        ("MLP", {"learning_rate": 0.1}, "Trainer(learning_rate=...)"),
        ("Trainer", {"epochs": 3}, "Trainer.fit(epochs=...)"),
        ("Trainer.fit", {"batch_size": 3}, "Trainer(batch_size=...)"),
        ("Trainer.fit", {"shuffle": False}, "Trainer(shuffle=...)"),
        ("MLP.evaluate", {"batch_size": 3}, "Trainer(batch_size=...)"),
        ("SGD", {"lr": 0.1}, "Trainer(learning_rate=...)"),
        ("SGD", {"momentum": 0.9}, "Trainer(optimizer=fastmlp.Momentum(momentum=...))"),
        ("Adam", {"betas": 0.9}, "Trainer(optimizer=fastmlp.Adam(beta1=..., beta2=..., epsilon=...))"),
        # Spelled wrongly, and nothing that is known
        ("Trainer", {"learning_rte": 0.1}, "'learning_rate'"),
        ("Trainer", {"colour": "red"}, None),
    ],
)
def test_an_unknown_keyword_is_refused_with_the_one_that_is_meant(place, given, meant):
    ((name, value),) = given.items()
    hint = f" (did you mean {meant}?)" if meant else ""
    with pytest.raises(TypeError, match=f"^{re.escape(f'{place} got {name}={value!r}{hint}; accepted: ')}") as caught:
        CALLS[place](**given)
    accepted = [name for name in inspect.signature(attrgetter(place)(fastmlp)).parameters if name != "self"]
    assert str(caught.value).endswith(f"; accepted: {', '.join(accepted) or 'nothing'}")


def test_a_large_value_is_shortened_in_the_message():
    with pytest.raises(TypeError) as caught:
        CALLS["Trainer.fit"](x_val=np.random.default_rng(0).normal(size=(1000, 50)))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("given", [0.2, X, "auto"])
def test_validation_data_that_are_no_pair_are_refused_with_the_argument_for_a_share(given):
    with pytest.raises(TypeError, match=r"^validation_data is not a pair; accepted: \(X, y\).* validation_fraction"):
        Trainer(NET).fit(X, Y, validation_data=given, progress=False)


WORDS = [
    *[("loss", name, "squared_error") for name in ("mse", "MSE", "mean_squared_error", "l2")],
    *[("loss", name, "absolute_error") for name in ("mae", "l1")],
    *[("loss", name, "binary_cross_entropy") for name in ("bce", "binary_crossentropy")],
    *[("loss", f"{name}categorical_crossentropy", "cross_entropy") for name in ("", "sparse_")],
    *[("loss", name, "cross_entropy") for name in ("nll", "log_loss", "CrossEntropy")],
    *[("activation", name, "silu") for name in ("swish", "Swish", "SiLU")],
    *[("activation", name, "identity") for name in ("linear", None)],
    *[("output_activation", name, "identity") for name in ("linear", None, "None")],
    *[("output_activation", name, "sigmoid") for name in ("logistic", "Sigmoid")],
    ("output_activation", "Softmax", "softmax"),
    ("activation", "Relu", "relu"),
    ("activation", "LeakyReLU", "leaky_relu"),
    ("optimizer", "Adam", "adam"),
    ("optimizer", "adamax", "adam"),
    ("optimizer", "RMSProp", "rmsprop"),
    ("init", "xavier", "glorot_uniform"),
    ("init", "kaiming_normal", "he_normal"),
    ("reduction", "none", "mean"),
    ("precision", "bfloat16", "bf16-mixed"),
]


@pytest.mark.parametrize(("argument", "name", "meant"), WORDS)
def test_a_word_of_another_library_is_refused_with_ours(argument, name, meant):
    place = "MLP" if argument in inspect.signature(MLP).parameters else "Trainer"
    with pytest.raises(ValueError, match=f"^{argument} is {name!r} .did you mean {meant!r}.*; accepted: "):
        CALLS[place](**{argument: name})


@pytest.mark.parametrize("name", ["hinge", "zzz", np.tanh])
def test_nothing_is_suggested_where_nothing_is_like_it(name):
    with pytest.raises(ValueError, match=r"^loss is [^(]*; accepted: auto, squared_error"):
        Trainer(NET, name)


def test_a_word_is_only_suggested_where_it_is_accepted():
    with pytest.raises(ValueError, match=r"^activation is 'Softmax'; accepted: "):
        MLP([2, 3, 1], activation="Softmax")


ATTRIBUTES = [
    (NET, "fit", "Trainer(net).fit(X, y)"),
    (NET, "train", "Trainer(net).fit(X, y)"),
    (NET, "compile", "Trainer(net).fit(X, y)"),
    (NET, "predict_proba", "net.predict(X)"),
    (NET, "forward", "net.predict(X)"),
    (NET, "parameters", "net.params"),
    (NET, "score", "net.evaluate(X, y)"),
    (Trainer(NET), "predict", "trainer.net.predict(X)"),
    (Trainer(NET), "train", "trainer.fit(X, y)"),
    (Trainer(NET), "evaluate", "trainer.net.evaluate(X, y)"),
    (Trainer(NET), "lr", "trainer.learning_rate"),
]


@pytest.mark.parametrize(("made", "name", "meant"), ATTRIBUTES)
def test_a_method_of_another_library_is_refused_with_ours(made, name, meant):
    kind = type(made).__name__
    said = f"^'{kind}' object has no attribute '{name}' {re.escape(f'(did you mean {meant}?)')}$"
    with pytest.raises(AttributeError, match=said):
        getattr(made, name)
    assert not hasattr(made, name)
    assert name not in dir(made)


@pytest.mark.parametrize("made", [NET, Trainer(NET)], ids=["MLP", "Trainer"])
def test_other_attributes_are_refused_as_python_does(made):
    with pytest.raises(AttributeError, match=f"^'{type(made).__name__}' object has no attribute 'nothing'$") as caught:
        made.nothing  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("nothing", made)
    assert getattr(made, "nothing", 3) == 3


@pytest.mark.parametrize("made", [NET, Trainer(NET), SGD(), Adam(beta1=0.5)], ids=lambda made: type(made).__name__)
def test_objects_are_copied_and_pickled(made):
    for other in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert repr(other) == repr(made)


# ---------------------------------------------------------------------------------------------- the tables themselves

ACCEPTED = {
    "loss": losses.LOSSES,
    "activation": ACTIVATIONS,
    "optimizer": optimizers.OPTIMIZERS,
    "init": initializers.INITIALIZERS,
    "metrics": metrics.METRICS,
    "reduction": ["mean", "sum"],
    "precision": precision.PRECISIONS,
}


@pytest.mark.parametrize("kind", hints.WORDS)
def test_what_is_suggested_is_accepted_and_what_is_not_is_not(kind):
    assert set(hints.WORDS[kind].values()) <= set(ACCEPTED[kind])
    assert not hints.WORDS[kind].keys() & set(ACCEPTED[kind])


@pytest.mark.parametrize("place", hints.KEYWORDS)
def test_suggested_keywords_are_in_the_signature(place):
    """All but a few of the function's own are in the table, too, for calls of another function."""
    parameters = inspect.signature(attrgetter(place)(fastmlp)).parameters
    suggested = {meant.removeprefix(f"{place}(").split("=")[0] for meant in hints.KEYWORDS[place].values()}
    assert suggested <= set(parameters)
    left_out = set(parameters) - hints.KEYWORDS[place].keys()
    assert left_out <= {"self", "X", "y", "update_biases", "average_l2", "reduction", "target_loss"}


@pytest.mark.parametrize("kind", hints.ATTRIBUTES)
def test_suggested_attributes_are_there_and_the_guessed_ones_are_not(kind):
    names = {"net": NET, "trainer": Trainer(NET), "MLP": MLP, "Trainer": Trainer, "X": X, "y": Y, "path": None}
    for guess, meant in hints.ATTRIBUTES[kind].items():
        assert not hasattr({"MLP": NET, "Trainer": names["trainer"]}[kind], guess)
        eval(re.sub(r"\((X, y|X|path|)\)(\.argmax\(axis=1\))?$", "", meant), names)
