"""Base of MLPClassifier and MLPRegressor: makes a `Trainer` from the parameters, and sets the fitted attributes.

`estimators` has the two classes, `rules` scikit-learn's initial weights, order of samples, learning rates and stopping
rules, `tasks` its callbacks, `held_out` the samples that early stopping watches, `scoring` their scores, `resuming`
what a fit goes on from, `lbfgs` the solver of that name. "As in scikit-learn" means its file _multilayer_perceptron.py.
"""

import warnings
from copy import copy, deepcopy
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import checks, initializers, optimizers
from ..network import MLP
from ..precision import PRECISIONS
from ..registered import all_parts
from ..streams import is_stream
from ..threads import limited
from ..trainer import DivergenceError, Trainer
from . import held_out, lbfgs, resuming
from .rules import Follow, Rate, Reorder
from .scoring import takes_weights
from .tasks import CallbackSupportMixin, Tasks

OUR_NAMES = {"logistic": "sigmoid"}  # of activations, by scikit-learn's name; all others are the same in both libraries
SOLVERS = {"lbfgs", "sgd", "adam", "adamw"}
SHARED_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")  # those that scikit-learn has too
CALLER = 6  # level of warnings in `_fit_stochastic` that name the caller of `fit`, above scikit-learn's decorator
NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)
# Attributes that a fit sets in an estimator of either library.
FITTED = (
    *("n_iter_", "t_", "loss_", "best_loss_", "loss_curve_", "validation_scores_", "best_validation_score_"),
    *("n_layers_", "n_outputs_", "out_activation_", "classes_", "n_features_in_", "feature_names_in_"),
    *("_label_binarizer", "_no_improvement_count"),
)


# scikit-learn's constraints for numbers, by the least that is accepted, and for a share below 1.
FROM_0, ABOVE_0 = (Interval(Real, 0, None, closed=closed) for closed in ("left", "neither"))
FROM_1, SHARE = Interval(Integral, 1, None, closed="left"), Interval(Real, 0, 1, closed="left")


