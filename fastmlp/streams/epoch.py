"""An epoch over a stream, pool after pool; and the evaluation of the samples of a stream."""

from __future__ import annotations

import time

import numpy as np

from .. import weighting
from ..interrupts import uninterrupted
from .pools import remaining

SEEDS = 2**53  # a seed below this is a number that JSON represents exactly, everywhere


def draw(trainer, feed):
    """Draw the order of the blocks and the seed of the pools of an epoch, unless the epoch is resumed.

    A ValueError if the pools of an epoch that is resumed, whose rows are shuffled, had another size.
    """
    position = trainer._position
    if position.batch and not position.pool_seed:
        raise ValueError("X is a stream; accepted: arrays, as in the epoch that is resumed")
    if not position.pool_seed:
        with uninterrupted():
            if trainer.shuffle and len(position.order):
                trainer._put_in_order(position.order)
            position.pool_seed = int(trainer._rng.integers(1, SEEDS))
            position.pool_rows, position.samples, position.weight = feed.pool_rows, 0, 0.0
    elif trainer.shuffle and position.pool_rows != feed.pool_rows:
        raise ValueError(
            f"pool_rows is {feed.pool_rows}; accepted: {position.pool_rows}, as in the epoch that is resumed"
        )


def train(trainer, feed, settings, batch_size, when, notify):
    """Train for one epoch, or the rest of one, a slice at a time.

    Batches take the rows of all pools one after another: those that do not fill a batch begin the next pool.

    Parameters
    ----------
    trainer : Trainer, whose `_position`, after `draw`, says where to go on
    feed : Feed
    settings : Optimizer of the kernels
    batch_size : int, at most; all samples may be fewer
    when : str; words for messages, such as "in epoch 3"
    notify : Listeners

    Returns
    -------
    seconds : float; duration, with what was trained of this epoch before
    waited : float; seconds of it in which there was nothing to train on
    """
    position, left = trainer._position, None
    batch_size = min(batch_size, feed.most_rows)
    done, skipped = divmod(position.samples, feed.pool_rows)
    start = time.perf_counter() - position.seconds

    def make_updates(data, batches):
        first = 0
        while first < batches:
            with uninterrupted():
                if not position.batch:
                    trainer._learning.clear()
                reached = trainer._run(data, settings, batch_size, first, batches, when)
                samples = _samples(data, batch_size, reached) - _samples(data, batch_size, first)
                position.weight = _add_weights(position.weight, data, batch_size, first, samples)
                position.batch, position.samples = position.batch + reached - first, position.samples + samples
                position.sums = [array.copy() for array in trainer._learning.progress]
                position.seconds = time.perf_counter() - start
            first = reached
            notify("on_slice_end", samples, trainer._learning.progress.loss[0] * trainer._scale(position.weight))

    seed = position.pool_seed if trainer.shuffle else None
    with feed.reader(batch_size, order=position.order, seed=seed, pools_done=done) as reader:
        try:
            for pool in reader:
                data = pool.after(left, skipped)
                batches, skipped = len(data.order) // batch_size, 0
                make_updates(data, batches)
                left = remaining(data, batches * batch_size)
        finally:
            feed.failed |= reader.failed
    if left is not None and len(left.x):
        make_updates(left, 1)
    if not position.samples:
        feed.failed = True
        raise ValueError(f"X has no rows {when}; accepted: rows, and a source that can be read again in each epoch")
    if not position.weight:
        raise ValueError("sample_weight is 0 everywhere; accepted: at least one weight above 0")
    return time.perf_counter() - start, reader.waited


def evaluate(learning, feed):
    """Weighted sum of the losses of the samples of a stream, and the sum of their weights.

    A ValueError if there are none. If the feed `keeps_results`, its `results` become the targets and the outputs.
    """
    loss, weight, rows, results = 0.0, 0.0, 0, []
    with feed.reader() as reader:
        try:
            for pool in reader:
                data = pool.after(None)
                rows += len(data.order)
                loss += learning.evaluate(data, learning.loss)
                weight += weighting.total(data, 0, len(data.order))
                if feed.keeps_results:
                    results.append(learning.results(data))
        finally:
            feed.failed |= reader.failed
    if not rows:
        raise ValueError("there are no rows to evaluate; accepted: blocks of rows for validation")
    feed.results = [np.concatenate(parts) for parts in zip(*results, strict=True)]
    return loss, weight


def _samples(data, batch_size, batches):
    """Number of samples of the first so many batches."""
    return min(batches * batch_size, len(data.order))


def _add_weights(total, data, batch_size, first, samples):
    """Add the weights of samples from batch `first` on to a sum, batch by batch: wherever slices end, the same bits."""
    if not data.weights.size:
        return total + samples
    start = first * batch_size
    weights = data.weights[data.order[start : start + samples]].astype(float)
    for of_batch in np.add.reduceat(weights, np.arange(0, samples, batch_size)).tolist():
        total += of_batch
    return total
