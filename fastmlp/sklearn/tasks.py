"""Tasks of a fit, at which scikit-learn's callbacks are called: those of `set_callbacks`, from scikit-learn 1.9 on.

They are called in `fit` only, and apart from the callbacks of `fastmlp.callbacks`, the estimators' parameter.
"""

from functools import cache, partial

from sklearn.utils import _safe_indexing

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn is older, and has no callbacks

    class CallbackSupportMixin:
        """In place of scikit-learn's, without `set_callbacks`."""


CURVES = "loss_curve_", "validation_scores_", "validation_loss_curve_"  # attributes that grow with the epochs


class Tasks:
    """Task of a fit, and in it one for each epoch, or iteration of "lbfgs"; itself a callback of `Trainer.fit`.

    Callbacks get the samples as `fit` got them, without those held out, and after each epoch an estimator with the
    weights that it ended with. After the fit these are the best ones, if early stopping has restored them.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    X, y, sample_weight : as for its `fit`

    Attributes
    ----------
    train : (n_train,) int array or None
        The samples that are trained on; None: all.
    """

    def __init__(self, estimator, X, y, sample_weight):
        self.estimator, self.train, self._given = estimator, None, {"X": X, "y": y, "sample_weight": sample_weight}
        self._fit = self._part = None  # contexts of the tasks that have begun

    def begin(self, most, name):
        """Begin the task of the fit, with at most `most` parts, which are called `name`."""
        self._name = name
        if hasattr(self.estimator, "_skl_callbacks"):
            self._samples = {argument: cache(partial(self._taken, argument)) for argument in ("X", "y", "metadata")}
            self._fit = self.estimator._init_callback_context(max_subtasks=most)
            self._fit.call_on_fit_task_begin(estimator=self.estimator, **self._samples)

    def begin_part(self):
        """Begin the task of an epoch or iteration, unless it has begun."""
        if self._fit and not self._part:
            self._part = self._fit.subcontext(task_name=self._name)
            self._part.call_on_fit_task_begin(estimator=self.estimator, **self._samples)

    def end_part(self):
        """End the task of an epoch or iteration; return whether a callback asks to stop the fit."""
        task, self._part = self._part, None
        return bool(task) and task.call_on_fit_task_end(
            estimator=self.estimator, **self._samples, reconstruction_attributes=self._fitted
        )

    def end(self):
        """End the task of the fit, after that of an epoch or iteration that was interrupted."""
        if self._part:
            self._part.call_on_fit_task_end(estimator=self.estimator)
        if self._fit:
            self._fit.call_on_fit_task_end(
                estimator=self.estimator, **self._samples, reconstruction_attributes=self._fitted
            )

    def on_fit_begin(self, trainer, epochs, samples):
        self.begin(epochs, "epoch")
        if trainer._position.batch:  # a fit is resumed within an epoch, whose beginning is not announced again
            self.begin_part()

    def on_epoch_begin(self, trainer, epoch):
        self.begin_part()

    def on_epoch_end(self, trainer, epoch):
        return self.end_part()

    def _taken(self, argument):
        """Value of an argument of the callbacks: that of `fit`, for the samples that are trained on."""
        if argument == "metadata":
            weights = self._taken("sample_weight")
            return None if weights is None else {"sample_weight": weights}
        values = self._given[argument]
        return values if values is None or self.train is None else _safe_indexing(values, self.train)

    def _fitted(self):
        """Attributes that a copy of the estimator, whose weights are copies already, would share with it."""
        return {name: list(curve) for name in CURVES if (curve := getattr(self.estimator, name, None)) is not None}
