"""Parses entries of drills and diagnosis trees. An entry is one action or one probe with its parameters.

It has the form `- name.of_action: {parameters}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from drillbook.errors import SourceError, UnknownName
from drillbook.language import strict, template
from drillbook.language.explaining import Misplaced
from drillbook.language.strict import Document, Place
from drillbook.sdk import discovery
from drillbook.sdk.action import find, known_names
from drillbook.sdk.custom_step import Free


def named(document: Document, item: Any, place: Place, what: str, keywords: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """Return the name and the parameters of the action in the entry ``item``.

    Raises an error with the place in ``document`` in two cases: the entry does not name exactly one action, or the entry has
    another key that is not in ``keywords``.
    """
    if not isinstance(item, dict):
        raise document.error(place, f"{what} must be a mapping", hint="write the entry as `- http.responds: {url: ...}`")
    names = [key for key in item if key not in keywords]
    _refuse_odd(document, names, place, keywords)
    if len(names) != 1:
        raise document.error(
            place,
            f"{what} must name exactly one action, but it names {len(names)}",
            hint=f"found: {', '.join(names)}" if names else "begin with its action, such as `command.run`",
        )
    params = {} if item[names[0]] is None else item[names[0]]
    if not isinstance(params, dict):
        raise document.error(
            (*place, names[0]),
            f"the parameters of {names[0]} must be a mapping",
            hint=f"write {names[0]}: {{key: value}}; see `invoke actions {names[0]}`",
        )
    return names[0], params


def _refuse_odd(document: Document, names: list[str], place: Place, keywords: tuple[str, ...]) -> None:
    """Raise an error if a name in ``names`` contains no dot. Every name of an action contains a dot.

    The error shows the position of the name in ``document``. If other names contain a dot, every name without a dot is
    reported as an unknown keyword. If no name contains a dot, the first name is reported as a wrong name of an action. The
    keyword `parallel`, which must not be nested, is always reported alone.
    """
    odd = [key for key in names if "." not in key]
    if "parallel" in odd:
        raise document.error(
            (*place, "parallel"),
            "`parallel` must not be nested in `parallel`",
            key=True,
            hint="write all parallel steps in one list",
        )
    if odd and len(odd) == len(names):
        raise document.error(
            (*place, odd[0]),
            f"{odd[0]!r} is not the name of an action, which has two parts separated by a dot",
            key=True,
            hint=f"such as service.{odd[0]}; see `invoke actions`",
        )
    if odd:
        first, *others = (_unknown_keyword(document, key, place, keywords) for key in odd)
        first.others = tuple(others)
        raise first


def unknown_keywords(document: Document, item: Any, place: Place, keywords: tuple[str, ...]) -> dict[str, SourceError]:
    """Return an error for each unknown key of the entry ``item``. A key is known if it is in ``keywords``, or if it is the
    name of an action.

    Two kinds of entries are not checked, so the result is empty: entries without an action, and groups `parallel`.
    """
    names = [key for key in item if key not in keywords] if isinstance(item, dict) else []
    odd = [key for key in names if "." not in key]
    if "parallel" in odd or len(odd) == len(names):
        return {}
    return {key: _unknown_keyword(document, key, place, keywords) for key in odd}


def _unknown_keyword(document: Document, key: str, place: Place, keywords: tuple[str, ...]) -> SourceError:
    return document.error(
        (*place, key),
        f"unknown keyword {key!r}",
        key=True,
        hint=f"{document.below((*place, key), keywords)}{strict.did_you_mean(key, keywords)}"
        + (f"keywords: {', '.join(keywords)}" if keywords else "a probe has only parameters: write them below its name"),
    )


def find_class(document: Document, name: str, place: Place, kind: type[Any]) -> type[Any]:
    """Return the class with the name ``name``. ``kind``: Action or Probe.

    When there is no such class, raises an error with the position of ``place`` in the file.
    """
    try:
        return find(name, kind)
    except UnknownName as error:
        known = known_names(kind)
        family = [n for n in known if n.startswith(name.partition(".")[0] + ".")]
        hint = strict.did_you_mean(name, known) + (
            f"available names: {', '.join(family)}" if family else "see `invoke actions`"
        )
        raise document.error(place, error.message, hint=discovery.hint(hint), key=True) from None


def check_params(
    document: Document,
    model: type[BaseModel],
    params: dict[str, Any],
    dynamic: frozenset[str],
    place: Place,
    *,
    missing: bool = True,
) -> None:
    """Validate ``params`` with the class ``model``. Raises an error with the place in ``document`` for an invalid value.

    The parameters in ``dynamic`` contain expressions. A value that contains an expression is validated later, when the value
    of the expression is known. When ``missing`` is false, missing keys are not reported.
    """
    try:
        model.model_validate(params)
    except ValidationError as error:
        real = [d for d in _certain(error.errors(), params, dynamic) if missing or d["type"] != "missing"]
        if real:
            kept = ValidationError.from_exception_data(error.title, [_line(d) for d in real])
            raise document.explain(kept, model, place) from None
    if issubclass(model, Free):
        try:
            model.check_written(params)
        except Misplaced as wrong:
            raise document.error((*place, *wrong.place), str(wrong), hint=wrong.hint) from None


def _certain(details: Sequence[Any], params: dict[str, Any], dynamic: frozenset[str]) -> list[Any]:
    """Return those errors in ``details`` that do not depend on the values of expressions, such as an unknown or a missing
    key.

    A field may accept values of several types. Pydantic then reports errors for each type. A type may still fit if all
    errors for this type depend on the values of expressions. If any type of a field may still fit, return no error of this
    field.
    """
    known: list[tuple[Any, list[tuple[Place, Any]], bool]] = []
    for detail in details:
        value, types = _found(detail["loc"], params)
        fixed = detail["type"] in ("extra_forbidden", "missing") or not template.has_template(value)
        known.append((detail, types, fixed or not detail["loc"] or detail["loc"][0] not in dynamic))
    fixed_types = {kind for _, types, certain in known if certain for kind in types}
    fitting = {place for _, types, _ in known for place, name in types if (place, name) not in fixed_types}
    return [detail for detail, types, certain in known if certain and not any(place in fitting for place, _ in types)]


def _found(location: tuple[Any, ...], params: Any) -> tuple[Any, list[tuple[Place, Any]]]:
    """Return the value at ``location`` in ``params``, and the names of types in ``location``.

    ``location`` is the location of an error as Pydantic reports it. It consists of keys and indices. After a field that
    accepts several types, it also contains the name of the type to which the error belongs. Each name of a type is returned
    together with the path of its field.
    """
    value, held, types = params, list[str | int](), list[tuple[Place, Any]]()
    for part in location:
        inside = part in value if isinstance(value, dict) else isinstance(value, list) and part in range(len(value))
        if inside:
            held.append(part)
            value = value[part]
        else:
            types.append((tuple(held), part))
    return value, types


def _line(detail: Any) -> Any:
    return {key: detail[key] for key in ("type", "loc", "input", "ctx") if key in detail}
