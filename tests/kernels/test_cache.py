"""The disk cache: kept between processes, never stale, never in the way."""

import errno
import os
import pickle
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import fastmlp_kernels
import pytest
from fastmlp_kernels import cache, jit
from numba.core import config

from tests.faults import failing
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
    before = cache._sources_hash()
    monkeypatch.setattr(cache, "PACKAGE", tmp_path / "package")
    assert cache._sources_hash() == before
    with open(tmp_path / "package" / source, "a") as file:
        file.write("\n")
    assert cache._sources_hash() != before


def test_every_tile_shape_has_its_own_folder(monkeypatch):
    monkeypatch.setenv("FASTMLP_TILE", "sse")
    narrow = cache._sources_hash()
    monkeypatch.setenv("FASTMLP_TILE", "avx2")
    assert cache._sources_hash() != narrow


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
    assert cache._cache_folder().parent == places / "home" / "fastmlp"


def test_the_place_of_the_cache_can_be_set(places, monkeypatch):
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(places / "mine"))
    assert cache._cache_folder().parent == places / "mine"


def test_numbas_own_setting_counts_too(places, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(places / "numba"))
    assert cache._cache_folder().parent == places / "numba"


def test_a_read_only_home_is_no_obstacle(places):
    block(places / "home")
    assert cache._cache_folder().parent.parent == places / "temporary"


def test_without_any_place_kernels_are_compiled_and_not_kept(places, monkeypatch):
    block(places / "home")
    (places / "temporary").rmdir()
    block(places / "temporary")
    assert cache._cache_folder() is None
    monkeypatch.setattr(cache, "CACHE_FOLDER", None)

    @jit.njit
    def double(x):
        return x + x

    assert double(2) == 4


def test_old_folders_are_deleted_if_they_are_marked(places):
    root = places / "home" / "fastmlp"
    for age in range(2 * cache.KEPT_CACHES):
        folder = root / f"kernels-{age}"
        folder.mkdir(parents=True)
        if age % 2:
            (folder / cache.MARK).touch()
        os.utime(folder, (1e9 - age, 1e9 - age))
    open_to_all = root / "kernels-open"
    open_to_all.mkdir()
    (open_to_all / cache.MARK).touch()
    os.utime(open_to_all, (1, 1))
    open_to_all.chmod(0o777)
    current = cache._cache_folder()
    unmarked = {f"kernels-{age}" for age in range(0, 2 * cache.KEPT_CACHES, 2)}
    marked = {f"kernels-{2 * age + 1}" for age in range(cache.KEPT_CACHES - 1)}
    assert {path.name for path in root.iterdir()} == unmarked | marked | {current.name, open_to_all.name}


def test_new_folders_are_private(places):
    current = cache._cache_folder()
    for folder in current, current.parent:
        assert folder.stat().st_mode & 0o777 == 0o700


def foreign(folder):
    """Have another user own a folder, or skip the test where only root could."""
    if os.getuid():
        pytest.skip("only root can give folders away")
    os.chown(folder, 12345, 12345)


def opened(folder):
    folder.chmod(0o770)


def linked(folder):
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders of other users are a matter of Windows")
@pytest.mark.parametrize("change", [foreign, opened, linked])
def test_a_folder_that_others_can_write_in_is_not_used(places, change):
    for _ in "the user's", "the temporary one":
        current = cache._cache_folder()
        assert current
        change(current)
        assert cache._cache_folder() != current
    assert cache._cache_folder() is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders of other users are a matter of Windows")
@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_folder_in_which_others_can_rename_ours_is_not_used(places, monkeypatch, mode):
    shared = places / "shared"
    shared.mkdir()
    shared.chmod(mode)
    monkeypatch.setenv("FASTMLP_CACHE_DIR", str(shared))
    assert cache._cache_folder().parent == places / "home" / "fastmlp"
    shared.chmod(mode | stat.S_ISVTX)
    assert cache._cache_folder().parent == shared


