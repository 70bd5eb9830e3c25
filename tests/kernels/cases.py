"""What the tests of the kernels share: awkward sizes, networks in both forms, and bounds for rounding errors."""

import itertools

import numpy as np
import pytest
from fastmlp_kernels.functions.activation_table import activation_code
from fastmlp_kernels.layout import network as packed
from fastmlp_kernels.panelwise import losses
from fastmlp_kernels.tile.engines import ENGINE
from fastmlp_kernels.tile.operations import ROWS
from numba.core import config

from tests import reference

PLAIN = bool(config.DISABLE_JIT)  # the suite runs as plain Python, slowly: grids are smaller then
TYPES = [np.float64] if PLAIN else [np.float32, np.float64]  # the kernels know no difference but in vectormath
DTYPES = pytest.mark.parametrize("dtype", TYPES, ids=lambda dtype: dtype.__name__)
NO_ORDER = np.empty(0, np.int64)
NO_LABELS = np.empty(0, np.int64)
HOW = ["serial"] if PLAIN else ["serial", "parallel"]  # plain Python knows one way to run
RUNS = pytest.mark.parametrize("how", HOW)


def width(dtype):
    """Columns of a panel."""
    return ENGINE.width(np.dtype(dtype).itemsize)


def padded(count, multiple):
    return -(-count // multiple) * multiple


def panels(columns, dtype):
    """Panels that hold so many columns."""
    return -(-columns // width(dtype))


def awkward(tile):
    """Sizes about a tile, by names that do not depend on it."""
    return {"1": 1, "tile-1": tile - 1, "tile": tile, "tile+1": tile + 1, "2tile+3": 2 * tile + 3}


SIZES = ["1", "tile-1", "2tile+3"] if PLAIN else list(awkward(8))  # names of numbers of columns: see `sized`
ROW_COUNTS = [awkward(ROWS)[name] for name in SIZES]


def sized(name, dtype):
    """The number of columns that a name of SIZES stands for."""
    return awkward(width(dtype))[name]


def random(shape, dtype, seed=0):
    """Normal numbers of a dtype."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def product_error(a, b, dtype):
    """Bounds of the rounding errors of a @ b in any order of summation (N. J. Higham, 2002, equation 3.13).

    With n eps for n u / (1 - n u), which leaves a factor of two for what else is rounded: a sum of partial products, a
    bias, a slope.
    """
    return (a.shape[1] + 1) * np.finfo(dtype).eps * (abs(a).astype(float) @ abs(b).astype(float))


def assert_close(actual, expected, error):
    """All elements of `actual` are numbers within `error` of `expected`."""
    assert actual.shape == expected.shape
    difference = abs(actual.astype(float) - expected)
    worst = np.unravel_index(np.argmax(difference - error), difference.shape)
    limit = np.broadcast_to(error, difference.shape)[worst]
    assert (difference <= error).all(), f"at {worst}: {actual[worst]} for {expected[worst]}, bound {limit:.3g}"


def kernel_loss(network, loss, dtype):
    """A loss for a reference network, as the kernels take it."""
    return losses.loss(loss, network.activations[-1], dtype)


def kernel_network(network, dtype, transposed_from=1):
    """A reference network as the kernels take it (see `layout.network.build`)."""
    codes = [activation_code(name, dtype) for name in network.activations]
    sizes = [len(network.weights[0]), *(w.shape[1] for w in network.weights)]
    built = packed.build(sizes, dtype, bool(network.biases), codes, transposed_from)
    packed.pack(built, reference.flatten(network.weights, network.biases).astype(dtype))
    return built


def parameters(built, values=None):
    """(weights, biases) of a kernel network, or of `values` packed like its weights, as float64 lists."""
    sizes = [int(built.layers[0].n_in), *map(int, built.layers.n_out)]
    bias = int(built.layers[0].bias)
    flat = np.full(sum((n_in + bias) * n_out for n_in, n_out in itertools.pairwise(sizes)), np.nan, built.weights.dtype)
    packed.unpack(flat, built, built.weights if values is None else values)
    return reference.unflatten(flat.astype(float), sizes, bias)


SMOOTH = ("identity", "sigmoid", "tanh", "softplus", "silu", "gelu")
FEW = range(0, 100, 31)
CHOSEN = FEW if PLAIN else range(100)


def _network(seed, dtype):
    """Parameters of a test; a few in float32 are for every register tile, whose loops are those of float64."""
    chosen = seed in FEW and dtype == np.float32
    return pytest.param(seed, dtype, id=f"{dtype.__name__}-{seed}", marks=[pytest.mark.shapes] * chosen)


# Random networks to differentiate, in float64 or in both dtypes.
SEEDS = pytest.mark.parametrize("seed", CHOSEN)
NETWORKS = pytest.mark.parametrize(("seed", "dtype"), [_network(s, d) for s in CHOSEN for d in TYPES])


class RandomNetwork:
    """A random network to differentiate: 1 to 4 layers 1 to 40 wide, of any activations, a third with softmax outputs.

    Attributes
    ----------
    network : the reference's
    built : the packed one
    x : (rows, n_in) array; 1 to 200 rows
    """

    def __init__(self, seed, dtype, activations=None, output=None):
        self.rng, self.dtype = np.random.default_rng(seed), dtype
        # After exp, numbers are not of order one, as `check` has it.
        names = activations or [name for name in reference.ACTIVATIONS if name not in ("threshold", "exp")]
        self.sizes = [int(n) for n in self.rng.integers(1, 41, self.rng.integers(2, 6))]
        chosen = [str(name) for name in self.rng.choice(names, len(self.sizes) - 1)]
        chosen[-1] = output or ("softmax" if seed % 3 == 0 else chosen[-1])
        self.network = reference.random_network(self.sizes, chosen, dtype, bool(seed % 4), seed)
        self.built = kernel_network(self.network, dtype, transposed_from=0)
        self.x = self.random(int(self.rng.choice([1, 3, ROWS] if PLAIN else [1, 5, 40, 200])), self.sizes[0])
        self.workspace_rows = int(self.rng.choice([1, 30, 1000]))

    def random(self, *shape):
        """Normal numbers of the network's dtype."""
        return self.rng.normal(size=shape).astype(self.dtype)

    def scratch(self, guarded, make):
        """A workspace, of which the arrays are NaN between guard words."""
        space = make(self.built, self.workspace_rows)
        arrays = {name: guarded((len(part),), self.dtype) for name, part in space._asdict().items() if name != "block"}
        return space._replace(**arrays)

    def outputs(self, guarded, *after):
        """An array for something of each row and output."""
        return guarded((len(self.x), self.sizes[-1], *after), self.dtype)

    def check(self, found, expected):
        """Rounding errors are some tens of epsilon of the largest number, where numbers are of order one."""
        limit = 50 * np.finfo(self.dtype).eps * max(1, abs(expected).max())
        assert_close(found, expected, limit)

    def check_gradient(self, packed_gradient, matrices, rows):
        """The same of a packed gradient, relative to the number of samples too."""
        weights, biases = parameters(self.built, packed_gradient)
        for found, expected in zip(weights + biases, matrices + rows, strict=True):
            self.check(found, expected)

    def along(self, function, step):
        """A direction to take each parameter in, and the central difference of function(network) along all of them."""
        directions = [self.rng.normal(size=p.shape) for p in self.network.weights + self.network.biases]
        values = []
        for h in (step, -step):
            moved = [p + h * d for p, d in zip(self.network.weights + self.network.biases, directions, strict=True)]
            layers = len(self.network.weights)
            values.append(function(reference.Network(moved[:layers], moved[layers:], self.network.activations)))
        return directions, (values[0] - values[1]) / (2 * step)

    def check_along(self, packed_gradient, function, step, tolerance):
        """A packed gradient against a central difference of function(network), along random directions."""
        directions, expected = self.along(function, step)
        weights, biases = parameters(self.built, packed_gradient)
        terms = [g * d for g, d in zip(weights + biases, directions, strict=True)]
        found, size = sum(t.sum() for t in terms), sum(abs(t).sum() for t in terms)
        assert abs(found - expected) <= tolerance * size
