"""Complete the pages of the site: table of contents, generated references, links.

The pages are plain Markdown, which also reads well in a repository browser. What only the site
needs is added when it is built.
"""

import re
from collections.abc import Callable
from pathlib import Path

from sphinx.application import Sphinx

from . import api, commands, configuration

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
# Files outside of docs/ that are pages of the site.
ROOT_PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
# The section of index.md that lists pages which it does not name.
OTHER_PAGES = "Guides"
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_ENTRY = re.compile(r"^- \[([^\]]+)\]\(([^)#]+)\.md\)", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")


def sections(index: str) -> dict[str, list[tuple[str, str]]]:
    """The sections of index.md: for each heading the titles and names of its pages."""
    _, *parts = _HEADING.split(index)
    lists = {
        heading: [(title, _page_name(page)) for title, page in _ENTRY.findall(text)]
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }
    named = {name for entries in lists.values() for _, name in entries}
    others = sorted(page.stem for page in DOCS.glob("*.md") if page.stem not in named | {"index"})
    lists[OTHER_PAGES] += [("", name) for name in others]
    return {heading: entries for heading, entries in lists.items() if entries}


def _page_name(path: str) -> str:
    name = path.removeprefix("../")
    return ROOT_PAGES.get(f"{name}.md", name).removesuffix(".md")


def tables_of_contents(index: str) -> str:
    """The toctrees of the site, from the sections of index.md."""
    trees = []
    for heading, entries in sections(index).items():
        lines = [f"{title} <{name}>" if title else name for title, name in entries]
        trees.append("\n".join(["```{toctree}", ":hidden:", f":caption: {heading}", "", *lines]))
    return "".join(f"\n\n{tree}\n```" for tree in trees)


def of_root(name: str) -> Callable[[str], str]:
    """A page with the content of a file outside of docs/."""

    def read(_: str) -> str:
        def from_docs(match: re.Match[str]) -> str:
            path = match[1]
            return f"]({path[5:] if path.startswith('docs/') else f'../{path}'})"

        return _LINK.sub(from_docs, (ROOT / name).read_text(encoding="utf-8"))

    return read


def with_reference(reference: Callable[[], str]) -> Callable[[str], str]:
    """A page whose last paragraph, about the site, is replaced by a generated reference."""
    return lambda text: text.rpartition("\n\nThe site lists")[0] + reference()


# By name of the page: its content from what stands in its file.
_GENERATED: dict[str, Callable[[str], str]] = {
    "index": lambda text: text + tables_of_contents(text),
    "changelog": of_root("CHANGELOG.md"),
    "contributing": of_root("CONTRIBUTING.md"),
    "commands": with_reference(commands.reference),
    "configuration": with_reference(configuration.reference),
    "api": with_reference(api.reference),
}


def adapt_links(text: str) -> str:
    """Replace links out of docs/, which the site does not have, by the name of the file."""

    def replace(match: re.Match[str]) -> str:
        label, path, anchor = match[1], match[2], match[3] or ""
        if path == "README.md":
            return f"[{label}](index.md)"
        if path in ROOT_PAGES:
            return f"[{label}]({ROOT_PAGES[path]}{anchor})"
        plain = label.strip("`")
        return f"`{path}`" if plain.rstrip("/") == path else f"{label} (`{path}`)"

    return re.sub(r"\[([^\]]+)\]\(\.\./([^)#\s]+)(#[^)\s]*)?\)", replace, text)


def complete(app: Sphinx, name: str, source: list[str]) -> None:
    """Complete the text of a page before it is parsed (event ``source-read``)."""
    generate = _GENERATED.get(name, str)
    source[0] = adapt_links(generate(source[0]))
