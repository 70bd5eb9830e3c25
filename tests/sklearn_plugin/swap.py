"""A pytest plugin that puts fastmlp's MLPs in place of scikit-learn's own in scikit-learn's tests of them.

    pytest -p tests.sklearn_plugin.swap --pyargs sklearn.neural_network.tests.test_mlp

Tests that reach into private parts of scikit-learn's implementation are marked as expected to fail, with the reason.
"""

import pytest
import sklearn.neural_network

import fastmlp.sklearn

# By the name of the test function.
PRIVATE = {
    "test_gradient": "calls _loss_grad_lbfgs with buffers of its own for activations, deltas and gradients",
}


def pytest_configure(config):
    sklearn.neural_network.MLPClassifier = fastmlp.sklearn.MLPClassifier
    sklearn.neural_network.MLPRegressor = fastmlp.sklearn.MLPRegressor


def pytest_collection_modifyitems(items):
    for item in items:
        if item.originalname in PRIVATE:
            item.add_marker(pytest.mark.xfail(reason=PRIVATE[item.originalname], strict=True))
