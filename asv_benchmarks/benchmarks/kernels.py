"""Kernels that benchmarks call and `fastmlp_kernels` does not export, and functions that call them.

The gate runs the benchmark files on older commits too. So a name is looked up in the module that has it now, then in
those that had it before. If the measured kernels do not have it, only the benchmarks that need it do not run.
"""

import importlib

import fastmlp_kernels as fk
from fastmlp_kernels.compile import cached_njit


def find(name, *modules):
    """Object called `name` from the first of these modules of the kernels that has it, else a function that raises."""
    for module in modules:
        try:
            return getattr(importlib.import_module(f"fastmlp_kernels.{module}"), name)
        except (ImportError, AttributeError):
            continue

    def missing(*_):
        raise ImportError(f"these kernels have no {name}")

    missing.__name__ = missing.__qualname__ = f"missing_{name}"
    return missing


ACTIVATIONS = find("ACTIVATIONS", "functions.activations", "activations")
LOSSES = find("LOSSES", "panelwise.losses", "losses")
NO_DROPOUT = find("NO_DROPOUT", "products.forward", "forward")
SHAPE = find("SHAPE", "tile.engines", "cpu")
Forms = find("Forms", "products.operands")
backward = find("backward", "products.deltas", "deltas")
build = find("build", "layout.network", "packed")
call_loss = find("call_loss", "calls", "pointers")
call_slopes = find("call_slopes", "calls", "pointers")
call_values = find("call_values", "calls", "pointers")
drop = find("drop", "panelwise.dropout", "dropout")
engine_of = find("engine_of", "tile.engines")
_fma_peak = find("fma_peak", "tile.peak", "peak")
forward_training = find("forward_training", "products.forward", "forward")
give_tiles = find("give_tiles", "products.mixed")
loss_address = find("loss_address", "panelwise.losses", "losses")
pack_labels = find("pack_labels", "layout.panels", "panels")
pack_rows = find("pack_rows", "layout.panels", "panels")
panel_rows_of = find("panel_rows_of", "products.operands")
piece_gradient = find("piece_gradient", "products.gradients", "gradients")
slopes_address = find("slopes_address", "functions.activation_table", "elementwise")
take_tiles = find("take_tiles", "products.mixed")
training_flops = find("training_flops", "drivers.plan", "plan")
unpack_rows = find("unpack_rows", "layout.panels", "panels")
update = find("update", "functions.updates", "updates")
values_address = find("values_address", "functions.activation_table", "elementwise")


def whole_tiles(rows):
    """`rows` rounded up to whole register tiles of this CPU, because kernels write whole tiles."""
    return -(-rows // SHAPE.rows) * SHAPE.rows


def panels_size(columns, rows):
    """Number of elements in the panels of a float32 matrix."""
    return -(-columns // SHAPE.width(4)) * SHAPE.width(4) * rows


def training_block(network, rows):
    """Memory of the products for one block of `rows` rows: (activations, deltas, forms, scratch, gradient, pieces).

    `forms` has the operands of networks of mixed precision, and is None for kernels that know none, or others.
    """
    space = fk.training_workspace(network, rows, 1, 0, rows)
    blocks = getattr(space, "blocks", space)  # older workspaces have no parts
    scratch = getattr(space.scratch, "partial_sums", space.scratch)
    forms = Forms(blocks.left[0], blocks.kept[0], blocks.sums[0]) if hasattr(blocks, "kept") else None
    return blocks.activations[0], blocks.deltas[0], forms, scratch[0], space.gradients[0], space.pieces


@cached_njit()
def forward_block(network, activations, deltas, rows):
    """Forward pass of a block of rows, with the slopes for training, up to the net inputs of the outputs."""
    forward_training(network, activations, deltas, True, NO_DROPOUT, 0, rows, rows)


@cached_njit()
def backward_block(network, deltas, scratch, rows):
    """Error signals of all hidden layers."""
    backward(network, deltas, rows, rows, scratch)


@cached_njit()
def gradient_block(gradient, network, pieces, activations, deltas, rows):
    """Gradient of all weights, piece by piece."""
    for piece in pieces:
        piece_gradient(gradient, network, piece, activations, deltas, rows, rows, True)


@cached_njit()
def mixed_forward_block(network, activations, deltas, forms, rows):
    """Forward pass of a network of mixed precision; see `forward_block`."""
    panel_rows = panel_rows_of(network, rows)
    forward_training(network, activations, deltas, True, NO_DROPOUT, 0, rows, panel_rows, False, forms)


@cached_njit()
def mixed_backward_block(network, deltas, scratch, forms, rows):
    """Error signals of all hidden layers of a network of mixed precision."""
    backward(network, deltas, rows, panel_rows_of(network, rows), scratch, forms)


@cached_njit()
def mixed_gradient_block(gradient, network, pieces, activations, deltas, forms, rows):
    """Gradient of all weights of a network of mixed precision, piece by piece."""
    take_tiles(network)
    for piece in pieces:
        panel_rows = panel_rows_of(network, rows)
        piece_gradient(gradient, network, piece, activations, deltas, rows, panel_rows, True, forms)
    give_tiles(network)


@cached_njit()
def drop_panel(activations, slopes, network, update, rows):
    """Dropout of the first panel of the first layer."""
    drop(activations, 0, slopes, 0, network.layers[0], 0, update, 0, rows)


@cached_njit()
def loss_block(address, deltas, outputs, targets, weights, rows, n):
    """Loss and error signals of a block of rows, by the loss at `address`; arguments as in `panelwise.losses`."""
    return call_loss(address, deltas, 0, outputs, 0, targets, 0, weights, 0, 1.0, rows, n, rows)


@cached_njit()
def update_all(weights, state, gradient, optimizer):
    """Update of all weights."""
    update(weights, state, gradient, 0, weights.size, optimizer, 1.0, 0.0, True)


def fma_peak(dtype):
    """Floating-point operations per second that this CPU can do; older commits return this number itself."""
    peak = _fma_peak(dtype)
    return getattr(peak, "rate", peak)
