"""Settings of Sphinx: `make docs` builds the pages without the network, and no page loads anything from it."""

import contextlib
import io
import runpy
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

from blocks import script  # noqa: E402

import fastmlp  # noqa: E402

PAGES_OF = {"asv_benchmarks/README.md": "reference/benchmarks.md", "kernels/README.md": "reference/guide.md"}

project, author, version = "fastmlp", "the fastmlp developers", fastmlp.__version__
copyright = "the fastmlp developers"
extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx_gallery.gen_gallery", "sphinxarg.ext"]
exclude_patterns = ["_build"]
default_role = "py:obj"  # `MLP.save` in a docstring becomes a link where such a name is documented
nitpick_ignore_regex = [("py:obj", ".*"), ("py:class", ".*")]  # and stays code where it is not
html_theme, html_title, html_static_path, html_css_files = "pydata_sphinx_theme", "fastmlp", ["_static"], ["pages.css"]
html_theme_options = {"navbar_end": ["theme-switcher"], "footer_end": [], "show_prev_next": True}
html_show_sourcelink, html_math_renderer = False, "mathml"
myst_enable_extensions, myst_heading_anchors, myst_ref_domains = ["dollarmath"], 3, ["py", "std"]
autodoc_typehints, autodoc_member_order = "none", "bysource"  # docstrings describe the types
numpydoc_show_class_members = False  # autodoc has them
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"(digits|grid_search|imbalanced|quantiles)\.py",  # these run: they take seconds
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}


def draw(app):
    """Run the Python blocks of the pages with pictures, each in the folder of `_build` that it shows them from."""
    for page in DOCS.glob("*/*.md"):
        if "](../_build/" in page.read_text(encoding="utf-8"):
            folder = DOCS / "_build" / page.stem
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "page.py").write_text(script(page), encoding="utf-8")
            with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
                runpy.run_path("page.py")


def lead_to_pages(app, name, source):
    """Replace links of a page to files beside this folder by links to the pages that include them."""
    root = "../" * name.count("/")
    for file, page in PAGES_OF.items():
        source[0] = source[0].replace(f"]({root}../{file}", f"]({root}{page}")


def escape_bars(app, kind, name, object, options, lines):
    """Have |x| of a docstring stay an absolute value; to reStructuredText it is a substitution."""
    lines[:] = [line if "``" in line else line.replace("|", r"\|") for line in lines]


def skip(app, kind, name, object, skipped, options):
    """Leave out fields of named tuples, which the docstring of the class describes, and what scikit-learn defines."""
    field = (getattr(object, "__doc__", None) or "").startswith("Alias for field number")
    return True if field or (getattr(object, "__module__", None) or "").startswith("sklearn.") else None


def inline_math(translator, node):
    """Write a formula as MathML, which browsers lay out without scripts or fonts from elsewhere."""
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def block_math(translator, node):
    """Write a formula on a line of its own."""
    translator.body.append(f'<div class="formula">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))
    app.connect("builder-inited", draw)
    app.connect("source-read", lead_to_pages)
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("autodoc-skip-member", skip)
