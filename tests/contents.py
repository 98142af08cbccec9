"""Contents of events for tests that care for a few of their fields."""

import types
import typing

from drillbook.events.kinds import KINDS, parse

PLAIN = {str: "", int: 0, float: 0.0, bool: False, dict: {}, tuple: ()}


def content(kind, data=None):
    """The content of an event of ``kind``; required fields that ``data`` leaves out are empty."""
    return parse(kind, filled(kind, data))


def filled(kind, data=None):
    """``data`` with the required fields of ``kind`` that it leaves out, empty."""
    model = KINDS.get(kind)
    if model is None:
        return data or {}
    names = {(info.serialization_alias or name): info for name, info in model.model_fields.items() if info.is_required()}
    return {name: _empty(info.annotation) for name, info in names.items()} | (data or {})


def _empty(annotation):
    if isinstance(annotation, types.UnionType) and type(None) in typing.get_args(annotation):
        return None
    return PLAIN[typing.get_origin(annotation) or annotation]
