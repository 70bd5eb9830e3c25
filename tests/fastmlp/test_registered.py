"""Registered activations and losses in pickles and files that other processes read."""

import importlib
import json
import pickle
import sys

import pytest
import safetensors.numpy
from fastmlp_kernels import custom
from fastmlp_kernels.functions.activations import ACTIVATIONS
from fastmlp_kernels.panelwise.losses import LOSSES

from fastmlp import MLP, Trainer, register_activation, register_loss
from fastmlp.files import ModelFileError

FUNCTIONS = """
def bend(z): return z * z
def slope(z): return z + z
def error(a, y): return 0.5 * (a - y) ** 2
def difference(a, y): return a - y
"""
REGISTRATION = """
from fastmlp import register_activation, register_loss
register_activation("own", lambda z: z * z, lambda z: z + z)
register_loss("mine", lambda a, y: 0.5 * (a - y) ** 2, lambda a, y: a - y)
"""


@pytest.fixture(params=["functions", "registration"])
def module(request, tmp_path, monkeypatch):
    """A new module that defines "own" and "mine", which are registered: by itself when it is imported, or by others."""
    (tmp_path / "acts.py").write_text(FUNCTIONS if request.param == "functions" else REGISTRATION)
    monkeypatch.syspath_prepend(tmp_path)
    acts = importlib.import_module("acts")
    if request.param == "functions":
        register_activation("own", acts.bend, acts.slope)
        register_loss("mine", acts.error, acts.difference)
    yield acts
    sys.modules.pop("acts", None)


def forget():
    """Forget all that was registered, as another process does not know it."""
    for kind, name in list(custom.registered):
        del custom.registered[kind, name]
        ACTIVATIONS.pop(name, None)
        LOSSES.pop((name, "elementwise"), None)
    sys.modules.pop("acts", None)


def test_a_pickle_registers_what_it_needs(module):
    kept = pickle.dumps(Trainer(MLP([3, 4, 3], "own"), loss="mine"))
    forget()
    trainer = pickle.loads(kept)
    assert (trainer.net.activation, trainer.loss) == ("own", "mine")
    assert custom.registered["activation", "own"]["value"](5.0) == 25
    assert custom.registered["loss", "mine"]["value"](5.0, 3.0) == 2


def test_a_pickle_leaves_what_is_registered_already(module):
    kept = pickle.dumps(MLP([3, 4, 3], "own"))
    forget()
    register_activation("own", lambda z: 2 * z, lambda z: 2)
    pickle.loads(kept)
    assert custom.registered["activation", "own"]["value"](5.0) == 10
    assert "acts" not in sys.modules


def test_a_pickle_whose_functions_cannot_be_imported_says_what_to_do():
    register_activation("own", lambda z: 2 * z, lambda z: 2)
    kept = pickle.dumps(MLP([3, 4, 3], "own"))
    forget()
    with pytest.raises(
        ValueError, match=r"'own' is .*<lambda>, which this process cannot import \(AttributeError: .*; put its func"
    ):
        pickle.loads(kept)


def test_a_file_imports_nothing_and_says_what_to_import(module, tmp_path):
    path = tmp_path / "state"
    trainer = Trainer(MLP([3, 4, 3], "own"), loss="mine")
    Trainer(MLP([3, 4, 3]), loss="mine").save(tmp_path / "loss")
    trainer.save(path)
    forget()
    for load in MLP.load, Trainer.load:
        with pytest.raises(ModelFileError, match=r"needs activation 'own'.* with fastmlp\.register_activation.*acts:"):
            load(path)
    with pytest.raises(ModelFileError, match=r"needs loss 'mine'.* with fastmlp\.register_loss.*: import acts$"):
        Trainer.load(tmp_path / "loss")
    assert Trainer.load(tmp_path / "loss", loss="huber").loss == "huber"
    assert "acts" not in sys.modules


@pytest.mark.parametrize("origins", [["own"], {"own": 1}, {"own": "antigravity:geohash"}, {"relu": "this:s"}])
def test_a_forged_origin_is_refused(origins, tmp_path):
    path, net = tmp_path / "net", MLP([3, 4, 3])
    net.save(path)
    tensors = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, "numpy") as file:
        header = file.metadata() | {"registered": json.dumps(origins)}
    del header["checksum"]
    safetensors.numpy.save_file(tensors, path, header)
    with pytest.raises(ModelFileError):
        MLP.load(path)
    assert not {"antigravity", "this"} & sys.modules.keys()
