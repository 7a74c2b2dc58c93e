"""The option names of ``fit`` and ``validate``, found without the imports that take seconds."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

# The classes whose arguments are the options of a section: section, package, file, class.
_SECTIONS = (
    ("trainer", "lightning", "pytorch/trainer/trainer.py", "Trainer"),
    ("model", "centernet", "training/task.py", "DetectionTask"),
    ("model", "centernet", "training/optimization.py", "Optimization"),
    ("data", "centernet", "training/datamodule.py", "DetectionData"),
)
# The file with the other options, and those that LightningCLI adds.
_OTHERS = ("centernet", "training/run_options.py")
_LIGHTNING = ("help", "config", "print_config", "seed_everything", "ckpt_path", "weights_only")


def known_option_names() -> set[str]:
    """Names such as ``--ckpt_path``, ``--data`` and ``--data.root``, without further levels.

    The names are read from the source files. The set is empty if a file cannot be read, or has
    another structure.
    """
    names = {f"--{name}" for name in (*_LIGHTNING, "verbose", "trainer", "model", "data")}
    try:
        names.update(_added_options(_parse(*_OTHERS)))
        for section, package, path, name in _SECTIONS:
            arguments = _arguments_of_class(_parse(package, path), name)
            names.update(f"--{section}.{argument}" for argument in arguments)
    except (OSError, StopIteration, SyntaxError, ValueError):
        return set()
    return names


def _parse(package: str, path: str) -> ast.Module:
    """Parse a file of a package; the package is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(package)
    return ast.parse((Path(spec.origin).parent / path).read_text(encoding="utf-8"))


def _arguments_of_class(module: ast.Module, name: str) -> list[str]:
    """The names of the arguments with which a class, or a dataclass, is created."""
    found = next(n for n in module.body if isinstance(n, ast.ClassDef) and n.name == name)
    for node in found.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)][1:]
    return [ast.unparse(node.target) for node in found.body if isinstance(node, ast.AnnAssign)]


def _added_options(module: ast.Module) -> Iterator[str]:
    """The options that calls of ``add_argument`` add."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".add_argument"):
            values = (str(a.value) for a in node.args if isinstance(a, ast.Constant))
            yield from (value for value in values if value.startswith("--"))
