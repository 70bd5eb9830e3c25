"""Construction of networks, scratch memory, optimizer states, gradients, and records of samples and of sums.

These functions allocate; the functions that work on the arrays do not. They run in Python and in compiled code. A
function whose compiled form differs is followed by its `overload`. The kernels `padded` and `panels_of`
are written out here, since Python would have to compile them.
"""

import numpy as np
from numba import types
from numba.extending import overload

from ..drivers.plan import BLOCK
from ..drivers.step import Progress
from ..functions.activation_table import SLOPES, SOFTMAX, activation_address, activation_code
from ..functions.updates import KEEPS_FIRST, KEEPS_SECOND, State
from ..jit import compiled_by_callers
from ..layout.network import LAYER, MixedNetwork, Network, lay_out, lay_out_operands, pack, parameter_count, unpack
from ..layout.samples import Data
from ..products.operands import block_multiple_of, panel_rows_of
from ..tile.bfloat16 import SQUARE
from ..tile.engines import bfloat16_refusal
from ..tile.operations import ROWS, WIDTH_BYTES
from .batch import MixedWorkspace, RowsWorkspace
from .taylor import TaylorWorkspace

LINE = 64  # bytes of a cache line
# Message if there is no engine for bfloat16, else empty.
NO_BFLOAT16 = bfloat16_refusal() and f"bfloat16 operands cannot be multiplied: {bfloat16_refusal()}"


@compiled_by_callers
def _aligned(count, like):
    """New array of `count` elements of the dtype of `like`, not initialized, that starts on a cache line."""
    buffer = np.empty(count + LINE // like.itemsize, like.dtype)
    start = -buffer.ctypes.data % LINE // like.itemsize
    return buffer[start : start + count]


@compiled_by_callers
def _rows_for_threads(count, size, like):
    """New (count, size) array, whose rows start on cache lines if a row is a multiple of 64 bytes."""
    return _aligned(count * size, like).reshape(count, size)


@compiled_by_callers
def _zeros(count, like):
    """New array of `count` zeros of the dtype of `like` that starts on a cache line."""
    zeros = _aligned(count, like)
    zeros[:] = 0
    return zeros


def _layer_table(count):
    """New table of `count` layers: a record array, whose records have attributes in Python, too."""
    return np.zeros(count, LAYER).view(np.recarray)


@overload(_layer_table)
def _compiled_layer_table(count):
    """Compiled form of `_layer_table`."""
    return lambda count: np.zeros(count, LAYER)


@compiled_by_callers
def _assemble(weights, biases, codes):
    """Network of lists of arrays (see `network`) and activation codes; an empty list of biases if it has none."""
    depth, like = len(weights), weights[0]
    if len(codes) != depth or (len(biases) != depth and len(biases) != 0):
        raise ValueError("weights, biases and activations differ in number; accepted: one of each for every layer")
    sizes, bias = np.empty(depth + 1, np.int64), len(biases) > 0
    sizes[0] = like.shape[0]
    for l in range(depth):
        sizes[l + 1] = weights[l].shape[1]
        if weights[l].shape[0] != sizes[l]:
            raise ValueError("weights do not follow one another; accepted: a row for each column of the layer before")
        if bias and biases[l].size != sizes[l + 1]:
            raise ValueError("biases do not fit the weights; accepted: one for each column of a layer's weights")
        if activation_address(codes[l], like.itemsize, SLOPES) == 0 and (codes[l] != SOFTMAX or l < depth - 1):
            raise ValueError(
                "activations do not fit; accepted: codes made for this dtype, softmax in the last layer only"
            )
    layers = _layer_table(depth)
    transposed_from = 0  # all layers' transposed weights are kept
    size = lay_out(layers, sizes, codes, bias, transposed_from, like.itemsize)
    transposed, _ = lay_out_operands(layers, like.itemsize)
    network = Network(layers, _zeros(size, like), _zeros(transposed, like), codes[depth - 1] == SOFTMAX)
    params, start = np.empty(np.sum((sizes[:-1] + bias) * sizes[1:]), like.dtype), 0
    for l in range(depth):  # flat parameters have a layer's biases before its weights (see `layout.network`)
        if bias:
            params[start : start + sizes[l + 1]] = biases[l]
            start += sizes[l + 1]
        params[start : start + weights[l].size] = weights[l].reshape(-1)
        start += weights[l].size
    pack(network, params)
    return network


def network(weights, biases, activations):
    """Make a network from arrays of weights and biases, which are copied.

    Parameters
    ----------
    weights : sequence of (n_in, n_out) arrays of one dtype, float32 or float64, row-major
        Weights of each layer. In compiled code a list, or a tuple of arrays of one type.
    biases : sequence of (n_out,) arrays, or None
        Biases of each layer; None: the network has none.
    activations : sequence of str or int
        Activation of each layer, the last included: names, or codes (see `activation_code`). In compiled code a tuple,
        list or array of codes.

    Returns
    -------
    Network
        It keeps all transposed weights, so that derivatives with respect to the inputs can be computed, too.

    Raises
    ------
    ValueError
        If lengths or shapes do not fit together, weights are neither float32 nor float64, or there is no such
        activation.
    """
    weights = [np.ascontiguousarray(matrix) for matrix in weights]
    dtype = np.result_type(*weights)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"weights are {dtype}; accepted: float32 or float64")
    codes = [activation_code(a, dtype) if isinstance(a, str) else int(a) for a in activations]
    weights, biases = ([np.asarray(array, dtype) for array in group] for group in (weights, biases or ()))
    return _assemble(weights, biases, codes)


