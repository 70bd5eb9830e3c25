"""The tests of the kernels once more: every register tile, every threading layer, and plain Python, lines counted."""

import json
from pathlib import Path

import pytest

from tests.builds import LAYERS, SOURCES, TILES, python

pytestmark = pytest.mark.outer

LEAST_COVERAGE = 95  # per cent of the lines


@pytest.mark.parametrize("build", TILES)
def test_products_and_training_are_right_with_every_tile(finish_build, build):
    """LLVM makes vectors of any width out of those that the machine has, so that every machine runs every shape."""
    finish_build(build)


@pytest.mark.parametrize("build", LAYERS)
def test_results_have_the_same_bits_under_every_threading_layer(finish_build, build):
    finish_build(build)


@pytest.mark.parametrize("build", ["plain", "compiling"])
def test_lines_are_counted_as_plain_python_and_where_instructions_are_written(finish_build, build):
    finish_build(build)


def test_the_tests_reach_the_lines_of_the_kernels(finish_build, counted_lines):
    for build in ("plain", "compiling"):
        finish_build(build)
    report = counted_lines.with_suffix(".json")
    python("-m", "coverage", "combine", "--data-file", str(counted_lines), str(counted_lines.parent))
    python("-m", "coverage", "json", "--data-file", str(counted_lines), "-o", str(report))
    found = json.loads(report.read_text())
    missing = {Path(name).name: file["missing_lines"] for name, file in found["files"].items() if file["missing_lines"]}
    assert len(found["files"]) == len(list(SOURCES.rglob("*.py")))
    assert found["totals"]["percent_covered"] >= LEAST_COVERAGE, missing


def test_a_run_with_one_tile_runs_no_other():
    assert python("-c", "from tests.builds import TILES; print(TILES)", FASTMLP_TILE="sse") == "[]\n"
