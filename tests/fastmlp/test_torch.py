"""Modules and files of PyTorch: the same outputs, parameters and activations in both directions."""

import sys

import numpy as np
import pytest
import safetensors.numpy

from fastmlp import MLP, ModelFileError, register_activation
from fastmlp._kernels import ACTIVATIONS
from fastmlp.cli import export, main, options
from fastmlp.export.torch import MODULES

DTYPES = "float32", "float64"
HIDDEN = [name for name in MODULES if name != "softmax"]


def randomized(net, seed=0):
    net.params[:] = np.random.default_rng(seed).normal(size=net.n_params) / 2
    return net


def arrays(net):
    """Parameters as PyTorch has them."""
    return {f"{2 * l}.weight": w.T.copy() for l, w in enumerate(net.weights)} | {
        f"{2 * l}.bias": b.copy() for l, b in enumerate(net.biases)
    }


def assert_same(found, net):
    assert found.config() == net.config()
    assert found.params.tobytes() == net.params.tobytes()


# ------------------------------------------------------------------------------------------------------------- modules


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HIDDEN)
def test_activations_are_those_of_fastmlp(name, dtype):
    torch = pytest.importorskip("torch")
    net = MLP([1, 1], output_activation=name, dtype=dtype)
    net.weights[0][:] = 1
    X = np.concatenate([np.linspace(-45, 45, 4001), np.linspace(-1, 1, 4001), [-1000.0, 1000.0]])[:, None].astype(dtype)
    found, expected = net.to_torch()(torch.from_numpy(X)).detach().numpy(), net.predict(X)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    # PyTorch's gelu is off by 8 epsilon in float32.
    assert (np.abs(found - expected) <= 10 * np.finfo(dtype).eps * np.maximum(np.abs(expected), 1)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("sizes", "activation", "output"),
    [
        ([3, 1], "relu", "identity"),
        ([1, 1, 1], "tanh", "softplus"),
        ([5, 4], "relu", "softmax"),
        ([7, 33, 2, 17], ["identity", "gelu"], "sigmoid"),
        ([4, 9, 9, 9, 3], ["selu", "mish", "leaky_relu"], "softmax"),
    ],
)
def test_networks_have_the_same_outputs_and_come_back_to_the_bit(sizes, activation, output, bias, dtype):
    torch = pytest.importorskip("torch")
    net = randomized(MLP(sizes, activation, output, dtype=dtype, bias=bias))
    X = np.random.default_rng(1).normal(size=(20, sizes[0])).astype(dtype)
    state = torch.random.get_rng_state()
    module = net.to_torch()
    assert torch.equal(state, torch.random.get_rng_state())
    np.testing.assert_allclose(
        module(torch.from_numpy(X)).detach().numpy(), net.predict(X), 0, 50 * np.finfo(dtype).eps
    )
    assert_same(MLP.from_torch(module), net)
    assert_same(MLP.from_torch(module.state_dict(), activation=activation, output_activation=output), net)
    assert module.state_dict().keys() == arrays(net).keys()


def test_a_module_has_copies_of_the_parameters():
    torch = pytest.importorskip("torch")
    net = randomized(MLP([3, 1]))
    module = net.to_torch()
    with torch.no_grad():
        module[0].weight += 1
    assert_same(net, randomized(MLP([3, 1])))
    back = MLP.from_torch(module)
    back.params[:] = 0
    assert module[0].weight.abs().min() > 0


def test_what_does_nothing_in_a_prediction_is_left_out_and_nested_modules_are_read():
    nn = pytest.importorskip("torch").nn
    inner = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Dropout(0.5), nn.ReLU())
    module = nn.Sequential(nn.Flatten(), inner, nn.Identity(), nn.Linear(3, 2))
    net = MLP.from_torch(module)
    assert net.activations == ("relu", "identity")
    assert not net.biases[0].any()  # as only the second layer has biases
    np.testing.assert_array_equal(net.weights[1], module[3].weight.detach().numpy().T)
    assert MLP.from_torch(module, output_activation="softmax").activations == ("relu", "softmax")