class BaseMLP(CallbackSupportMixin, BaseEstimator):
    """Base of the two estimators. After a fit `_net` is the `MLP` of which `coefs_` and `intercepts_` are views.

    Subclasses provide what depends on the task (the classifier's docstrings say more):

    `_sklearn_class`      scikit-learn's class of the same name
    `_learn_targets`      sets the attributes about the targets that a fit is given
    `_targets`            makes the targets of the network
    `_weigh`              multiplies the sample weights by the class weights, if there are any
    `_output_activation`  activation of the outputs, by scikit-learn's name
    `_loss`               object of `fastmlp.losses` to train with
    `_loss_share`         ratio of the reported loss to that of the trainer
    `_stratify`           classes that the split for early stopping keeps in proportion
    `_labels`             predictions for outputs of the network: class labels or numbers
    `_score_outputs`      score of outputs that early stopping watches by default
    """

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", FROM_1],
        "activation": [str, "array-like"],
        "solver": [StrOptions(SOLVERS), *optimizers.OPTIMIZERS.values()],
        "alpha": [FROM_0],
        "batch_size": [StrOptions({"auto"}), FROM_1],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), HasMethods("rate")],
        "learning_rate_init": [ABOVE_0],
        "power_t": [FROM_0],
        "max_iter": [FROM_1],
        "loss": "no_validation",  # Trainer says what it accepts
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [FROM_0],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [SHARE],
        "beta_1": [SHARE],
        "beta_2": [SHARE],
        "epsilon": [ABOVE_0],
        "n_iter_no_change": [FROM_1, Options(Real, {np.inf})],
        "max_fun": [FROM_1],
        "dropout": [SHARE, "array-like"],
        "weight_decay": [FROM_0],
        "clip_norm": [None, ABOVE_0],
        "scoring": [None, str, callable],
        "callbacks": ["array-like"],
        "threads": [None, FROM_1],
        "precision": [StrOptions(set(PRECISIONS))],
    }

    precision = "float32"  # of estimators that were pickled before they had one

    def _keep(self, parameters):
        """Set an attribute for each parameter of the constructor, without a check, as scikit-learn requires."""
        vars(self).update((name, value) for name, value in parameters.items() if name != "self")

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None, resume=None):
        """Fit the model to data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or numbers for a regression.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in the loss, from 0 on.
        X_val, y_val, sample_weight_val : as `X`, `y` and `sample_weight`, default=None
            Samples for early stopping to watch, in place of a share of `X`, all of which is then trained on. Classes
            have the weights that `class_weight` gives them in `y`. In a `Pipeline(..., transform_input=["X_val"])`
            they are transformed as `X` is. Only with early_stopping=True, and not with solver="lbfgs".
        resume : str or path, default=None
            File of a fit that was interrupted, to go on from there. A `Checkpoint(path, "each", state=True)` of
            `fastmlp.callbacks` among the estimator's `callbacks` wrote it. Given the same parameters and samples, all
            results have the same bits as without the interruption. Not with solver="lbfgs".

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument is not accepted, or the file of `resume` is damaged or of another fit: then the estimator
            stays as it was.
        """
        validation = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        return self._fit(X, y, sample_weight, validation, resume=resume)

    def to_sklearn(self):
        """Estimator of scikit-learn with the same weights and predictions.

        Parameters that scikit-learn does not have are left out. A solver, learning rate or loss that it does not have
        is replaced by its default, which only matters for further training.

        Raises
        ------
        ValueError
            If scikit-learn does not have the activations, or they are not the same in all hidden layers.
        """
        check_is_fitted(self)
        names = set(self._hidden_as_named(self.n_layers_ - 2))
        if len(names) > 1 or not names <= set(SHARED_ACTIVATIONS):
            raise ValueError(
                f"activation is {self.activation!r}; accepted: {', '.join(SHARED_ACTIVATIONS)}, one for all layers"
            )
        defaults = self._sklearn_class().get_params()
        parameters = {name: getattr(self, name) for name in defaults}
        if names:
            (parameters["activation"],) = names
        elif self.activation not in SHARED_ACTIVATIONS:  # no layer has it, but scikit-learn looks it up
            parameters["activation"] = defaults["activation"]
        for name in ("solver", "learning_rate", "loss"):
            accepted = [c for c in self._sklearn_class._parameter_constraints.get(name, ()) if hasattr(c, "options")]
            if name in parameters and not any(parameters[name] in c.options for c in accepted):
                parameters[name] = defaults[name]
        model = self._hand_over(self, self._sklearn_class(**parameters))
        # What scikit-learn goes back to if no epoch of further training has a better score.
        model._best_coefs, model._best_intercepts = map(deepcopy, (model.coefs_, model.intercepts_))
        return model

    @classmethod
    def from_sklearn(cls, model):
        """Estimator with the parameters, weights and predictions of a fitted one of scikit-learn.

        Raises
        ------
        TypeError
            If `model` is not an instance of scikit-learn's class of the same name.
        """
        if not isinstance(model, cls._sklearn_class):
            raise TypeError(f"model is {type(model).__name__}; accepted: scikit-learn's {cls._sklearn_class.__name__}")
        check_is_fitted(model)
        estimator = cls._hand_over(model, cls(**model.get_params(deep=False)))
        estimator.validation_loss_curve_ = [] if model.early_stopping else None  # for further training
        estimator._adopt(estimator._network())
        return estimator

    @staticmethod
    def _hand_over(source, target):
        """Copy the attributes that a fit sets, and the weights, from one estimator to another; return the latter."""
        for name in FITTED:
            if hasattr(source, name):
                setattr(target, name, copy(getattr(source, name)))  # a list grows in further training
        target.coefs_ = [coef.copy() for coef in source.coefs_]
        target.intercepts_ = [intercept.copy() for intercept in source.intercepts_]
        return target

    def __getstate__(self):
        """All attributes but the network, whose weights are in coefs_ and intercepts_, and all registered functions.

        These are for workers of a search, where parameters become any of the names.
        """
        state = {name: value for name, value in super().__getstate__().items() if name != "_net"}
        return state | ({"_registered": parts} if (parts := all_parts()) else {})

    def __setstate__(self, state):
        super().__setstate__({name: value for name, value in state.items() if name != "_registered"})
        if hasattr(self, "coefs_"):
            self._adopt(self._network())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _fit(self, X, y, sample_weight=None, validation=None, incremental=False, resume=None):
        """Fit the model; `incremental` is True in `partial_fit`: one epoch, from the current weights.

        `validation` has the arguments of `fit` about samples for validation, by name.

        An error before the training begins leaves all attributes as they were.
        """
        if is_stream(X):
            raise TypeError(
                f"X is a stream, {type(X).__name__}; accepted: arrays, and blocks with partial_fit; streams are for "
                "fastmlp.Trainer"
            )
        follow, before = Follow(self, incremental), dict(vars(self))
        try:
            self._train(X, y, sample_weight, validation or {}, follow, resume)
        except BaseException:
            if not follow.begun:
                vars(self).clear()
                vars(self).update(before)
            raise
        return self

    def _train(self, X, y, sample_weight, validation, follow, resume):
        """Check the arguments of `_fit` and the parameters, and train with the solver."""
        incremental, tasks = follow.incremental, Tasks(self, X, y, sample_weight)
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes))
        if sizes.size and sizes.dtype.kind not in "iu":
            shown = ", ".join(map(checks.shown, sizes.ravel().tolist()))
            raise TypeError(f"hidden_layer_sizes is ({shown}); accepted: whole numbers from 1 on")
        hidden = sizes.tolist()
        if any(size <= 0 for size in hidden):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        for name in "alpha", "learning_rate_init", "tol":
            checks.number(name, getattr(self, name))  # within float64: scikit-learn's constraints have no upper limit
        if resume is not None and self.solver == "lbfgs":
            raise ValueError(f"resume is {resume!r} with solver 'lbfgs'; accepted with solvers that take batches")
        held_out.check_given(self, validation)
        first_pass = not hasattr(self, "coefs_") or resume is not None or (not self.warm_start and not incremental)
        with checks.naming_overflow(X=X, y=y, sample_weight=sample_weight):
            X, y, sample_weight = self._checked(X, y, sample_weight, self._dtypes(), reset=first_pass)
            self._learn_targets(y, incremental)
            targets = self._targets(y, X.dtype)
        held = held_out.given(self, X, y, **validation)
        sample_weight = self._weigh(y, sample_weight, incremental)
        self._random_state = check_random_state(self.random_state)
        if first_pass:
            self._initialize([X.shape[1], *hidden, self.n_outputs_], X.dtype)
            if resume is None:
                names = self._hidden_as_named(len(hidden))
                activations = [*names, names[-1] if names else self.activation]
                initializers.draw_with_biases(self._net, activations, self._random_state)
        elif (found := [len(b) for b in self.intercepts_[:-1]]) != hidden:
            raise ValueError(f"hidden_layer_sizes is {hidden}; accepted: {found}, as weights of the last fit are kept")
        else:
            self._adopt(self._network())
        if self.solver == "lbfgs":
            lbfgs.minimize(self, X, targets, sample_weight, follow, tasks)
        else:
            self._fit_stochastic(X, targets, sample_weight, held, follow, tasks, resume)
        if not np.isfinite(self._net.params).all():
            raise ValueError(NOT_FINITE)
        tasks.end()

    def _checked(self, X, y, sample_weight, dtypes, reset):
        """Arguments of `fit`, checked and converted: X has one of the dtypes; a column y has one dimension."""
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=not is_classifier(self),
            dtype=dtypes,
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y, None if sample_weight is None else _check_sample_weight(sample_weight, X)

    def _dtypes(self):
        """Dtypes that samples may have in a fit; others are converted to the first."""
        return (np.float32,) if self.precision == "bf16-mixed" else (np.float64, np.float32)

    def _initialize(self, sizes, dtype):
        """Make a network with weights of zero, and set the attributes that training updates."""
        self.n_iter_, self.t_, self.n_layers_ = 0, 0, len(sizes)
        self.out_activation_ = self._output_activation()
        self._adopt(self._build(sizes, dtype))
        if self.solver != "lbfgs":
            self.loss_curve_ = []
            self._begin_watching()

    def _begin_watching(self):
        """Set the attributes about the loss, or with early stopping the scores, that decide when training stops."""
        self._no_improvement_count = 0
        self.best_loss_ = None if self.early_stopping else np.inf
        self.validation_scores_ = [] if self.early_stopping else None
        self.validation_loss_curve_ = [] if self.early_stopping else None
        self.best_validation_score_ = -np.inf if self.early_stopping else None

    def _hidden_as_named(self, hidden):
        """Activation of each of `hidden` hidden layers, as the user named it: a list of str."""
        return [self.activation] * hidden if isinstance(self.activation, str) else list(self.activation)

    def _hidden_activations(self, hidden):
        """Activation of each of `hidden` hidden layers, as `MLP` names it: a tuple of str."""
        return tuple(OUR_NAMES.get(name, name) for name in self._hidden_as_named(hidden))

    def _build(self, sizes, dtype):
        """New `MLP` with this estimator's activations and weights of zero."""
        names = self._hidden_activations(len(sizes) - 2)
        output = OUR_NAMES.get(self.out_activation_, self.out_activation_)
        return MLP(sizes, names, output, dtype=dtype, init="zeros")

    def _owns(self):
        """Whether coefs_ and intercepts_ are still the views of `_net`, rather than arrays that a user has set."""
        ours, theirs = [*self._net.weights, *self._net.biases], [*self.coefs_, *self.intercepts_]
        return len(ours) == len(theirs) and all(a is b for a, b in zip(ours, theirs, strict=True))

    def _network(self):
        """`MLP` with the weights of coefs_ and intercepts_: `_net`, or a new one if they or the activation were set."""
        if (
            "_net" in vars(self)
            and self._owns()
            and self._net.activations[:-1] == self._hidden_activations(len(self.coefs_) - 1)
        ):
            return self._net
        net = self._build([len(self.coefs_[0]), *(len(b) for b in self.intercepts_)], self.coefs_[0].dtype)
        for views, arrays in ((net.weights, self.coefs_), (net.biases, self.intercepts_)):
            for view, array in zip(views, arrays, strict=True):
                view[...] = array
        return net

    def _adopt(self, net):
        """Set `_net` to the network `net`, and coefs_ and intercepts_ to its views."""
        self._net, self.coefs_, self.intercepts_ = net, list(net.weights), list(net.biases)

    def _fit_stochastic(self, X, targets, sample_weight, held, follow, tasks, resume):
        """Train in batches, with every solver but "lbfgs".

        Parameters
        ----------
        X, targets, sample_weight : as `_checked`, `_targets` and `_weigh` return them
        held : tuple or None; samples for validation, as `held_out.given` returns them
        follow : Follow
        tasks : Tasks
        resume : path or None; as for `fit`
        """
        incremental = follow.incremental
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        # With `warm_start`, the last fit may have been with "lbfgs", or with the other value of `early_stopping`.
        self.loss_curve_ = getattr(self, "loss_curve_", [])
        if getattr(self, "best_validation_score_" if self.early_stopping else "best_loss_", None) is None:
            self._begin_watching()
        follow.total, follow.held = X.shape[0], held and held[0].shape[0]
        if resume is not None:
            state, follow.saved = resuming.read(resume, self, follow.total, follow.held)
            self._random_state = np.random.RandomState()
            resuming.set_random(self._random_state, follow.saved["split"])
        if len(self.callbacks) and not incremental:
            follow.split = resuming.random_numbers(self._random_state)
        if self.early_stopping and held is None:
            samples = X, targets, sample_weight
            tasks.train, out = held_out.split(self, *samples)
            (X, targets, sample_weight), held = (
                tuple(None if values is None else values[part] for values in samples) for part in (tasks.train, out)
            )
        if not incremental or not hasattr(self, "_optimizer"):
            named = isinstance(self.learning_rate, str) and self.solver != "sgd"  # the names are for "sgd" alone
            rate = "constant" if named else self.learning_rate
            # Named as in scikit-learn, where the optimizer has the learning rate and the rules that change it.
            self._optimizer = Rate(rate, self.learning_rate_init, self.power_t)
            self._optimizer_state = None
        # After each epoch, `follow` sets the fitted attributes and, by scikit-learn's rules, changes the rate of
        # `_optimizer`, the trainer's schedule, or stops the training.
        trainer = self._make_trainer(X.shape[0])
        if resume is not None:
            trainer._take_state(state)
        try:
            trainer.fit(
                X,
                targets,
                epochs=1 if incremental else self.max_iter,
                sample_weight=sample_weight,
                validation_data=held,
                monitor=self._monitor(*held) if held and self.scoring != "loss" else None,
                callbacks=[follow, *([] if incremental else [tasks]), *self.callbacks],
                progress=False,
                resume=resume is not None,
            )
        except KeyboardInterrupt:
            if resume is not None and not follow.begun:
                raise  # nothing is trained yet, and the weights of the file are not taken over
            warnings.warn("Training interrupted by user.", stacklevel=CALLER)
        except DivergenceError:
            follow.diverged()
            if not self.early_stopping:
                raise ValueError(NOT_FINITE) from None
        else:
            if self._has_scorer() and self.validation_scores_ and self.best_validation_score_ == -np.inf:
                score = self.validation_scores_[-1]
                raise ValueError(f"scoring is {self.scoring!r}, whose scores are {score}; accepted: finite scores")
            if self.n_iter_ == self.max_iter and not (follow.stopped or incremental):
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                    "converged yet.",
                    ConvergenceWarning,
                    stacklevel=CALLER,
                )
        self._optimizer_state = trainer.optimizer_state
        follow.restore(self._net)

    def _make_trainer(self, samples):
        """Trainer of `_net` for `samples` samples; in `partial_fit`, with the optimizer's state of the last fit."""
        if self.batch_size == "auto":
            batch_size = min(200, samples)
        else:
            if self.batch_size > samples:
                warnings.warn(
                    "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
                    stacklevel=CALLER + 1,
                )
            batch_size = min(self.batch_size, samples)
        trainer = Trainer(
            self._net,
            self._loss(),
            self._solver(),
            learning_rate=self._optimizer,
            batch_size=batch_size,
            l2=float(self.alpha),
            average_l2=True,  # scikit-learn divides the penalty by the number of samples too
            dropout=self.dropout,
            clip_norm=self.clip_norm,
            shuffle=Reorder(self) if self.shuffle else False,
            seed=self._random_state.randint(2**31) if np.any(self.dropout) else 0,  # used by dropout alone
            threads=self.threads,
            precision=self.precision,
        )
        if self._optimizer_state is not None:
            trainer.optimizer_state = self._optimizer_state
        return trainer

    def _solver(self):
        """Object of `fastmlp.optimizers` with this estimator's settings."""
        if not isinstance(self.solver, str):
            return self.solver
        if self.solver == "sgd":
            kind = optimizers.Nesterov if self.nesterovs_momentum else optimizers.Momentum
            return kind(self.momentum, rate_in_velocity=True)
        if self.solver == "adamw":
            return optimizers.AdamW(self.beta_1, self.beta_2, self.epsilon, weight_decay=self.weight_decay)
        # scikit-learn adds epsilon before the correction of the second moment (see `optimizers.Adam`).
        return optimizers.Adam(self.beta_1, self.beta_2, self.epsilon, epsilon_hat=True)

    def _has_scorer(self):
        """Whether early stopping watches a scorer of the user's choice, which scikit-learn's MLPs do not have."""
        return self.scoring is not None and self.scoring != "loss"

    def _monitor(self, X, targets, sample_weight=None):
        """Function from the network to the negative score of the samples held out, which early stopping watches."""
        if self.scoring is None:
            return lambda net: -self._score_outputs(net.predict(X), targets, sample_weight)
        # Scorers call methods of an estimator, here a copy without names of features, which the arrays do not have.
        view = object.__new__(type(self))
        vars(view).update({name: value for name, value in vars(self).items() if name != "feature_names_in_"})
        scorer, truth = check_scoring(self, scoring=self.scoring), self._labels(targets)
        weights = {"sample_weight": sample_weight} if sample_weight is not None and takes_weights(scorer) else {}
        return lambda net: -scorer(view, X, truth, **weights)

    def _outputs(self, X):
        """Outputs of the network, (n_samples, n_outputs)."""
        check_is_fitted(self)
        with checks.naming_overflow(X=X):
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        with limited(self.threads):
            return self._network().predict(X)
