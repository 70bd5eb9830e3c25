"""The tests of the kernels once more: with every register tile, every threading layer, and as plain Python.

To save time, only some of the tests that are marked `shapes` run with other register tiles, and but for the tests of
the tile itself, those of float32. All tests run with one tile where the environment variable FASTMLP_TILE names it:
`FASTMLP_TILE=avx512 make test`.
"""

import json
import os
from pathlib import Path

import fastmlp_kernels
import pytest
from fastmlp_kernels.tile.engines import ENGINE, ENGINES, FLOATS, engine_of

from tests.builds import LAYERS, python

pytestmark = pytest.mark.outer

SOURCES = Path(fastmlp_kernels.__file__).parent
LEAST_COVERAGE = 95  # per cent of the lines
# The tests that run the code that writes instructions: plain Python does not, nor does what is loaded from a cache.
COMPILING = [f"tests/kernels/{name}" for name in ("test_tile.py", "test_pointers.py", "test_tickets.py")]
# The products, and a step of training: all that runs with tiles that are neither this CPU's nor that of AVX-512.
CORE = [f"tests/kernels/test_{name}.py" for name in ("tile", "forward", "deltas", "gradients", "training")]
MIXED = [f"tests/kernels/{name}" for name in ("test_bfloat16.py", "test_mixed.py", "test_mixed_embedding.py")]
THREADED = [
    "tests/kernels/test_embedding.py",
    "tests/kernels/test_training.py::test_any_number_of_threads_gives_the_same_bits",
]
PYTEST = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]

# The emulation of bfloat16 products has the tile of AVX-512 for float32: where that is not this CPU's, all kernels run
# with it, and where the CPU has no engine for bfloat16, all that trains with one.
EMULATED = "bf16-emulated"
EMULATED_TESTS = [
    *(MIXED if ENGINE.name == "avx512" else ["tests/kernels"]),
    *([] if engine_of("uint16") else ["tests/fastmlp/test_precision.py"]),
]
OTHERS = [e.name for e in ENGINES if e.operands == FLOATS and e.name != "avx512" and e is not ENGINE]
TILES = {} if os.environ.get("FASTMLP_TILE") else {EMULATED: EMULATED_TESTS, **dict.fromkeys(OTHERS, CORE)}


def test_the_tests_reach_the_lines_of_the_kernels(tmp_path):
    """Those that plain Python runs, and those that write instructions."""
    lines, cache = tmp_path / "lines", tmp_path / "cache"
    count = ["-m", "coverage", "run", "--data-file", str(lines), "--parallel-mode", "--source", str(SOURCES), *PYTEST]
    python(*count, "-m", "not outer", "tests/kernels", NUMBA_DISABLE_JIT="1")
    python(*count, *MIXED, NUMBA_DISABLE_JIT="1", FASTMLP_TILE=EMULATED)
    python(*count, *COMPILING, FASTMLP_CACHE_DIR=str(cache))
    python(*count, MIXED[0], FASTMLP_TILE=EMULATED, FASTMLP_CACHE_DIR=str(cache))
    python("-m", "coverage", "combine", "--data-file", str(lines), str(tmp_path))
    report = tmp_path / "lines.json"
    python("-m", "coverage", "json", "--data-file", str(lines), "-o", str(report))
    found = json.loads(report.read_text())
    missing = {Path(name).name: file["missing_lines"] for name, file in found["files"].items() if file["missing_lines"]}
    assert len(found["files"]) == len(list(SOURCES.rglob("*.py")))
    assert found["totals"]["percent_covered"] >= LEAST_COVERAGE, missing


@pytest.mark.parametrize("tile", TILES)
def test_products_and_training_are_right_with_every_tile(request, tile):
    """LLVM makes vectors of any width out of those that the machine has, so that every machine runs every shape."""
    cache = str(request.config.cache.mkdir("fastmlp-tiles"))  # kept from run to run, with a folder for each tile
    chosen = ["-k", "test_tile or not float64", "-m", "shapes", *TILES[tile]]
    python(*PYTEST, *chosen, FASTMLP_TILE=tile, FASTMLP_CACHE_DIR=cache)


@pytest.mark.parametrize("layer", LAYERS)
def test_results_have_the_same_bits_under_every_threading_layer(layer):
    python(*PYTEST, "-k", "same_bits", *THREADED, NUMBA_THREADING_LAYER=layer)


def test_a_run_with_one_tile_runs_no_other():
    assert python("-c", "from tests.test_other_builds import TILES; print(TILES)", FASTMLP_TILE="sse") == "{}\n"
