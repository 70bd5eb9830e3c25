"""Digits, next to scikit-learn
============================

Digits classified by scikit-learn's MLPClassifier and by fastmlp's, with the same settings; only the import changes.

fastmlp's estimators take scikit-learn's arguments, draw the same initial weights and batches from the random state, and
stop by the same rules. So they have the same scores, and only the times differ.
"""

import time

import sklearn.neural_network
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp.sklearn

SETTINGS = {"hidden_layer_sizes": (100, 50), "early_stopping": True, "random_state": 0}


def main():
    parts = train_test_split(*load_digits(return_X_y=True), random_state=0)
    inputs, held_out, labels, held_out_labels = parts
    scores, seconds = {}, {}
    for library in (sklearn.neural_network, fastmlp.sklearn):
        for _ in range(2):  # the first fit loads compiled code
            model = make_pipeline(StandardScaler(), library.MLPClassifier(**SETTINGS))
            start = time.perf_counter()
            model.fit(inputs, labels)
            seconds[library] = time.perf_counter() - start
        scores[library] = model.score(held_out, held_out_labels)
        epochs = model[-1].n_iter_
        print(f"{library.__name__}: accuracy {scores[library]:.4f}, {epochs} epochs in {seconds[library]:.3f} s")
    print(f"fastmlp is {seconds[sklearn.neural_network] / seconds[fastmlp.sklearn]:.1f} times as fast")
    lost = scores[sklearn.neural_network] - scores[fastmlp.sklearn]
    print(f"accuracy lost {max(lost, 0):.4f} (at most 0.005)")


if __name__ == "__main__":
    main()
