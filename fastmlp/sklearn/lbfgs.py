"""The solver "lbfgs": SciPy's L-BFGS-B with the loss and gradient of `fastmlp.objective`."""

import functools

import numpy as np
import scipy.optimize
from sklearn.utils.optimize import _check_optimize_result
from threadpoolctl import ThreadpoolController

from ..objective import Objective


def minimize(estimator, X, targets, sample_weight, follow, tasks):
    """Train an estimator's network until L-BFGS stops, and set `loss_` and `n_iter_`; note when it begins in `follow`.

    The first evaluation after an iteration, which L-BFGS makes for the next one only, begins the next of the `tasks`.

    The line search needs float64, as in scikit-learn: a network of float32 is trained in float64, then rounded.

    Raises
    ------
    ValueError
        If the estimator has `dropout`, `clip_norm` or `callbacks`, which belong to training in batches, or a
        `precision` other than "float32".
    """
    for name in ("dropout", "clip_norm", "callbacks"):
        if np.any(value := getattr(estimator, name)):
            raise ValueError(f"{name} is {value!r} with solver 'lbfgs'; accepted with solvers that take batches")
    if estimator.precision != "float32":
        raise ValueError(f"precision is {estimator.precision!r} with solver 'lbfgs'; accepted: 'float32'")
    net = estimator._net
    double = net if net.dtype == np.float64 else net.astype("float64")
    samples = X.shape[0] if sample_weight is None else np.sum(sample_weight)
    objective = Objective(
        double,
        X,
        targets,
        loss=estimator._loss(),
        l2=estimator.alpha / samples,
        sample_weight=sample_weight,
        threads=estimator.threads,
    )
    share, follow.begun, estimator.n_iter_, stopped = estimator._loss_share(), True, 0, False
    tasks.begin(estimator.max_iter, "iteration")

    def loss_and_gradient(params):
        # As in scikit-learn, whose squared error is averaged over outputs while its gradient is that of the sum.
        tasks.begin_part()
        loss, penalty, gradient = objective(params)
        return loss * share + penalty, gradient.copy()  # a copy, as the next call overwrites it

    def end_iteration(intermediate_result):  # SciPy goes by this name: any other would get the parameters alone
        nonlocal stopped
        estimator.n_iter_ += 1
        estimator.loss_, net.params[:] = intermediate_result.fun, intermediate_result.x
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
        if stopped := tasks.end_part():
            raise StopIteration

    with _pools().limit(limits=1, user_api="blas"):
        result = scipy.optimize.minimize(
            loss_and_gradient,
            double.params,
            method="L-BFGS-B",
            jac=True,
            callback=end_iteration,
            options={"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol},
        )
    estimator.n_iter_ = result.nit if stopped else _check_optimize_result("lbfgs", result, estimator.max_iter)
    estimator.loss_ = result.fun
    net.params[:] = result.x


@functools.cache
def _pools():
    """Thread pools of other libraries. Waiting BLAS threads would use the cores that this library's threads need."""
    return ThreadpoolController()
