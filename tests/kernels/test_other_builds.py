"""The tests of the kernels once more: every register tile, every threading layer, and plain Python, lines counted.

Each is a run of pytest that keeps one core busy; as many go on at a time as there are cores.
"""

import importlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fastmlp_kernels
import pytest
from fastmlp_kernels.cpu import SHAPE, SHAPES

pytestmark = pytest.mark.outer

ROOT = Path(__file__).parents[2]
SOURCES = Path(fastmlp_kernels.__file__).parent
LEAST_COVERAGE = 95  # per cent of the lines
# The tests whose compilation runs the code that writes instructions; no plain Python does, and nothing already cached.
COMPILING = [f"tests/kernels/{name}" for name in ("test_tile.py", "test_pointers.py", "test_tickets.py")]
THREADED = [
    "tests/kernels/test_embedding.py",
    "tests/kernels/test_training.py::test_any_number_of_threads_gives_the_same_bits",
]
PYTEST = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]


def is_there(module):
    """Whether a threading layer of Numba, which may lack its library, can be imported."""
    try:
        importlib.import_module(f"numba.np.ufunc.{module}")
    except ImportError:
        return False
    return True


# Names of runs: tiles, and threading layers with the modules that they are in.
TILES = [shape.name for shape in SHAPES if shape is not SHAPE]
MODULES = {"omp": "omppool", "tbb": "tbbpool", "workqueue": "workqueue"}
LAYERS = [name for name, module in MODULES.items() if is_there(module)]


def python(*arguments, **environment):
    """Run Python in the repository; its output is shown where it fails."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]
    return done.stdout


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """The file of counted lines, in an empty folder."""
    return tmp_path_factory.mktemp("lines") / "lines"


@pytest.fixture(scope="module")
def finish(request, lines):
    """A function that waits for a run, by its name; the runs of all tests that were chosen have been started."""
    count = ["-m", "coverage", "run", "--data-file", str(lines), "--parallel-mode", "--source", str(SOURCES), *PYTEST]
    cache = {"FASTMLP_CACHE_DIR": str(request.config.cache.mkdir("fastmlp-tiles"))}  # kept, a folder for each tile
    runs = {
        "plain": ([*count, "-m", "not outer", "tests/kernels"], {"NUMBA_DISABLE_JIT": "1"}),
        **{name: ([*PYTEST, "-m", "shapes", "tests/kernels"], {"FASTMLP_TILE": name, **cache}) for name in TILES},
        "compiling": ([*count, *COMPILING], {"FASTMLP_CACHE_DIR": str(lines.parent / "empty")}),
        **{name: ([*PYTEST, "-k", "same_bits", *THREADED], {"NUMBA_THREADING_LAYER": name}) for name in LAYERS},
    }
    pool, started = ThreadPoolExecutor(os.cpu_count()), {}

    def start(name):
        if name not in started:
            arguments, environment = runs[name]
            started[name] = pool.submit(python, *arguments, **environment)
        return started[name]

    chosen = {item.callspec.params.get("run") for item in request.session.items if hasattr(item, "callspec")}
    for name in runs:  # the longest first
        if name in chosen:
            start(name)
    yield lambda name: start(name).result()
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("run", TILES)
def test_products_and_training_are_right_with_every_tile(finish, run):
    """LLVM makes vectors of any width out of those that the machine has, so that every machine runs every shape."""
    finish(run)


@pytest.mark.parametrize("run", LAYERS)
def test_results_have_the_same_bits_under_every_threading_layer(finish, run):
    finish(run)


@pytest.mark.parametrize("run", ["plain", "compiling"])
def test_lines_are_counted_as_plain_python_and_where_instructions_are_written(finish, run):
    finish(run)


def test_the_tests_reach_the_lines_of_the_kernels(finish, lines):
    for run in ("plain", "compiling"):
        finish(run)
    report = lines.with_suffix(".json")
    python("-m", "coverage", "combine", "--data-file", str(lines), str(lines.parent))
    python("-m", "coverage", "json", "--data-file", str(lines), "-o", str(report))
    found = json.loads(report.read_text())
    missing = {Path(name).name: file["missing_lines"] for name, file in found["files"].items() if file["missing_lines"]}
    assert len(found["files"]) == len(list(SOURCES.glob("*.py")))
    assert found["totals"]["percent_covered"] >= LEAST_COVERAGE, missing
