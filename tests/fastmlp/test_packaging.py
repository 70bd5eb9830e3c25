"""What a wheel and a source distribution hold, and what the packages import."""

import ast
import graphlib
import importlib
import os
import subprocess
import sys
import tarfile
import textwrap
import tomllib
import zipfile
from pathlib import Path

import pytest

import fastmlp

ROOT = Path(__file__).resolve().parents[2]
FACADE = sorted((ROOT / "fastmlp").rglob("*.py"))
KERNELS = sorted((ROOT / "kernels" / "fastmlp_kernels").rglob("*.py"))


def built(target, folder):
    """The path of what is built of the repository, a wheel or an sdist, in a folder."""
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return built("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The folder of an unpacked source distribution."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(built("sdist", tmp_path_factory.mktemp("sdist"))) as files:
        files.extractall(folder, filter="data")
    return next(folder.iterdir())


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not in a clone")
def test_a_source_distribution_holds_all_of_the_repository_but_results(unpacked):
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    expected = {n for n in listed if not n.startswith("asv_benchmarks/results/") and (ROOT / n).exists()}
    found = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert found == expected | {"PKG-INFO"}


def test_all_tests_are_found_in_a_source_distribution(unpacked):
    paths = os.pathsep.join([str(unpacked), str(unpacked / "kernels")])
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=unpacked, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:]
    for path in (ROOT / "tests").rglob("test_*.py"):  # each is listed, or said to be skipped
        assert path.relative_to(ROOT).as_posix() in done.stdout


def test_a_wheel_holds_the_two_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "fastmlp",
        "fastmlp_kernels",
        f"fastmlp-{fastmlp.__version__}.dist-info",
    }
    sources = {str(path.relative_to(ROOT)) for path in FACADE}
    sources |= {str(path.relative_to(ROOT / "kernels")) for path in KERNELS}
    assert sources <= set(names)


def test_a_wheel_says_that_it_is_typed(wheel):
    assert {"fastmlp/py.typed", "fastmlp_kernels/py.typed"} <= set(zipfile.ZipFile(wheel).namelist())


def test_a_wheel_holds_the_c_header(wheel):
    assert "fastmlp_kernels/embed/fastmlp.h" in zipfile.ZipFile(wheel).namelist()


def test_a_wheel_works_without_the_repository(wheel, tmp_path):
    script = "import fastmlp, fastmlp_kernels; print(fastmlp.__file__); print(fastmlp_kernels.__file__)"
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "FASTMLP_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(str(tmp_path / "site")) for line in done.stdout.splitlines())


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == fastmlp.__version__