def test_a_read_only_cache_is_read(places, monkeypatch):
    current = cache._cache_folder()

    def refuse(path, *args, **options):
        raise PermissionError(errno.EROFS, "read-only", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    assert cache._cache_folder() == current


def double(x):
    return x + x


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Empty folder that kernels are cached in."""
    monkeypatch.setattr(cache, "CACHE_FOLDER", tmp_path)
    return tmp_path


def run(x, expected=None):
    """Whether `double`, compiled anew, finds its machine code for an argument like `x`; its result is checked."""
    kernel = jit.njit(double)
    assert kernel(x) == (2 * x if expected is None else expected)
    return bool(sum(kernel.stats.cache_hits.values()))


def flip(path, where):
    content = bytearray(path.read_bytes())
    content[where % len(content)] ^= 1
    path.write_bytes(content)


def become_a_folder(path):
    path.unlink()
    path.mkdir()
    (path / "file").touch()


DAMAGE = {
    "lost": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "cut within the digest": lambda path: path.write_bytes(path.read_bytes()[:9]),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"0"),
    "another digest": lambda path: flip(path, 0),
    "another content": lambda path: flip(path, 1000),
    "another end": lambda path: flip(path, -1),
    "text": lambda path: path.write_text("no machine code"),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(((), ()))),
    "a link to nowhere": lambda path: (path.unlink(), path.symlink_to("nowhere")),
}


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_files_are_replaced(folder, damage):
    assert not run(1.5)
    assert run(1.5)
    (path,) = folder.iterdir()
    damage(path)
    assert not run(1.5)
    assert run(1.5)
    assert [path] == list(folder.iterdir())


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_what_cannot_be_replaced_is_compiled(folder):
    run(1.5)
    (path,) = folder.iterdir()
    become_a_folder(path)
    assert not run(1.5)
    assert [path] == list(folder.iterdir())


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_code_of_another_signature_is_not_used(folder):
    run(1.5)
    (path,) = folder.iterdir()
    run(1)
    (other,) = set(folder.iterdir()) - {path}
    path.write_bytes(other.read_bytes())
    assert not run(1.5)
    assert run(1.5)
    assert run(1)


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_a_folder_that_is_gone_is_no_obstacle(folder):
    folder.rmdir()
    assert not run(1.5)
    assert not run(1.5)


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
@pytest.mark.parametrize(
    "fault",
    [
        ("open", errno.EROFS),
        ("write", errno.ENOSPC),
        ("write", errno.EDQUOT, 100),
        ("write", errno.EIO, 1000),
        ("close", errno.EIO),
        ("replace", errno.ENOSPC),
    ],
    ids=str,
)
def test_a_disk_that_takes_no_more_is_no_obstacle(folder, fault):
    with failing(folder, *fault) as failures:
        assert not run(1.5)
    assert failures
    assert not list(folder.iterdir())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_no_folder_is_left_for_the_next_and_the_last_for_memory(places, code):
    with failing(places / "home", "mkdir", code) as failures:
        assert cache._cache_folder().parent.parent == places / "temporary"
    assert failures
    shutil.rmtree(places / "temporary")
    with failing(places, "mkdir", code):
        assert cache._cache_folder() is None


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_ctrl_c_while_writing_leaves_nothing(folder, monkeypatch):
    def interrupt(path, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(1.5)
    assert not list(folder.iterdir())


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_functions_of_users_are_cached_until_their_file_changes(folder, tmp_path_factory):
    source = tmp_path_factory.mktemp("sources") / "users.py"

    def compiled(text):
        source.write_text(text)
        names = {"__name__": "users"}
        exec(compile(text, str(source), "exec"), names)
        kernel = jit.cached_njit(boundscheck=True)(names["triple"])
        return kernel(2), sum(kernel.stats.cache_hits.values())

    text = "def inner(x):\n    return {} * x\n\ndef triple(x):\n    return {} * x\n"
    assert compiled(text.format(1, 3)) == (6, 0)
    assert compiled(text.format(1, 3)) == (6, 1)
    assert compiled(text.format(1, 4)) == (8, 0)
    assert compiled(text.format(2, 3)) == (6, 0), "another function of the file may be a callee"


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_functions_without_a_source_are_not_cached(folder):
    names = {}
    exec("def triple(x):\n    return 3 * x", names)
    assert jit.cached_njit()(names["triple"])(2) == 6
    assert not list(folder.iterdir())


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_closures_over_other_values_are_other_functions(folder):
    def times(factor):
        def product(x):
            return factor * x

        return jit.njit(product)

    assert [times(factor)(2) for factor in (3, 4, 3)] == [6, 8, 6]
    assert len(list(folder.iterdir())) == 2


CONCURRENT = """
from fastmlp_kernels.functions import activations
print([getattr(activations, name)(dtype(0.5))[0] for name in ("tanh", "relu") for dtype in (float, int, bool)])
"""


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_processes_that_fill_a_cache_at_once_all_get_their_own_code(tmp_path):
    environment, command = {**os.environ, "FASTMLP_CACHE_DIR": str(tmp_path)}, [sys.executable, "-c", CONCURRENT]
    for processes in 6, 1:
        started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(processes)]
        assert len({process.communicate()[0] for process in started}) == 1
        assert {process.returncode for process in started} == {0}
    assert not [path for path in tmp_path.rglob("*") if path.suffix not in ("", ".code")]
