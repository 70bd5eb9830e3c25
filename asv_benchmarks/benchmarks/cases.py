"""Cases that are measured, networks and batch sizes written sizes@batch, with data and trainers for them."""

import numpy as np

from fastmlp import MLP, Trainer

from . import kernels

STEPS = [
    "8-16-1@1",
    "8-16-1@32",
    "17-33-9-3@50",
    "64-32-10@200",
    "784-128-10@1",
    "784-128-10@128",
    "784-128-10@4096",
    "300-200-100-5@1000",
    "1000-1000-7@3000",
    "64-64-64-64-1@16384",
    "256-512-512-10@4096",
    "1024-1024-1024-1024@4096",
    "2048-4096-1024@2048",
]
LARGE = ["784-128-10@4096", "64-64-64-64-1@16384", "256-512-512-10@4096", "1024-1024-1024-1024@4096"]

LEARNING_RATE = 1e-5  # so small that no network diverges, however long it is trained on the same data
MOST_NUMBERS, MOST_BATCHES = 1 << 22, 1024  # limits of the data of a case, which has at least two batches


def parse(case):
    """Network and batch size of a case: (list of int, int)."""
    sizes, batch = case.split("@")
    return [int(n) for n in sizes.split("-")], int(batch)


def data(case):
    """Normal random numbers in float32 for a case: (x, y, number of batches), all batches full."""
    sizes, batch = parse(case)
    batches = max(2, min(MOST_BATCHES, MOST_NUMBERS // (batch * (sizes[0] + sizes[-1]))))
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((batches * batch, n), dtype=np.float32) for n in (sizes[0], sizes[-1]))
    return x, y, batches


def trainer(case, shuffle=False, threads=None, **settings):
    """Trainer with momentum, or with other `settings`, for a case, with ReLU layers and identity outputs."""
    sizes, batch = parse(case)
    settings = {"loss": "squared_error", "optimizer": "momentum", "learning_rate": LEARNING_RATE} | settings
    return Trainer(MLP(sizes), batch_size=batch, shuffle=shuffle, threads=threads, **settings)


def training_flops(case):
    """Floating-point operations of a training step of a case."""
    sizes, batch = parse(case)
    return batch * kernels.training_flops(sizes)
