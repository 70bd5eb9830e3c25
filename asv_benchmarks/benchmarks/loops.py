"""Compiled loops that call one kernel many times. Nothing in them depends on the outcome of the call before."""

import fastmlp_kernels as fk
from fastmlp_kernels.calls import call_loss, call_slopes, call_values
from fastmlp_kernels.functions.updates import update
from fastmlp_kernels.jit import cached_njit
from fastmlp_kernels.layout.network import pack, unpack
from fastmlp_kernels.layout.panels import pack_labels, pack_rows, unpack_rows
from fastmlp_kernels.panelwise.dropout import drop
from fastmlp_kernels.products.deltas import backward
from fastmlp_kernels.products.forward import NO_DROPOUT, forward_training
from fastmlp_kernels.products.gradients import piece_gradient


@cached_njit()
def forward_products(calls, network, activations, deltas, rows, block):
    for _ in range(calls):
        forward_training(network, activations, deltas, True, NO_DROPOUT, 0, rows, block)


@cached_njit()
def backward_products(calls, network, deltas, rows, block, scratch):
    for _ in range(calls):
        backward(network, deltas, rows, block, scratch)


@cached_njit()
def gradient_products(calls, gradient, network, pieces, activations, deltas, rows, block):
    for _ in range(calls):
        for piece in pieces:
            piece_gradient(gradient, network, piece, activations, deltas, rows, block, True)


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
        drop(activations, 0, slopes, 0, network.layers[0], 0, i, 0, rows)


@cached_njit()
def losses(calls, address, z, deltas, outputs, targets, weights, rows, n, block):
    total = 0.0
    for _ in range(calls):
        deltas[:] = z
        outputs[:] = z
        total += call_loss(address, deltas, 0, outputs, 0, targets, 0, weights, 0, 1.0, rows, n, block)
    return total


@cached_njit()
def updates(calls, weights, state, gradient, optimizer):
    for _ in range(calls):
        update(weights, state, gradient, 0, weights.size, optimizer, 1.0, 0.0, True)


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
        pack(network, params)


@cached_njit()
def unpacked_weights(calls, params, network):
    for _ in range(calls):
        unpack(params, network, network.weights)


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
