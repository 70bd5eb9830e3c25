"""The examples of the guides run as they are written."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = "README.md", "kernels/README.md"
OPTIONAL = {"onnxruntime", "torch"}  # packages that examples need, and the tests do not install


def blocks(guide):
    return re.findall(r"```python\n(.*?)```", (ROOT / guide).read_text(), re.DOTALL)


@pytest.mark.parametrize("guide", GUIDES)
def test_there_are_examples(guide):
    assert len(blocks(guide)) >= 2


@pytest.mark.parametrize(
    "block",
    [pytest.param(block, id=f"{guide}: {block.splitlines()[-1][:40]}") for guide in GUIDES for block in blocks(guide)],
)
def test_example_runs_and_prints(block, tmp_path, monkeypatch, capsys):
    for package in OPTIONAL.intersection(re.findall(r"^import (\w+)", block, re.MULTILINE)):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "example.py"  # compiled code is cached for functions in files only
    script.write_text(block)
    runpy.run_path(str(script))
    assert capsys.readouterr().out.strip()