def test_other_modules_are_refused_by_name():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    linear, chained = nn.Linear(2, 2), "accepted: Linear, each followed by at most one activation"
    for module, message in [
        (nn.Sequential(linear, nn.BatchNorm1d(2)), rf"module '1', BatchNorm1d\(2,.*{chained}"),
        (nn.Sequential(linear, nn.LeakyReLU(0.2)), rf"module '1', LeakyReLU\(negative_slope=0.2\); {chained}"),
        (nn.Sequential(linear, nn.GELU("tanh")), r"GELU\(approximate='tanh'\)"),
        (nn.Sequential(nn.Sequential(linear, nn.Tanh()), nn.ReLU()), r"module '1', ReLU\(\)"),
        (nn.Sequential(nn.Tanh(), linear), r"module '0', Tanh\(\)"),
        (nn.Sequential(linear, nn.Flatten(0)), r"Flatten\(start_dim=0"),
        (nn.Bilinear(2, 2, 2), r"source has the module '', Bilinear"),
        (nn.Sequential(), "source has no Linear"),
        (nn.Sequential(linear, nn.Linear(3, 1)), "layer 2 has 3 inputs; accepted: 2"),
        (
            nn.Sequential(nn.Linear(2, 2, dtype=torch.bfloat16)),
            "source has torch.bfloat16; accepted: float32 or float64",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            MLP.from_torch(module)


def test_a_module_says_its_activations():
    nn = pytest.importorskip("torch").nn
    module = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    with pytest.raises(ValueError, match="activation is 'relu' for a module, which says its own; accepted: None"):
        MLP.from_torch(module, activation="relu")
    with pytest.raises(ValueError, match="output_activation is 'softmax'; accepted: None, as source ends in tanh"):
        MLP.from_torch(module, output_activation="softmax")


def test_activations_without_a_module_are_refused_by_name():
    register_activation("cube", value=lambda z: z * z * z, derivative=lambda z: 3 * z * z)
    assert ACTIVATIONS.keys() - MODULES.keys() == {"exp", "threshold", "cube"}
    for name in "exp", "threshold", "cube":
        with pytest.raises(ValueError, match=f"activation '{name}' is no module of PyTorch; accepted: identity, sigm"):
            MLP([2, 3, 1], name).to_torch()


def test_without_pytorch_the_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="modules of PyTorch need the package torch: pip install torch"):
        MLP([1, 1]).to_torch()
    net = randomized(MLP([2, 3, 1]))
    assert_same(MLP.from_torch(arrays(net), activation="relu", output_activation="identity"), net)


# ---------------------------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
def test_files_have_the_names_of_a_sequential_and_are_read_without_pytorch(tmp_path, bias, dtype):
    net = randomized(MLP([5, 4, 3, 1], ["tanh", "exp"], "sigmoid", dtype=dtype, bias=bias))
    net.save_torch(tmp_path / "net.safetensors")
    found = safetensors.numpy.load_file(tmp_path / "net.safetensors")
    assert found.keys() == arrays(net).keys()
    for name, array in arrays(net).items():
        np.testing.assert_array_equal(found[name], array)
    for source in tmp_path / "net.safetensors", str(tmp_path / "net.safetensors"), found:
        assert_same(MLP.from_torch(source, activation=["tanh", "exp"], output_activation="sigmoid"), net)


def test_pytorch_loads_the_file(tmp_path):
    pytest.importorskip("torch")
    net = randomized(MLP([5, 4, 1]))
    net.save_torch(tmp_path / "net.safetensors")
    module = MLP([5, 4, 1]).to_torch()
    from safetensors.torch import load_file

    module.load_state_dict(load_file(tmp_path / "net.safetensors"))
    assert_same(MLP.from_torch(module), net)


def test_layers_are_in_the_order_of_the_numbers_in_their_names():
    net = randomized(MLP([2] * 13, "tanh"))
    for prefix, suffix in [("", ""), ("model.layers.", ".linear"), ("fc", "")]:
        named = {}
        for name, array in sorted(arrays(net).items()):
            number, kind = name.split(".")
            named[f"{prefix}{number}{suffix}.{kind}"] = array
        assert_same(MLP.from_torch(named, activation="tanh", output_activation="identity"), net)


NAMED = "accepted: those of the Linear layers of a Sequential: 0.weight"
W, B = np.ones((3, 2), np.float32), np.ones(3, np.float32)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, rf"source has the names \(none\); {NAMED}"),
        ({"weights.0": W}, rf"source has weights.0 of shape \(3, 2\); {NAMED}"),
        ({"0.weight": B}, r"source has 0.weight of shape \(3,\)"),
        ({"0.weight": W, "0.bias": W}, r"source has 0.bias of shape \(3, 2\)"),
        ({"0.weight": W, "1.running_mean": B}, r"source has 1.running_mean of shape"),
        ({"a.0.weight": W, "b.0.weight": W}, rf"source has the names a.0.weight, b.0.weight; {NAMED}"),
        ({"0.bias": B}, r"source has \{'bias': \(3,\)\} in layer 0; accepted: a weight"),
        ({"0.weight": W, "0.bias": B[:2]}, r"in layer 0; accepted: a weight \(n_out, n_in\), a bias \(n_out,\)"),
        ({"0.weight": W.astype("float16")}, "parameters are float16; accepted: float32 or float64"),
        ({"0.weight": W, "0.bias": B.astype("float64")}, "parameters are float32 and float64"),
        ({"0.weight": W, "2.weight": W}, "layer 2 has 2 inputs; accepted: 3"),
    ],
)
def test_other_parameters_are_refused(tmp_path, tensors, message):
    told = {"activation": "relu", "output_activation": "identity"}
    with pytest.raises(ValueError, match=message):
        MLP.from_torch(tensors, **told)
    safetensors.numpy.save_file(tensors, tmp_path / "net.safetensors")
    with pytest.raises(ModelFileError, match=r"net\.safetensors"):
        MLP.from_torch(tmp_path / "net.safetensors", **told)


