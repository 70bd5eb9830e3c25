"""`fastmlp export`: writes a saved model to a file of another format, which the file's suffix chooses."""

import numpy as np

from fastmlp import MLP
from fastmlp.checks import choice
from fastmlp.cli import text
from fastmlp.replacing import check_writable
from fastmlp.scaling import is_far
from fastmlp.tables.columns import listed
from fastmlp.tables.preprocessing import Preprocessing
from fastmlp.terminal import printable

WRITERS = {  # by suffix: function that writes a network to a path; `options.EXPORTS` describes the files
    ".onnx": MLP.to_onnx,
    ".safetensors": MLP.save_torch,
    ".h": MLP.to_c,
    ".f90": MLP.to_fortran,
}
SOURCES = ".h", ".f90"  # files with inputs of the network's dtype; those of ONNX are float64 where that is needed


def run(args):
    """Run the command."""
    write = WRITERS[choice(f"suffix of {args.output}", args.output.suffix.lower(), WRITERS)]
    check_writable(args.output, args.model)
    net = MLP.load(args.model)
    if args.dtype:
        net = net.astype(choice("--dtype", args.dtype, ["float32", "float64"]))
    write(net, args.output)
    text.facts([("written", args.output)])
    if net.dtype == np.float32 and args.output.suffix.lower() in SOURCES and (far := _far(net)):
        lacks = f"float has too few digits for numbers as far from 0 as those of {listed(far)}"
        text.tell(printable(f"fastmlp export: warning: {lacks}: results differ from predict; --dtype float64 has them"))


def _far(net):
    """Names of the inputs and outputs, in units of the table, whose float32 numbers lack digits."""
    scales = {}
    if "preprocessing" in net.metadata:
        learned = Preprocessing.of(net)
        numeric = {name: column for name, column in learned.columns.items() if "mean" in column}
        scales = {name: (column["mean"], column["scale"]) for name, column in numeric.items()}
        scales[learned.target_name] = learned.target_mean, learned.target_scale
    elif net.scaling:
        for kind in "input", "output":
            pairs = zip(getattr(net.scaling, f"{kind}_mean"), getattr(net.scaling, f"{kind}_scale"), strict=True)
            scales |= {f"{kind} {k}": pair for k, pair in enumerate(pairs)}
    return [name for name, (mean, scale) in scales.items() if is_far(mean, scale)]
