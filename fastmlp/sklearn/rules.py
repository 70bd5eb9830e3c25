"""Training rules of scikit-learn's MLPs: order of samples, learning rates, and stopping.

They are those of sklearn/neural_network/_multilayer_perceptron.py and _stochastic_optimizers.py of scikit-learn 1.9.
"""

import numpy as np

from . import resuming

LEAST_RATE = 1e-6  # the adaptive learning rate does not decrease any more from here on


class Reorder:
    """Function for `shuffle` of `Trainer`: orders samples as sklearn.utils.shuffle does from the same random state.

    It is the estimator's of the moment, as that of a fit that is resumed is set when the training begins.
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def __call__(self, order):
        places = np.arange(len(order))
        self.estimator._random_state.shuffle(places)
        order[:] = order[places]


class Rate:
    """Learning rate of a fit, changed by scikit-learn's rules or by a schedule; itself a schedule for `Trainer`.

    Parameters
    ----------
    rule : {"constant", "invscaling", "adaptive"} or a schedule of `fastmlp.schedules`
    initial : float; first learning rate
    power : float; exponent of "invscaling"

    Attributes
    ----------
    learning_rate : float
    epochs : int; epochs that ended, over all calls of partial_fit
    """

    def __init__(self, rule, initial, power):
        self.rule, self.initial, self.power, self.epochs = rule, initial, power, 0
        self.learning_rate = float(initial)

    def rate(self, epoch, losses):
        """Rate of the current epoch: asked for when it begins, and again where it is resumed.

        A schedule of `fastmlp.schedules` is asked with the number of epochs over all calls of partial_fit; there
        `losses` is empty, as each call has one epoch.
        """
        if hasattr(self.rule, "rate"):
            self.learning_rate = self.rule.rate(self.epochs, losses)
        return self.learning_rate

    def epoch_ends(self, samples):
        """Update the rate after an epoch; `samples` is the number of samples trained on since weights were drawn."""
        self.epochs += 1
        if self.rule == "invscaling":
            self.learning_rate = float(self.initial) / (samples + 1) ** self.power

    def gives_up(self, message, verbose):
        """Return whether to stop after too many epochs without improvement; lower an adaptive rate instead."""
        adaptive = self.rule == "adaptive"
        stop = not adaptive or self.learning_rate <= LEAST_RATE
        if not stop:
            self.learning_rate /= 5.0
        if verbose:
            too_small = "Learning rate too small. " if adaptive else ""
            print(message, f"{too_small}Stopping." if stop else f"Setting learning rate to {self.learning_rate:f}")
        return stop


class Follow:
    """Callback that updates an estimator's attributes during training, and stops it when scikit-learn would.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    incremental : bool
        Whether this is `partial_fit`: one epoch.

    Attributes
    ----------
    saved : dict or None
        State of a fit that is resumed (see `resuming.state_of`).
    total : int
        Number of samples, with those held out.
    held : int or None
        Number of samples for validation that `fit` was given; None if it was not.
    split : list or None
        Random numbers before samples were held out, if the fit may be saved (see `resuming`).
    begun : bool
        Whether the training has begun, after which errors undo nothing.
    stopped : bool
        Whether the last epoch met a rule to stop.
    best : (n_params,) array or None
        With early stopping, the parameters with the best score.
    rate : Rate
    samples : int
        Number of samples trained on in an epoch.
    share : float
        Ratio of the reported loss to that of the trainer.
    """

    def __init__(self, estimator, incremental):
        self.estimator, self.incremental = estimator, incremental
        self.saved, self.total, self.held, self.split, self.best = None, 0, None, None, None
        self.begun = self.stopped = False

    def on_fit_begin(self, trainer, epochs, samples):
        model = self.estimator
        self.begun, self.rate, self.samples, self.share = True, trainer.schedule, samples, model._loss_share()
        model.n_iter_ = len(trainer.history.loss)
        if self.saved is None:
            # With `warm_start` the best weights of the last fit, which stay if no epoch exceeds its score. scikit-learn
            # has the last epoch's then, as it trains the arrays in which it keeps the best.
            if model.early_stopping:
                self._keep_best(trainer)
            return False
        self._take_saved()
        if model.early_stopping:
            self.best = trainer._position.best_params
        return model._no_improvement_count > model.n_iter_no_change  # as in the epoch in which it stopped

    def state_dict(self):
        """State for `resuming`; none in `partial_fit`, which is not resumed, and without callbacks to save it."""
        if self.split is None:
            return {}
        return resuming.state_of(self.estimator, self.rate, self.total, self.held, self.split)

    def _take_saved(self):
        """Set the attributes, the learning rate and the random numbers to those of the fit that is resumed."""
        model, saved = self.estimator, self.saved
        vars(model).update(saved["attributes"])
        if model.loss_curve_:
            model.loss_ = model.loss_curve_[-1]
        vars(self.rate).update(saved["rate"])
        if isinstance(model.random_state, np.random.RandomState):  # the caller's, who may go on to use it
            model._random_state = model.random_state
        resuming.set_random(model._random_state, saved["random"])

    def on_epoch_end(self, trainer, epoch):
        # Of each epoch, `history.objective` has loss plus penalty, averaged over the updates, `penalty` the penalty
        # alone, and `watched` what early stopping minimizes: the validation loss, or the function of
        # `base.BaseMLP._monitor`.
        model, history = self.estimator, trainer.history
        model.n_iter_ += 1
        loss = history.objective[-1] - history.penalty[-1]
        model.loss_ = float(loss * self.share + history.penalty[-1])
        model.t_ += self.samples
        model.loss_curve_.append(model.loss_)
        if model.verbose:
            print(f"Iteration {model.n_iter_}, loss = {model.loss_:.8f}")
        if model.early_stopping:
            model.validation_loss_curve_.append(history.val_loss[-1] * self.share)
            self._note_score(-history.watched[-1], trainer)
        else:
            self._note_loss()
        self.rate.epoch_ends(model.t_)
        stop = model._no_improvement_count > model.n_iter_no_change and self._gives_up()
        self.stopped = stop
        return stop

    def diverged(self):
        """Update the attributes after an epoch that ended in values that are not finite."""
        model = self.estimator
        model.n_iter_ += 1
        model.loss_ = float("nan")
        model.loss_curve_.append(model.loss_)
        if model.early_stopping:
            model.validation_loss_curve_.append(model.loss_)
            model.validation_scores_.append(model.loss_)

    def restore(self, net):
        """Copy the parameters with the best score back to the network, if early stopping kept any."""
        if self.best is not None:
            net.params[:] = self.best

    def _note_score(self, score, trainer):
        """Update the attributes about validation scores, and keep the parameters with the best one."""
        model = self.estimator
        model.validation_scores_.append(score)
        if model.verbose:
            print(f"Validation score: {score:f}")
        worse = score < model.best_validation_score_ + model.tol
        model._no_improvement_count = model._no_improvement_count + 1 if worse else 0
        if score > model.best_validation_score_:
            model.best_validation_score_ = score
            self._keep_best(trainer)

    def _keep_best(self, trainer):
        """Keep the current parameters as the best, in the trainer's position too, which is saved."""
        self.best = trainer._position.best_params = trainer.net.params.copy()

    def _note_loss(self):
        """Update the attributes about the best training loss."""
        model = self.estimator
        worse = model.loss_ > model.best_loss_ - model.tol
        model._no_improvement_count = model._no_improvement_count + 1 if worse else 0
        model.best_loss_ = min(model.best_loss_, model.loss_)

    def _gives_up(self):
        """Return whether to stop, as there was no improvement for `n_iter_no_change` epochs (see `Rate.gives_up`)."""
        model = self.estimator
        what = "Validation score" if model.early_stopping else "Training loss"
        message = f"{what} did not improve more than tol={model.tol:f} for {model.n_iter_no_change} consecutive epochs."
        stop = self.rate.gives_up(message, model.verbose)
        if not stop:
            model._no_improvement_count = 0
        return stop