@pytest.mark.parametrize(
    ("activations", "message"),
    [
        ({}, "activation is None; accepted: that of the network, as parameters do not say it"),
        ({"activation": "relu"}, "output_activation is None"),
        ({"activation": ["relu", "tanh"], "output_activation": "tanh"}, "activation has 2 names; accepted: one, or"),
        ({"activation": "rely", "output_activation": "tanh"}, r"activation is 'rely' \(did you mean 'relu'\?\)"),
    ],
)
def test_parameters_must_be_told_their_activations(activations, message):
    with pytest.raises(ValueError, match=message):
        MLP.from_torch(arrays(MLP([2, 3, 1])), **activations)
    assert_same(MLP.from_torch(arrays(MLP([2, 1])), output_activation="tanh"), MLP([2, 1], [], "tanh"))


def test_other_sources_and_files_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"source is a list; accepted: a torch.nn.Sequential, its state_dict\(\), or"):
        MLP.from_torch([W], output_activation="identity")
    with pytest.raises(FileNotFoundError, match="no safetensors file"):
        MLP.from_torch(tmp_path / "net.safetensors")
    (tmp_path / "net.safetensors").write_bytes(b"{}")
    with pytest.raises(ModelFileError, match="cannot be read as a safetensors file"):
        MLP.from_torch(tmp_path / "net.safetensors")
    MLP([2, 1]).save(tmp_path / "net.safetensors")
    with pytest.raises(ModelFileError, match=r"is a model saved by fastmlp; MLP.load reads it"):
        MLP.from_torch(tmp_path / "net.safetensors")


# -------------------------------------------------------------------------------------------------------- command line


def test_the_command_line_writes_parameters(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    net = randomized(MLP([2, 3, 1]))
    net.save("model.safetensors")
    assert main(["export", "model.safetensors", "torch.safetensors"]) == 0
    assert capsys.readouterr().out.split() == ["written", "torch.safetensors"]
    assert_same(MLP.from_torch("torch.safetensors", activation="relu", output_activation="identity"), net)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["model.safetensors", "./model.safetensors"],
            "model.safetensors is to be written, and is read, too; accepted: another file",
        ),
        (["model.safetensors", "model.onx"], "suffix of model.onx is '.onx' (did you mean '.onnx'?); accepted: .onnx"),
        (["model.safetensors", "model"], "suffix of model is ''; accepted: .onnx"),
        (["model.safetensors", "no/model.safetensors"], "no: no such folder"),
        (["none.safetensors", "other.safetensors"], "no model file none.safetensors"),
    ],
)
def test_files_that_cannot_be_written_are_refused(tmp_path, monkeypatch, capsys, argv, message):
    monkeypatch.chdir(tmp_path)
    MLP([2, 1]).save("model.safetensors")
    before = (tmp_path / "model.safetensors").read_bytes()
    assert main(["export", *argv]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_help_names_all_files():
    assert all(f"a {suffix} file" in options.EXPORTS for suffix in export.WRITERS)
