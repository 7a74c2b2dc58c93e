"""Reference of the options of ``fit`` and ``validate``, from their parser."""

import argparse
import re
import typing
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from centernet.training.options_cli import OptionsCLI

from .commands import escape, option

RECIPE = Path(__file__).parents[2] / "configs" / "custom.yaml"
# Title and introduction by section; the options outside of a section come first.
SECTIONS = {
    "": ("Run", "Options without a section, on the command line and in YAML files."),
    "data": ("data", "Dataset, input size, batches, augmentation and folds."),
    "model": ("model", "Network, loss, optimizer and initialization."),
    "model.test": ("model.test", "Inference in validation, as in `Detector.load`."),
    "trainer": (
        "trainer",
        "Options of Lightning's `Trainer`, with the defaults of this project. Their texts are "
        "those of Lightning.",
    ),
}
_HIDDEN = {"help", "print_config", "config"}


class _Parsed(Exception):
    """The parser is complete."""


class _ParserOnly(OptionsCLI):
    """Stops before arguments are parsed."""

    def parse_arguments(self, parser: Any, args: Any) -> None:
        """Stop: only the parser is needed."""
        raise _Parsed


def fit_parser(subcommand: str = "fit") -> Any:
    """The parser of ``fit`` or ``validate``, without running it."""
    command = _ParserOnly.__new__(_ParserOnly)
    with suppress(_Parsed):
        command.__init__([subcommand])
    return command._parser(subcommand)  # the project's own parser, which Lightning keeps


def reference() -> str:
    """The options of ``fit`` by section."""
    recipe = _flat(yaml.safe_load(RECIPE.read_text(encoding="utf-8")))
    parser = fit_parser()
    parser.format_help()  # sets the project's own help of options of the libraries
    actions = [action for action in parser._actions if _is_option(action)]
    parts = ["", "```{program} centernet fit\n```"]
    for section, (title, introduction) in SECTIONS.items():
        parts.append(f"## {title}" if section == "" else f"## `{title}`")
        parts.append(introduction)
        for action in actions:
            if _section(action.dest) == section:
                parts += _option(action, recipe)
    return "\n\n".join(parts) + "\n"


def _is_option(action: argparse.Action) -> bool:
    return (
        bool(action.option_strings)
        and argparse.SUPPRESS not in (action.default, action.help)
        and action.dest not in _HIDDEN
        and not action.dest.endswith(".help")
    )


def _section(dest: str) -> str:
    return max(
        (name for name in SECTIONS if name and dest.startswith(f"{name}.")), key=len, default=""
    )


def _option(action: argparse.Action, recipe: dict[str, Any]) -> list[str]:
    name, kind = action.option_strings[0], type_name(getattr(action, "_typehint", action.type))
    text = [f"Type: `{kind}`. Default: `{_value(action.default)}`"]
    if action.dest in recipe and recipe[action.dest] != action.default:
        text.append(f"; in `configs/custom.yaml`: `{_value(recipe[action.dest])}`")
    described = option(name, "".join(text) + ".\n\n" + _sentence(action.help or ""))
    parts = [described]
    if isinstance(action.default, dict):  # a class such as Augment, with options of its own
        arguments = _arguments_of(action)
        for key, value in action.default.items():
            shown = f"Default: `{_value(value)}`"
            if f"{action.dest}.{key}" in recipe:
                given = _value(recipe[f"{action.dest}.{key}"])
                shown += f"; in `configs/custom.yaml`: `{given}`"
            text = arguments.get(key, "")
            parts.append(option(f"{name}.{key}", f"{shown}.\n\n{_sentence(text)}"))
    return parts


def _arguments_of(action: argparse.Action) -> dict[str, str]:
    """The texts of the arguments of the class of an option, from its docstring."""
    kinds = typing.get_args(action._typehint) or (action._typehint,)
    docstring = next((kind.__doc__ for kind in kinds if kind.__doc__), "") or ""
    match = re.search(r"(?:Args|Attributes):\n(.*?)(?:\n\s*\n|\Z)", docstring, re.DOTALL)
    found = re.findall(
        r"^    {4}(\w+): (.*?)(?=^    {4}\w+: |\Z)", match[1] if match else "", re.M | re.S
    )
    return {key: " ".join(text.split()) for key, text in found}


def type_name(kind: Any) -> str:
    """A type as users write it: ``int | str``."""
    if kind is None or kind is type(None):
        return "null"
    arguments = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return " | ".join(str(argument) for argument in arguments)
    if arguments and (origin is typing.Union or "Union" in str(origin)):
        names = [type_name(argument) for argument in arguments]
        return " | ".join(dict.fromkeys(names))
    name = getattr(kind, "__name__", None) or str(kind)
    if arguments and origin is not None:
        inner = ", ".join(type_name(argument) for argument in arguments)
        return f"{getattr(origin, '__name__', name)}[{inner}]"
    return name


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return text.removesuffix("\n").removesuffix("\n...")


def _sentence(text: str) -> str:
    text = re.sub(r":\w+:`~?([^`<]+)(?: <[^>]*>)?`", r"`\1`", text)
    text = re.sub(r"Default: ``.*?``\.?$", "", text.strip())
    text = escape(" ".join(text.split()))
    return text[:1].upper() + text[1:]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in values.items():
        flat[f"{prefix}{key}"] = value
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
    return flat
