"""Training by several processes, each with some of the samples: `mpiexec -n 3 python -m tests.ranks`.

Every rank makes all checks, in the same order, and rank 0 prints what each of them found as JSON: a dict from names to
texts, empty if all is well. What one process finds with all samples is compared with what the group finds.
"""

import json
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from fastmlp import MLP, DivergenceError, Trainer
from fastmlp._kernels import bfloat16_refusal
from fastmlp.callbacks import Checkpoint
from fastmlp.threads import cores
from tests.fuzz.results import digest
from tests.settings import SHARED

WORLD = MPI.COMM_WORLD
ROWS, EPOCHS, BATCH = 230, 3, 32
# Share of all samples that rank 0 has, and rank 1; others have those that are left.
UNEVEN, NONE_ON_RANK_0, NONE_ON_RANK_1 = (0.5, 0.2), (0.0, 0.4), (0.4, 0.0)
WEIGHTS = np.random.default_rng(9).uniform(size=ROWS)


def first_target(targets, outputs):
    """Metric that depends on the order of the samples."""
    return targets[0, 0] + outputs[0, 0]


# name: settings of a training, which one process and the group do alike but for rounding
SETTINGS = {
    **SHARED,
    "float32": {"dtype": "float32"},
    "sum": {"reduction": "sum", "learning_rate": 1e-4, "update_biases": False, "l2": 1e-3},
    "smoothed classes": {"classes": True, "label_smoothing": 0.1},
    "balanced classes": {"classes": True, "fit": {"class_weight": "balanced"}},
    "held out": {"fit": {"validation_fraction": 0.2, "patience": 50, "metrics": ["r2", first_target]}},
    "held out in order": {"fit": {"validation_fraction": 0.2}, "shuffle": False},
    "stopped": {"fit": {"validation_fraction": 0.2, "patience": 1, "tol": 1.0}},
    "weighted": {"weights": True},
    "monitor": {"fit": {"monitor": lambda net: float(np.abs(net.params).sum()), "patience": 3}},
    "sparse": {"sparse": True, "dropout": 0.3},
    "scaled": {"scale": True, "fit": {"validation_fraction": 0.2}},
    "a batch of all": {"batch_size": 1000},
    "no samples on rank 0": {"shares": NONE_ON_RANK_0, "scale": True, "weights": True},
    "no samples on rank 1": {"shares": NONE_ON_RANK_1, "classes": True, "fit": {"class_weight": {1: 2.0}}},
    "own order": {"shuffle": lambda order: order.sort() if order[0] else np.random.default_rng(3).shuffle(order)},
    "bf16-mixed": {"precision": "bf16-mixed", "sizes": [20, 16, 3], "dtype": "float32"},
}
# Of the largest parameter, or 1: rounding in the sums of a batch's gradient (2 n u for n terms, see docs/howto/mpi.md),
# which Adam's division by small moments increases.
TOLERANCE = {"float64": 1e-11, "float32": 1e-4, "bf16-mixed": 2e-2}


class Case:
    """A training with some settings, by one process or by the group."""

    def __init__(self, settings):
        settings = {"batch_size": BATCH, **settings}
        take = {"sizes": [20, 9, 3], "dtype": "float64", "scale": False, "shares": UNEVEN, "fit": {}}
        take |= {"sparse": False, "classes": False, "weights": False}
        self.of = {name: settings.pop(name, default) for name, default in take.items()}
        self.settings, rng = settings, np.random.default_rng(0)
        self.x = rng.normal(size=(ROWS, 20))
        self.y = rng.integers(3, size=ROWS) if self.of["classes"] else rng.normal(size=(ROWS, 3))
        if self.of["sparse"]:
            from scipy import sparse

            self.x = sparse.csr_matrix(self.x * (rng.uniform(size=self.x.shape) < 0.3))

    def part(self, group):
        """Slice of the samples of this rank, or of all."""
        if group is None or group.size == 1:
            return slice(None)
        ends = [0, *(int(share * ROWS) for share in np.cumsum(self.of["shares"])[: group.size - 1]), ROWS]
        return slice(*ends[group.rank : group.rank + 2])

    def trainer(self, group, **others):
        sizes, dtype, scale = (self.of[name] for name in ("sizes", "dtype", "scale"))
        output = "softmax" if self.of["classes"] else "identity"
        net = MLP(sizes, "tanh", output_activation=output, dtype=dtype, seed=1, scale=scale)
        return Trainer(net, group=group, **self.settings | others)

    def fit(self, trainer, epochs=EPOCHS, **others):
        own = self.part(trainer.group)
        weights = {"sample_weight": WEIGHTS[own]} if self.of["weights"] else {}
        trainer.fit(self.x[own], self.y[own], epochs, **{"progress": False, **weights, **self.of["fit"], **others})
        return trainer

    def trained(self, group, **others):
        return self.fit(self.trainer(group, **others))


