"""The disk cache: kept between processes, never stale, never in the way."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fastmlp_kernels
import pytest
from fastmlp_kernels import jit as compiling
from numba.core import config

from tests.kernels.cases import PLAIN

SOURCES = Path(fastmlp_kernels.__file__).parent
# Of a function in activations.py that calls one in vectormath.py: its result, and how often it was compiled or loaded.
SCRIPT = """
from fastmlp_kernels.functions.activations import tanh
value = tanh(0.5)[0]
print(value, sum(tanh.stats.cache_hits.values()), sum(tanh.stats.cache_misses.values()))
"""
TANH = 0.46211715726000975  # of 0.5


def in_a_process(root, cache, **environment):
    """What SCRIPT prints when it imports the package in `root` and caches in `cache`: (value, hits, misses)."""
    variables = {**os.environ, "PYTHONPATH": str(root), "FASTMLP_CACHE_DIR": str(cache), **environment}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=variables, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    value, hits, misses = done.stdout.split()
    return float(value), int(hits), int(misses)


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_an_edited_callee_is_compiled_and_nothing_else_ever_is_again(tmp_path):
    shutil.copytree(SOURCES, tmp_path / SOURCES.name, ignore=shutil.ignore_patterns("__pycache__"))
    cache = tmp_path / "cache"
    assert in_a_process(tmp_path, cache) == (pytest.approx(TANH), 0, 1)
    assert in_a_process(tmp_path, cache) == (pytest.approx(TANH), 1, 0)
    with open(tmp_path / SOURCES.name / "functions" / "vectormath.py", "a") as file:
        file.write("\n\n@njit\ndef tanh(x):\n    return x + x\n")
    assert in_a_process(tmp_path, cache) == (1, 0, 1), "a stale callee, with a warm cache"
    assert in_a_process(tmp_path, cache) == (1, 1, 0)
    assert len(list(cache.glob("kernels-*"))) == 2


@pytest.mark.parametrize("source", sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.py")))
def test_every_source_file_counts(tmp_path, monkeypatch, source):
    shutil.copytree(SOURCES, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__"))
    before = compiling._sources_hash()
    monkeypatch.setattr(compiling, "__file__", str(tmp_path / "package" / "jit.py"))
    assert compiling._sources_hash() == before
    with open(tmp_path / "package" / source, "a") as file:
        file.write("\n")
    assert compiling._sources_hash() != before


def test_every_tile_shape_has_its_own_folder(monkeypatch):
    monkeypatch.setenv("FASTMLP_TILE", "sse")
    narrow = compiling._sources_hash()
    monkeypatch.setenv("FASTMLP_TILE", "avx2")
    assert compiling._sources_hash() != narrow


@pytest.fixture
def places(monkeypatch, tmp_path):
    """No setting of where to cache, an empty home, and an empty temporary folder."""
    monkeypatch.delenv("FASTMLP_CACHE_DIR", raising=False)
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


def block(path):
    """Make a file where a folder is wanted: what a read-only folder is to others, this is to root, too."""
    path.touch()


def test_the_cache_is_in_the_users_cache_folder(places):
    assert compiling._cache_folder().parent == places / "home" / "fastmlp"


def test_the_place_of_the_cache_can_be_set(places, monkeypatch):
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(places / "mine"))
    assert compiling._cache_folder().parent == places / "mine"


def test_numbas_own_setting_counts_too(places, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(places / "numba"))
    assert compiling._cache_folder().parent == places / "numba"


def test_a_read_only_home_is_no_obstacle(places):
    block(places / "home")
    assert compiling._cache_folder().parent.parent == places / "temporary"


def test_without_any_place_kernels_are_compiled_and_not_kept(places, monkeypatch):
    block(places / "home")
    (places / "temporary").rmdir()
    block(places / "temporary")
    assert compiling._cache_folder() is None
    monkeypatch.setattr(compiling, "CACHE_FOLDER", None)

    @compiling.njit
    def double(x):
        return x + x

    assert double(2) == 4


def test_old_folders_are_deleted_and_recent_ones_kept(places):
    root = places / "home" / "fastmlp"
    for age in range(compiling.KEPT_CACHES + 3):
        folder = root / f"kernels-{age}"
        folder.mkdir(parents=True)
        os.utime(folder, (1e9 - age, 1e9 - age))
    (root / "others").mkdir()
    current = compiling._cache_folder()
    kept = {f"kernels-{age}" for age in range(compiling.KEPT_CACHES - 1)} | {current.name, "others"}
    assert {path.name for path in root.iterdir()} == kept


def test_numbas_settings_are_left_as_they_were():
    before = config.CACHE_DIR

    @compiling.njit
    def double(x):
        return x + x

    assert double(2) == 4
    assert before == config.CACHE_DIR


def test_a_specialised_function_is_a_function_of_its_own():
    def template(x):
        """Twice."""
        return inner(x)  # noqa: F821

    twice = compiling.specialize(template, "twice", inner=lambda x: 2 * x)
    thrice = compiling.specialize(template, "thrice", inner=lambda x: 3 * x)
    assert (twice(5), thrice(5)) == (10, 15)
    assert (twice.__name__, twice.__qualname__, twice.__doc__) == ("twice", "twice", "Twice.")


def test_threads_that_make_kernels_at_once_all_use_the_cache_folder():
    """Numba's setting is global: one thread may not set it back while another one reads it."""
    inside, done = threading.Event(), threading.Event()

    def first(cache):
        inside.wait(0.2)  # in vain, if the second one waits for this one

    def second(cache):
        inside.set()
        done.wait(0.2)
        return config.CACHE_DIR

    with ThreadPoolExecutor(2) as pool:
        earlier = pool.submit(compiling.with_cache, first)
        time.sleep(0.05)
        later = pool.submit(compiling.with_cache, second)
        earlier.result()
        done.set()
        assert later.result() == str(compiling.CACHE_FOLDER or "")
