"""Saving and loading networks."""

import errno
import json
import os
import tracemalloc

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from fastmlp import files
from fastmlp.network import MLP
from fastmlp.replacing import replace

fcntl = None if os.name != "posix" else pytest.importorskip("fcntl")


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
    del header["checksum"]  # by which any change would be noticed
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


posix_only = pytest.mark.skipif(os.name != "posix", reason="about permissions and locks of POSIX")


@posix_only
def test_new_files_obey_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        files.save(MLP([5, 2]), tmp_path / "new")
    finally:
        os.umask(old)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


@posix_only
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_a_replaced_file_keeps_its_permissions(saved, mode):
    saved.chmod(mode)
    files.save(MLP([5, 2]), saved)
    assert MLP.load(saved).sizes == (5, 2)
    assert list(saved.parent.iterdir()) == [saved]
    assert saved.stat().st_mode & 0o777 == mode


@posix_only
@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_what_is_being_written_is_as_private_as_the_file(saved, mode, monkeypatch):
    saved.chmod(mode)
    modes, chmod = [], os.chmod
    monkeypatch.setattr(
        os, "chmod", lambda path, *rest: modes.append(os.stat(path).st_mode & 0o777) or chmod(path, *rest)
    )
    files.save(MLP([5, 2]), saved)
    assert modes == [mode]


@pytest.mark.parametrize("name", ["n" * 255, "ä" * 127, "n" * 250 + ".st"])
def test_names_may_be_as_long_as_the_file_system_accepts(tmp_path, name):
    for sizes in [5, 2], [3, 1]:
        files.save(MLP(sizes), tmp_path / name)
    assert MLP.load(tmp_path / name).sizes == (3, 1)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_headers_that_would_take_much_memory_are_refused(saved, tmp_path):
    net = MLP([3, 2])
    net.metadata["many"] = [[]] * 2_000_000
    before = saved.read_bytes()
    with pytest.raises(ValueError, match=r"net.metadata and what describes the training have 8,\d*,\d* characters"):
        net.save(saved)
    assert saved.read_bytes() == before
    text = json.dumps({"__metadata__": {"metadata": "[" * 11_000_000}}).encode()
    (tmp_path / "long").write_bytes(len(text).to_bytes(8, "little") + text)
    assert "length of the header" in rejected(tmp_path / "long")


def test_widths_without_weights_take_no_memory(saved):
    rewrite(
        saved,
        lambda tensors, header: header.update(
            architecture=json.dumps(json.loads(header["architecture"]) | {"sizes": [1] * 100_000})
        ),
    )
    assert "has 100000 widths of layers; its weights are of another number" in rejected(saved)


@posix_only
def test_what_killed_processes_left_is_deleted_and_what_others_are_writing_is_not(saved):
    stale, current = (saved.with_name(f".{saved.name}.{digit * 16}") for digit in "ab")
    others = [saved.with_name(f".{saved.name}.{'c' * 15}"), saved.with_name(f".other.{'d' * 16}")]
    for path in stale, current, *others:
        path.touch()
    with open(current) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        files.save(MLP([5, 2]), saved)
    assert set(saved.parent.iterdir()) == {saved, current, *others}


@posix_only
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_no_obstacle(saved, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    stale = saved.with_name(f".{saved.name}.{'a' * 16}")  # or one that another process is writing
    stale.touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    files.save(MLP([5, 2]), saved)
    assert MLP.load(saved).sizes == (5, 2)
    assert set(saved.parent.iterdir()) == {saved, stale}


@posix_only
def test_no_device_is_replaced(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)  # as /dev/stdout is
    for path in pipe, link:
        with pytest.raises(ValueError, match=f"path must be that of a file; got {path}, which is not a file"):
            replace(path, b"new")
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_files_and_folders_are_on_the_disk_before_save_returns(saved, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_ino), fsync(file)))
    files.save(MLP([5, 2]), saved)
    assert synced == [saved.stat().st_ino, saved.parent.stat().st_ino]


def test_every_flipped_bit_is_noticed(saved):
    content = saved.read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        saved.write_bytes(changed)
        message = rejected(saved)
        assert message.isprintable()
        assert len(message) < 300


def test_files_without_a_checksum_are_read(saved):
    net = MLP.load(saved)
    rewrite(saved, lambda tensors, header: None)
    np.testing.assert_array_equal(MLP.load(saved).params, net.params)


HOSTILE = {
    "deeply nested": "[" * 100_000,
    "deeply nested objects": '{"a":' * 100_000,
    "escape codes": '{"sizes": [3, 2], "dtype": "\\u001b[2J\\u009b31m", "bias": true}',
    "long": '{"sizes": [3, 2], "dtype": "' + "x" * 10_000 + '"}',
    "a list": "[1]",
    "a number": "1",
    "null": "null",
    "negative sizes": '{"sizes": [3, -2], "dtype": "float32", "bias": true}',
    "text as sizes": '{"sizes": "abc", "dtype": "float32", "bias": true}',
    "other arguments": '{"sizes": [3, 4, 2], "dtype": "float32", "bias": true, "seed": 1, "self": 2}',
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("key", ["architecture", "metadata", "training"])
def test_hostile_headers_are_refused_in_a_printable_line(saved, key, name):
    if key != "architecture" and json_object(HOSTILE[name]) is not None:
        return  # metadata may be any object
    if (key, name) == ("training", "null"):
        return
    rewrite(saved, lambda tensors, header: header.update({key: HOSTILE[name]}))
    message = rejected(saved, files.ModelFileError)
    assert message.isprintable()
    assert len(message) < 300


def json_object(text):
    try:
        return value if isinstance(value := json.loads(text), dict) else None
    except (ValueError, RecursionError):
        return None


def test_a_file_that_is_cut_while_it_is_loaded_is_refused(saved, monkeypatch):
    content, load = saved.read_bytes(), safetensors.numpy.load

    def cut(data):
        saved.write_bytes(content[:100])  # memory of a mapped file would be lost: a bus error
        return load(data)

    monkeypatch.setattr(safetensors.numpy, "load", cut)
    assert MLP.load(saved).sizes == (3, 4, 2), "all has been read before"
    rejected(saved)


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_sizes_are_compared_with_the_files_before_memory_is_taken(saved, length):
    saved.write_bytes(length.to_bytes(8, "little") + saved.read_bytes()[8:])
    tracemalloc.start()
    rejected(saved, files.ModelFileError)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


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
