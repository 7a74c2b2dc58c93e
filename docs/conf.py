"""Configuration of the documentation site: ``make docs`` builds it into build/docs."""

import re
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from _generate import pages

from centernet import __version__

project = "CenterNet"
author = "The CenterNet contributors"
copyright = f"{author}. Apache-2.0"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_generate"]
html_theme = "furo"
html_title = "CenterNet"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_logo = "_static/logo.svg"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_maximum_signature_line_length = 80
napoleon_use_ivar = True
# Names of code are checked by other tests; links of pages are what -n is for.
nitpick_ignore_regex = [("py:.*", ".*")]


def escape_bars(app: object, what: str, name: str, value: object, options: object, lines: list):
    """Escape absolute values in docstrings, which reStructuredText would substitute."""
    lines[:] = [re.sub(r"\|([^|`]+)\|", r"\\|\1\\|", line) for line in lines]


def setup(app: object) -> None:
    """Connect the generated parts of the pages."""
    app.connect("source-read", pages.complete)
    app.connect("autodoc-process-docstring", escape_bars)
