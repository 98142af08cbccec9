"""References to secrets in the parameters of steps and probes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from drillbook.language import template
from drillbook.language.strict import Place as FilePlace
from drillbook.values import SecretName


def secretive(value: Any, place: FilePlace, services: dict[str, Any]) -> Iterable[tuple[FilePlace, str, bool]]:
    """Yield three items for each secret to which ``value`` refers: its place in ``value``, its name, and True when the
    secret is the whole value at this place.
    """
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from secretive(item, (*place, key), services)
    elif template.is_template(value):
        for reference in template.references(value):
            found: Any = {"services": services}
            for part in reference:
                found = found.get(part) if isinstance(found, dict) else None
            if isinstance(found, SecretName):
                yield place, found.place, value.strip().strip("{}").strip() == found.place
