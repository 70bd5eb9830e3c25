"""Random networks written for other programs: the outputs there next to those of `predict`.

`python -m tests.fuzz.exports 100` makes 100 networks for each of ONNX, PyTorch, C and Fortran, with random widths,
activations, types and scalings, and prints the largest difference: in units of the dtype's epsilon times the largest
output of the network, or 1. Programs that are not installed are left out.
"""

import argparse
import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from fastmlp import MLP, Scaling
from fastmlp.export.c_source import EXPRESSIONS
from fastmlp.export.torch import MODULES
from tests.fastmlp.test_c_source import build, outputs_in_c

ROWS = 20


def random_network(rng, activations):
    """A network of up to four layers with any of `activations`, whose inputs and targets may be scaled."""
    sizes, dtype = rng.integers(1, 60, rng.integers(2, 6)).tolist(), str(rng.choice(["float32", "float64"]))
    hidden = [str(rng.choice(activations)) for _ in sizes[1:-1]]
    output = str(rng.choice([*activations, "softmax"])) if rng.integers(2) else "identity"
    net = MLP(sizes, hidden, output, dtype=dtype, bias=bool(rng.integers(2)), seed=int(rng.integers(1000)))
    for biases in net.biases:
        biases[:] = rng.normal(size=biases.shape)
    if rng.integers(2):
        scales = [(rng.normal(size=n) * 10, rng.uniform(0.1, 10, n)) for n in (sizes[0], sizes[-1])]
        net.scaling = Scaling(*scales[0], *(scales[1] if output == "identity" else ()))
    return net


def in_onnx(nets, samples, folder):
    import onnxruntime

    for net, x in zip(nets, samples, strict=True):
        net.to_onnx(folder / "net.onnx")
        session = onnxruntime.InferenceSession(folder / "net.onnx")
        yield session.run(None, {session.get_inputs()[0].name: x})[0]


def in_torch(nets, samples, folder):
    import torch

    for net, x in zip(nets, samples, strict=True):
        yield net.to_torch()(torch.from_numpy(x)).detach().numpy()


def in_c(nets, samples, folder):
    library = build(folder, nets)
    for i, (net, x) in enumerate(zip(nets, samples, strict=True)):
        yield outputs_in_c(library, i, x, net.sizes[-1])


def in_fortran(nets, samples, folder):
    """Outputs of a program that reads the samples of all networks from one file, and writes to another."""
    lines, calls = ["program main"], []
    for i, (net, x) in enumerate(zip(nets, samples, strict=True)):
        net.to_fortran(folder / f"net{i}.f90")
        x.tofile(folder / f"x{i}")
        lines.append(f"  use net{i}")
        calls += [
            "  block",
            f"    real(net{i}_real) :: x(net{i}_n_inputs), y(net{i}_n_outputs)",
            f'    open (newunit=given, file="x{i}", access="stream", form="unformatted", status="old")',
            f'    open (newunit=found, file="y{i}", access="stream", form="unformatted", status="new")',
            f"    do row = 1, {len(x)}",
            "      read (given) x",
            f"      call net{i}_predict(x, y)",
            "      write (found) y",
            "    end do",
            "    close (given)",
            "    close (found)",
            "  end block",
        ]
    program = "\n".join([*lines, "  implicit none", "  integer :: given, found, row", *calls, "end program", ""])
    (folder / "main.f90").write_text(program)
    for compiler, ending in (["gcc", "-O1", "-std=c99"], "_c.c"), (["gfortran", "-O1"], ".f90"):
        sources = [f"net{i}{ending}" for i in range(len(nets))]
        subprocess.run([*compiler, "-c", *sources], cwd=folder, check=True)
    objects = sorted(path.name for path in folder.glob("*.o"))
    subprocess.run(["gfortran", "main.f90", *objects, "-lm", "-o", "program"], cwd=folder, check=True)
    subprocess.run(["./program"], cwd=folder, check=True)
    for i, net in enumerate(nets):
        yield np.fromfile(folder / f"y{i}", net.dtype).reshape(ROWS, -1)


def has(*modules):
    return all(importlib.util.find_spec(module) for module in modules)


# By name: what computes outputs, whether it is installed, and the activations that it has.
PROGRAMS = {
    "ONNX": (in_onnx, has("onnx", "onnxruntime"), list(EXPRESSIONS)),
    "PyTorch": (in_torch, has("torch"), [name for name in MODULES if name != "softmax"]),
    "C": (in_c, bool(shutil.which("gcc")), list(EXPRESSIONS)),
    "Fortran": (in_fortran, bool(shutil.which("gfortran") and shutil.which("gcc")), list(EXPRESSIONS)),
}


def differences(name, count, seed):
    """Difference of each of `count` random networks in the program of a name, in epsilons."""
    rng, (program, _, activations) = np.random.default_rng(seed), PROGRAMS[name]
    nets = [random_network(rng, activations) for _ in range(count)]
    samples = []
    for net in nets:
        x = rng.normal(size=(ROWS, net.sizes[0]))
        x = x if net.scaling is None else net.scaling.input_mean + net.scaling.input_scale * x
        samples.append(x.astype(net.dtype))
    with tempfile.TemporaryDirectory() as folder:
        for net, x, found in zip(nets, samples, program(nets, samples, Path(folder)), strict=True):
            expected = net.predict(x)
            assert found.shape == expected.shape
            yield np.abs(found - expected).max() / (np.finfo(net.dtype).eps * max(1, np.abs(expected).max()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name, (_, is_there, _) in PROGRAMS.items():
        if is_there:
            found = list(differences(name, args.count, args.seed))
            print(f"{name}: {args.count} networks, largest difference {max(found):.1f}, median {np.median(found):.2f}")
        else:
            print(f"{name}: not installed")


if __name__ == "__main__":
    main()
