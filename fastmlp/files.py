"""Saving and loading networks as safetensors files: parameters as tensors, everything else as JSON in the header."""

from __future__ import annotations

import hashlib
import json
import os
from itertools import pairwise
from pathlib import Path

import safetensors
import safetensors.numpy

from . import registered
from .replacing import replace
from .scaling import Scaling
from .terminal import LineError

FORMAT = "fastmlp"
# Version of the format, increased when older versions of fastmlp cannot read new files: networks with a scaling, or
# with activations of the user's own, have 2.
VERSION = 2
SCALING = "scaling."  # prefix of the names of the tensors of a scaling
TRAINING = "training."  # prefix of the names of tensors that are no part of the network (see `training_state`)
OPTIONAL = "training", "registered"
KEYS = {"format", "version", "architecture", "metadata", *OPTIONAL, "checksum"}  # of the header
MOST_HEADER_BYTES = 10_000_000  # reading JSON takes 40 times as much memory
DTYPES = {"F32": "float32", "F64": "float64"}  # safetensors' names for the dtypes of networks


class ModelFileError(LineError):
    """Error of a file that is damaged, or is no model of fastmlp: a ValueError of one line of printable characters."""


def save(net, path: str | os.PathLike, tensors: dict | None = None, training: dict | None = None) -> None:
    """Write a network to a safetensors file. On an error, a file that was there stays as it was.

    The tensors are ``weights.0``, ``biases.0``, ``weights.1``, ... with the shapes (n_in, n_out) and (n_out,), and with
    a scaling ``scaling.input_mean`` and so on. A symbolic link at `path` is replaced, not followed.

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
        If `path` exists and is not a file, or ``net.metadata`` is too large for a header that `load` accepts.
    OSError
        If the folder is missing or the file cannot be written.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to save {path.name} in")
    try:
        metadata = json.dumps(net.metadata)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"net.metadata must hold what JSON can (dict, list, str, numbers, bool, None): {error}"
        ) from None
    origins = registered.paths("activation", net.activations)
    header = {
        "format": FORMAT,
        "version": "1" if net.scaling is None and not origins else str(VERSION),
        "architecture": json.dumps(net.config()),
        "metadata": metadata,
    }
    if origins:
        header["registered"] = json.dumps(origins)
    if training is not None:
        header["training"] = json.dumps(training)
    tensors = {f"weights.{layer}": weights for layer, weights in enumerate(net.weights)} | (tensors or {})
    tensors |= {f"biases.{layer}": biases for layer, biases in enumerate(net.biases)}
    if net.scaling is not None:
        tensors |= {SCALING + name: array for name, array in net.scaling._asdict().items()}
    header["checksum"] = _checksum(header, tensors)
    size, most = sum(map(len, header.values())), MOST_HEADER_BYTES // 2  # quotes may double it, and tensors have names
    if size > most:
        raise ValueError(f"net.metadata and what describes the training have {size:,} characters; accepted: {most:,}")
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
    ModelFileError
        A ValueError: if it is not a complete safetensors file, was not written by fastmlp, has a newer version, has
        tensors that do not fit its architecture, or is damaged.
    """
    return load_training(path, network)[0]


