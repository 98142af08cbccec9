"""References to secrets in the parameters of steps and probes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from drillbook.language import template
from drillbook.language.strict import Place as FilePlace
from drillbook.values import SecretName


def secretive(value: Any, place: FilePlace, services: dict[str, Any]) -> Iterable[tuple[FilePlace, str, bool]]:
    """Find the secrets to which ``value`` refers. For each secret, yield the place of the reference, the name of the
    secret, and a flag. The flag is True when the secret is the whole value at this place.
    """
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from secretive(item, (*place, key), services)
    elif template.is_template(value):
        for reference in _references(value):
            resolved: Any = {"services": services}
            for part in reference:
                resolved = resolved.get(part) if isinstance(resolved, dict) else None
            if isinstance(resolved, SecretName):
                yield place, resolved.place, value.strip().strip("{}").strip() == resolved.place


def _references(text: str) -> list[template.Reference]:
    """Return the references in the expressions of ``text``. The result is empty if the syntax of ``text`` is wrong, because
    the planner reports this mistake elsewhere.
    """
    try:
        return list(template.references(text))
    except ValueError:
        return []
