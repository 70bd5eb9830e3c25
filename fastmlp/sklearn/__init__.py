"""MLPClassifier and MLPRegressor with the interface of scikit-learn's, and more parameters, trained by this library.

They replace scikit-learn's by a change of the import alone: for the same parameters and `random_state`, initial weights
are the same, batches have the same samples, and training follows scikit-learn's up to rounding.
"""

try:
    import sklearn
except ImportError as error:
    raise ImportError("fastmlp.sklearn needs scikit-learn 1.7 or newer: pip install 'fastmlp[sklearn]'") from error
if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7):
    raise ImportError(
        f"fastmlp.sklearn needs scikit-learn 1.7 or newer, found {sklearn.__version__}: pip install 'fastmlp[sklearn]'"
    )

from . import limits, workers  # noqa: F401, has `threadpoolctl` limit the threads, and loky carry registered functions
from .estimators import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