def load_training(path, network):
    """Read a file as `load` does: (network, further tensors by name, the dict `training` of `save` or None)."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no model file {path}")
    if not path.is_file():
        raise ModelFileError(f"{path} is not a file; a model saved by fastmlp is needed")
    header, found = read(path)
    texts = header.get("__metadata__")
    config, metadata, training, origins = _read_header(path, texts)
    _check_tensors(path, header, config)
    if "checksum" in texts and texts["checksum"] != _checksum(texts, found):
        raise ModelFileError(f"{path} is damaged: it does not have the checksum that it was saved with")
    if needed := registered.needed("activation", origins or {}):
        raise ModelFileError(f"{path} needs {needed}")
    try:
        net = network(**config, init="zeros")  # rather than random weights, as all are replaced
        if SCALING + Scaling._fields[0] in found:
            net.scaling = Scaling(*(found[SCALING + name] for name in Scaling._fields))
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{path} holds an architecture that is not accepted: {error}") from None
    for name, views in (("weights", net.weights), ("biases", net.biases)):
        for layer, view in enumerate(views):
            view[...] = found[f"{name}.{layer}"]
    net.metadata = metadata
    return net, {name: array for name, array in found.items() if name.startswith(TRAINING)}, training


def read(path):
    """Header and tensors of a safetensors file: (dict, dict of arrays). The file is read, as a mapped one may change.

    Sizes in the header are compared with the file's before memory is taken.
    """
    try:
        with open(path, "rb") as file:
            size, length = os.fstat(file.fileno()).st_size, int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, MOST_HEADER_BYTES):
                raise ValueError("the length of the header is not that of a safetensors file")
            file.seek(0)
            content = file.read(8 + length)
            header = json.loads(content[8:])
            if not isinstance(header, dict):
                raise ValueError("the header is not an object")
            content += file.read(size - len(content))
        return header, safetensors.numpy.load(content)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{path} cannot be read as a safetensors file: {type(error).__name__} {error}") from None


def _checksum(texts, tensors):
    """Digest of all that a model file says: texts of the header, and tensors."""
    digest = hashlib.sha256()
    for name, text in sorted(texts.items()):
        if name != "checksum":
            digest.update(f"{name}\0{text}\0".encode())
    for name, array in sorted(tensors.items()):
        digest.update(f"{name}\0{array.dtype}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read_header(path, header):
    """Return constructor arguments of the network, its metadata, and the training's and origins of names, or None."""
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelFileError(f"{path} is a safetensors file, but not a model saved by fastmlp")
    try:
        if not header.keys() <= KEYS:
            raise ValueError(f"unknown {sorted(header.keys() - KEYS)}")
        version, values = int(header["version"]), {}
        if version > VERSION:
            raise ModelFileError(
                f"{path} has format version {version}; this fastmlp reads up to {VERSION}, a newer one is needed"
            )
        for name in "architecture", "metadata", *OPTIONAL:
            values[name] = json.loads(header[name]) if name not in OPTIONAL or name in header else None
            if not isinstance(values[name], dict | None) or (values[name] is None and name not in OPTIONAL):
                raise ValueError(f"{name} is not an object")
        if not all(isinstance(origin, str) for origin in (values["registered"] or {}).values()):
            raise ValueError("registered has no texts")
        return tuple(values.values())
    except ModelFileError:
        raise
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{path} has a damaged header: {type(error).__name__} {error}") from None


def _check_tensors(path, header, config):
    """Raise an error if the file's tensors are not those of the architecture, before anything is allocated."""
    sizes, dtype, bias = (config.get(name) for name in ("sizes", "dtype", "bias"))
    if not (isinstance(sizes, list) and all(type(n) is int for n in sizes) and isinstance(dtype, str)):
        raise ModelFileError(f"{path} has a damaged architecture: sizes {sizes!r}, dtype {dtype!r}, bias {bias!r}")
    if len(sizes) - 1 > len(header):
        raise ModelFileError(f"{path} has {len(sizes)} widths of layers; its weights are of another number")
    layers = list(pairwise(sizes))
    needed = {f"weights.{layer}": (dtype, shape) for layer, shape in enumerate(layers)}
    if bias:
        needed |= {f"biases.{layer}": (dtype, (n_out,)) for layer, (_, n_out) in enumerate(layers)}
    if any(name.startswith(SCALING) for name in header):
        shapes = {"input": tuple(sizes[:1]), "output": tuple(sizes[-1:])}
        needed |= {SCALING + name: ("float64", shapes[name.split("_")[0]]) for name in Scaling._fields}
    found = {
        name: (DTYPES.get(tensor["dtype"], tensor["dtype"]), tuple(tensor["shape"]))
        for name, tensor in header.items()
        if name != "__metadata__" and not name.startswith(TRAINING)
    }
    for name in sorted(needed.keys() | found.keys()):
        if needed.get(name) != found.get(name):
            raise ModelFileError(
                f"{path}: tensor {name} does not fit the architecture; got {found.get(name)}, needed {needed.get(name)}"
            )
