"""Networks as modules of PyTorch, and their parameters under the names that `torch.nn.Sequential` has for them.

Parameters alone, as arrays or in a safetensors file, need no PyTorch.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy

from fastmlp import files
from fastmlp._kernels import LEAKY_SLOPE
from fastmlp.export import package
from fastmlp.export.assembly import assembled, check_layers
from fastmlp.replacing import replace

# By activation: class of torch.nn, and the values that its settings may have, the first of which is used. A Softplus is
# linear above `threshold`: from 40 on, that is no difference in float64; from 20 on, PyTorch's default, one of 2e-9.
MODULES = {
    "identity": ("Identity", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": (LEAKY_SLOPE,)}),
    "elu": ("ELU", {"alpha": (1.0,)}),
    "selu": ("SELU", {}),
    "softplus": ("Softplus", {"beta": (1.0,), "threshold": (40.0, 20.0)}),
    "silu": ("SiLU", {}),
    "gelu": ("GELU", {"approximate": ("none",)}),
    "mish": ("Mish", {}),
    "hard_swish": ("Hardswish", {}),
    "softsign": ("Softsign", {}),
    "softmax": ("Softmax", {"dim": (-1, 1)}),
}
NOTHING = "Dropout", "AlphaDropout", "Identity"  # classes of torch.nn that do nothing in a prediction
NAMES = "those of the Linear layers of a Sequential: 0.weight, 0.bias, 2.weight, ..."


def save(net, path):
    """Write the parameters of a network to a safetensors file (see `MLP.save_torch`)."""
    replace(path, safetensors.numpy.save(parameters(net.folded()), {"format": "pt"}))


def parameters(net):
    """Return the parameters under the names of a Sequential: dict of (n_out, n_in) weights and (n_out,) biases."""
    named = {f"{2 * l}.weight": np.array(weights.T, order="C") for l, weights in enumerate(net.weights)}
    return named | {f"{2 * l}.bias": np.array(biases) for l, biases in enumerate(net.biases)}


def module(net):
    """Return the network as a `torch.nn.Sequential` (see `MLP.to_torch`)."""
    net = net.folded()
    for name in net.activations:
        if name not in MODULES:
            raise ValueError(f"activation {name!r} is no module of PyTorch; accepted: {', '.join(MODULES)}")
    torch = package("torch", "modules of PyTorch", "torch")
    dtype, layers = getattr(torch, net.dtype.name), []
    for weights, name in zip(net.weights, net.activations, strict=True):
        # Without initial weights, which would be drawn from PyTorch's random numbers.
        layers.append(torch.nn.utils.skip_init(torch.nn.Linear, *weights.shape, bias=net.bias, dtype=dtype))
        kind, settings = MODULES[name]
        layers.append(getattr(torch.nn, kind)(**{setting: values[0] for setting, values in settings.items()}))
    if net.output_activation == "identity":
        layers.pop()
    sequential = torch.nn.Sequential(*layers)
    sequential.load_state_dict({name: torch.from_numpy(array) for name, array in parameters(net).items()})
    return sequential


def load(source, network, activation=None, output_activation=None):
    """Return a network of class `network` with the layers of `source` (see `MLP.from_torch`)."""
    torch = sys.modules.get("torch")
    if torch and isinstance(source, torch.nn.Module):
        if activation is not None:
            raise ValueError(f"activation is {activation!r} for a module, which says its own; accepted: None")
        weights, biases, names = _of_module(torch.nn, source)
        if names[-1] is None:
            names[-1] = output_activation
        elif output_activation is not None:
            raise ValueError(
                f"output_activation is {output_activation!r}; accepted: None, as source ends in {names[-1]}"
            )
        return assembled(network, weights, biases, [name or "identity" for name in names])
    if isinstance(source, str | os.PathLike):
        weights, biases = _of_file(Path(source))
    elif isinstance(source, Mapping):
        weights, biases = _of_names({name: _array(values) for name, values in source.items()})
    else:
        accepted = "a torch.nn.Sequential, its state_dict(), or the path of a safetensors file"
        raise TypeError(f"source is a {type(source).__name__}; accepted: {accepted}")
    needed = {"activation": activation} if len(weights) > 1 else {}
    for argument, given in (needed | {"output_activation": output_activation}).items():
        if given is None:
            raise ValueError(f"{argument} is None; accepted: that of the network, as parameters do not say it")
    hidden = len(weights) - 1
    names = [activation] * hidden if isinstance(activation, str) else list(activation or [])
    if len(names) != hidden:
        raise ValueError(f"activation has {len(names)} names; accepted: one, or one for each of {hidden} hidden layers")
    return assembled(network, weights, biases, [*names, output_activation])


def _of_module(nn, source):
    """Return weights, biases, and the activations, None for layers without one, of a `torch.nn.Sequential`: lists."""
    weights, biases, names = [], [], []
    for name, part in _parts(nn, "", source):
        kind = type(part).__name__
        known = type(part) is getattr(nn, kind, None)
        if known and kind == "Linear":
            weights.append(_array(part.weight).T)
            biases.append(None if part.bias is None else _array(part.bias))
            names.append(None)
        elif known and (kind in NOTHING or (kind == "Flatten" and part.start_dim == 1)):
            continue
        elif (activation := known and _activation(part)) and names and names[-1] is None:
            names[-1] = activation
        else:
            accepted = "Linear, each followed by at most one activation of fastmlp, Dropout, Flatten, Identity"
            raise ValueError(f"source has the module {name!r}, {part}; accepted: {accepted}")
    if not weights:
        raise ValueError("source has no Linear; accepted: a torch.nn.Sequential with one or more")
    check_layers(weights, biases)
    return weights, biases, names


def _parts(nn, name, part):
    """Yield the name and module of all parts of a Sequential, in their order."""
    if type(part) is nn.Sequential:
        for key, inner in part.named_children():
            yield from _parts(nn, f"{name}.{key}" if name else key, inner)
    else:
        yield name, part


def _activation(part):
    """Return the activation that a module of torch.nn computes, or None."""
    for name, (kind, settings) in MODULES.items():
        if type(part).__name__ == kind:
            return name if all(getattr(part, key) in values for key, values in settings.items()) else None
    return None


def _of_file(path):
    """Return weights and biases of a safetensors file: lists. Errors are those of `MLP.from_torch`."""
    if not path.is_file():
        raise FileNotFoundError(f"no safetensors file {path}")
    header, tensors = files.read(path)
    if (header.get("__metadata__") or {}).get("format") == files.FORMAT:
        raise files.ModelFileError(f"{path} is a model saved by fastmlp; MLP.load reads it")
    try:
        return _of_names(tensors)
    except ValueError as error:
        raise files.ModelFileError(f"{path}: {error}") from None


def _of_names(arrays):
    """Return weights and biases, in the order of the numbers in their names: lists."""
    layers = {}
    for name, array in arrays.items():
        parsed = re.fullmatch(r"(.*?)(\d+)(\D*)\.(weight|bias)", name)
        if not parsed or array.ndim != (2 if parsed[4] == "weight" else 1):
            raise ValueError(f"source has {name} of shape {array.shape}; accepted: {NAMES}")
        layers.setdefault((parsed[1], parsed[3]), {}).setdefault(int(parsed[2]), {})[parsed[4]] = array
    if len(layers) != 1:
        raise ValueError(f"source has the names {', '.join(arrays) or '(none)'}; accepted: {NAMES}")
    (numbered,) = layers.values()
    weights, biases = [], []
    for number, layer in sorted(numbered.items()):
        if "weight" not in layer or len(layer.get("bias", layer["weight"])) != len(layer["weight"]):
            shapes = {name: array.shape for name, array in layer.items()}
            raise ValueError(
                f"source has {shapes} in layer {number}; accepted: a weight (n_out, n_in), a bias (n_out,)"
            )
        weights.append(layer["weight"].T)
        biases.append(layer.get("bias"))
    check_layers(weights, biases)
    return weights, biases


def _array(values):
    """Return an array of a tensor of PyTorch, or of what NumPy takes."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if values.is_floating_point() and values.element_size() < 4:
            raise ValueError(f"source has {values.dtype}; accepted: float32 or float64")
        values = values.numpy()
    return np.asarray(values)
