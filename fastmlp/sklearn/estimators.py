"""MLPClassifier and MLPRegressor; `base` has what they share."""

from numbers import Real
from typing import ClassVar

import numpy as np
import sklearn.neural_network
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import compute_sample_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from .. import checks, losses
from .base import BaseMLP
from .scoring import r2

LOG_LOSSES = {"softmax": "cross_entropy", "logistic": "binary_cross_entropy"}


def _stochastic(estimator):
    """Return True, or raise an AttributeError if the solver is "lbfgs": whether an estimator has `partial_fit`."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
    return True


class MLPClassifier(ClassifierMixin, BaseMLP):
    """Classifier with the interface of scikit-learn's MLPClassifier.

    It has all parameters, attributes and methods of `sklearn.neural_network.MLPClassifier`, with the same defaults and
    the same meaning. The following are new, or accept more.

    Parameters
    ----------
    activation : str or sequence of str, default="relu"
        Any activation of this library ("logistic" is its sigmoid), or one for each hidden layer.
    solver : {"lbfgs", "sgd", "adam", "adamw"} or an object of `fastmlp.optimizers`, default="adam"
        "lbfgs" uses all samples at once and does not accept `dropout`, `clip_norm` or `callbacks`.
    learning_rate : {"constant", "invscaling", "adaptive"} or a schedule of `fastmlp.schedules`, default="constant"
        The names have an effect with solver="sgd" only, a schedule with every solver but "lbfgs".
    warm_start : bool, default=False
        From fit to fit, `solver` and `early_stopping` may change, too; `hidden_layer_sizes` may not. If no epoch
        exceeds the best validation score of the fits before, the weights stay as they were.
    loss : {"log_loss", "focal"} or an object of `fastmlp.losses`, default="log_loss"
        "log_loss" is the cross-entropy. Names of other losses are accepted too, if they are for softmax outputs (more
        than two classes) or for sigmoid outputs (two classes, or samples with several labels).
    class_weight : dict, list of dict, "balanced" or None, default=None
        Factors of the sample weights by class label; "balanced" gives all classes the same total weight. A list has a
        dict for each column of `y`, for samples with several labels.
    label_smoothing : float, default=0.0
        Share of each target that is spread over all classes.
    dropout : float or sequence of float, default=0.0
        Share of the hidden units that each update drops at random, for all hidden layers or for each.
    weight_decay : float, default=0.01
        Decoupled weight decay of "adamw".
    clip_norm : float, default=None
        Largest Euclidean norm of a gradient, to which larger ones are scaled down; None: no limit.
    scoring : str, callable or None, default=None
        Score of the samples held out that early stopping watches: the name of a scorer, a scorer, or "loss"; None:
        accuracy. For a scorer, at least one sample of each class is held out: of a class with a single sample this one,
        which is trained on, too.
    callbacks : sequence, default=()
        Objects to call during training (see `fastmlp.callbacks`).
    threads : int, default=None
        Largest number of threads for training and prediction; None: all. Results are the same for any number.
    precision : {"float32", "bf16-mixed"}, default="float32"
        Precision of the matrix products of a fit (see `fastmlp.precision`). With "bf16-mixed", samples are converted to
        float32, in which predictions are.

    Attributes
    ----------
    validation_loss_curve_ : list of float, or None
        With early stopping, the loss of the samples held out after each epoch.
    """

    _sklearn_class = sklearn.neural_network.MLPClassifier
    _parameter_constraints: ClassVar[dict] = {
        **BaseMLP._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        loss="log_loss",
        class_weight=None,
        label_smoothing=0.0,
        dropout=0.0,
        weight_decay=0.01,
        clip_norm=None,
        scoring=None,
        callbacks=(),
        threads=None,
        precision="float32",
    ):
        self._keep(locals())

    @available_if(_stochastic)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """Train for one more epoch.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
        classes : array-like of shape (n_classes,), default=None
            All classes of this and later calls; required at the first call.

        Returns
        -------
        self
        """
        if _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X):
        """Most probable class of each sample, or an indicator matrix for samples with several labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        return self._labels(self._outputs(X))

    def predict_proba(self, X):
        """Probabilities of the classes, in the order of `classes_`: ndarray of shape (n_samples, n_classes)."""
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes (see `predict_proba`)."""
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _learn_targets(self, y, incremental):
        """Set `classes_` and `n_outputs_` for the labels `y`; `incremental`: whether this is `partial_fit`."""
        if y.dtype.kind in "Ofc" and (kind := type_of_target(y)).startswith(("continuous", "unknown")):
            raise ValueError(
                f"Unknown label type: y is {kind}, of dtype {y.dtype}; accepted: strings, or whole numbers of 64 bits"
            )
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(unique_labels(y))
        self.n_outputs_ = 1 if self._label_binarizer.y_type_ == "binary" else len(self.classes_)

    def _targets(self, y, dtype):
        """Targets of the network: (n_samples,) class numbers if outputs are a softmax, else (n_samples, n_outputs)."""
        if self._label_binarizer.y_type_ == "multiclass":
            return np.searchsorted(self.classes_, y)
        return self._label_binarizer.transform(y).astype(dtype)

    def _check_classes(self, classes):
        """Raise a ValueError if classes do not fit those of the last fit, as scikit-learn does."""
        if self.warm_start and set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously "
                f"got {self.classes_}, `y` has {classes}"
            )
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _weigh(self, y, sample_weight, incremental, among=None):
        """Sample weights times class weights: (n_samples,), or None. "balanced" means in `among`, by default `y`."""
        if self.class_weight is None:
            return sample_weight
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight is 'balanced', for which all samples must be known; accepted with partial_fit: a dict"
            )
        given = list(self.class_weight.values()) if isinstance(self.class_weight, dict) else None
        with checks.naming_overflow(class_weight=given):
            if among is None:
                weights = compute_sample_weight(self.class_weight, y)
            else:
                counted = np.arange(len(among)) if self.class_weight == "balanced" else None
                both = np.concatenate([among, y])
                weights = compute_sample_weight(self.class_weight, both, indices=counted)[len(among) :]
        return weights if sample_weight is None else weights * sample_weight

    def _output_activation(self):
        """Activation of the outputs, by scikit-learn's name."""
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _loss(self):
        """Object of `fastmlp.losses` to train with."""
        loss = LOG_LOSSES[self.out_activation_] if self.loss == "log_loss" else self.loss
        return losses.smoothed(self._net.resolve_loss(loss), self.label_smoothing)

    def _loss_share(self):
        """Ratio of the reported loss to that of the trainer: 1, as scikit-learn sums over classes too."""
        return 1.0

    def _stratify(self, targets):
        """Classes that the split keeps in proportion, as in scikit-learn: (n_samples, 1) of bool, or None.

        There, a class with one member is an error; with a scorer, which scikit-learn's MLPs do not have, it is not.
        """
        binary = targets.astype(bool) if self.n_outputs_ == 1 else None
        lone = binary is not None and 1 in (np.count_nonzero(binary), np.count_nonzero(~binary))
        return None if lone and self._has_scorer() else binary

    def _labels(self, outputs):
        """Class labels for outputs of the network, or for targets as `_targets` returns them."""
        if outputs.ndim == 1:
            return self.classes_[outputs]
        return self._label_binarizer.inverse_transform(outputs.ravel() if self.n_outputs_ == 1 else outputs)

    def _score_outputs(self, outputs, targets, sample_weight):
        """Accuracy of the outputs, as `score` computes it."""
        if targets.ndim == 1:
            hits = outputs.argmax(axis=1) == targets
        else:
            hits = ((outputs > 0.5) == (targets > 0.5)).all(axis=1)
        return float(np.average(hits, weights=sample_weight))


