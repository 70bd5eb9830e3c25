"""The guides: their examples run as they are written, their links lead somewhere, and their commands are accepted."""

import importlib
import re
import runpy
import shlex
from pathlib import Path

import pytest

import fastmlp
from docs.blocks import script
from fastmlp.cli.options import parser

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if not {"_build", "gallery"} & set(path.parts))
GUIDES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
GUIDES |= {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "kernels/README.md")}
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = r"\]\(([^)\s]+)\)"
PICTURES = "../_build/"  # links to pictures that the blocks of a page draw, as the pages are built


def having(pattern):
    return [name for name, text in GUIDES.items() if re.search(pattern, text, re.MULTILINE)]


def anchors(text):
    """Anchors of the headings of a page, as GitHub and Sphinx name them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("guide", having("^```python$"))
def test_examples_of_a_guide_run_and_print(guide, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.py"  # compiled code is cached for functions in files only
    page.write_text(script(ROOT / guide), encoding="utf-8")
    runpy.run_path(str(page))
    assert capsys.readouterr().out.strip()
    for link in re.findall(LINK, GUIDES[guide]):
        if link.startswith(PICTURES):
            assert (tmp_path / Path(link).name).exists()
            assert Path(link).parent.name == Path(guide).stem


@pytest.mark.parametrize("guide", having(LINK))
def test_links_of_a_guide_lead_to_files_and_headings(guide):
    for link in re.findall(LINK, FENCE.sub("", GUIDES[guide])):
        path, _, heading = link.partition("#")
        if path.startswith(("https://", PICTURES)):
            continue
        target = (ROOT / guide).parent / path if path else ROOT / guide
        assert target.exists(), link
        assert not heading or heading in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("guide", having("^fastmlp [a-z]"))
def test_commands_of_a_guide_are_accepted(guide):
    for language, block in FENCE.findall(GUIDES[guide]):
        for line in block.replace("\\\n", "").splitlines() if language != "python" else ():
            if line.startswith("fastmlp "):
                command = re.split(" [|<>] ", line)[0]
                parser().parse_args(shlex.split(command, comments=True)[1:])


def test_the_reference_has_every_public_module():
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.rst"))
    for name in ("fastmlp", "fastmlp_kernels", *(f"fastmlp.{module}" for module in fastmlp._MODULES)):
        assert f".. automodule:: {importlib.import_module(name).__name__}\n" in pages, name
