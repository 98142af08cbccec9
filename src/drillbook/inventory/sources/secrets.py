"""References to secrets: `!env`, `!file`, `!command`.

A secret is read when it is first used, not when the inventory is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drillbook.inventory.sources.source import Around, Source, expanded
from drillbook.language.strict import TagReader
from drillbook.values import Secret


class Secrets(Source):
    """Source of secrets from environment variables, from files, and from the output of commands."""

    def tags(self, around: Around) -> Mapping[str, TagReader]:
        """Return, for each of the tags `!env`, `!file` and `!command`, the function that creates a secret from the tag."""

        def file(value: Any) -> Secret:
            if not isinstance(value, str) or not value or "\0" in value:
                raise ValueError("expected the path of a file")
            return Secret(source="file", name=str(expanded(around.folder, value)))

        return {"!env": _variable, "!file": file, "!command": _command}


def _variable(value: Any) -> Secret:
    if not isinstance(value, str) or not (value.isidentifier() and value.isascii()):
        raise ValueError("expected the name of an environment variable")
    return Secret(source="env", name=value)


def _command(value: Any) -> Secret:
    if not (isinstance(value, list) and value and all(isinstance(part, str) for part in value)):
        raise ValueError("expected a list: the program and its arguments")
    return Secret(source="command", name=tuple(value))
