"""What a fit reports: losses, root mean square errors, error signals of each layer, times."""

import json

import numpy as np
import pytest

from fastmlp import MLP, DivergenceError, History, Trainer
from tests import reference


class Alternating:
    """A schedule whose rates are NumPy's."""

    def rate(self, epoch, losses):
        return np.float32(0.25) if epoch % 2 else 1


FITS = {
    "plain": lambda trainer, x, y: trainer.fit(x, y, 3, progress=False),
    "validated": lambda trainer, x, y: trainer.fit(x, y, 3, validation_fraction=0.2, progress=False),
    "monitored": lambda trainer, x, y: trainer.fit(x, y, 3, monitor=lambda net: np.float32(1), progress=False),
    "weighted": lambda trainer, x, y: trainer.fit(
        x, y, 3, sample_weight=np.ones(50), validation_data=(x, y, np.ones(50)), progress=False
    ),
    "stopped": lambda trainer, x, y: trainer.fit(x, y, 30, validation_fraction=0.2, patience=1, progress=False),
    "resumed": lambda trainer, x, y: (
        trainer.fit(x, y, 2, validation_fraction=0.2, progress=False),
        trainer.fit(x, y, 2, validation_fraction=0.2, resume=True, progress=False),
    ),
    "none": lambda trainer, x, y: trainer,
}


def noise(rows, n_in, n_out, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, n_in)), rng.uniform(size=(rows, n_out))


def in_plain_numpy(net):
    return reference.Network([*net.weights], [*net.biases], net.activations)


def test_every_list_has_an_entry_per_epoch():
    x, y = noise(50, 3, 2)
    trainer = Trainer(MLP([3, 4, 2]), batch_size=8)
    history = trainer.fit(x, y, 5, validation_data=(x, y), progress=False)
    assert trainer.history is history
    for name in ("loss", "val_loss", "rms", "delta_rms", "learning_rate", "seconds", "samples_per_second"):
        assert len(getattr(history, name)) == 5, name
    assert history.best_epoch is None


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_rms_is_the_root_of_the_mean_squared_error_per_output(reduction):
    x, y = noise(50, 3, 4)
    net = MLP([3, 5, 4], dtype="float64")
    expected = np.sqrt(((net.predict(x) - y) ** 2).mean())
    history = Trainer(net, batch_size=100, reduction=reduction).fit(x, y, 1, progress=False)
    assert history.rms[0] == pytest.approx(expected, rel=1e-12)
    share = 1 if reduction == "mean" else 50
    assert history.rms[0] == pytest.approx(np.sqrt(2 * history.loss[0] / share / 4), rel=1e-12)


def test_rms_is_left_out_for_other_losses():
    x, y = noise(50, 3, 2)
    history = Trainer(MLP([3, 2], output_activation="sigmoid")).fit(x, y, 2, progress=False)
    assert history.rms == []


@pytest.mark.parametrize(("loss", "output"), [("squared_error", "tanh"), ("binary_cross_entropy", "sigmoid")])
@pytest.mark.parametrize(("rows", "batch"), [(40, 40), (2000, 1500)])
def test_delta_rms_is_that_of_the_error_signals(loss, output, rows, batch):
    x, y = noise(rows, 20, 3)
    net = MLP([20, 17, 4, 3], "tanh", output, dtype="float64")
    trainer = Trainer(net, loss, "sgd", learning_rate=1e-300, batch_size=batch)  # too small to change a weight
    deltas, _, _ = reference.backpropagate(in_plain_numpy(net), x, y, loss)
    history = trainer.fit(x, y, 1, progress=False)
    assert history.delta_rms[0] == pytest.approx([np.sqrt((delta**2).mean()) for delta in deltas], rel=1e-11)


