"""Reference of the command line, from the parsers of the commands."""

import argparse
import importlib
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

from centernet import cli

# Parsed by jsonargparse; configuration.md lists their options.
CONFIGURED = ("fit", "validate")


def modules() -> dict[str, ModuleType]:
    """The modules of the commands by name, those that most people need first."""
    found = {}
    for module in pkgutil.iter_modules(cli.__path__):
        command = importlib.import_module(f"centernet.cli.{module.name}")
        if hasattr(command, "HELP"):
            found[module.name.replace("_", "-")] = command
    return found


def parser(name: str, command: ModuleType) -> argparse.ArgumentParser:
    """The parser of a command with options."""
    made = argparse.ArgumentParser(
        f"centernet {name}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_arguments(made)
    return made


def reference() -> str:
    """A section for each command."""
    return "\n\n".join("\n\n".join(_command(*item)) for item in modules().items()) + "\n"


def _command(name: str, command: ModuleType) -> Iterator[str]:
    yield f"\n\n## {name}"
    yield f"`centernet {name}`: {command.HELP.rstrip('.')}."
    if not hasattr(command, "add_arguments"):
        yield "Its options are in the [configuration reference](configuration.md)."
        return
    yield text_with_commands(command.DESCRIPTION)
    yield from _options(name, parser(name, command))
    yield text_with_commands(getattr(command, "EPILOG", None) or "")


def _options(program: str, made: argparse.ArgumentParser) -> Iterator[str]:
    usage = f"centernet {program} [options] " + " ".join(
        signature(action) for action in made._actions if not action.option_strings
    )
    if made.usage:  # several forms
        usage = made.format_usage().removeprefix("usage: ")
    yield f"```text\n{usage.strip()}\n```"
    yield f"```{{program}} centernet {program}\n```"
    for action in made._actions:  # argparse has no public list of its options
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        yield option(signature(action), help_of(action, made))


def option(signature: str, text: str) -> str:
    """A directive that describes an option, with a link to it."""
    return f"````{{option}} {signature}\n{text}\n````"


def signature(action: argparse.Action) -> str:
    """Names and value of an option, such as ``--top-k N``."""
    if not action.option_strings:
        name = str(action.metavar or action.dest)
        return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(action.nargs, name)
    if action.nargs == 0:
        return ", ".join(action.option_strings)
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}"
        if action.choices
        else action.dest.rpartition(".")[2].upper()
    )
    if isinstance(value, tuple):
        value = " ".join(value)
    if action.nargs in ("+", "*"):
        value += " ..."
    elif isinstance(action.nargs, int):
        value = " ".join([str(value)] * action.nargs)
    return ", ".join(f"{name} {value}" for name in action.option_strings)


def help_of(action: argparse.Action, made: argparse.ArgumentParser) -> str:
    """The help of an option with its default."""
    values = vars(action) | {"prog": made.prog}
    return escape(" ".join(((action.help or "") % values).split()))


def escape(text: str) -> str:
    """Text of a help page as Markdown: words with special characters are code."""
    parts = re.split(r"(`+[^`]+`+)", text)
    special = re.compile(r"(?<![\w`])[^\s`,;:()]*[*<>_|{}\[\]][^\s`,;:()]*")
    for i in range(0, len(parts), 2):
        parts[i] = special.sub(lambda match: f"`{match[0]}`", parts[i])
    return "".join(re.sub(r"`{2,}", "`", part) for part in parts)


def text_with_commands(text: str) -> str:
    """A description as Markdown: indented lines are commands."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        lines = paragraph.splitlines()
        if lines and all(line.startswith("  ") for line in lines):
            paragraphs.append("```bash\n" + "\n".join(line[2:] for line in lines) + "\n```")
        else:
            paragraphs.append(escape(" ".join(line.strip() for line in lines)))
    return "\n\n".join(paragraphs)
