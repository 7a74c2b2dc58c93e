"""The shape of the package: rooms that depend downward only, short files, short functions."""

import ast
import graphlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "centernet"
# From the bottom up: a room may import from itself and from those before it. "method" stands for
# the flat modules. Heads use the losses; decode and CenterNetLoss use the heads.
ROOMS = ["method", "losses", "heads", "data", "models", "inference", "evaluation", "training"]
ROOMS += ["analysis", "export", "serve", "doctor", "cli", "api"]
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def room_of(module: str) -> str:
    if module in ("centernet.decode", "centernet.losses.detection"):
        return "heads"
    name = (*module.split("."), "")[1]
    return name if name in ROOMS else "method"


def walk(node: ast.AST):
    """All nodes but those of ``if TYPE_CHECKING`` and of modules' ``__getattr__``."""
    yield node
    for child in ast.iter_child_nodes(node):
        typing = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        lazy = isinstance(child, ast.FunctionDef) and child.name == "__getattr__"
        if not typing and not lazy:
            yield from walk(child)


def imports(module: str, tree: ast.AST) -> set[str]:
    """Modules of the package that a module imports when it runs, also inside functions."""
    found = set()
    for node in walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.add(submodule if submodule in MODULES else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return (found & MODULES.keys()) - {module, "centernet"}


def functions():
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield module, node


def test_no_module_depends_on_itself_through_others():
    graph = {module: imports(module, tree) for module, tree in TREES.items()}
    assert len(graph) > 80
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("module", sorted(MODULES))
def test_rooms_depend_downward_only(module):
    if module in ("centernet", "centernet.__main__"):
        return  # the package's own doors
    height = ROOMS.index(room_of(module))
    above = {m for m in imports(module, TREES[module]) if ROOMS.index(room_of(m)) > height}
    assert not above


def test_files_have_at_most_300_lines():
    lines = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: n for module, n in lines.items() if n > 300} == {}


def test_functions_have_at_most_60_lines():
    lengths = {
        f"{module}.{node.name}": node.end_lineno - node.lineno + 1 for module, node in functions()
    }
    assert {name: n for name, n in lengths.items() if n > 60} == {}