def test_vanishing_gradients_of_deep_sigmoid_networks_can_be_seen():
    x, y = noise(200, 10, 1)
    shares = {}
    for activation in ("sigmoid", "relu"):
        history = Trainer(MLP([10, *[20] * 6, 1], activation), "squared_error").fit(x, y, 1, progress=False)
        signals = np.array(history.delta_rms[0])
        shares[activation] = signals[:-1] / signals[1:]
    assert (shares["sigmoid"][:-1] < 0.3).all()  # a quarter at most, times weights of about one in sum
    assert shares["sigmoid"].prod() < 1e-3 < shares["relu"].prod()


def test_loss_is_that_of_each_sample_before_the_update_of_its_batch():
    x, y = noise(10, 3, 2)
    net, other = (MLP([3, 4, 2], dtype="float64") for _ in range(2))
    history = Trainer(net, batch_size=4, shuffle=False).fit(x, y, 1, progress=False)
    trainer = Trainer(other, shuffle=False)
    losses = [trainer.step(x[i : i + 4], y[i : i + 4]) * len(x[i : i + 4]) for i in (0, 4, 8)]
    assert history.loss[0] == pytest.approx(sum(losses) / 10, rel=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_val_loss_is_that_after_the_epoch(reduction):
    x, y = noise(50, 3, 2)
    net = MLP([3, 4, 2], dtype="float64")
    trainer = Trainer(net, reduction=reduction)
    history = trainer.fit(x, y, 2, validation_data=(x[:20], y[:20]), progress=False)
    assert history.val_loss[-1] == pytest.approx(net.evaluate(x[:20], y[:20], reduction=reduction), rel=1e-13)
    assert history.val_loss[0] != history.val_loss[1]


def test_times_are_positive_and_agree_with_the_rate_of_samples():
    x, y = noise(50, 3, 2)
    history = Trainer(MLP([3, 2])).fit(x, y, 3, progress=False)
    assert min(history.seconds) > 0
    np.testing.assert_allclose(np.multiply(history.seconds, history.samples_per_second), 50)


def test_watched_losses_are_those_of_validation_if_there_are_any():
    assert History(loss=[1.0]).watched == [1.0]
    assert History(loss=[1.0], val_loss=[2.0]).watched == [2.0]


def test_a_history_goes_through_json():
    x, y = noise(50, 3, 2)
    history = Trainer(MLP([3, 2])).fit(x, y, 3, validation_fraction=0.2, patience=2, progress=False)
    assert History(**json.loads(json.dumps(history.to_dict()))) == history


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
@pytest.mark.parametrize("name", FITS)
def test_a_history_is_a_data_frame(name, loss):
    pandas = pytest.importorskip("pandas")
    x, y = noise(50, 3, 2)
    trainer = Trainer(MLP([3, 2]), loss, batch_size=8, learning_rate=Alternating())
    FITS[name](trainer, x, y)
    history, epochs = trainer.history, len(trainer.history.loss)
    frame = pandas.DataFrame(history.to_dict())
    assert len(frame) == epochs
    assert frame["loss"].tolist() == history.loss
    assert ("val_loss" in frame) == bool(history.val_loss or not epochs)
    for column, values in history.to_dict().items():
        kinds = {type(value) for value in (values if isinstance(values, list) else ())}
        assert kinds <= ({list} if column == "delta_rms" else {float}), column
    assert {type(value) for values in history.delta_rms for value in values} <= {float}
    assert History(**json.loads(json.dumps(history.to_dict()))) == history


def test_the_history_of_a_diverged_fit_is_a_data_frame():
    pandas = pytest.importorskip("pandas")
    x, y = noise(50, 3, 2)
    trainer = Trainer(MLP([3, 8, 2], "identity"), optimizer="sgd", learning_rate=1.0, batch_size=8)
    with pytest.raises(DivergenceError):
        trainer.fit(x, y, 500, validation_fraction=0.2, progress=False)
    assert len(pandas.DataFrame(trainer.history.to_dict())) == len(trainer.history.loss) > 0