def imported(path):
    """The top-level names that a source file imports, wherever in it; "" for relative imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "" if node.level else node.module.split(".")[0]


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_kernels_need_numba_and_numpy_and_know_nothing_of_the_facade(path):
    allowed = {"", "fastmlp_kernels", "numba", "numpy", "llvmlite"} | sys.stdlib_module_names
    assert set(imported(path)) <= allowed


# Folders of the kernels, each with those that it may import from; files beside the folders may be imported by all but
# `custom`.
LEFT_OF = {
    "tile": (),
    "functions": (),
    "layout": ("functions", "tile"),
    "panelwise": ("functions", "layout", "tile"),
    "products": ("functions", "layout", "panelwise", "tile"),
    "drivers": ("functions", "layout", "panelwise", "products", "tile"),
    "embed": ("drivers", "functions", "layout", "panelwise", "products", "tile"),
}


@pytest.mark.parametrize("folder", LEFT_OF)
def test_a_folder_of_the_kernels_imports_only_from_those_before_it(folder):
    package = ROOT / "kernels" / "fastmlp_kernels"
    assert {path.name for path in package.iterdir() if (path / "__init__.py").exists()} == set(LEFT_OF)
    for path in (package / folder).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 2:
                assert (node.module or "").split(".")[0] in {
                    *LEFT_OF[folder],
                    "background",
                    "cache",
                    "calls",
                    "jit",
                    "machine",
                    "memory",
                    "subnormals",
                }, path.name


@pytest.mark.parametrize("path", FACADE, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_the_facade_compiles_nothing(path):
    source = path.read_text(encoding="utf-8")
    assert not {"njit", "jit", "prange", "vectorize", "guvectorize", "cfunc"} & {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) != "jax.jit"  # of a peer, to compare with
    }


# Files of the facade that import the kernels, and why.
USERS_OF_KERNELS = {
    "_kernels.py": "is the bridge for all others",
    "__init__.py": "hands on register_activation and register_loss, which are the kernels' own",
    "compilation.py": "compiles all losses of the kernels' table",
    "losses.py": "sets up losses by the kernels' table",
    "registered.py": "tells other processes of what is registered with the kernels",
    "optimizers.py": "sets up optimisers by the kernels' kinds",
    "cli/info.py": "tells of the kernels themselves: instructions, tile, cache",
}


@pytest.mark.parametrize("path", FACADE, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_the_facade_knows_the_kernels_through_one_bridge(path):
    used = "fastmlp_kernels" in imported(path)
    assert used == (path.relative_to(ROOT / "fastmlp").as_posix() in USERS_OF_KERNELS)


def facade_imports():
    """{module: modules of the facade that it imports, at the top, for type checkers or in a function}."""
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in FACADE}
    imports = {}
    for path, name in names.items():
        package = path.relative_to(ROOT).parent.parts
        found = imports[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                origin = ".".join([*base, *([node.module] if node.module else [])])
                members = {f"{origin}.{alias.name}" for alias in node.names}
                found |= {m if m in names.values() else origin for m in members}
    return {name: found & set(names.values()) for name, found in imports.items()}


def test_no_module_of_the_facade_imports_itself_in_a_circle():
    imports = facade_imports()
    assert "fastmlp.network" in imports["fastmlp.trainer"]
    assert "fastmlp.trainer" in imports["fastmlp.callbacks"]  # for type checkers only
    try:
        list(graphlib.TopologicalSorter(imports).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


WITHOUT_EXTRAS = """
    import sys
    extras = ("pandas", "sklearn", "matplotlib", "tqdm", "pyarrow", "scipy", "torch", "onnx")
    sys.modules.update(dict.fromkeys(extras))  # importing them raises ImportError
    from fastmlp import MLP, Trainer
    net = MLP([2, 3, 1])
    Trainer(net).fit([[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0], epochs=1)
    net.save(sys.argv[1])
    assert (MLP.load(sys.argv[1]).predict([[1.0, 2.0]]) == net.predict([[1.0, 2.0]])).all()
    net.save_torch(sys.argv[1])
    same = MLP.from_torch(sys.argv[1], activation="relu", output_activation="identity")
    assert (same.params == net.params).all()
    import fastmlp.__main__
"""


def test_the_core_works_without_the_extras(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(WITHOUT_EXTRAS), str(tmp_path / "model.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "\nepoch 1/1" in "\n" + done.stderr


def run(script):
    """What a new process prints."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_modules_are_there_after_importing_the_package_alone():
    script = """
        import fastmlp
        modules = fastmlp.schedules, fastmlp.losses, fastmlp.callbacks, fastmlp.optimizers, fastmlp.plots
        print(*(module.__name__ for module in (*modules, fastmlp.initializers, fastmlp.sklearn)))
    """
    names = "schedules", "losses", "callbacks", "optimizers", "plots", "initializers", "sklearn"
    assert run(script).split() == [f"fastmlp.{name}" for name in names]


def test_the_package_lists_its_public_names():
    assert {"MLP", "Trainer", "losses", "sklearn", "trace", "__version__"} <= set(dir(fastmlp))
    assert all(hasattr(fastmlp, name) for name in dir(fastmlp))
    script = "import sys; sys.modules['sklearn'] = None; import inspect, fastmlp; inspect.getmembers(fastmlp)"
    assert run(script) == ""
    with pytest.raises(AttributeError, match="module 'fastmlp' has no attribute 'nothing'"):
        fastmlp.nothing  # noqa: B018


@pytest.mark.parametrize("name", ["datasets", "preprocessing", "bench", "peers", "trace", "examples"])
def test_modules_that_moved_into_folders_are_found_under_their_old_names(name):
    module = importlib.import_module(f"fastmlp.{name}")
    assert module is importlib.import_module(module.__spec__.name)
    assert module.__name__ == module.__spec__.name != f"fastmlp.{name}"


def test_importing_the_library_imports_no_extra():
    extras = "pandas", "sklearn", "matplotlib", "tqdm", "onnx", "torch"
    script = f"import sys, fastmlp; fastmlp.MLP; print([m for m in {extras} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[]\n", done.stderr