def same_on_all(value):
    """`value`, which must be the same on all ranks."""
    everyone = WORLD.allgather(value)
    assert everyone == [value] * WORLD.size, everyone
    return value


def equal_but_for_rounding(name):
    """The group finds what one process finds: parameters, history, optimizer; each time, and on each rank, the same."""
    case = Case(SETTINGS[name])
    alone, together = case.trained(None), case.trained(WORLD)
    found = same_on_all(digest(together, together.optimizer_state["first"]))
    again = case.trained(WORLD, threads=1 + WORLD.rank % 2)
    assert found == digest(again, again.optimizer_state["first"]), "other bits at the second time"
    kind = together.precision if together.precision != "float32" else case.of["dtype"]
    tolerance = TOLERANCE[kind]
    np.testing.assert_allclose(together.net.params, alone.net.params, rtol=tolerance, atol=tolerance)
    expected, found = (trainer.history.to_dict() for trainer in (alone, together))
    assert expected.keys() == found.keys()
    assert (expected.pop("best_epoch"), len(expected["loss"])) == (found.pop("best_epoch"), len(found["loss"]))
    same_on_all(repr(found))
    for column in expected.keys() - {"seconds", "samples_per_second"}:
        np.testing.assert_allclose(found[column], expected[column], rtol=10 * tolerance, atol=tolerance, err_msg=column)


def rounding_of_one_step():
    """One step of gradient descent differs by no more than the bound of two sums in different orders."""
    case, rate, unit = Case({"dtype": "float32", "optimizer": "sgd"}), 0.1, 2.0**-24
    alone, together = (case.trainer(group, learning_rate=rate) for group in (None, WORLD))
    before = alone.net.params.copy()
    sizes = np.zeros(len(before))
    for x, y in zip(case.x, case.y, strict=True):
        sizes += np.abs(alone.net.gradient(x[None], y[None])[1])
    for trainer in alone, together:
        own = case.part(trainer.group)
        trainer.step(case.x[own], case.y[own])
    bound = rate * 2 * (ROWS + WORLD.size) * unit * sizes / ROWS + 4 * unit * (np.abs(before) + rate * sizes / ROWS)
    assert (np.abs(alone.net.params - together.net.params) <= bound).all()
    assert not np.array_equal(alone.net.params, before)


def one_rank():
    """A group of one rank has the bits of a process without a group."""
    case = Case({"dropout": 0.2, "dtype": "float32"})
    assert digest(case.trained(None)) == digest(case.trained(MPI.COMM_SELF))


def raised(call, kind, *texts):
    """All ranks raise an exception of a kind, whose message has these texts."""
    with pytest.raises(kind) as caught:
        call()
    missing = [text for text in texts if text not in str(caught.value)]
    assert not missing, f"{caught.value} does not have {missing}"


def bad_data_on_one_rank():
    """What is wrong on one rank is raised on all, and the trainer can go on."""
    case = Case({})
    trainer = case.trainer(WORLD)
    own = case.part(WORLD)
    x, y = case.x[own].copy(), case.y[own].copy()
    before = trainer.net.params.copy()
    bad = WORLD.rank == WORLD.size - 1
    raised(lambda: trainer.fit(x[:, :19] if bad else x, y, 1, progress=False), ValueError, "X has shape")
    raised(lambda: trainer.fit(x, y[1:] if bad else y, 1, progress=False), ValueError, "y has shape")
    raised(lambda: trainer.fit(x, y, 0 if bad else 1, progress=False), ValueError, "epochs is 0")
    raised(lambda: trainer.fit(x, y, 1 + bad, progress=False), ValueError, "epochs is 2 on rank")
    broken = x.copy()
    broken[5, 3] = np.nan if bad else 0
    raised(lambda: trainer.fit(broken, y, 1, progress=False), ValueError, "X is nan at row 5, column 3")
    assert np.array_equal(trainer.net.params, before)
    case.fit(trainer)
    same_on_all(digest(trainer))


def divergence():
    """All ranks end with the last finite parameters."""
    case = Case({"optimizer": "sgd", "learning_rate": 1e200})
    trainer = case.trainer(WORLD)
    raised(lambda: case.fit(trainer), DivergenceError, "diverged in epoch 1")
    assert np.isfinite(trainer.net.params).all()
    same_on_all(digest(trainer))


class Watching:
    """Callback that counts its calls, and raises, returns or changes something at the end of an epoch."""

    def __init__(self, act=lambda trainer: None):
        self.calls, self.act, self.ended = 0, act, 0

    def on_epoch_end(self, trainer, epoch):
        self.calls += 1
        return self.act(trainer)

    def on_fit_end(self, trainer):
        self.ended += 1


