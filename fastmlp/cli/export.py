"""`fastmlp export`: writes a saved model to a file of another format, which the file's suffix chooses."""

from fastmlp import MLP
from fastmlp.checks import choice
from fastmlp.cli import text
from fastmlp.replacing import check_writable

WRITERS = {  # by suffix: function that writes a network to a path; `options.EXPORTS` describes the files
    ".onnx": MLP.to_onnx,
    ".safetensors": MLP.save_torch,
    ".h": MLP.to_c,
    ".f90": MLP.to_fortran,
}


def run(args):
    """Run the command."""
    write = WRITERS[choice(f"suffix of {args.output}", args.output.suffix.lower(), WRITERS)]
    check_writable(args.output, args.model)
    write(MLP.load(args.model), args.output)
    text.facts([("written", args.output)])
