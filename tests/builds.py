"""Runs of the kernels' tests in other builds, and of the examples, in processes of their own while other tests go on.

To save time, only some of the tests that are marked `shapes` run with other register tiles, and but for the tests of
the tile itself, those of float32. All tests run with one tile where the environment variable FASTMLP_TILE names it:
`FASTMLP_TILE=avx512 make test`.

Compiling keeps one core busy for minutes, whatever the machine has. So the runs of all tests that were chosen start
with the first test, for the other cores, and the tests at the end wait for them.
"""

import importlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fastmlp_kernels
import pytest
from fastmlp_kernels.tile.engines import ENGINE, ENGINES, FLOATS

ROOT = Path(__file__).parents[1]
SOURCES = Path(fastmlp_kernels.__file__).parent
# The tests whose compilation runs the code that writes instructions; no plain Python does, and nothing already cached.
COMPILING = [f"tests/kernels/{name}" for name in ("test_tile.py", "test_pointers.py", "test_tickets.py")]
# The products, and a step of training: all that runs with tiles that are neither this CPU's nor that of AVX-512.
CORE = [f"tests/kernels/test_{name}.py" for name in ("tile", "forward", "deltas", "gradients", "training")]
MIXED = [f"tests/kernels/{name}" for name in ("test_bfloat16.py", "test_mixed.py", "test_mixed_embedding.py")]
THREADED = [
    "tests/kernels/test_embedding.py",
    "tests/kernels/test_training.py::test_any_number_of_threads_gives_the_same_bits",
]
PYTEST = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
FLOAT32 = ["-k", "test_tile or not float64"]


def is_there(module):
    """Whether a threading layer of Numba, which may lack its library, can be imported."""
    try:
        importlib.import_module(f"numba.np.ufunc.{module}")
    except ImportError:
        return False
    return True


# Names of builds: tiles, unless all tests run with one, and threading layers with the modules that they are in.
# (With the emulation of bfloat16 products, float32 has the tile of AVX-512, which needs no other run.)
EMULATED = "bf16-emulated"
OTHERS = [e.name for e in ENGINES if e.operands == FLOATS and e.name != "avx512" and e is not ENGINE]
TILES = [] if os.environ.get("FASTMLP_TILE") else [EMULATED, *OTHERS]
MODULES = {"omp": "omppool", "tbb": "tbbpool", "workqueue": "workqueue"}
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
LAYERS = [name for name, module in MODULES.items() if is_there(module)]


def python(*arguments, **environment):
    """Run Python in the repository; its output is shown where it fails."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]
    return done.stdout


def build(name, lines, config):
    """Run an example, and return what it printed, or the tests in a build.

    As plain Python and where instructions are written, lines are counted in a file.
    """
    if name in EXAMPLES:
        return python(f"examples/{name}.py")
    count = ["-m", "coverage", "run", "--data-file", str(lines), "--parallel-mode", "--source", str(SOURCES), *PYTEST]
    if name == "plain":
        python(*count, "-m", "not outer", "tests/kernels", NUMBA_DISABLE_JIT="1")
        python(*count, *MIXED, NUMBA_DISABLE_JIT="1", FASTMLP_TILE=EMULATED)
    elif name == "compiling":
        python(*count, *COMPILING, FASTMLP_CACHE_DIR=str(lines.parent / "empty"))
        python(*count, MIXED[0], FASTMLP_TILE=EMULATED, FASTMLP_CACHE_DIR=str(lines.parent / "empty"))
    elif name in LAYERS:
        python(*PYTEST, "-k", "same_bits", *THREADED, NUMBA_THREADING_LAYER=name)
    else:
        tests = ["tests/kernels", "tests/fastmlp/test_precision.py"] if name == EMULATED else CORE
        cache = str(config.cache.mkdir("fastmlp-tiles"))  # kept from run to run, with a folder for each tile
        python(*PYTEST, *FLOAT32, "-m", "shapes", *tests, FASTMLP_TILE=name, FASTMLP_CACHE_DIR=cache)


@pytest.fixture(scope="session")
def counted_lines(tmp_path_factory):
    """The file of counted lines, in an empty folder."""
    return tmp_path_factory.mktemp("lines") / "lines"


@pytest.fixture(scope="session", autouse=True)
def finish_build(request, counted_lines):
    """A function that waits for a build or example, a test's parameter `build`, and returns what an example printed."""
    pool, started = ThreadPoolExecutor(max(os.cpu_count() - 1, 1)), {}

    def start(name):
        if name not in started:
            started[name] = pool.submit(build, name, counted_lines, request.config)
        return started[name]

    chosen = {item.callspec.params.get("build") for item in request.session.items if hasattr(item, "callspec")}
    for name in ["plain", *TILES, "compiling", *LAYERS, *EXAMPLES]:  # the longest first
        if name in chosen:
            start(name)
    yield lambda name: start(name).result()
    pool.shutdown(cancel_futures=True)
