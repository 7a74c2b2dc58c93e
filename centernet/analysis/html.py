"""HTML pages from Jinja templates, escaped, each a self-contained file.

Every page extends ``analysis/base.html``, which holds the Content-Security-Policy, the colors for
light and dark, and the styles of tables, cards and controls. This module is the only place that
configures Jinja, that writes JSON into a ``<script>``, and that inlines style sheets and scripts.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from centernet.files import atomic_write

_PACKAGE = "centernet"


def render(template: str, **values: Any) -> Iterator[str]:
    """Render a template piece by piece, so that a page with many images needs little memory.

    Args:
        template: path in the package, such as ``analysis/check/check_page.html``.
        values: variables of the template. Strings are escaped, ``Markup`` is inserted unchanged.
    """
    return _environment().get_template(template).generate(**values)


def write_html(path: Path, pieces: Iterable[str]) -> None:
    r"""Write a rendered page atomically; characters that UTF-8 lacks are written as ``\udcff``.

    Args:
        path: the HTML file. Missing folders are created.
        pieces: the page, as :func:`render` yields it.

    Raises:
        InputError: the file cannot be written.
    """
    with (
        atomic_write(path) as unfinished,
        unfinished.open("w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        file.writelines(pieces)


def script_json(value: Any) -> Markup:
    """JSON for the inside of a ``<script>``: no string in it can end the script.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot represent.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return Markup(text)


@cache
def _environment() -> Environment:
    """The Jinja environment: escapes every value, and raises an error for undefined variables."""
    environment = Environment(
        loader=PackageLoader(_PACKAGE, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["script_json"] = script_json
    environment.globals["inline"] = _inline
    environment.globals["script_policy"] = _script_policy
    return environment


def _inline(name: str) -> Markup:
    """A style sheet or script of this package, unchanged."""
    return Markup(files(_PACKAGE).joinpath(name).read_text(encoding="utf-8"))


def _script_policy(names: Sequence[str]) -> Markup:
    """The Content-Security-Policy that allows the scripts of these files, and no other script.

    Each of them must be inlined as ``<script>{{ inline(name) }}</script>``, without spaces.
    """
    digests = (hashlib.sha256(_inline(name).encode()).digest() for name in names)
    sources = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return Markup(f"script-src {sources}")
