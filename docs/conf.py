"""How Sphinx builds these pages: nothing is fetched, and what code can tell is told by code."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "lsst_commtools"
author = "The lsst_commtools developers"
copyright = "The lsst_commtools developers"  # noqa: A001 - the name is Sphinx's

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]
exclude_patterns = ["_build", "changes"]

html_theme = "furo"
html_title = "lsst_commtools"
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# A name in single backquotes is a Python object where there is one of that name, as numpydoc has it.
default_role = "py:obj"
add_module_names = False
napoleon_google_docstring = False
napoleon_use_rtype = False
# Written out, numpy's union fills a page.
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
python_maximum_signature_line_length = 88
