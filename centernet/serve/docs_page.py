"""The page ``/docs``: the OpenAPI document as text. It loads nothing, also not from this server."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from centernet.analysis.html import render

_HOST = re.compile(r"[A-Za-z0-9.\-:\[\]]{1,255}")
_UNKNOWN_HOST = "localhost:8000"


@dataclass(frozen=True)
class Row:
    """A parameter, an answer, or a member of an object.

    Attributes:
        name: name, or the number of a status.
        kind: type in words.
        text: description.
    """

    name: str
    kind: str
    text: str


@dataclass(frozen=True)
class Operation:
    """A method of a path.

    Attributes:
        method: as GET.
        path: as /detect.
        text: description.
        bodies: types of the body and what it contains.
        parameters: parameters of the query.
        answers: answers by status.
    """

    method: str
    path: str
    text: str
    bodies: list[Row]
    parameters: list[Row]
    answers: list[Row]


def render_docs(document: Mapping[str, Any], title: str, host: str) -> str:
    """The page.

    Args:
        document: the OpenAPI document.
        title: name of the model.
        host: the server's name in the request, for the examples.
    """
    schemas = document["components"]["schemas"].items()
    objects = {
        name: [Row(key, kind_of(one), one.get("description", "")) for key, one in members.items()]
        for name, schema in schemas
        if (members := schema.get("properties")) and "Validation" not in name
    }
    return "".join(
        render(
            "serve/docs.html",
            title=title,
            version=document["info"]["version"],
            operations=list(_operations(document)),
            objects=objects,
            host=host if _HOST.fullmatch(host) else _UNKNOWN_HOST,
            token="securitySchemes" in document["components"],
        )
    )


def kind_of(schema: Mapping[str, Any]) -> str:
    """The type of a JSON schema in words, as ``list of number or null``."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(kind_of, schema["anyOf"])))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        kind = kind_of(schema.get("items", {}))
        return "files" if kind == "file" else f"list of {kind}"
    if schema.get("format") == "binary":
        return "file"
    if schema.get("type") == "object":
        members = schema.get("properties", {}).items()
        return ", ".join(f"{name}: {kind_of(one)}" for name, one in members) or "object"
    limits = [str(schema[key]) for key in ("minimum", "maximum") if key in schema]
    words = schema.get("type", "any")
    return f"{words} from {' to '.join(limits)}" if limits else words


def _operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            bodies = one.get("requestBody", {}).get("content", {})
            yield Operation(
                method.upper(),
                path,
                one.get("description", ""),
                [Row(kind, kind_of(body["schema"]), "") for kind, body in bodies.items()],
                [
                    Row(p["name"], kind_of(p["schema"]), p.get("description", ""))
                    for p in one.get("parameters", [])
                ],
                [
                    Row(status, _kind_of_answer(answer), answer["description"])
                    for status, answer in sorted(one["responses"].items())
                ],
            )


def _kind_of_answer(answer: Mapping[str, Any]) -> str:
    content = answer.get("content", {}).values()
    return ", ".join(kind_of(body["schema"]) for body in content)
