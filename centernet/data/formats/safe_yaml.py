"""YAML files of strangers: small, and without what expands."""

from pathlib import Path
from typing import Any

import yaml

from centernet.errors import InputError
from centernet.files import read_bytes

_MAX_REASON = 200  # characters of a parser's message
_MAX_YAML = 1 << 20  # bytes; the parser takes seconds for that


class _YamlLoader(yaml.SafeLoader):
    """A safe loader without merge keys (``<<``), of which a few lines can fill any memory."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse what the base class merges."""
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(
                None, None, "merge keys (<<) are not supported", node.start_mark
            )
        super().flatten_mapping(node)


def load_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return yaml.load(read_bytes(path, _MAX_YAML).decode("utf-8-sig"), _YamlLoader)
    except RecursionError:
        reason = "it is nested too deeply"
    except (OSError, ValueError, yaml.YAMLError, LookupError, AttributeError) as error:
        # The last two are of explicit tags on other values, as in "!!int ''".
        reason = " ".join(str(error).split())[:_MAX_REASON]
    raise InputError(f"{path} cannot be read as YAML: {reason}")
