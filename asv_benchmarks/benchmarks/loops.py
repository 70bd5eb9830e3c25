"""Compiled loops that call one kernel `calls` times; no call depends on the result of the one before.

The other arguments are those of the kernel.
"""

import fastmlp_kernels as fk
from fastmlp_kernels.compile import cached_njit

from .kernels import (
    backward_block,
    call_slopes,
    call_values,
    drop_panel,
    forward_block,
    gradient_block,
    loss_block,
    mixed_backward_block,
    mixed_forward_block,
    mixed_gradient_block,
    pack_labels,
    pack_rows,
    unpack_rows,
    update_all,
)


@cached_njit()
def forward_products(calls, network, activations, deltas, rows):
    for _ in range(calls):
        forward_block(network, activations, deltas, rows)


@cached_njit()
def backward_products(calls, network, deltas, scratch, rows):
    for _ in range(calls):
        backward_block(network, deltas, scratch, rows)


@cached_njit()
def gradient_products(calls, gradient, network, pieces, activations, deltas, rows):
    for _ in range(calls):
        gradient_block(gradient, network, pieces, activations, deltas, rows)


@cached_njit()
def mixed_forward_products(calls, network, activations, deltas, forms, rows):
    for _ in range(calls):
        mixed_forward_block(network, activations, deltas, forms, rows)


@cached_njit()
def mixed_backward_products(calls, network, deltas, scratch, forms, rows):
    for _ in range(calls):
        mixed_backward_block(network, deltas, scratch, forms, rows)


@cached_njit()
def mixed_gradient_products(calls, gradient, network, pieces, activations, deltas, forms, rows):
    for _ in range(calls):
        mixed_gradient_block(gradient, network, pieces, activations, deltas, forms, rows)


@cached_njit()
def activation_values(calls, address, z, values):
    for _ in range(calls):
        values[:] = z
        call_values(address, values, 0, z.size)


@cached_njit()
def activation_slopes(calls, address, z, values, slopes):
    for _ in range(calls):
        slopes[:] = z
        call_slopes(address, values, 0, slopes, 0, z.size)


@cached_njit()
def dropped(calls, activations, slopes, network, rows):
    for i in range(calls):
        drop_panel(activations, slopes, network, i, rows)


@cached_njit()
def losses(calls, address, z, deltas, outputs, targets, weights, rows, n):
    total = 0.0
    for _ in range(calls):
        deltas[:] = z
        outputs[:] = z
        total += loss_block(address, deltas, outputs, targets, weights, rows, n)
    return total


@cached_njit()
def updates(calls, weights, state, gradient, optimizer):
    for _ in range(calls):
        update_all(weights, state, gradient, optimizer)


@cached_njit()
def packed_rows(calls, panels, source, order, rows, block):
    for _ in range(calls):
        pack_rows(panels, source, order, 0, rows, block)


@cached_njit()
def unpacked_rows(calls, target, panels, rows, block):
    for _ in range(calls):
        unpack_rows(target, 0, panels, rows, block)


@cached_njit()
def packed_labels(calls, panels, labels, order, rows, columns, block):
    for _ in range(calls):
        pack_labels(panels, labels, order, 0, rows, columns, block)


@cached_njit()
def packed_weights(calls, network, params):
    for _ in range(calls):
        fk.pack(network, params)


@cached_njit()
def unpacked_weights(calls, params, network):
    for _ in range(calls):
        fk.unpack(params, network, network.weights)


@cached_njit()
def forward_samples(calls, outputs, network, space, x):
    for i in range(calls):
        x[0] = i
        fk.forward_one(outputs, network, space, x)


@cached_njit()
def forward_rows(calls, outputs, network, space, x):
    for _ in range(calls):
        fk.forward_rows(outputs, network, space, x)


@cached_njit()
def jacobians(calls, jacobian, network, space, x):
    for i in range(calls):
        x[0] = i
        fk.jacobian_one(jacobian, network, space, x)


@cached_njit()
def vjp_rows(calls, input_gradients, network, space, x, output_gradients):
    for _ in range(calls):
        fk.vjp_rows(input_gradients, network, space, x, output_gradients)


@cached_njit()
def jvp_rows(calls, outputs, output_tangents, network, space, x, tangents):
    for _ in range(calls):
        fk.jvp_rows(outputs, output_tangents, network, space, x, tangents)


@cached_njit()
def gradient_rows(calls, gradient, network, space, x, output_gradients):
    for _ in range(calls):
        fk.gradient_rows(gradient, network, space, x, output_gradients, True)


@cached_njit()
def loss_gradient_rows(calls, gradient, network, space, x, y, loss):
    for _ in range(calls):
        fk.loss_gradient_rows(gradient, network, space, x, y, loss, True)


@cached_njit()
def network_updates(calls, network, state, gradient, optimizer):
    for _ in range(calls):
        fk.update_network(network, state, gradient, optimizer, 1.0)


@cached_njit()
def taylor_rows(calls, outputs, firsts, seconds, network, space, x):
    for _ in range(calls):
        fk.taylor_rows(outputs, firsts, seconds, network, space, x)


@cached_njit()
def taylor_gradient_rows(calls, gradient, network, space, x, output_gradients, firsts, seconds):
    for _ in range(calls):
        fk.taylor_gradient_rows(gradient, network, space, x, output_gradients, firsts, seconds, True)
