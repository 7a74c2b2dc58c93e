"""Options that are paths and are checked before the libraries load."""

import argparse
import re
from typing import Any

from centernet.files import require_existing
from centernet.installation import find_config


class Existing(argparse.Action):
    """An option or argument that is the path of an existing file or folder, or several.

    A wrong path is reported once the options are parsed, before the libraries load, which takes
    seconds. URLs and patterns, such as ``photos/*.jpg``, are not checked.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store the value."""
        setattr(namespace, self.dest, values)

    def check(self, options: argparse.Namespace) -> None:
        """Raise InputError if a path in the parsed options does not exist."""
        value = getattr(options, self.dest)
        name = self.option_strings[0] if self.option_strings else str(self.metavar)
        for path in value if isinstance(value, list) else [value]:
            if path is not None and not re.search(r"[*?\[]", str(path)):
                require_existing(path, name)


class Configuration(Existing):
    """An option that is a configuration: a file, or the name of one of this package."""

    def check(self, options: argparse.Namespace) -> None:
        """Raise InputError if there is no such configuration."""
        if (given := getattr(options, self.dest)) is not None:
            find_config(given)
