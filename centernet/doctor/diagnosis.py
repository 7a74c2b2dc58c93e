"""The result of ``centernet doctor``, as text and for JSON."""

from dataclasses import dataclass, field
from typing import Any

from centernet.doctor.extras import FEATURES, Extra
from centernet.installation import NAME

_GIB = "_gib"  # end of the names of amounts in GiB


@dataclass
class Diagnosis:
    """Facts in sections, what each extra of the package lacks, and what is wrong.

    Attributes:
        sections: for each section its facts by name: text, numbers, lists or flags.
        extras: the extras, in the order of the text.
        errors: what is installed and does not work, one line each.
        warnings: what limits some feature, with the remedy, one line each.
    """

    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    extras: list[Extra] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        features = {
            extra.name or NAME: {
                "for": FEATURES[extra.name],
                "lacking": list(extra.lacking),
                "install": extra.command if extra.lacking else None,
            }
            for extra in self.extras
        }
        problems = {"errors": self.errors, "warnings": self.warnings}
        return {**self.sections, "features": features, **problems}

    def as_text(self) -> str:
        """All of it as lines for a terminal."""
        lines = []
        for title, facts in self.sections.items():
            width = max(map(len, facts), default=0)
            lines += [title, *(_line(name, value, width) for name, value in facts.items()), ""]
        lines += ["features", *(line for extra in self.extras for line in _feature(extra)), ""]
        problems = [f"  error: {text}" for text in self.errors]
        problems += [f"  warning: {text}" for text in self.warnings]
        return "\n".join([*lines, "problems", *(problems or ["  none"])])


def _feature(extra: Extra) -> list[str]:
    state = "no " if extra.lacking else "yes"
    lines = [f"  {extra.name or NAME:10}  {state}  {FEATURES[extra.name]}"]
    if extra.lacking:
        lines.append(f"{'':19}lacks {', '.join(extra.lacking)}: {extra.command}")
    return lines


def _line(name: str, value: Any, width: int) -> str:
    unit = " GiB" if name.endswith(_GIB) and value is not None else ""
    shown = name.removesuffix(_GIB).replace("_", " ")
    return f"  {shown:{width}}  {_format(value)}{unit}"


def _format(value: Any) -> str:
    """A value as people write it."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_format, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_format(part)}" for key, part in value.items())
    return " ".join(str(value).split())
