"""Comparison of the results of two commits, bit by bit: python asv_benchmarks/bits.py BASE HEAD.

Each commit trains and predicts in its own processes, one for each register tile, through the public interface and the
kernels for compiled code. Networks, data and settings are drawn at random; setting n has the seed n. The digest of a
setting is that of all its resulting numbers. The script prints the settings whose digests differ, and exits with 1 if
there are any.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
from gate import SOURCES, unpack

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softplus", "silu", "gelu", "exp")
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adam", "adamw")
# Losses by output activation: those that all commits have.
LOSSES = {
    "identity": ("squared_error", "absolute_error", "huber", "quantile"),
    "softmax": ("cross_entropy", "focal", "squared_error"),
    "sigmoid": ("binary_cross_entropy", "focal", "squared_error"),
    "exp": ("poisson",),
    "tanh": ("squared_error",),
}
WIDTHS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 48, 64, 65, 100, 130, 300)
PASSED_ON = ("reduction", "l2", "average_l2", "update_biases", "threads", "clip_norm", "dropout")  # Trainer's
MOST_THREADS = 4
ROWS = (1, 2, 7, 40, 97, 150, 290, 700)


def draw(number):
    """Setting number `number`: a dict of plain Python values."""
    rng = np.random.default_rng(number)
    pick = lambda values: values[rng.integers(len(values))]  # noqa: E731
    hidden = int(rng.integers(4))
    output = pick(list(LOSSES))
    sizes = [int(pick(WIDTHS)) for _ in range(hidden + 2)]
    return {
        "sizes": [*sizes[:-1], max(sizes[-1], 2)] if output == "softmax" else sizes,
        "activation": [pick(ACTIVATIONS[:-1]) for _ in range(hidden)],
        "output": output,
        "dtype": pick(["float32", "float64"]),
        "bias": bool(rng.random() < 0.8),
        "loss": pick(LOSSES[output]),
        "optimizer": pick(OPTIMIZERS),
        "rows": int(pick(ROWS)),
        "batch_size": int(pick((1, 16, 50, 200, 1000))),
        "dropout": float(pick((0.0, 0.0, 0.3))),
        "label_smoothing": float(pick((0.0, 0.1))),
        "clip_norm": pick((None, None, 0.5)),
        "l2": float(pick((0.0, 1e-3))),
        "average_l2": bool(rng.random() < 0.3),
        "update_biases": bool(rng.random() < 0.8),
        "reduction": pick(("mean", "sum")),
        "weighted": bool(rng.random() < 0.4),
        "sparse": bool(rng.random() < 0.3),
        "threads": int(rng.integers(1, MOST_THREADS + 1)),
        "seed": int(rng.integers(1000)),
    }


def compute(setting):
    """Yield all results of a setting as arrays: predictions, gradients, parameters and states after training."""
    from fastmlp import MLP, Trainer

    rng, dtype, rows = np.random.default_rng(setting["seed"]), setting["dtype"], setting["rows"]
    n_in, n_out = setting["sizes"][0], setting["sizes"][-1]
    x = rng.standard_normal((rows, n_in)).astype(dtype)
    if setting["sparse"]:
        from scipy.sparse import csr_array

        x = csr_array(np.where(rng.random(x.shape) < 0.3, x, 0).astype(dtype))
    labels = setting["output"] == "softmax" and setting["loss"] != "squared_error"
    y = rng.integers(0, n_out, rows) if labels else rng.random((rows, n_out)).astype(dtype)
    weights = rng.random(rows) + 0.1 if setting["weighted"] else None
    net = MLP(
        setting["sizes"],
        setting["activation"],
        setting["output"],
        dtype=dtype,
        bias=setting["bias"],
        seed=setting["seed"],
    )
    smoothing = setting["label_smoothing"] if "entropy" in setting["loss"] else 0.0
    trainer = Trainer(
        net,
        setting["loss"],
        setting["optimizer"],
        learning_rate=1e-3,
        batch_size=setting["batch_size"],
        label_smoothing=smoothing,
        seed=setting["seed"],
        **{name: setting[name] for name in PASSED_ON},
    )
    yield net.predict(x)
    yield np.array(net.evaluate(x, y, setting["loss"], sample_weight=weights))
    loss, gradient = net.gradient(x, y, setting["loss"], sample_weight=weights)
    yield from (np.array(loss), gradient)
    trainer.fit(x, y, epochs=3, validation_fraction=0.2 if rows > 10 else None, progress=False, sample_weight=weights)
    yield net.params
    yield from (trainer.optimizer_state["first"], trainer.optimizer_state["second"])
    yield np.array(trainer.step(x, y, weights))
    yield from (net.params, net.predict(x))
    if not setting["sparse"]:
        yield from embedded(net, x)


def embedded(net, x):
    """Yield the results of the kernels for compiled code: outputs and all kinds of derivatives, as arrays."""
    import fastmlp_kernels as fk

    network, n_out, gradient = net.network, net.sizes[-1], fk.packed_gradient(net.network)
    space = fk.workspace(network, len(x))
    outputs, back, params = np.empty((len(x), n_out), x.dtype), np.empty_like(x), np.empty_like(net.params)
    fk.forward_rows(outputs, network, space, x)
    yield outputs.copy()
    fk.forward_one(outputs[0], network, space, x[0])
    yield outputs[0].copy()
    fk.vjp_rows(back, network, space, x, outputs)
    yield back
    yield np.array(fk.loss_gradient_rows(gradient, network, space, x, outputs, squared(net), True))
    fk.unpack(params, network, gradient)
    yield params.copy()
    tangents = outputs.copy()
    fk.jvp_rows(outputs, tangents, network, space, x, back)
    yield tangents
    jacobian = np.empty((n_out, net.sizes[0]), x.dtype)
    fk.jacobian_one(jacobian, network, space, x[0])
    yield jacobian
    if net.sizes[0] <= 8:
        space, x = fk.taylor_workspace(network, len(x)), x[:20]
        firsts, seconds = (np.empty((len(x), n_out, net.sizes[0]), x.dtype) for _ in range(2))
        outputs = outputs[:20].copy()
        fk.taylor_rows(outputs, firsts, seconds, network, space, x)
        yield from (outputs, firsts, seconds)
        fk.taylor_gradient_rows(gradient, network, space, x, outputs, firsts, seconds, True)
        fk.unpack(params, network, gradient)
        yield params


def squared(net):
    """Squared error of a network's outputs, as a Loss of the kernels."""
    import fastmlp_kernels as fk

    return fk.loss("squared_error", net.output_activation, net.dtype)


