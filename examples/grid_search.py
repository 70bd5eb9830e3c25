"""Grid search
===========

Grid search over a pipeline, in two worker processes.

Estimators can be cloned and pickled like scikit-learn's, and the workers divide the cores between them.
"""

from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp.sklearn import MLPClassifier

GRID = {
    "network__hidden_layer_sizes": [(16,), (32, 16)],
    "network__activation": ["relu", "gelu"],
    "network__dropout": [0.0, 0.2],
}


def main():
    inputs, held_out, labels, held_out_labels = train_test_split(*load_wine(return_X_y=True), random_state=0)
    network = MLPClassifier(max_iter=500, learning_rate_init=1e-2, tol=1e-3, random_state=0)
    pipeline = Pipeline([("scale", StandardScaler()), ("network", network)])
    search = GridSearchCV(pipeline, GRID, n_jobs=2, cv=3).fit(inputs, labels)
    print(f"best of {len(search.cv_results_['params'])}: {search.best_params_}, accuracy {search.best_score_:.3f}")
    print(f"wines of the held-out part mistaken {1 - search.score(held_out, held_out_labels):.3f} (at most 0.05)")


if __name__ == "__main__":
    main()
