"""scikit-learn's MLPClassifier and MLPRegressor on this library's training, with the same parameters and more.

Change the import and nothing else: for the same parameters and `random_state`, weights start the same, batches hold the
same samples, and training follows scikit-learn's up to rounding.
"""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError("fastmlp.sklearn needs scikit-learn 1.7 or newer: pip install 'fastmlp[sklearn]'") from error

from .estimators import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
