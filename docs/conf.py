"""Settings of Sphinx: `make docs` builds the pages without the network, and no page loads anything from it."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

import pictures  # noqa: E402

import fastmlp  # noqa: E402

# Files beside this folder, and the pages that include them.
PAGES_OF = {"asv_benchmarks/README.md": "reference/benchmarks.md", "kernels/README.md": "reference/guide.md"}
PAGES_OF |= {"examples/README.rst": "gallery/index.rst"}
PAGES_OF |= {f"examples/{path.name}": f"gallery/{path.stem}.rst" for path in (DOCS.parent / "examples").glob("*.py")}

project, author, version = "fastmlp", "the fastmlp developers", fastmlp.__version__
copyright = author
extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx_gallery.gen_gallery", "sphinxarg.ext"]
exclude_patterns = ["_build"]
highlight_language = "text"  # of blocks that name none: commands
default_role = "py:obj"  # `MLP.save` in a docstring becomes a link where such a name is documented
nitpick_ignore_regex = [("py:obj", ".*"), ("py:class", ".*")]  # and stays code where it is not
html_theme, html_title, html_static_path, html_css_files = "pydata_sphinx_theme", "fastmlp", ["_static"], ["pages.css"]
html_theme_options = {"navbar_end": ["theme-switcher"], "footer_end": [], "header_links_before_dropdown": 5}
html_sidebars = {page: [] for page in ("index", "coming_from", "when_not", "guarantees")}  # these have no pages below
html_show_sourcelink, html_math_renderer = False, "svg"
myst_enable_extensions, myst_heading_anchors, myst_ref_domains = ["dollarmath"], 3, ["py", "std"]
autodoc_typehints, autodoc_member_order = "none", "bysource"  # docstrings describe the types
numpydoc_show_class_members = False  # autodoc has them
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"(digits|grid_search|imbalanced|quantiles)\.py",  # these run: they take seconds
    "reset_argv": "pictures.arguments",
    "default_thumb_file": str(DOCS / "_build" / "backpropagation" / "example_a.png"),
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}


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


def setup(app):
    app.add_html_math_renderer("svg", (pictures.inline_math, None), (pictures.block_math, None))
    app.connect("builder-inited", pictures.draw, priority=0)  # before the gallery, which shows one of them
    app.connect("source-read", lead_to_pages)
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("autodoc-skip-member", skip)
