"""Files of trainers: a model file (see `files`) that also has all that decides how the training goes on.

Besides the tensors of the network there are those of the training, "training.first" and so on, and in the header JSON
with the settings of the `Trainer` and all numbers that are not in tensors.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, fields, is_dataclass

import numpy as np

from . import files, losses, optimizers, schedules
from .history import History
from .network import MLP
from .position import Position
from .scaling import Scaling

OWN = "an object of your own"
PLAIN = "batch_size", "reduction", "l2", "average_l2", "update_biases", "threads", "clip_norm", "precision"
SETTINGS = {*PLAIN, "dropout", "loss", "optimizer", "learning_rate", "shuffle", "seed"}
METRIC = "history.metrics."  # before the name of a metric
DEEPEST = 10  # schedules within schedules
ARRAYS = "order", "held", "best_params", "last_params"  # fields of `Position` that are arrays
OF_STREAMS = "samples", "pool_rows", "pool_seed"  # fields that files of earlier versions do not have, "weight" too


@dataclass
class State:
    """All of a trainer that is not a setting.

    Attributes
    ----------
    params : (n_params,) array
    scaling : Scaling or None
    optimizer : dict; see `Trainer.optimizer_state`
    random : dict; state of the generator that shuffles
    dropout_seed : int
    history : History
    position : Position or None; where its last fit ended, or is
    """

    params: np.ndarray
    scaling: Scaling | None
    optimizer: dict
    random: dict
    dropout_seed: int
    history: History
    position: Position | None


def write(trainer, path, best=None):
    """Write a trainer to a file (see `Trainer.save`), with what a `Checkpoint` says is the best so far."""
    net, state, position = trainer.net, trainer.optimizer_state, trainer._position
    arrays = {name: state[name] for name in ("first", "second")}
    training = {
        "settings": _settings(trainer),
        "optimizer": {name: state[name] for name in ("steps", "rate")},
        "random": trainer._rng.bit_generator.state,
        "dropout_seed": trainer._dropout_seed,
        "best_epoch": trainer.history.best_epoch,
        "position": None,
        "best": best,
    }
    for name, values in vars(trainer.history).items():
        if name not in ("best_epoch", "metrics"):
            arrays[f"history.{name}"] = np.array(values, float)
    arrays |= {METRIC + name: np.array(values, float) for name, values in trainer.history.metrics.items()}
    if position:
        if trainer._listeners:
            position.callbacks = trainer._listeners.states()
        kept = {field.name: getattr(position, field.name) for field in fields(position)}
        arrays |= {f"position.sums.{index}": array for index, array in enumerate(kept.pop("sums"))}
        arrays |= {f"position.{name}": kept.pop(name) for name in ARRAYS}
        training["position"] = kept
    files.save(net, path, {files.TRAINING + name: array for name, array in arrays.items()}, training)


def read(path, net):
    """State in a file, if its network is like `net`; else a ValueError."""
    loaded, _, state = read_trainer(path)
    if loaded.config() != net.config():
        raise ValueError(f"{path} has the training of {loaded!r}; accepted: that of {net!r}")
    return state


def read_trainer(path):
    """Network, arguments of `Trainer`, and state in a file: (MLP, dict, State). All is checked before it is used."""
    net, arrays, training = files.load_training(path, MLP)
    if "settings" not in (training or {}):
        raise files.ModelFileError(
            f"{path} has a network only; accepted: a file of Trainer.save or Checkpoint(state=True)"
        )
    arrays = {name.removeprefix(files.TRAINING): array for name, array in arrays.items()}
    try:
        settings = {name: _made(value) for name, value in training["settings"].items()}
        require(set(settings) == SETTINGS, "settings")
        return net, settings, _read_state(net, arrays, training)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise files.ModelFileError(f"{path} has a damaged training state: {type(error).__name__} {error}") from None


def require(condition, name):
    """Raise a ValueError, about the part `name` of a state, unless the condition holds."""
    if not condition:
        raise ValueError(f"in {name}")


def is_count(value, most=2**63 - 1):
    """Whether `value`, of a file, is a whole number from 0 to `most`."""
    return type(value) is int and 0 <= value <= most


def _read_state(net, arrays, training):
    optimizer, random, seed = training["optimizer"], training["random"], training["dropout_seed"]
    require(is_count(optimizer["steps"]) and isinstance(optimizer["rate"], int | float), "optimizer")
    require(is_count(seed, 2**32 - 1), "dropout_seed")
    require(isinstance(random, dict), "random")
    np.random.default_rng().bit_generator.state = random  # raises an exception if it is none
    for name in "first", "second":
        require(arrays[name].shape in ((0,), (net.n_params,)) and arrays[name].dtype == net.dtype, name)
    history = _read_history(net, arrays, training["best_epoch"])
    return State(
        params=net.params,
        scaling=net.scaling,
        optimizer={name: arrays[name] for name in ("first", "second")} | optimizer,
        random=random,
        dropout_seed=seed,
        history=history,
        position=None if training["position"] is None else _read_position(net, arrays, training["position"], history),
    )


def _read_history(net, arrays, best_epoch):
    names = [field.name for field in fields(History) if field.name not in ("best_epoch", "metrics")]
    epochs, layers = len(arrays["history.loss"]), len(net.sizes) - 1
    arrays = {"history.seconds_waiting": np.empty(0), **arrays}  # which files of earlier versions do not have
    for name in names:
        array = arrays[f"history.{name}"]
        shape = (epochs, layers) if name == "delta_rms" else (epochs,)
        require(array.dtype == float and (array.shape == shape or (array.shape == (0,) and name != "loss")), name)
    require(best_epoch is None or is_count(best_epoch, epochs - 1), "best_epoch")
    metrics = {name.removeprefix(METRIC): array for name, array in arrays.items() if name.startswith(METRIC)}
    require(all(array.dtype == float and array.shape == (epochs,) for array in metrics.values()), "metrics")
    lists = {name: arrays[f"history.{name}"].tolist() for name in names}
    metrics = {name: array.tolist() for name, array in metrics.items()}
    return History(**lists, metrics=metrics, best_epoch=best_epoch)


def _read_position(net, arrays, kept, history):
    found = {name: arrays[f"position.{name}"] for name in ARRAYS}
    # Kernels read samples by these numbers, and trust them.
    require(found["order"].dtype == found["held"].dtype == np.int64, "order")
    samples = np.sort(np.concatenate([found["order"], found["held"]]))
    require(np.array_equal(samples, np.arange(len(samples))), "order")
    for name in "best_params", "last_params":
        require(found[name].shape in ((0,), (net.n_params,)) and np.isfinite(found[name]).all(), name)
        require(found[name].dtype == net.dtype or not found[name].size, name)
    names = [f"position.sums.{index}" for index in range(sum(name.startswith("position.sums.") for name in arrays))]
    sums = [arrays[name] for name in names]
    shapes = [(), [(1,), (len(net.sizes) - 1,), (1,), (2,)]]
    require([array.shape for array in sums] in map(list, shapes), "sums")
    counts = {name: kept[name] for name in ("begun", "batch", "batch_size", "waited")}
    counts |= {name: kept.get(name, 0) for name in OF_STREAMS}
    require(
        all(is_count(value, math.inf) for value in counts.values()) and kept["begun"] <= len(history.loss),
        "position",
    )
    require(type(kept["ended"]) is bool and (sums or not kept["batch"]), "position")
    require(not found["held"].size or len(history.val_loss) == len(history.loss), "val_loss")
    callbacks = [(name, state) for name, state in kept["callbacks"]]
    require(all(isinstance(name, str) and isinstance(state, dict) for name, state in callbacks), "callbacks")
    numbers = {name: float(kept[name]) for name in ("seconds", "best")} | {"weight": float(kept.get("weight", 0.0))}
    require(numbers["weight"] >= 0, "weight")
    return Position(**counts, **numbers, **found, sums=sums, ended=kept["ended"], callbacks=callbacks)


def _settings(trainer):
    """Arguments of the constructor as values that JSON can represent; OWN for objects of the user's."""
    settings = {name: getattr(trainer, name) for name in PLAIN} | {"dropout": trainer.dropout}
    settings["loss"] = _described(trainer._loss)
    settings["optimizer"] = _described(trainer.optimizer)
    is_number = isinstance(trainer.learning_rate, numbers.Real)
    settings["learning_rate"] = float(trainer.learning_rate) if is_number else _described(trainer.schedule)
    settings["seed"] = trainer.seed if isinstance(trainer.seed, int) else 0  # the state has what was made of it
    settings["shuffle"] = trainer.shuffle if trainer._reorder == trainer._rng.shuffle else OWN
    return settings


def _described(made):
    """Class and fields of an object of `losses`, `optimizers` or `schedules`; OWN for others."""
    if type(made) not in CLASSES.values():
        return OWN
    kept = {field.name: getattr(made, field.name) for field in fields(made)}
    nested = {name: _described(value) for name, value in kept.items() if hasattr(value, "rate")}  # in a Warmup
    return OWN if OWN in nested.values() else {"class": type(made).__name__, **kept, **nested}


def _made(value, depth=0):
    """Object that `_described` described, at a depth of others that hold it; other values as they are."""
    if not isinstance(value, dict):
        return value
    require(depth < DEEPEST, "settings")
    fields_ = {name: _made(part, depth + 1) for name, part in value.items() if name != "class"}
    return CLASSES[value["class"]](**fields_)


CLASSES = {
    name: kind
    for module in (losses, optimizers, schedules)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and is_dataclass(kind)
}
