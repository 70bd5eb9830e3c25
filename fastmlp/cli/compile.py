"""`fastmlp compile`: fills the kernel cache ahead of time, for a container's image or the nodes of a cluster."""

from fastmlp._kernels import CACHE_FOLDER
from fastmlp.checks import choice
from fastmlp.cli import text
from fastmlp.compilation import compile_kernels


def run(args):
    """Run the command."""
    dtype = choice("--dtype", args.dtype, ["float32", "float64"])
    if CACHE_FOLDER is None:
        raise OSError("no cache folder can be written; accepted: one in FASTMLP_CACHE_DIR that only you can write in")
    compile_kernels(dtype, args.precision)
    files = list(CACHE_FOLDER.glob("*.code"))
    size = sum(file.stat().st_size for file in files)
    text.facts([("kernel cache", CACHE_FOLDER), ("", f"{len(files)} files, {size / 1e6:.0f} MB")])