@overload(network)
def _compiled_network(weights, biases, activations):
    """Compiled form of `network`."""
    if isinstance(biases, types.NoneType):  # weights[:0]: a list or tuple without elements, of a type known to Numba
        return lambda weights, biases, activations: _assemble(weights, weights[:0], activations)
    return lambda weights, biases, activations: _assemble(weights, biases, activations)


@compiled_by_callers
def mixed_network(network):
    """Make a network whose products have bfloat16 operands from another network, whose weights are copied.

    Parameters
    ----------
    network : Network; of float32

    Returns
    -------
    MixedNetwork
        It keeps the transposed weights of the same layers.

    Raises
    ------
    RuntimeError
        If this CPU has no engine for bfloat16 (see `tile.engines`).
    ValueError
        If the network is of float64.

    In compiled code, compilation fails in both cases.
    """
    if NO_BFLOAT16:
        raise RuntimeError(NO_BFLOAT16)
    if network.weights.itemsize != 4:
        raise ValueError("network is of float64; accepted: float32")
    layers, weights, words = network.layers.copy(), network.weights, np.empty(0, np.uint16)
    transposed, operand = lay_out_operands(layers, weights.itemsize, SQUARE)
    forms = _zeros(transposed, words), network.softmax, _zeros(operand, words)
    mixed = MixedNetwork(layers, _zeros(weights.size, weights), *forms)
    params = np.empty(parameter_count(network), weights.dtype)
    unpack(params, network, weights)
    pack(mixed, params)
    return mixed


@compiled_by_callers
def _extent(network):
    """Numbers of panels: of the inputs and all layers' outputs together, of the inputs, and of the widest of them."""
    width, layers = WIDTH_BYTES // network.weights.itemsize, network.layers
    inputs = (layers[0]["n_in"] + width - 1) // width
    total, widest = inputs, inputs
    for l in range(len(layers)):
        panels = (layers[l]["n_out"] + width - 1) // width
        total, widest = total + panels, max(widest, panels)
    return total, inputs, widest


@compiled_by_callers
def workspaces(network, rows, count):
    """Make scratch memory for `count` threads, each of which gets its own by `workspace_of` (see `workspace`).

    Returns
    -------
    RowsWorkspace, or MixedWorkspace for a MixedNetwork
        Its arrays have a row for each thread.
    """
    (total, inputs, widest), tile_rows = _extent(network), block_multiple_of(network)
    block = (min(rows, BLOCK) + tile_rows - 1) // tile_rows * tile_rows
    panel = WIDTH_BYTES // network.weights.itemsize * panel_rows_of(network, block)
    like = network.weights
    activations = _rows_for_threads(count, total * panel, like)
    deltas = _rows_for_threads(count, (total - inputs) * panel, like)
    scratch = _rows_for_threads(count, 2 * widest * panel, like)
    return _with_forms(network, RowsWorkspace(block, activations, deltas, scratch))


@compiled_by_callers
def _add_forms(network, spaces):
    """MixedWorkspace with the arrays of a RowsWorkspace, and memory for operands."""
    count, size = len(spaces.deltas), spaces.activations.shape[1] + spaces.deltas.shape[1]
    words = np.empty(0, np.uint16)
    left, kept = _rows_for_threads(count, size, words), _rows_for_threads(count, size, words)
    units = spaces.deltas.shape[1] // panel_rows_of(network, spaces.block)
    sums = _rows_for_threads(count, 2 * units, network.weights)
    return MixedWorkspace(spaces.block, spaces.activations, spaces.deltas, spaces.scratch, left, kept, sums)


def _with_forms(network, spaces):
    """Workspaces for a network: `spaces`, a RowsWorkspace, to which memory for operands is added for a MixedNetwork."""
    return _add_forms(network, spaces) if isinstance(network, MixedNetwork) else spaces


@overload(_with_forms)
def _compiled_with_forms(network, spaces):
    """Compiled form of `_with_forms`."""
    if network.instance_class is MixedNetwork:
        return lambda network, spaces: _add_forms(network, spaces)
    return lambda network, spaces: spaces


