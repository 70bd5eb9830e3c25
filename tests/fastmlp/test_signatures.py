"""Arguments that are to be named, and objects that say how they were made."""

import inspect
import warnings

import numpy as np
import pytest

from fastmlp import MLP, SGD, History, Trainer, callbacks, losses, schedules
from fastmlp.objective import Objective
from fastmlp.signatures import keyword_only_soon
from fastmlp.tables.preprocessing import split

X, Y = np.ones((4, 2)), np.ones((4, 1))
NET = MLP([2, 3, 1], "tanh")
# By position, which still works; by keyword; what the warning says
CALLS = {
    "MLP": (
        lambda: MLP([2, 1], "tanh", "sigmoid", "float64", False).config(),
        lambda: MLP([2, 1], "tanh", "sigmoid", dtype="float64", bias=False).config(),
        r"^MLP will take dtype, bias by keyword only; write dtype=\.\.\., bias=\.\.\.$",
    ),
    "Trainer": (
        lambda: repr(Trainer(NET, "huber", "sgd", 0.1, 7, "sum")),
        lambda: repr(Trainer(NET, "huber", "sgd", learning_rate=0.1, batch_size=7, reduction="sum")),
        "^Trainer will take learning_rate, batch_size, reduction by keyword only; write learning_rate=",
    ),
    "fit": (
        lambda: Trainer(MLP([2, 1])).fit(X, Y, 2, (X, Y), progress=False).val_loss,
        lambda: Trainer(MLP([2, 1])).fit(X, Y, 2, validation_data=(X, Y), progress=False).val_loss,
        r"^Trainer\.fit will take validation_data by keyword only",
    ),
    "evaluate": (
        lambda: NET.evaluate(X, Y, "auto", "sum"),
        lambda: NET.evaluate(X, Y, "auto", reduction="sum"),
        r"^MLP\.evaluate will take reduction by keyword only; write reduction=\.\.\.$",
    ),
    "gradient": (
        lambda: NET.gradient(X, Y, "auto", "sum")[0],
        lambda: NET.gradient(X, Y, "auto", reduction="sum")[0],
        r"^MLP\.gradient will take reduction",
    ),
    "input_gradient": (
        lambda: NET.input_gradient(X, Y, "auto", "sum").tolist(),
        lambda: NET.input_gradient(X, Y, "auto", reduction="sum").tolist(),
        r"^MLP\.input_gradient will take reduction",
    ),
    "backpropagate": (
        lambda: NET.backpropagate(X, Y, "auto", "sum").loss,
        lambda: NET.backpropagate(X, Y, "auto", reduction="sum").loss,
        r"^MLP\.backpropagate will take reduction",
    ),
    "Objective": (
        lambda: repr(Objective(NET, X, Y, "huber", 0.5)),
        lambda: repr(Objective(NET, X, Y, loss="huber", l2=0.5)),
        "^Objective will take loss, l2 by keyword",
    ),
    "Plateau": (
        lambda: schedules.Plateau(0.1, 0.2, 3, 0.5),
        lambda: schedules.Plateau(0.1, 0.2, 3, tol=0.5),
        "^Plateau will take tol by keyword",
    ),
    "split": (
        lambda: [part.tolist() for part in split(20, 0.5, 1, np.arange(20) // 10)],
        lambda: [part.tolist() for part in split(20, 0.5, 1, labels=np.arange(20) // 10)],
        "^split will take labels by keyword",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_arguments_after_the_third_are_taken_by_position_with_a_warning_that_names_them(name):
    by_position, named, said = CALLS[name]
    with pytest.warns(FutureWarning, match=said) as caught:
        found = by_position()
    assert [warning.filename for warning in caught] == [__file__]  # that of the caller
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found == named()


@pytest.mark.parametrize("function", [MLP, Trainer, Trainer.fit, MLP.evaluate, MLP.gradient, Objective])
def test_signatures_are_those_of_arguments_to_be_named(function):
    kinds = [parameter.kind for name, parameter in inspect.signature(function).parameters.items() if name != "self"]
    assert kinds[3:] == [inspect.Parameter.KEYWORD_ONLY] * len(kinds[3:])
    assert kinds[:3] == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * 3


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("arguments", "keywords"), [((1, 2, 3, 4), {}), ((1, 2), {"b": 3}), ((), {})])
def test_wrong_calls_are_told_by_python(arguments, keywords):
    @keyword_only_soon
    def function(a, *, b=1, c=2):
        return a, b, c

    with pytest.raises(TypeError, match=r"function\(\) "):
        function(*arguments, **keywords)


# -------------------------------------------------------------------------------------------------------- descriptions

SHOWN = "<MLP 2-3-1, tanh, identity, float32, 13 parameters>"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "loss='squared_error'"),
        ({"learning_rate": 0.1, "l2": 0.5, "seed": 3}, "loss='squared_error', learning_rate=0.1, l2=0.5, seed=3"),
        ({"loss": losses.Huber(2.0), "optimizer": "sgd"}, "loss=Huber(delta=2.0), optimizer=SGD()"),
        ({"loss": "huber", "optimizer": SGD(), "shuffle": False}, "loss='huber', optimizer=SGD(), shuffle=False"),
        (
            {"dropout": 0.5, "threads": 1, "learning_rate": schedules.Constant(0.1)},
            "loss='squared_error', learning_rate=Constant(initial=0.1), threads=1, dropout=(0.5,)",
        ),
    ],
)
def test_a_trainer_shows_the_settings_that_differ_from_the_defaults(settings, said):
    assert repr(Trainer(NET, **settings)) == f"Trainer({SHOWN}, {said})"


def test_a_history_shows_how_far_it_got():
    assert repr(History()) == "<History of 0 epochs>"
    history = Trainer(MLP([2, 1])).fit(X, Y, 1, progress=False)
    assert repr(history) == f"<History of 1 epoch: loss {history.loss[-1]:.6g}>"
    stopped = History(loss=[0.5, 0.25], val_loss=[1.0, 1 / 3], monitor=[3.0, 2.0], best_epoch=1)
    assert repr(stopped) == "<History of 2 epochs: loss 0.25, val_loss 0.333333, monitor 2, best_epoch 1>"


def test_a_trainer_with_a_seed_of_several_numbers_has_a_repr():
    assert "seed=array([1, 2])" in repr(Trainer(NET, seed=np.array([1, 2])))


def test_an_objective_shows_its_network_samples_and_penalty():
    assert repr(Objective(NET, X, Y, l2=0.5)) == f"<Objective of {SHOWN} over 4 samples, l2=0.5>"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (callbacks.CSVLogger("a.csv"), "CSVLogger('a.csv')"),
        (callbacks.CSVLogger("a.csv", append=True), "CSVLogger('a.csv', append=True)"),
        (callbacks.JSONLinesLogger("a.jsonl"), "JSONLinesLogger('a.jsonl')"),
        (callbacks.Checkpoint("model", "each"), "Checkpoint('model', when='each')"),
        (callbacks.ProgressBar(), "ProgressBar()"),
    ],
)
def test_callbacks_show_how_they_were_made(made, said):
    assert repr(made) == said


def test_a_subclass_with_arguments_of_its_own_has_a_repr():
    class Named(callbacks.Checkpoint):
        def __init__(self, name, more=3):
            super().__init__(name)

    assert repr(Named("model")) == "Named()"


def test_a_summary_is_a_table_of_the_layers():
    assert MLP([7, 1000, 30, 2], ["relu", "tanh"]).summary().splitlines() == [
        "layer  units  activation  parameters",
        "    0      7  (inputs)",
        "    1  1,000  relu             8,000",
        "    2     30  tanh            30,030",
        "    3      2  identity            62",
        "total                         38,092",
        "float32, 152,368 bytes",
        "FLOPs per sample: 74,120 to predict, 208,360 to train",
    ]
