"""Bags of words
=============

Classification of texts as bags of words: rows of a hundred thousand columns, of which about fifty are not zero.

Two topics share most of their vocabulary; a text consists of random words. As a dense matrix the rows would take
gigabytes, so they stay a sparse matrix, of which the first layer reads only the non-zeros.
"""

import time
import warnings

import numpy as np
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning

from fastmlp.sklearn import MLPClassifier

TEXTS, WORDS, LENGTH, TELLING = 6000, 100_000, 50, 200  # TELLING words are more frequent in a topic


def texts(rng, count):
    """Draw random texts: a CSR matrix of scaled word counts, (count, WORDS), and their topics, 0 or 1: (count,)."""
    topics = rng.integers(0, 2, count)
    words = rng.integers(0, WORDS, (count, LENGTH))
    telling = rng.random((count, LENGTH)) < 0.1
    words[telling] = (rng.integers(0, TELLING, (count, LENGTH)) + topics[:, None] * TELLING)[telling]
    starts = np.arange(0, count * LENGTH + 1, LENGTH)
    values = np.full(count * LENGTH, 1 / np.sqrt(LENGTH), np.float32)
    return scipy.sparse.csr_matrix((values, words.ravel(), starts), (count, WORDS)), topics


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)  # five epochs are intended
    rng = np.random.default_rng(0)
    learned, new = texts(rng, TEXTS), texts(rng, TEXTS // 4)
    model, start = MLPClassifier((64,), max_iter=5, random_state=0), time.perf_counter()
    model.fit(*learned)
    dense = learned[0].shape[0] * WORDS * 4 / 1e9
    print(f"{learned[0].nnz} words in {TEXTS} texts, which would take {dense:.1f} GB if kept dense")
    print(f"{model.n_iter_} epochs in {time.perf_counter() - start:.1f} s, compiling included")
    print(f"topics taken for the other {1 - model.score(*new):.4f} (at most 0.05)")


if __name__ == "__main__":
    main()