@compiled_by_callers
def taylor_workspaces(network, rows, count):
    """Make scratch memory for second derivatives, for `count` threads, each of which gets its own by `workspace_of`.

    Returns
    -------
    TaylorWorkspace
        Its arrays have a row for each thread.
    """
    n_in, like = network.layers[0]["n_in"], network.weights
    total, inputs, _ = _extent(network)
    block = (min(rows, max(BLOCK // n_in, 1)) + ROWS - 1) // ROWS * ROWS
    panel = WIDTH_BYTES // like.itemsize * block
    units, streams = (total - inputs) * panel, 2 * n_in
    activations, jets = _rows_for_threads(count, total * panel, like), _rows_for_threads(count, 4 * units, like)
    tangents = _rows_for_threads(count, streams * units, like)
    net_tangents = _rows_for_threads(count, streams * units, like)
    return TaylorWorkspace(block, activations, jets, tangents, net_tangents)


def workspace_of(spaces, thread):
    """Workspace of thread number `thread`: views of the arrays of `workspaces` or `taylor_workspaces`."""
    return type(spaces)(spaces.block, *(array[thread] for array in spaces[1:]))


@overload(workspace_of)
def _compiled_workspace_of(spaces, thread):
    """Compiled form of `workspace_of`."""
    if spaces.instance_class is RowsWorkspace:
        return lambda spaces, thread: RowsWorkspace(
            spaces.block, spaces.activations[thread], spaces.deltas[thread], spaces.scratch[thread]
        )
    if spaces.instance_class is MixedWorkspace:
        return lambda spaces, thread: MixedWorkspace(
            spaces.block,
            spaces.activations[thread],
            spaces.deltas[thread],
            spaces.scratch[thread],
            spaces.left[thread],
            spaces.kept[thread],
            spaces.sums[thread],
        )
    return lambda spaces, thread: TaylorWorkspace(
        spaces.block,
        spaces.activations[thread],
        spaces.jets[thread],
        spaces.tangents[thread],
        spaces.net_tangents[thread],
    )


@compiled_by_callers
def workspace(network, rows):
    """Make scratch memory of one thread for outputs, first derivatives and gradients.

    Parameters
    ----------
    network : Network or MixedNetwork
    rows : int
        Rows that are usually worked on in one call: blocks are not larger. Calls may have any number of rows, and work
        on one block after the other. One row is enough for `forward_one`.

    Returns
    -------
    RowsWorkspace, or MixedWorkspace for a MixedNetwork
    """
    return workspace_of(workspaces(network, rows, 1), 0)


@compiled_by_callers
def taylor_workspace(network, rows):
    """Make scratch memory of one thread for second derivatives (see `workspace`); the more inputs, the smaller blocks.

    Returns
    -------
    TaylorWorkspace
    """
    return workspace_of(taylor_workspaces(network, rows, 1), 0)


@compiled_by_callers
def optimizer_state(network, kind):
    """Make the state of an optimizer before its first update: zeros.

    Parameters
    ----------
    network : Network
    kind : int
        Kind of the optimizer, one of `functions.updates.KINDS`.

    Returns
    -------
    State
    """
    weights = network.weights
    first = _zeros(weights.size if KEEPS_FIRST[kind] else 0, weights)
    return State(first, _zeros(weights.size if KEEPS_SECOND[kind] else 0, weights), np.zeros(1, np.int64))


@compiled_by_callers
def packed_gradient(network):
    """New array of zeros for a gradient packed like the weights of a network."""
    return _zeros(network.weights.size, network.weights)


def data(network, x, y, weights=None):
    """Make a record of samples for `train` and `evaluate`, which take them from the first to the last.

    Parameters
    ----------
    network : Network
    x : (N, n_in) array, row-major, of the network's dtype
    y : (N, n_out) array (for "gaussian_nll", (N, n_out / 2)), row-major, of the network's dtype, or (N,) int64 array of
        class numbers
    weights : (N,) array of the network's dtype, optional; weight of each sample in the loss, by default 1

    Returns
    -------
    Data
    """
    none, weights = np.empty(0, np.int64), np.empty(0, x.dtype) if weights is None else weights
    if y.ndim == 2:
        return Data(x, y, none, none, weights)
    return Data(x, np.empty((0, network.layers["n_out"][-1]), x.dtype), y, none, weights)


@overload(data)
def _compiled_data(network, x, y, weights=None):
    """Compiled form of `data`."""
    if weights is None or isinstance(weights, types.NoneType | types.Omitted):
        return lambda network, x, y, weights=None: data(network, x, y, np.empty(0, x.dtype))
    if y.ndim == 2:
        return lambda network, x, y, weights=None: Data(x, y, np.empty(0, np.int64), np.empty(0, np.int64), weights)

    def labelled(network, x, y, weights=None):
        n_out = network.layers[len(network.layers) - 1]["n_out"]
        return Data(x, np.empty((0, n_out), x.dtype), y, np.empty(0, np.int64), weights)

    return labelled


@compiled_by_callers
def progress(network):
    """Make a record of the sums that training adds to: zeros, without `means` (see `Progress`)."""
    return Progress(
        loss=np.zeros(1), squares=np.zeros(len(network.layers)), diverged=np.zeros(1, np.int64), means=np.zeros(0)
    )
