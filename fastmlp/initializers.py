"""Initial weights: distributions with a variance that depends on the size of the layer, and biases with them."""

import numpy as np


def _uniform(variance):
    """Initializer with uniformly distributed weights of mean 0 and variance `variance(n_in, n_out)`."""

    def draw(rng, n_in, n_out):
        limit = np.sqrt(3 * variance(n_in, n_out))
        return rng.uniform(-limit, limit, (n_in, n_out))

    return draw


def _normal(variance):
    """Initializer with normally distributed weights of mean 0 and variance `variance(n_in, n_out)`."""

    def draw(rng, n_in, n_out):
        return rng.normal(0, np.sqrt(variance(n_in, n_out)), (n_in, n_out))

    return draw


def _glorot(n_in, n_out):
    """X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward networks (2010), eq. 16."""
    return 2 / (n_in + n_out)


def _he(n_in, n_out):
    """K. He et al., Delving deep into rectifiers (2015), eq. 10."""
    return 2 / n_in


def _lecun(n_in, n_out):
    """Y. LeCun et al., Efficient backprop (1998), eq. 16."""
    return 1 / n_in


# By name: draw(rng, n_in, n_out) -> (n_in, n_out) float64 weights, or one number for all of them.
INITIALIZERS = {
    "glorot_uniform": _uniform(_glorot),
    "glorot_normal": _normal(_glorot),
    "he_uniform": _uniform(_he),
    "he_normal": _normal(_he),
    "lecun_uniform": _uniform(_lecun),
    "lecun_normal": _normal(_lecun),
    "zeros": lambda rng, n_in, n_out: 0.0,  # for weights that are set later
}


def draw_with_biases(net, activations, random):
    """Fill a network with uniform initial weights and biases, in Glorot's bounds, as scikit-learn's `_init_coef` does.

    With inputs of a few dimensions, biases at zero would leave all units alike in where they bend.

    Parameters
    ----------
    net : MLP
    activations : sequence of str; one for each layer, as the user named it
    random : numpy.random.Generator or RandomState
    """
    for weights, biases, activation in zip(net.weights, net.biases, activations, strict=True):
        bound = np.sqrt((2.0 if activation in ("logistic", "sigmoid") else 6.0) / sum(weights.shape))
        weights[...] = random.uniform(-bound, bound, weights.shape)
        biases[...] = random.uniform(-bound, bound, biases.shape)
