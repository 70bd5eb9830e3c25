"""Description of the backpropagation of a small network, step by step, as text.

`MLP.backpropagate` computes all intermediate results of a step, and `Trainer.step` makes the update. This module only
computes what explains one of their numbers, such as a term of a sum or a difference.

In the private functions `passed` is the `Backpropagation` of a step, `n` the index of a sample and `i` or `j` that of a
unit, from 0. `layer` counts from 1, so that `net.weights[layer - 1]` leads to it, and 0 is the input.
"""

import textwrap

import numpy as np

from fastmlp.network import MLP
from fastmlp.teaching.examples import check_steps, load_example

__all__ = ["load_example", "trace"]

WIDTH = 100  # characters of a line, at most
SHIFT = 1e-5  # step of central differences: their error, about SHIFT² + 1e-16/SHIFT, is smallest near this value


def trace(example, steps=None):
    """Describe updates of an example line by line: first and last in full, else the error after each power of ten.

    Parameters
    ----------
    example : Example
        Example from `load_example`, which is not changed.
    steps : int, optional
        Number of updates; by default `example.steps`.

    Yields
    ------
    str
        One line, without its end. Layers are counted from 1; `W[l][i,j]` is the weight from unit i to unit j, both
        counted from 0; units of z, a, b and δ are counted from 1. Numbers have ten significant digits.
    """
    steps = example.steps if steps is None else steps
    check_steps(steps)
    net = example.network()
    trainer = example.trainer(net)
    yield from _heading(example, net)
    for step in range(1, steps + 1):
        if step in (1, steps):
            yield from _step(example, net, trainer, step)
        else:
            trainer.step(example.x, example.y)
            if str(step).rstrip("0") == "1":  # a power of ten
                yield f"  E after step {step:,} = {example.backpropagate(net).loss:.10g}"


def _heading(example, net):
    sizes = "-".join(map(str, net.sizes))
    biases = "none" if not net.bias else "updated" if example.update_biases else "held fixed"
    yield f"Example {example.name}"
    yield f"network {sizes}, activations {', '.join(net.activations)}, biases {biases}"
    yield f"loss {example.loss}, reduction {example.reduction}, learning rate η = {example.learning_rate:g}"


def _step(example, net, trainer, step):
    """Make one update of `net` and describe it in full."""
    yield from ("", f"Step {step:,}", "═" * len(f"Step {step:,}"))
    passed, before = example.backpropagate(net), net.params.copy()
    for n in range(len(example.x)):
        yield from _forward(example, net, passed, n)
        yield from _backward(example, net, passed, n)
    samples = f"{example.reduction} over samples: {len(example.x)}"
    yield from ("", f"  E before step {step:,} = {passed.loss:.10g}  ({samples})")
    if example.check:
        yield from _check(example, net, passed.gradient)
    trainer.step(example.x, example.y)
    yield from _update(example, net, before, passed.gradient)
    after = example.backpropagate(net)
    yield ""
    for row in after.activations[-1]:
        yield from _wrapped(f"  a[{len(net.weights)}] after = ", row)
    yield f"  E after step {step:,} = {after.loss:.10g}"


def _forward(example, net, passed, n):
    """Describe the forward pass of sample n: net inputs, activations and errors."""
    last = len(net.weights)
    errors = _errors(example, net, passed, n)
    yield from ("", f"  Sample {n + 1}, forward: z[l] = a[l-1] W[l] + b[l], a[l] = g(z[l])")
    yield from _wrapped("    x = a[0] = ", example.x[n])
    for layer in range(1, last + 1):
        for j, (z, a) in enumerate(zip(passed.net_inputs[layer - 1][n], passed.activations[layer][n], strict=True)):
            line = f"    {_unit('z', layer, j)} = {z:< 17.10g} {_unit('a', layer, j)} = {a:< 17.10g}"
            if layer == last:
                line += f" y{_subscript(j)} = {example.y[n, j]:< 8.10g}"
                line += f" E{_subscript(j)} = {errors[j]: .10g}" if errors else ""
            yield line.rstrip()
    yield f"    E = {net.evaluate(example.x[n : n + 1], example.y[n : n + 1], loss=example.loss):.10g}"


def _errors(example, net, passed, n):
    """Return half the squared error of each output of sample n, or None with another loss.

    It is the loss of the sample with all other targets set to the outputs.
    """
    if example.loss != "squared_error":
        return None
    targets = np.tile(passed.activations[-1][n], (net.sizes[-1], 1))
    np.fill_diagonal(targets, example.y[n])
    return [net.evaluate(example.x[n : n + 1], target[None], loss=example.loss) for target in targets]


