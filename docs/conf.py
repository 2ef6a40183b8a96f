"""Settings of Sphinx: ``python -m sphinx -W -b html docs build/site`` makes static pages of this folder.

The pages are Markdown that is written to be read on a code host as well. What that takes is in ``pages_of_code.py``.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import sqair  # noqa: E402

project = "sqair"
version = release = sqair.__version__
copyright = "the authors of sqair"  # noqa: A001

extensions = [
    "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "docstrings", "notebooks",
    "pages_of_code", "plain_math",
]  # fmt: skip
root_doc = "index"
exclude_patterns = ["README.md"]  # index.md includes it
templates_path: list[str] = []

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = ["myst.header"]

autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "sqair"
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["static"]
html_css_files = ["pages.css"]
