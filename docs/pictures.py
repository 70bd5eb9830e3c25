"""Pictures of the pages: those that their Python blocks draw, that of an example, and formulas."""

import contextlib
import html
import io
import runpy
from pathlib import Path

import ziafont
import ziamath
from blocks import script
from docutils import nodes

DOCS = Path(__file__).parent
FORMULA_SIZE = 17  # pixels, next to text of 16
ziafont.config.svg2 = False  # paths in place, as identifiers of symbols would be the same in all formulas of a page


def draw(app):
    """Run the blocks of the pages that show pictures, each in the folder of `_build` that it shows them from."""
    for page in DOCS.glob("*/*.md"):
        if "](../_build/" in page.read_text(encoding="utf-8"):
            folder = DOCS / "_build" / page.stem
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "page.py").write_text(script(page), encoding="utf-8")
            with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
                runpy.run_path("page.py")


def arguments(gallery, example):
    """Arguments of an example of the gallery: the file of the one that draws, of which the gallery shows the figure."""
    return [str(DOCS / "_build" / "quantiles.png")] if Path(example["src_file"]).stem == "quantiles" else []


def formula(tex, **style):
    """Picture of a formula in SVG, which looks the same in every browser: its paths need no font and no script."""
    drawn = ziamath.Latex(tex, size=FORMULA_SIZE, color="currentColor", **style)
    picture = drawn.svg().replace("<svg ", f'<svg style="vertical-align: {drawn.getyofst():.1f}px" ', 1)
    return f'<span role="img" aria-label="{html.escape(tex)}">{picture}</span>'


def inline_math(translator, node):
    """Write a formula within a line."""
    translator.body.append(formula(node.astext(), inline=True))
    raise nodes.SkipNode


def block_math(translator, node):
    """Write a formula on a line of its own."""
    translator.body.append(f'<div class="formula">{formula(node.astext())}</div>')
    raise nodes.SkipNode
