"""The softmax Jacobian, da_k/dz_j = a_k ((k = j) - a_j), which is symmetric."""

import numpy as np

from .compile import njit
from .tile import width


@njit
def softmax_product(result, r, vectors, v, a, a_offset, rows, n, block):
    """Rows of `result` = those of `vectors` times the softmax Jacobian at activations `a`: a_k (v_k - sum_j a_j v_j).

    All are 1-D arrays of panels of `block` rows, from the given offsets on; only `rows` rows and `n` columns are
    touched. `result` may be `vectors`.
    """
    size = width(a)
    for s in range(0, rows * size, size):
        mean = np.float64(0)
        for q in range(0, n, size):
            for i in range(q * block + s, q * block + s + min(size, n - q)):
                mean += a[a_offset + i] * vectors[v + i]
        mean = a.dtype.type(mean)
        for q in range(0, n, size):
            for i in range(q * block + s, q * block + s + min(size, n - q)):
                result[r + i] = a[a_offset + i] * (vectors[v + i] - mean)