class MLPRegressor(RegressorMixin, BaseMLP):
    """Regressor with the interface of scikit-learn's MLPRegressor.

    It has all parameters, attributes and methods of `sklearn.neural_network.MLPRegressor`, with the same defaults and
    the same meaning. New parameters are those of `MLPClassifier`, without the ones for classes; these differ:

    Parameters
    ----------
    loss : str or object of `fastmlp.losses`, default="squared_error"
        Loss for numbers or, "poisson", for counts. Objects have settings: `Huber(delta)`, `Quantile(q)`.
    scoring : str, callable or None, default=None
        As for the classifier; None: R².
    """

    _sklearn_class = sklearn.neural_network.MLPRegressor

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        dropout=0.0,
        weight_decay=0.01,
        clip_norm=None,
        scoring=None,
        callbacks=(),
        threads=None,
        precision="float32",
    ):
        self._keep(locals())

    @available_if(_stochastic)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Train for one more epoch. Arguments as for `fit`."""
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X):
        """Predicted numbers.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        return self._labels(self._outputs(X))

    def _learn_targets(self, y, incremental):
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]

    def _targets(self, y, dtype):
        """Targets of the network, (n_samples, n_outputs)."""
        return y.reshape(len(y), -1)

    def _weigh(self, y, sample_weight, incremental, among=None):
        return sample_weight

    def _output_activation(self):
        return losses.suited_output(getattr(self.loss, "name", self.loss))

    def _loss(self):
        return self._net.resolve_loss(self.loss)

    def _loss_share(self):
        """Ratio of the reported loss to that of the trainer: scikit-learn averages squared errors over the outputs."""
        return 1 / self.n_outputs_ if self._loss().name == "squared_error" else 1.0

    def _stratify(self, targets):
        return None

    def _labels(self, outputs):
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

    def _score_outputs(self, outputs, targets, sample_weight):
        """R² of the outputs, as `score` computes it; NaN if an output is not finite."""
        if not np.isfinite(outputs).all():
            return float("nan")
        return r2(targets, outputs, sample_weight)
