"""Saving and loading networks."""

import json
import os

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from fastmlp import files
from fastmlp.network import MLP


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    files.save(MLP([3, 4, 2], seed=1), path)
    return path


def rewrite(path, change):
    """Let `change` edit the tensors and the header of a saved model in place."""
    tensors = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, "numpy") as file:
        header = file.metadata()
    change(tensors, header)
    safetensors.numpy.save_file(tensors, path, header)


def rejected(path, error=ValueError):
    """Return the one-line message with which the file is refused, which names the file."""
    with pytest.raises(error) as caught:
        MLP.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sizes", [[3, 2], [1, 5, 7, 2]])
def test_load_gives_back_every_bit(tmp_path, sizes, bias, dtype):
    net = MLP(sizes, activation="tanh", output_activation="sigmoid", dtype=dtype, bias=bias, seed=2)
    net.params[:3] = np.nan, -0.0, np.finfo(dtype).smallest_subnormal
    net.metadata = {"preprocessing": {"classes": ["ä", "b"]}, "loss": [0.1, 1e-300], "none": None}
    files.save(net, tmp_path / "model.safetensors")
    loaded = MLP.load(str(tmp_path / "model.safetensors"))
    assert loaded.params.tobytes() == net.params.tobytes()
    assert loaded.config() == net.config()
    assert loaded.metadata == net.metadata


def test_other_programs_find_the_named_tensors(saved):
    net = MLP.load(saved)
    tensors = safetensors.numpy.load_file(saved)
    assert set(tensors) == {"weights.0", "biases.0", "weights.1", "biases.1"}
    np.testing.assert_array_equal(tensors["weights.1"], net.weights[1])
    np.testing.assert_array_equal(tensors["biases.0"], net.biases[0])


def test_loading_draws_no_random_numbers(saved, monkeypatch):
    monkeypatch.setattr(np.random, "default_rng", None)
    assert MLP.load(saved).sizes == (3, 4, 2)


def test_a_subclass_loads_networks_of_its_own_kind(saved):
    class Mine(MLP):
        pass

    assert type(Mine.load(saved)) is Mine


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(saved, monkeypatch, failing):
    def fail(*arguments):
        raise OSError("disk full")

    before = saved.read_bytes()
    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="disk full"):
        files.save(MLP([3, 2]), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_save_replaces_a_model_and_obeys_the_umask(saved):
    old = os.umask(0o027)
    try:
        files.save(MLP([5, 2]), saved)
    finally:
        os.umask(old)
    assert tuple(MLP.load(saved).sizes) == (5, 2)
    assert list(saved.parent.iterdir()) == [saved]
    if os.name == "posix":
        assert saved.stat().st_mode & 0o777 == 0o640


def test_save_replaces_a_link_and_not_what_it_points_to(tmp_path):
    other = tmp_path / "other"
    other.write_text("precious")
    link = tmp_path / "model.safetensors"
    link.symlink_to(other)
    files.save(MLP([3, 2]), link)
    assert other.read_text() == "precious"
    assert not link.is_symlink()


def test_save_refuses_what_is_not_a_file(tmp_path):
    with pytest.raises(ValueError, match="path must be that of a file"):
        files.save(MLP([3, 2]), tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        files.save(MLP([3, 2]), tmp_path / "missing" / "model.safetensors")


def test_metadata_that_is_no_json_is_refused_before_anything_is_written(tmp_path):
    net = MLP([3, 2])
    net.metadata = {"when": object()}
    with pytest.raises(TypeError, match=r"net\.metadata"):
        files.save(net, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_load_refuses_a_missing_file_and_a_directory(tmp_path):
    rejected(tmp_path / "missing.safetensors", FileNotFoundError)
    rejected(tmp_path)


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_load_refuses_a_truncated_file(saved, kept):
    saved.write_bytes(saved.read_bytes()[:kept])
    assert "cannot be read as a safetensors file" in rejected(saved)


def test_load_refuses_other_files(saved):
    saved.write_text("a,b\n1,2\n" * 100)
    assert "cannot be read as a safetensors file" in rejected(saved)
    safetensors.numpy.save_file({"weights.0": np.zeros((3, 2))}, saved)
    assert "not a model saved by fastmlp" in rejected(saved)
    safetensors.numpy.save_file({"weights.0": np.zeros((3, 2))}, saved, {"format": "pt"})
    assert "not a model saved by fastmlp" in rejected(saved)


def test_load_refuses_a_newer_version(saved):
    rewrite(saved, lambda tensors, header: header.update(version=str(files.VERSION + 1)))
    assert f"version {files.VERSION + 1}" in rejected(saved)


@pytest.mark.parametrize(
    ("key", "value"), [("version", "new"), ("architecture", "{"), ("metadata", "nan nan"), ("architecture", "[]")]
)
def test_load_refuses_a_damaged_header(saved, key, value):
    rewrite(saved, lambda tensors, header: header.update({key: value}))
    assert "damaged" in rejected(saved)


@pytest.mark.parametrize("key", ["version", "architecture", "metadata"])
def test_load_refuses_an_incomplete_header(saved, key):
    rewrite(saved, lambda tensors, header: header.pop(key))
    assert "damaged header" in rejected(saved)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("weights.1", np.zeros((2, 4), "float32")),
        ("weights.1", np.zeros((4, 2), "float64")),
        ("biases.0", np.zeros((4, 1), "float32")),
        ("biases.0", np.zeros(4, "float16")),
        ("weights.2", np.zeros((2, 2), "float32")),
        ("weights.0", None),
    ],
)
def test_load_refuses_tensors_that_do_not_fit(saved, name, tensor):
    rewrite(saved, lambda tensors, header: tensors.update({name: tensor}) if tensor is not None else tensors.pop(name))
    assert f"tensor {name} does not fit" in rejected(saved)


def test_load_refuses_a_huge_architecture_without_allocating_it(saved):
    def enlarge(tensors, header):
        header["architecture"] = json.dumps({**json.loads(header["architecture"]), "sizes": [10**9, 10**9, 2]})

    rewrite(saved, enlarge)
    assert "does not fit" in rejected(saved)


def test_load_refuses_an_unknown_activation(saved):
    def rename(tensors, header):
        header["architecture"] = header["architecture"].replace("relu", "relu9000")

    rewrite(saved, rename)
    assert "architecture that is not accepted" in rejected(saved)