def _backward(example, net, passed, n):
    """Describe the error signals of sample n, last layer first; those of hidden units are sums over the units after."""
    yield from ("", f"  Sample {n + 1}, backward: δ = ∂E/∂z")
    for layer in range(len(net.weights), 0, -1):
        slopes = _slope(net.activations[layer - 1], passed.net_inputs[layer - 1][n])
        for j, delta in enumerate(passed.deltas[layer - 1][n]):
            hidden = layer < len(net.weights)
            yield ""
            yield from _paths(net, passed, n, layer, j) if hidden else _output_error(example, passed, n, j)
            if hidden or example.loss == "squared_error":
                slope = f"· g'({_unit('z', layer, j)})"
                yield "    through softmax" if slopes is None else _result(slope, slopes[j])
            yield _result(_unit("δ", layer, j), delta)


def _output_error(example, passed, n, j):
    """Describe a - y of output j.

    With the squared error it is δ without the factor g'; with cross-entropy of softmax or sigmoid, and with the Poisson
    loss, δ itself. δ of any other loss is not made from it alone, and is only shown.
    """
    a = _unit("a", len(passed.deltas), j)
    yield _result(f"  {a} - y{_subscript(j)}", passed.activations[-1][n, j] - example.y[n, j])


def _paths(net, passed, n, layer, i):
    """Describe ∂E/∂a of unit i of a hidden layer: the sum of weight times error signal over the units of the next."""
    weights, deltas = net.weights[layer][i], passed.deltas[layer][n]
    for j, (weight, delta) in enumerate(zip(weights, deltas, strict=True)):
        path = f"{'+' if j else ' '} W[{layer + 1}][{i},{j}] {_unit('δ', layer + 1, j)}"
        yield _result(path, weight * delta, f"= {weight:< 17.10g} · {delta:< 17.10g}")
    yield _result(f"∂E/∂{_unit('a', layer, i)}, the sum", weights @ deltas)


def _result(name, value, product=""):
    """Return a line with a quantity, the product that it is, if any, and its value."""
    return f"    {name:<22} {product:<38} = {value: .10g}"


def _slope(activation, z):
    """Return g'(z) of an array z: the deltas of a one-layer network of net inputs z and errors 1; None for softmax."""
    if activation == "softmax":
        return None  # each output depends on every net input
    probe = MLP([1, 1], output_activation=activation, dtype="float64", bias=False)
    probe.params[:] = 1
    column = z[:, None]
    return probe.backpropagate(column, probe.predict(column) - 1, loss="squared_error").deltas[0][:, 0]


def _check(example, net, gradient):
    """Describe each gradient beside the central difference of the loss."""
    differences = np.empty_like(gradient)
    for k, kept in enumerate(net.params.copy()):
        losses = []
        for shifted in (kept + SHIFT, kept - SHIFT):
            net.params[k] = shifted
            losses.append(net.evaluate(example.x, example.y, loss=example.loss, reduction=example.reduction))
        differences[k] = (losses[0] - losses[1]) / (2 * SHIFT)
        net.params[k] = kept
    yield from ("", f"  Check: central differences, (E(w + {SHIFT:g}) - E(w - {SHIFT:g})) / {2 * SHIFT:g}")
    yield f"    {'parameter w':<14} {'backpropagated':<18} {'central difference':<20} relative error"
    for (name, exact), (_, estimate) in zip(_named(net, gradient), _named(net, differences), strict=True):
        error = abs(exact - estimate) / (max(abs(exact), abs(estimate)) or 1)
        yield f"    {name:<14}{exact:< 18.10g} {estimate:< 20.10g} {error:.1e}"


def _update(example, net, before, gradient):
    """Describe each parameter before and after the update, with its gradient; `before` and `gradient` are flat."""
    yield from (
        "",
        f"  Gradients: ∂E/∂W[l] is the {example.reduction} over samples of a[l-1] δ[l]. Update: w ← w - η ∂E/∂w",
    )
    yield f"    {'parameter w':<14} {'w before':<18} {'∂E/∂w':<18} w after"
    columns = (_named(net, flat) for flat in (before, gradient, net.params))
    for (name, w), (_, slope), (_, new) in zip(*columns, strict=True):
        yield f"    {name:<14}{w:< 18.10g} {slope:< 18.10g} {new: .10g}"


def _named(net, flat):
    """Yield the name and the value of every parameter, from an array laid out like `net.params`."""
    weights, biases = net.views(flat)
    for layer, weight in enumerate(weights, 1):
        for (i, j), value in np.ndenumerate(weight):
            yield f"W[{layer}][{i},{j}]", value
        for j, value in enumerate(biases[layer - 1] if biases else ()):
            yield _unit("b", layer, j), value


def _unit(quantity, layer, index):
    return f"{quantity}[{layer}]{_subscript(index)}"


def _subscript(index):
    """Return the number of a unit, counted from 1, in subscript digits."""
    return str(index + 1).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def _wrapped(label, values):
    text = label + "(" + ", ".join(f"{value:.10g}" for value in values) + ")"
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * len(label))