def digests(numbers):
    """Digests of the settings with these numbers: {number: digest}."""
    found = {}
    for number in numbers:
        digest = hashlib.sha256()
        try:
            for array in compute(draw(number)):
                digest.update(np.ascontiguousarray(array).tobytes())
        except ArithmeticError as error:  # training diverged, which is a result too
            digest.update(str(error).encode())
        found[number] = digest.hexdigest()
    return found


def worker(folder, tile, count):
    """Start a process that prints the digests of `count` settings, with the sources in a folder and a register tile."""
    path = os.pathsep.join([str(folder), str(folder / "kernels")])
    environment = os.environ | {"PYTHONPATH": path, "FASTMLP_TILE": tile, "NUMBA_NUM_THREADS": str(MOST_THREADS)}
    environment["FASTMLP_CACHE_DIR"] = str(SOURCES / "compiled")
    command = [sys.executable, __file__, "--count", str(count), "--worker"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commits", nargs="*", metavar="COMMIT", help="the two commits to compare")
    parser.add_argument("--count", type=int, default=300, help="settings (default 300)")
    parser.add_argument("--tiles", default="sse,avx2", help="register tiles (default sse,avx2; others: avx512, neon)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        import fastmlp.threads

        fastmlp.threads.cores = lambda: MOST_THREADS  # even if there are fewer
        print(json.dumps(digests(range(options.count))))
        return
    if len(options.commits) != 2:
        parser.error("two commits are needed")
    folders, differ = [unpack(commit) for commit in options.commits], False
    for tile in options.tiles.split(","):
        pair = [worker(folder, tile, options.count) for folder in folders]
        base, head = (json.loads(process.communicate()[0]) for process in pair)
        wrong = [number for number in base if base[number] != head[number]]
        differ |= bool(wrong)
        print(f"{tile}: {len(base) - len(wrong)} of {len(base)} digests are equal", flush=True)
        for number in wrong[:10]:
            print(f"  differs: {draw(int(number))}")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
