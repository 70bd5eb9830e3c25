"""The tests of the kernels once more: every register tile, every threading layer, and plain Python, lines counted."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import fastmlp_kernels
import pytest
from fastmlp_kernels.cpu import SHAPE, SHAPES

pytestmark = pytest.mark.outer

ROOT = Path(__file__).parents[2]
LEAST_COVERAGE = 95  # per cent of the lines
# The tests whose compilation runs the code that writes instructions; no plain Python does, and nothing already cached.
COMPILING = ["test_tile.py", "test_pointers.py", "test_tickets.py"]


def python(*arguments, **environment):
    """Run Python in the repository; its output is shown where it fails."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]
    return done.stdout


PYTEST = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]


@pytest.mark.parametrize("shape", [shape.name for shape in SHAPES if shape is not SHAPE])
def test_products_and_training_are_right_with_every_tile(request, shape):
    """LLVM makes vectors of any width out of those that the machine has, so that every machine runs every shape."""
    cache = request.config.cache.mkdir("fastmlp-tiles")  # one folder for each shape, kept from run to run
    python(*PYTEST, "-m", "shapes", "tests/kernels", FASTMLP_TILE=shape, FASTMLP_CACHE_DIR=str(cache))


# Numba's threading layers, and what is there to import if one of them can be used.
LAYERS = {"omp": "omppool", "tbb": "tbbpool", "workqueue": "workqueue"}


@pytest.mark.parametrize("layer", LAYERS)
def test_parts_have_the_same_bits_under_every_threading_layer(layer):
    try:
        importlib.import_module(f"numba.np.ufunc.{LAYERS[layer]}")
    except ImportError as error:
        pytest.skip(str(error))
    python(*PYTEST, "tests/kernels/test_embedding.py", "-k", "same_bits", NUMBA_THREADING_LAYER=layer)


def test_the_kernels_run_as_plain_python_and_the_tests_reach_their_lines(tmp_path):
    measure = ["-m", "coverage", "run", "--data-file", str(tmp_path / "lines"), "--parallel-mode"]
    source = ["--source", str(Path(fastmlp_kernels.__file__).parent)]
    compiling = [f"tests/kernels/{name}" for name in COMPILING]
    python(*measure, *source, *PYTEST, "-m", "not outer", "tests/kernels", NUMBA_DISABLE_JIT="1")
    python(*measure, *source, *PYTEST, *compiling, FASTMLP_CACHE_DIR=str(tmp_path / "empty"))
    combined, report = str(tmp_path / "lines"), str(tmp_path / "lines.json")
    python("-m", "coverage", "combine", "--data-file", combined, str(tmp_path))
    python("-m", "coverage", "json", "--data-file", combined, "-o", report)
    found = json.loads(Path(report).read_text())
    missing = {Path(name).name: file["missing_lines"] for name, file in found["files"].items() if file["missing_lines"]}
    assert len(found["files"]) == len(list(Path(fastmlp_kernels.__file__).parent.glob("*.py")))
    assert found["totals"]["percent_covered"] >= LEAST_COVERAGE, missing
