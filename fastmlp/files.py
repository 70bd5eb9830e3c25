"""Saving and loading networks as safetensors files: parameters as tensors, everything else as JSON in the header."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

FORMAT = "fastmlp"
VERSION = 1  # version of the format, increased when older versions of fastmlp cannot read new files
TRAINING = "training."  # prefix of the names of tensors that are no part of the network (see `training_state`)
DTYPES = {"F32": "float32", "F64": "float64"}  # safetensors' names for the dtypes of networks


def save(net, path: str | os.PathLike, tensors: dict | None = None, training: dict | None = None) -> None:
    """Write a network to a safetensors file. On an error, a file that was there stays as it was.

    The tensors are ``weights.0``, ``biases.0``, ``weights.1``, ... with the shapes (n_in, n_out) and (n_out,). A
    symbolic link at `path` is replaced, not followed.

    Parameters
    ----------
    net : MLP
    path : str or path
    tensors : dict of arrays, optional
        More tensors, whose names begin with TRAINING.
    training : dict, optional
        Values that JSON can represent, about a training.

    Raises
    ------
    TypeError
        If ``net.metadata`` cannot be written as JSON.
    ValueError
        If `path` exists and is not a file.
    OSError
        If the folder is missing or the file cannot be written.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"path must be that of a file; got {path}, which is not a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to save {path.name} in")
    try:
        metadata = json.dumps(net.metadata)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"net.metadata must hold what JSON can (dict, list, str, numbers, bool, None): {error}"
        ) from None
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "architecture": json.dumps(net.config()),
        "metadata": metadata,
    }
    if training is not None:
        header["training"] = json.dumps(training)
    tensors = {f"weights.{layer}": weights for layer, weights in enumerate(net.weights)} | (tensors or {})
    tensors |= {f"biases.{layer}": biases for layer, biases in enumerate(net.biases)}
    replace(path, safetensors.numpy.save(tensors, header))


def load(path: str | os.PathLike, network: type):
    """Read a network that `save` wrote. Its parameters are the same to the bit.

    Parameters
    ----------
    path : str or path
    network : type
        MLP or a subclass: the class of the result.

    Returns
    -------
    MLP

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a complete safetensors file, was not written by fastmlp, has a newer version, or has tensors that
        do not fit its architecture.
    """
    return load_training(path, network)[0]


def load_training(path, network):
    """Read a file as `load` does: (network, further tensors by name, the dict `training` of `save` or None)."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no model file {path}")
    if not path.is_file():
        raise ValueError(f"{path} is not a file; a model saved by fastmlp is needed")
    try:
        file = safetensors.safe_open(path, "numpy")
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a safetensors file: {error}") from None
    with file:
        config, metadata, training = _read_header(path, file.metadata() or {})
        _check_tensors(path, file, config)
        try:
            net = network(**config, init="zeros")  # rather than random weights, as all are replaced
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} holds an architecture that is not accepted: {error}") from None
        for name, views in (("weights", net.weights), ("biases", net.biases)):
            for layer, view in enumerate(views):
                view[...] = file.get_tensor(f"{name}.{layer}")
        tensors = {name: file.get_tensor(name) for name in file.keys() if name.startswith(TRAINING)}  # noqa: SIM118
    net.metadata = metadata
    return net, tensors, training


def replace(path, data):
    """Replace the file at `path` by one with the bytes `data`, completely or not at all.

    The bytes are written to a temporary file in the same folder, which is renamed once it is on the disk.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C too
        temporary.unlink(missing_ok=True)
        raise


def _read_header(path, header):
    """Return (constructor arguments of the network, its metadata, the training's or None), or raise a ValueError."""
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} is a safetensors file, but not a model saved by fastmlp")
    try:
        version = int(header["version"])
        if version <= VERSION:
            names = "architecture", "metadata"
            return *(json.loads(header[name]) for name in names), json.loads(header.get("training", "null"))
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} has a damaged header: {type(error).__name__} {error}") from None
    raise ValueError(f"{path} has format version {version}; this fastmlp reads up to {VERSION}, a newer one is needed")


def _check_tensors(path, file, config):
    """Raise a ValueError if the file's tensors are not those of the architecture, before anything is allocated."""
    try:
        layers = list(zip(config["sizes"], config["sizes"][1:], strict=False))
        dtype, bias = np.dtype(config["dtype"]).name, config["bias"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} has a damaged architecture: {type(error).__name__} {error}") from None
    needed = {f"weights.{layer}": (dtype, shape) for layer, shape in enumerate(layers)}
    if bias:
        needed |= {f"biases.{layer}": (dtype, (n_out,)) for layer, (_, n_out) in enumerate(layers)}
    found = {}
    for name in file.keys():  # noqa: SIM118  a file is not a dict
        if name.startswith(TRAINING):
            continue
        tensor = file.get_slice(name)
        found[name] = (DTYPES.get(tensor.get_dtype(), tensor.get_dtype()), tuple(tensor.get_shape()))
    for name in sorted(needed.keys() | found.keys()):
        if needed.get(name) != found.get(name):
            raise ValueError(
                f"{path}: tensor {name} does not fit the architecture; got {found.get(name)}, needed {needed.get(name)}"
            )
