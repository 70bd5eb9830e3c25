"""What can be asked of a network short of training: outputs, losses, intermediates, parameters, its description."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

from fastmlp import MLP, Trainer
from fastmlp._kernels import Forward
from tests import reference

PAIRS = [("squared_error", name) for name in [*reference.ACTIVATIONS, "softmax"] if name != "threshold"]
PAIRS += [("cross_entropy", "softmax"), ("binary_cross_entropy", "sigmoid")]


def in_plain_numpy(net):
    biases = [b.astype(float) for b in net.biases] or [np.zeros(w.shape[1]) for w in net.weights]
    return reference.Network([w.astype(float) for w in net.weights], biases, net.activations)


def network(sizes, activation, output, dtype="float64", bias=True):
    net, rng = MLP(sizes, activation, output, dtype=dtype, bias=bias), np.random.default_rng(1)
    for biases in net.biases:
        biases[...] = rng.normal(0, 0.5, biases.shape)
    return net


def samples(rows, net, loss="squared_error"):
    rng = np.random.default_rng(rows)
    x, y = rng.normal(size=(rows, net.sizes[0])), rng.uniform(size=(rows, net.sizes[-1]))
    return x.astype(net.dtype), (y / y.sum(axis=1, keepdims=True) if loss == "cross_entropy" else y).astype(net.dtype)


# ------------------------------------------------------------------------------------------------------------- outputs


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", [*reference.ACTIVATIONS, "softmax"])
def test_outputs_are_those_of_plain_numpy(name, bias, dtype, tolerance):
    net = network([7, 33, 18, 5], "tanh" if name in ("softmax", "exp") else name, name, dtype, bias)
    x, _ = samples(61, net)
    expected = reference.forward(in_plain_numpy(net), x)[1][-1]
    found = net.predict(x)
    assert (found.dtype, found.shape) == (dtype, (61, 5))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize(("loss", "output"), PAIRS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("rows", [1, 300])
def test_losses_and_gradients_are_those_of_plain_numpy(loss, output, reduction, rows):
    net = network([9, 40, 6, 5], ["gelu", "tanh"], output)
    x, y = samples(rows, net, loss)
    share = rows if reduction == "mean" else 1
    total = reference.losses(in_plain_numpy(net), x, y, loss).sum() / share
    deltas, matrices, vectors = reference.backpropagate(in_plain_numpy(net), x, y, loss)
    found, gradient = net.gradient(x, y, loss, reduction=reduction)
    assert found == pytest.approx(total, rel=1e-12)
    assert net.evaluate(x, y, loss, reduction=reduction) == pytest.approx(total, rel=1e-12)
    np.testing.assert_allclose(gradient, reference.flatten(matrices, vectors) / share, rtol=1e-9, atol=1e-13)
    by_inputs = deltas[0] @ net.weights[0].T / share
    np.testing.assert_allclose(net.input_gradient(x, y, loss, reduction=reduction), by_inputs, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_backpropagation_shows_every_intermediate(loss, output):
    net = network([9, 40, 6, 5], ["silu", "sigmoid"], output)
    x, y = samples(30, net, loss)
    passed = net.backpropagate(x, y, loss)
    z, a = reference.forward(in_plain_numpy(net), x)
    deltas = reference.backpropagate(in_plain_numpy(net), x, y, loss)[0]
    for found, expected in ((passed.net_inputs, z), (passed.activations, a), (passed.deltas, deltas)):
        for value, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(value, other, rtol=1e-10, atol=1e-14)
    total, gradient = net.gradient(x, y, loss)
    assert passed.loss == pytest.approx(total, rel=1e-14)
    np.testing.assert_allclose(passed.gradient, gradient, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("sizes", [[5, 3], [20, 70, 3], [3, 300, 300, 9]])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_are_predicted_to_the_same_bits_alone_and_together(sizes, dtype):
    net = network(sizes, "tanh", "softmax", dtype)
    x, _ = samples(300, net)
    together = net.predict(x)
    for i in (0, 1, 13, 14, 251, 252, 299):
        assert net.predict(x[i : i + 1]).tobytes() == together[i : i + 1].tobytes()
    assert net.predict(x[5:200]).tobytes() == together[5:200].tobytes()
    assert net(x).tobytes() == together.tobytes()


def test_softmax_outputs_add_up_to_one_however_large_the_net_inputs():
    net = MLP([2, 3], output_activation="softmax")
    net.weights[0][...] *= 1e6
    outputs = net.predict(samples(50, net)[0])
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(("output", "loss"), [("softmax", "cross_entropy"), ("sigmoid", "binary_cross_entropy")])
def test_cross_entropies_stay_finite_however_large_the_net_inputs(output, loss):
    net = MLP([1, 2], output_activation=output, dtype="float64", bias=False)
    net.weights[0][...] = [[1000.0, -1000.0]]
    assert net.evaluate([[1.0]], [[0.0, 1.0]], loss) == pytest.approx(2000.0)


def test_auto_takes_the_loss_that_goes_with_the_outputs():
    for output, loss in (("softmax", "cross_entropy"), ("sigmoid", "binary_cross_entropy"), ("tanh", "squared_error")):
        net = network([3, 4, 2], "relu", output)
        x, y = samples(10, net, loss)
        assert net.evaluate(x, y) == net.evaluate(x, y, loss)
        assert Trainer(net).loss == loss


def test_labels_mean_the_same_as_one_hot_rows():
    net = network([3, 4, 5], "relu", "softmax")
    x, labels = samples(40, net)[0], np.random.default_rng(0).integers(0, 5, 40)
    by_labels, by_rows = net.gradient(x, labels), net.gradient(x, np.eye(5)[labels])
    assert by_labels[0] == by_rows[0]
    assert by_labels[1].tobytes() == by_rows[1].tobytes()
    assert net.evaluate(x, labels.tolist()) == net.evaluate(x, np.eye(5)[labels])


def test_a_vector_of_targets_is_taken_for_one_column():
    net = network([3, 4, 1], "relu", "identity")
    x, y = samples(10, net)
    assert net.evaluate(x, y[:, 0]) == net.evaluate(x, y)


def test_questions_change_nothing():
    net = network([3, 4, 2], "relu", "sigmoid")
    (x, y), before = samples(10, net), net.params.copy()
    net.predict(x), net.evaluate(x, y), net.gradient(x, y), net.input_gradient(x, y), net.backpropagate(x, y)
    np.testing.assert_array_equal(net.params, before)


# ---------------------------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize("bias", [True, False])
def test_weights_and_biases_are_views_of_the_parameters(bias):
    net = MLP([3, 4, 2], bias=bias)
    assert [w.shape for w in net.weights] == [(3, 4), (4, 2)]
    assert [b.shape for b in net.biases] == ([(4,), (2,)] if bias else [])
    assert net.params.shape == (net.n_params,) == (3 * 4 + 4 * 2 + bias * 6,)
    net.params[:] = np.arange(net.n_params)
    layers = zip(net.biases, net.weights, strict=True) if bias else ((w,) for w in net.weights)
    assert [int(v) for layer in layers for part in layer for v in part.flat] == list(range(net.n_params))


def test_what_is_written_to_weights_takes_effect_in_predictions_and_in_training():
    x, y = np.ones((4, 2), "float32"), np.zeros((4, 1), "float32")
    net, other = MLP([2, 1]), MLP([2, 1], seed=1)
    trainer = Trainer(net, optimizer="sgd")
    trainer.fit(x, y, 2, progress=False)
    net.weights[0][...], net.biases[0][...] = [[2.0], [3.0]], 4.0
    other.params[:] = [4, 2, 3]
    assert net.predict(x).tolist() == [[9.0]] * 4
    history = trainer.fit(x, y, 1, progress=False)
    assert history.loss == Trainer(other, optimizer="sgd").fit(x, y, 1, progress=False).loss == [81 / 2]
    np.testing.assert_array_equal(net.params, other.params)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_are_whole_networks_of_their_own(copied):
    net = MLP([2, 3, 1], "tanh", seed=3)
    net.metadata = {"classes": ["a", "b"]}
    x, other, before = np.ones((4, 2)), copied(net), net.params.copy()
    assert other.predict(x).tobytes() == net.predict(x).tobytes()
    assert (other.config(), other.metadata) == (net.config(), net.metadata)
    Trainer(other, learning_rate=0.1).fit(x, np.ones(4), 2, progress=False)
    np.testing.assert_array_equal(net.params, before)
    assert (other.params != before).all()
    assert np.shares_memory(other.weights[0], other.params)
    assert np.shares_memory(other.biases[1], other.params)
    np.testing.assert_array_equal(other.biases[0], other.params[:3])


CHANGES = {
    "all parameters": lambda net, new: net.params.__setitem__(slice(None), new.params),
    "another array": lambda net, new: setattr(net, "params", new.params),
    "a list": lambda net, new: setattr(net, "params", new.params.tolist()),
    "each view": lambda net, new: [
        mine.__setitem__(..., theirs)
        for mine, theirs in zip([*net.weights, *net.biases], [*new.weights, *new.biases], strict=True)
    ],
    "a packed network": lambda net, new: setattr(net, "network", new.network),
}


@pytest.mark.parametrize("change", CHANGES)
def test_predictions_follow_the_parameters_however_these_are_changed(change):
    net, new = MLP([3, 40, 2], "tanh", seed=1), MLP([3, 40, 2], "tanh", seed=2)
    x, _ = samples(30, net)
    views, before = [net.params, *net.weights, *net.biases], net.predict(x)
    CHANGES[change](net, new)
    assert net.predict(x).tobytes() == new.predict(x).tobytes() != before.tobytes()
    assert net.astype("float64").predict(x).tobytes() == new.astype("float64").predict(x).tobytes()
    for copied in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert copied.predict(x).tobytes() == new.predict(x).tobytes()
    assert all(a is b for a, b in zip(views, [net.params, *net.weights, *net.biases], strict=True))


@pytest.mark.parametrize(
    ("params", "error", "said"),
    [
        (np.zeros(16), ValueError, r"params has shape \(16,\); accepted: \(17,\) numbers that convert to float32"),
        (np.zeros((17, 1)), ValueError, r"params has shape \(17, 1\); accepted"),
        (0.0, ValueError, r"params has shape \(\); accepted"),
        (np.zeros(17, complex), TypeError, "params has dtype complex128; accepted"),
        (["1"] * 17, TypeError, "params has dtype <U1; accepted"),
    ],
)
def test_what_can_not_be_the_parameters_changes_nothing(params, error, said):
    net = MLP([2, 4, 1])
    before = net.params.copy()
    with pytest.raises(error, match=said):
        net.params = params
    np.testing.assert_array_equal(net.params, before)


def test_a_prediction_packs_only_what_has_changed(monkeypatch):
    net, x, packed = MLP([3, 4, 2], "tanh"), np.ones((5, 3), np.float32), []
    net.predict(x)
    pack = Forward.pack
    monkeypatch.setattr(Forward, "pack", lambda self, params: (packed.append(params.copy()), pack(self, params)))
    net.predict(x)
    assert not packed
    net.weights[1][2, 1] += 1
    for _ in range(2):
        net.predict(x)
    np.testing.assert_array_equal(packed, [net.params])
    net.biases[0][0] = -0.0  # was 0: equal as a number
    net.predict(x)
    assert len(packed) == 2


def test_memory_that_predictions_keep_does_not_go_to_copies():
    net = MLP([30, 40, 2])
    before = len(pickle.dumps(net))
    net.predict(np.ones((200, 30)))
    assert len(pickle.dumps(net)) == before


def test_python_threads_may_predict_with_one_network_at_the_same_time():
    net = MLP([20, 200, 200, 3], "tanh")
    inputs = list(samples(1200, net)[0].reshape(8, 150, 20))
    expected = [net.predict(x).tobytes() for x in inputs]
    # Each on its own: not all of Numba's threading layers let two threads enter parallel regions at the same time.
    with ThreadPoolExecutor(len(inputs), initializer=numba.set_num_threads, initargs=(1,)) as pool:
        for _ in range(30):
            assert list(pool.map(lambda x: net.predict(x).tobytes(), inputs)) == expected


def test_a_network_assigned_brings_its_weights():
    net, other = MLP([2, 20, 3], "tanh", seed=3), MLP([2, 20, 3], "tanh", seed=4)
    assert not np.array_equal(net.params, other.params)
    taken = net.network
    net.params[:] = 7
    net.network = taken  # as it was when taken
    np.testing.assert_array_equal(net.params, MLP([2, 20, 3], "tanh", seed=3).params)
    net.network = other.network
    np.testing.assert_array_equal(net.params, other.params)
    np.testing.assert_array_equal(net.weights[1], other.weights[1])


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (MLP([2, 3, 1]), "network is 2-3-1, float32, with biases; accepted: 2-4-1, float32, with biases"),
        (MLP([2, 4, 1], dtype="float64"), "network is 2-4-1, float64"),
        (MLP([2, 4, 1], bias=False), "float32, without biases; accepted"),
    ],
)
def test_a_network_of_other_layers_is_not_taken(other, said):
    net = MLP([2, 4, 1])
    with pytest.raises(ValueError, match=said):
        net.network = other.network
    with pytest.raises(TypeError, match="network is MLP; accepted: a Network"):
        net.network = other


# ---------------------------------------------------------------------------------------------------------- description


@pytest.mark.parametrize(
    "options",
    [
        {"sizes": [3, 2]},
        {"sizes": (3, 4, 2), "activation": "gelu", "output_activation": "softmax", "dtype": np.float64},
        {"sizes": np.array([3, 4, 5, 2]), "activation": ["relu", "tanh"], "bias": False},
    ],
)
def test_a_network_can_be_made_again_from_its_config(options):
    net = MLP(**options)
    again = MLP(**net.config())
    assert again.config() == net.config()
    assert (again.sizes, again.activations, again.dtype, again.bias) == (
        net.sizes,
        net.activations,
        net.dtype,
        net.bias,
    )
    assert again.params.tobytes() == net.params.tobytes()


def test_repr_tells_layers_activations_dtype_and_size():
    assert repr(MLP([784, 128, 10], "relu", "softmax")) == "<MLP 784-128-10, relu, softmax, float32, 101770 parameters>"


@pytest.mark.parametrize("dtype", ["float64", np.float64, np.dtype("f8"), float])
def test_dtypes_may_be_given_as_numpy_has_them(dtype):
    assert MLP([1, 1], dtype=dtype).params.dtype == np.float64


def test_flops_of_training_count_the_products_of_a_step():
    assert MLP([3, 4, 2]).training_flops == 4 * 12 + 6 * 8
