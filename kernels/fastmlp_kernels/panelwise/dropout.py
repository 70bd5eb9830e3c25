"""Dropout: training drops units at random, and scales the others up by 1 / (1 - rate).

N. Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting (2014), section 10. Masks take
no memory and do not depend on threads: whether a unit is dropped is a function of a seed, the number of the update, the
row in the batch and the unit, by the counter-based random number generator Threefry-2x32 with 13 rounds (J. K. Salmon,
M. A. Moraes, R. O. Dror, D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3 (2011), section 3.3: the fewest rounds
that pass all tests of BigCrush).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import intrinsic

from ..jit import njit
from ..tile.operations import I32, Emitter, Tile, load, multiply, panel_width, store

ROTATIONS, PARITY, ROUNDS = (13, 15, 26, 6, 17, 29, 16, 24), 0x1BD11BDA, 13
PAIR = 2  # rows that share a counter, because it gives two random numbers; divides ROWS of every engine


def threefry(key, counter, number, rotated):
    """The two 32-bit random numbers of a key and a counter.

    The numbers may be of any type with `+` (modulo 2^32) and `^`: arrays, or `_Words` in code that is generated.

    Parameters
    ----------
    key, counter : pairs of 32-bit numbers
    number : function from an int to a constant of their type
    rotated : function; rotated(x, bits) is x with its bits rotated to the left
    """
    keys = [*key, key[0] ^ key[1] ^ number(PARITY)]
    x, y = counter[0] + key[0], counter[1] + key[1]
    for i in range(ROUNDS):
        if i and i % 4 == 0:
            x, y = x + keys[i // 4 % 3], y + keys[(i // 4 + 1) % 3] + number(i // 4)
        x = x + y
        y = rotated(y, ROTATIONS[i % 8]) ^ x
    return x, y


class _Words:
    """Vector of 32-bit words in generated code, with Python's operators; `builder` writes the LLVM instructions."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def __add__(self, other):
        return _Words(self.builder, self.builder.add(self.value, other.value))

    def __xor__(self, other):
        return _Words(self.builder, self.builder.xor(self.value, other.value))

    def rotated(self, bits):
        up, down = (_constant(self.value.type, count) for count in (bits, 32 - bits))
        shifted = self.builder.shl(self.value, up), self.builder.lshr(self.value, down)
        return _Words(self.builder, self.builder.or_(*shifted))


def _constant(vector, number):
    return ir.Constant(vector, [number] * vector.count)


def _masking(scale, rows):
    """Type of the tile of `mask`, with `rows` rows, and the function that writes its instructions."""
    tile = Tile(scale, rows)

    def generate(context, builder, signature, args):
        emit, words = Emitter(tile, context, builder), ir.VectorType(I32, tile.lanes)
        zeros, undefined = ir.Constant(words, None), ir.Constant(words, ir.Undefined)

        def in_all_lanes(number):
            first = builder.insert_element(undefined, builder.trunc(number, I32), I32(0))
            return builder.shuffle_vector(first, undefined, zeros)

        key = [_Words(builder, in_all_lanes(number)) for number in args[:2]]
        pair, unit, threshold = (in_all_lanes(number) for number in args[2:5])
        kept, dropped = emit.splat(args[5]), ir.Constant(tile.vector, None)

        def numbers_of(v):
            units = builder.add(unit, ir.Constant(words, [*range(v * tile.lanes, (v + 1) * tile.lanes)]))
            counter = _Words(builder, pair), _Words(builder, units)
            both = threefry(key, counter, lambda n: _Words(builder, _constant(words, n)), _Words.rotated)
            if rows == PAIR:
                return [number.value for number in both]
            is_first = builder.icmp_signed("==", args[6], ir.Constant(args[6].type, 0))
            return [builder.select(is_first, *(number.value for number in both))]

        numbers = [numbers_of(v) for v in range(tile.vecs)]
        return emit.map(
            lambda r, v: builder.select(builder.icmp_unsigned("<", numbers[v][r], threshold), dropped, kept)
        )

    return tile, generate


@intrinsic
def mask(typing, seed, update, pair, unit, threshold, scale):
    """Tile of PAIR rows with `scale` for units that are kept and 0 for units that are dropped.

    Numba calls this function when it compiles a call of it; it returns the call's signature, and `generate`, which
    writes the instructions. `typing` is Numba's and not an argument of the call.

    A tile is a small matrix in vector registers (see `tile.emit`): here, two rows of a panel. Vector v of a row holds
    the units of its `lanes` columns; emit.map(f) makes the tile whose vector v of row r is f(r, v).

    Parameters
    ----------
    seed, update : int; the key
    pair : int; number of the pair of rows in the batch
    unit : int; number of the unit in column 0
    threshold : int; how many of the 2^32 random numbers drop a unit
    scale : float of the tile's dtype
    """
    tile, generate = _masking(scale, PAIR)
    return tile(*[types.int64] * 5, scale), generate


@intrinsic
def mask_row(typing, seed, update, pair, unit, threshold, scale, row):
    """Tile with row number `row` of what `mask` returns."""
    tile, generate = _masking(scale, 1)
    return tile(*[types.int64] * 5, scale, types.int64), generate


if config.DISABLE_JIT:

    def mask(seed, update, pair, unit, threshold, scale):
        """See the compiled `mask`."""
        units = np.arange(unit, unit + panel_width(scale), dtype=np.uint32)
        key = [np.full_like(units, number & 0xFFFFFFFF) for number in (seed, update)]
        counter = np.full_like(units, pair), units
        numbers = threefry(key, counter, np.uint32, lambda x, bits: x << np.uint32(bits) | x >> np.uint32(32 - bits))
        return np.where(np.stack(numbers) < threshold, type(scale)(0), scale)

    def mask_row(seed, update, pair, unit, threshold, scale, row):
        """See the compiled `mask_row`."""
        return mask(seed, update, pair, unit, threshold, scale)[row : row + 1]


@njit
def drop(activations, a, deltas, d, layer, column, update, first, rows, places=None):
    """Drop units of one panel of a layer: set their activations and slopes to 0, and scale the others up.

    Parameters
    ----------
    activations : 1-D array; the panel of activations begins at offset `a`
    a : int
    deltas : 1-D array; the panel of slopes begins at offset `d`
    d : int
    layer : record of `layout.network.LAYER`; unit j has the number layer.params + j, different in all layers
    column : int; unit in the first column of the panel
    update : int; number of the update
    first : int; row of the batch in the first row of the panel, an even number
    rows : int; number of rows
    places : 1-D int64 array, optional; not empty if `first` counts the rows of a part of the batch: the row of the
        batch that each of them is
    """
    width, threshold = panel_width(deltas), int(layer.dropout * 2.0**32)
    scale, unit = deltas.dtype.type(1 / (1 - layer.dropout)), layer.params + column
    if places is not None and len(places) > 0:
        for s in range(rows):
            pair, row = divmod(places[first + s], PAIR)
            kept, i = mask_row(layer.seed, update, pair, unit, threshold, scale, row), s * width
            store(multiply(kept, load(activations, a + i, width, 1)), activations, a + i, width)
            store(multiply(kept, load(deltas, d + i, width, 1)), deltas, d + i, width)
        return
    for s in range(0, rows, PAIR):
        kept, i = mask(layer.seed, update, (first + s) // PAIR, unit, threshold, scale), s * width
        store(multiply(kept, load(activations, a + i, width, PAIR)), activations, a + i, width)
        store(multiply(kept, load(deltas, d + i, width, PAIR)), deltas, d + i, width)
