"""How batches are cut up: by shapes alone, into parts that cover everything, in bounded memory."""

import itertools

import numpy as np
import pytest
from fastmlp_kernels.drivers import plan
from fastmlp_kernels.drivers.workspace import prediction_scratch, workspace
from fastmlp_kernels.layout import network as packed
from fastmlp_kernels.tile.engines import ENGINE
from fastmlp_kernels.tile.operations import ROWS

SIZES = [(8, 16, 1), (64, 64, 64, 64, 1), (784, 128, 10), (1024, 1024, 1024), (2048, 4096, 1024), (1, 1)]
THREADS = 3
BATCHES = [1, ROWS - 1, ROWS + 1, 200, 4096, 16384]
CASES = pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: "-".join(map(str, sizes)))


@CASES
def test_flops_are_those_of_the_products(sizes):
    """Forward and gradient everywhere, error signals everywhere but at the inputs: two for each weight."""
    products = [2 * a * b for a, b in itertools.pairwise(sizes)]
    assert plan.training_flops(sizes) == 3 * sum(products) - products[0]


def test_only_small_work_is_serial():
    assert plan.is_serial((8, 16, 1), 32)
    assert not plan.is_serial((784, 128, 10), 4096)
    verdicts = [plan.is_serial((64, 32, 10), rows) for rows in range(1, 400)]
    assert verdicts == sorted(verdicts, reverse=True), "serial up to some number of rows, then parallel"


def parts(space):
    """All arrays and numbers of a workspace, by the names of their records and their own."""
    for name, value in space._asdict().items():
        if isinstance(value, tuple):
            yield from ((f"{name}.{own}", part) for own, part in value._asdict().items())
        else:
            yield name, value


def description(space):
    """All that a workspace decides."""
    return {
        name: (value.shape, str(value.dtype)) if isinstance(value, np.ndarray) else value
        for name, value in parts(space)
    }


@CASES
@pytest.mark.parametrize("rows", BATCHES)
def test_no_sum_depends_on_the_number_of_threads(sizes, rows):
    """Only how many blocks have room at a time may differ."""
    network = packed.build(sizes, np.float32)
    found = [description(workspace(network, rows, threads)) for threads in (1, 2, 5, 64)]
    for each in found:
        for name in each:
            if name.split(".")[0] in ("blocks", "nonzeros", "scratch") and name != "nonzeros.bits":
                (_, *size), dtype = each[name]
                each[name] = size, dtype
    assert all(each == found[0] for each in found)


@CASES
@pytest.mark.parametrize("rows", BATCHES)
def test_blocks_are_whole_tiles_and_cover_the_batch(sizes, rows):
    space = workspace(packed.build(sizes, np.float32), rows, THREADS)
    blocks = len(space.sums.squares)
    assert space.block_rows % ROWS == 0
    assert (blocks - 1) * space.block_rows < rows <= blocks * space.block_rows
    assert len(space.sums.losses) == len(space.sums.weights) == len(space.sums.overflows) == blocks
    assert all(len(array) == THREADS for array in space.scratch)
    slots = len(space.blocks.activations)
    assert len(space.blocks.deltas) == slots >= THREADS
    assert space.keep or (slots == THREADS and len(space.gradients) <= blocks)


@CASES
def test_every_weight_has_one_owner(sizes):
    space = workspace(packed.build(sizes, np.float32), 64, THREADS)
    owners = [np.zeros((a, b), int) for a, b in itertools.pairwise(sizes)]
    for piece in space.pieces:
        owners[piece.layer][piece.first : piece.last, piece.left : piece.right] += 1
    assert all((count == 1).all() for count in owners)


@CASES
def test_room_for_an_evaluation_of_more_samples(sizes):
    for batch_size in (0, 64):
        space = workspace(packed.build(sizes, np.float32), batch_size, THREADS, samples=1000)
        assert len(space.sums.losses) * space.block_rows >= 1000


def test_the_block_can_be_given():
    assert workspace(packed.build((3, 2), np.float32), 1000, THREADS, block_rows=5 * ROWS - 1).block_rows == 5 * ROWS


def scratch_bytes(space):
    return sum(value.nbytes for _, value in parts(space) if isinstance(value, np.ndarray))


@pytest.mark.parametrize("sizes", SIZES[:3], ids=lambda sizes: "-".join(map(str, sizes)))
def test_scratch_memory_stops_growing_with_the_batch(sizes):
    """Small networks keep no batch: ten times the samples add only their losses."""
    network = packed.build(sizes, np.float32)
    small, large = (workspace(network, rows, THREADS) for rows in (100_000, 1_000_000))
    assert not small.keep
    assert scratch_bytes(large) < 1.1 * scratch_bytes(small) + 1e6
    assert scratch_bytes(large) < 32e6


@CASES
@pytest.mark.parametrize("rows", BATCHES)
def test_scratch_memory_is_in_proportion(sizes, rows):
    """At most the batch's padded activations and deltas, a block for each thread, and a gradient for each group."""
    network = packed.build(sizes, np.float32)
    space = workspace(network, rows, THREADS)
    units = sum(-(-n // ENGINE.width(4)) * ENGINE.width(4) for n in sizes)
    assert space.gradients.nbytes <= plan.FLOAT.groups * network.weights.nbytes
    batch = scratch_bytes(space) - space.gradients.nbytes
    assert batch <= 4 * 3 * units * THREADS * space.block_rows + 4 * 2 * units * rows + 100 * (rows + len(space.pieces))


def test_what_is_kept_of_a_large_batch_is_limited():
    network = packed.build((2048, 4096, 1024), np.float32)
    small, large = (workspace(network, rows, THREADS) for rows in (10_000, 1_000_000))
    limits = plan.limits_of(False)
    most = max(limits.kept_bytes, limits.kept_gradients * network.weights.nbytes)
    for space in (small, large):
        assert space.keep
        assert space.blocks.activations.nbytes + space.blocks.deltas.nbytes <= most
    longer = max(1, large.block_rows / small.block_rows)  # of blocks that are whole tiles, and so not of one length
    assert scratch_bytes(large) < longer * scratch_bytes(small) + 1e6


@pytest.mark.parametrize("rows", [1, 100, 10_000])
def test_scratch_memory_of_a_prediction(rows):
    network = packed.build((784, 128, 10), np.float32)
    activations, block = prediction_scratch(network, rows, shares=4)
    assert block % ROWS == 0
    assert len(activations) <= min(4, -(-rows // block))
    assert activations.shape[1] >= block * (784 + 128 + 10)
