"""Rare class
==========

Classification with a rare class, one case in fifty: class weights, and early stopping by balanced accuracy.

A network that never predicts the rare class is right in 98 % of all cases. Class weights, which are factors in the
loss, compensate for the rarity, and training stops by the balanced accuracy on held-out rows rather than by the loss.
"""

import warnings

from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

from fastmlp.sklearn import MLPClassifier

CHOICES = {
    "plain": {},
    "weighted": {"class_weight": "balanced"},
    "weighted, stopped by balanced accuracy": {
        "class_weight": "balanced",
        "early_stopping": True,
        "scoring": "balanced_accuracy",
    },
}


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)  # thirty epochs are intended
    rows = make_classification(20_000, 20, n_informative=6, weights=[0.98], flip_y=0.005, random_state=0)
    inputs, held_out, labels, held_out_labels = train_test_split(*rows, stratify=rows[1], random_state=0)
    missed = {}
    for name, settings in CHOICES.items():
        model = MLPClassifier((32,), max_iter=30, random_state=0, **settings).fit(inputs, labels)
        found = model.predict(held_out)
        missed[name] = 1 - balanced_accuracy_score(held_out_labels, found)
        print(f"{name}: balanced accuracy {1 - missed[name]:.3f}, {(found == 1).sum()} of {len(found)} called rare")
    print(f"balanced error with weights, of that without {missed['weighted'] / missed['plain']:.3f} (at most 0.8)")


if __name__ == "__main__":
    main()
