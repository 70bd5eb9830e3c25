"""The solver "lbfgs": SciPy's optimiser over the compiled loss and gradient."""

import numpy as np
import scipy.optimize
from sklearn.utils.optimize import _check_optimize_result

from ..objective import Objective


def minimize(estimator, X, targets, sample_weight):
    """Train an estimator's network to the end, and note `loss_` and `n_iter_`.

    The line search needs float64, as in scikit-learn; a network of float32 is trained in float64 and rounded.
    """
    net = estimator._net
    double = net if net.dtype == np.float64 else net.astype("float64")
    samples = X.shape[0] if sample_weight is None else np.sum(sample_weight)
    objective = Objective(
        double,
        X,
        targets,
        estimator._loss(),
        l2=estimator.alpha / samples,
        sample_weight=sample_weight,
    )
    share = estimator._loss_share()

    def loss_and_gradient(params):
        loss, penalty, gradient = objective(params)
        return loss * share + penalty, gradient.copy()

    result = scipy.optimize.minimize(
        loss_and_gradient,
        double.params,
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol},
    )
    estimator.n_iter_ = _check_optimize_result("lbfgs", result, estimator.max_iter)
    estimator.loss_ = result.fun
    net.params[:] = result.x
