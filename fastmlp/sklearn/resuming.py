"""State of an estimator's fit, kept with that of its `Trainer` in the files of `fastmlp.callbacks.Checkpoint`.

The trainer's part has the weights, the optimizer's moments, the order of the samples and the best weights of early
stopping; this one has the fitted attributes, the learning rate and the random numbers.
"""

import numpy as np

from .. import training_state
from ..files import ModelFileError
from ..training_state import is_count, require

STATE_WORDS = 624  # of a Mersenne Twister


def _is_number(value):
    return type(value) is float or (type(value) is int and abs(value) < 2**53)


def _is_curve(value):
    return isinstance(value, list) and all(map(_is_number, value))


# Attributes of the estimator and of its `rules.Rate`, each with a check of its value.
ATTRIBUTES = {
    "t_": is_count,
    "_no_improvement_count": is_count,
    "best_loss_": _is_number,
    "best_validation_score_": _is_number,
    "loss_curve_": _is_curve,
    "validation_scores_": _is_curve,
    "validation_loss_curve_": _is_curve,
}
RATE = {"learning_rate": _is_number, "epochs": is_count}
# Those that are None, by whether there is early stopping.
UNUSED = {False: ("best_validation_score_", "validation_scores_", "validation_loss_curve_"), True: ("best_loss_",)}


def state_of(estimator, rate, samples, held, split):
    """State of a fit as a dict that JSON can represent.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    rate : rules.Rate
    samples : int
        Number of samples, with those held out.
    held : int or None
        Number of samples for validation, if they are others.
    split : list
        Random numbers before samples were held out (see `random_numbers`).
    """
    return {
        "fit": _fit_of(estimator, samples, held),
        "attributes": {name: getattr(estimator, name) for name in ATTRIBUTES},
        "rate": {"learning_rate": float(rate.learning_rate), "epochs": rate.epochs},
        "split": split,
        "random": random_numbers(estimator._random_state),
    }


def read(path, estimator, samples, held):
    """State in a file that a Checkpoint wrote in a fit like that of `estimator` to `samples` samples.

    Returns
    -------
    state : training_state.State
    saved : dict; as of `state_of`

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        A ValueError: if it is damaged, has no such state, or that of a fit to other samples or of another network.
    """
    state = training_state.read(path, estimator._net)
    callbacks = state.position.callbacks if state.position else []
    saved = next((saved for name, saved in callbacks if name == "Follow"), None)
    if not saved:
        raise ModelFileError(
            f"{path} has no fit of an estimator; accepted: a file of Checkpoint(path, 'each', state=True) among its "
            "callbacks"
        )
    try:
        for name, given in _fit_of(estimator, samples, held).items():
            if (found := saved["fit"][name]) != given:
                raise ModelFileError(f"{path} has a fit with {name} {found!r}; accepted: {given!r}")
        require(saved["attributes"].keys() == ATTRIBUTES.keys() and saved["rate"].keys() == RATE.keys(), "attributes")
        early, values = bool(estimator.early_stopping), saved["attributes"] | saved["rate"]
        for name, accepts in (ATTRIBUTES | RATE).items():
            require(values[name] is None if name in UNUSED[early] else accepts(values[name]), name)
        require(state.position.best_params.size or not early, "best_params")
        require(state.position.order.size or not estimator.shuffle, "order")
        for name in "split", "random":
            set_random(np.random.RandomState(), saved[name])
    except ModelFileError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise ModelFileError(f"{path} has a damaged training state: {type(error).__name__} {error}") from None
    return state, saved


def random_numbers(random_state):
    """State of a `numpy.random.RandomState` as a list; for one that is no Mersenne Twister, of its name only."""
    state = random_state.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        return [state["bit_generator"]]
    words = state["state"]
    return [state["bit_generator"], words["key"].tolist(), words["pos"], state["has_gauss"], state["gauss"]]


def set_random(random_state, saved):
    """Set the state of a RandomState to one of `random_numbers`, or raise an exception if it is none."""
    name, key, position, *gauss = saved
    if name != "MT19937" or len(key) != STATE_WORDS or not 0 <= position <= STATE_WORDS:  # NumPy trusts the position
        raise ValueError("random numbers")
    random_state.set_state((name, key, position, *gauss))


def _fit_of(estimator, samples, held):
    """What a fit must have in common with the one that it resumes, by name."""
    early = bool(estimator.early_stopping)
    fraction = f"replaced by {held} samples of X_val" if held else float(estimator.validation_fraction)
    return {
        "classes": estimator.classes_.tolist() if hasattr(estimator, "classes_") else None,
        "samples": samples,
        "early_stopping": early,
        "validation_fraction": fraction if early else None,
    }
