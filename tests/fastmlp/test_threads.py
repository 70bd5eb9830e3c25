"""A child that was forked trains and predicts, without OpenMP, which would kill it."""

import multiprocessing
import sys

import numpy as np
import pytest

from fastmlp import MLP, Trainer
from fastmlp.threads import available

X = np.random.default_rng(0).normal(size=(4000, 50)).astype(np.float32)  # enough for all threads


def trained(coach=None):
    coach = coach or Trainer(MLP([50, 100, 50]), batch_size=2000)
    net = coach.net
    coach.fit(X, X, 2, validation_fraction=0.2, progress=False)
    return net.params.tobytes(), net.predict(X).tobytes(), net.evaluate(X, X), net.gradient(X, X)[1].tobytes()


def report(pipe, coach):
    pipe.send((available(), trained(), trained(coach)))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_trains_and_predicts_to_the_same_bits():
    coach = Trainer(MLP([50, 100, 50]), batch_size=2000)
    here = trained(coach)  # OpenMP's threads are there now
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=report, args=(theirs, coach))
    child.start()
    theirs.close()
    assert ours.poll(60), "the child says nothing"
    threads, there, more = ours.recv()
    child.join(10)
    assert child.exitcode == 0
    assert threads == 1
    assert there == here
    assert more == trained(coach)
