"""Updates of all weights of a network from a gradient, and optimizers with the usual values of their settings."""

import math

from ..functions.updates import Optimizer, usual
from ..jit import compiled_by_callers, njit
from ..layout.network import biases_of, weights_of
from ..layout.panels import panel_at, panels_of, row_at
from ..layout.tasks import whole_layer
from ..products.learning import update_panel
from ..tile.operations import panel_width

# Usual value of each setting, by kind of optimizer.
_MOMENTUM, _BETA2, _EPSILON, _DECAY = map(usual, ("momentum", "beta2", "epsilon", "weight_decay"))


@compiled_by_callers
def optimizer(
    kind,
    learning_rate=1e-3,
    momentum=None,
    beta2=None,
    epsilon=None,
    weight_decay=None,
    l2=0.0,
    clip_norm=0.0,
    mean=True,
    update_biases=True,
    average_l2=False,
    epsilon_hat=False,
):
    """Make an optimizer from its settings, which `functions.updates.Optimizer` describes.

    Settings that a kind does not use are ignored.

    Parameters
    ----------
    kind : int
        One of `functions.updates.KINDS`: SGD, ADAM, and so on.
    learning_rate, l2, clip_norm : float
    momentum, beta2, epsilon, weight_decay : float, optional
        By default the usual value for the kind (see `functions.updates.RULES`).
    mean, update_biases, average_l2, epsilon_hat : bool

    Returns
    -------
    Optimizer
    """
    rates, limit = (float(learning_rate), float(l2)), float(clip_norm)  # below in the order of Optimizer's fields
    kept_first = _MOMENTUM[kind] if momentum is None else float(momentum)
    kept_second = _BETA2[kind] if beta2 is None else float(beta2)
    least_root = _EPSILON[kind] if epsilon is None else float(epsilon)
    decay = _DECAY[kind] if weight_decay is None else float(weight_decay)
    flags = mean, update_biases, average_l2, epsilon_hat
    return Optimizer(kind, *rates, kept_first, kept_second, least_root, decay, limit, *flags)


@njit
def gradient_norm(network, gradient, biases):
    """Euclidean norm of a gradient packed like network.weights; without its biases if `biases` is false."""
    squares = 0.0
    for l in range(len(network.layers)):
        layer = network.layers[l]
        for p in range(panels_of(layer.n_out, gradient)):
            # In each panel, a row of biases comes just before the weights: together the augmented matrix.
            augmented, weights = panel_at(biases_of(layer, gradient), p), panel_at(weights_of(layer, gradient), p)
            for i in range((augmented if biases and layer.bias else weights).start, row_at(weights, layer.n_in)):
                squares += gradient[i] * gradient[i]
    return math.sqrt(squares)


@njit
def update_network(network, state, gradient, optimizer, scale):
    """Make one update of all weights, and of their transposes, from `scale` times a gradient.

    Parameters
    ----------
    network : Network; its weights and transposed weights are updated
    state : State for this network and kind of optimizer (see `embed.make.optimizer_state`), updated
    gradient : 1-D array packed like network.weights
    optimizer : Optimizer; its setting `mean` is ignored, since `scale` takes its place
    scale : float; factor of the gradient: 1 / N for the mean over N rows of a gradient that is summed over them
    """
    width = panel_width(network.weights)
    l2 = optimizer.l2 * (scale if optimizer.average_l2 else 1.0)
    if optimizer.clip_norm > 0:
        norm = scale * gradient_norm(network, gradient, optimizer.update_biases)
        scale = scale * (optimizer.clip_norm / norm if norm > optimizer.clip_norm else 1.0)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        piece = whole_layer(network, l)
        for column in range(0, layer.n_out, width):  # origin 0: the gradient is packed like the weights
            update_panel(network, state, optimizer, piece, column, gradient, origin=0, scale=scale, l2=l2)
    state.steps[0] += 1