def callbacks():
    """They are called on rank 0; what they return, raise or change reaches all ranks."""
    case = Case({})

    def fit(act):
        watching, trainer = Watching(act), case.trainer(WORLD)
        try:
            case.fit(trainer, callbacks=[watching])
        finally:
            assert watching.calls == 0 or WORLD.rank == 0
            assert watching.ended == (WORLD.rank == 0)
        return trainer

    def fail(trainer):
        raise KeyError("of a callback")

    def change(trainer):
        trainer.learning_rate, trainer.l2, trainer.net.params[3] = 0.5, 0.25, 7.0

    assert len(same_on_all(fit(lambda trainer: True).history.loss)) == 1
    raised(lambda: fit(fail), KeyError, "of a callback")
    changed = fit(change)
    assert (changed.learning_rate, changed.l2) == (0.5, 0.25)
    assert same_on_all(float(changed.net.params[3])) == 7.0
    same_on_all(digest(changed))


class Different:
    """Schedule that makes the weights of the last rank differ, after the first epoch."""

    trainer = None

    def rate(self, epoch, watched):
        if epoch == 1 and WORLD.rank == WORLD.size - 1:
            self.trainer.net.params[0] += 1e-6
            self.trainer.take_params()
        return 1e-3


def different_ranks():
    """Networks, settings or weights that differ are an error on all ranks."""
    case = Case({})
    other = WORLD.rank == WORLD.size - 1
    raised(lambda: case.trained(WORLD, seed=int(other)), ValueError, "seed is")
    raised(lambda: case.trained(WORLD, l2=0.1 * other), ValueError, "l2 is 0.1 on rank")
    schedule = Different()
    schedule.trainer = case.trainer(WORLD, learning_rate=schedule)
    raised(lambda: case.fit(schedule.trainer), ValueError, "weights is", "accepted: the same on all ranks")


def resuming():
    """A training that ends within an epoch goes on to the same bits; in one process, to the same but for rounding."""
    case = Case({"dropout": 0.2, "fit": {"validation_fraction": 0.2, "patience": 9}})
    complete = case.trained(WORLD)
    with tempfile.TemporaryDirectory() as folder:
        path = WORLD.bcast(Path(folder) / "run.safetensors")

        def interrupt(trainer):
            if len(trainer.history.loss) == 2:
                raise KeyboardInterrupt

        checkpoint = Checkpoint(path, "each", seconds=0, state=True)
        raised(lambda: case.fit(case.trainer(WORLD), callbacks=[checkpoint, Watching(interrupt)]), KeyboardInterrupt)
        resumed = case.fit(case.trainer(WORLD), resume=path)
        assert digest(resumed) == digest(complete)
        alone = case.fit(case.trainer(None), resume=path)
        np.testing.assert_allclose(alone.net.params, complete.net.params, rtol=1e-11, atol=1e-11)
        WORLD.barrier()


def too_few_cores():
    """A rank with more threads than cores warns where `fit` is called."""
    case = Case({})
    with pytest.warns(RuntimeWarning, match=f"rank {WORLD.rank} has .* --bind-to none") as caught:
        case.fit(case.trainer(WORLD, threads=cores() + 1))
    assert caught[0].filename == __file__


def no_communicator():
    """Other objects are refused."""
    raised(lambda: Case({}).trainer("world"), TypeError, "group is 'world'", "MPI.COMM_WORLD")


CHECKS = {
    **{name: (equal_but_for_rounding, name) for name in SETTINGS},
    **{
        check.__name__: (check,)
        for check in (
            rounding_of_one_step,
            one_rank,
            bad_data_on_one_rank,
            divergence,
            callbacks,
            different_ranks,
            resuming,
            too_few_cores,
            no_communicator,
        )
    },
}


def found(name):
    """Text of what a check finds on any rank, which is empty if all is well."""
    if name == "bf16-mixed" and bfloat16_refusal():
        return "skipped: no engine for bfloat16"
    if name == "sparse" and "scipy" not in sys.modules:
        try:
            import scipy.sparse  # noqa: F401
        except ImportError:
            return "skipped: no scipy"
    check, *arguments = CHECKS[name]
    try:
        check(*arguments)
        text = ""
    except BaseException:
        text = f"rank {WORLD.rank}: {traceback.format_exc()}"
    return "\n".join(filter(None, WORLD.allgather(text)))


if __name__ == "__main__":
    results = {name: found(name) for name in sys.argv[1:] or CHECKS}
    if WORLD.rank == 0:
        print(json.dumps(results))
