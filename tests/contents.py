"""Contents of events for tests that need only a few of their fields."""

import types
import typing

from drillbook.events.kinds import KINDS, parse

PLAIN = {str: "", int: 0, float: 0.0, bool: False, dict: {}, tuple: ()}


def content(kind, data=None):
    """Content of an event of ``kind``; required fields missing in ``data`` are empty."""
    return parse(kind, filled(kind, data))


def filled(kind, data=None):
    """Return ``data`` plus empty values for the required fields of ``kind`` that it lacks."""
    model = KINDS.get(kind)
    if model is None:
        return data or {}
    names = {(info.serialization_alias or name): info for name, info in model.model_fields.items() if info.is_required()}
    return {name: _empty(info.annotation) for name, info in names.items()} | (data or {})


def _empty(annotation):
    if isinstance(annotation, types.UnionType) and type(None) in typing.get_args(annotation):
        return None
    return PLAIN[typing.get_origin(annotation) or annotation]
