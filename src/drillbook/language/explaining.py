"""Explains pydantic's validation errors with the keys of the user's file, and suggests corrections of misspelt keys."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[str | int, ...]


class Misplaced(ValueError):
    """Error that the validator of a model raises. It holds a hint, and the path from the model to the wrong value."""

    def __init__(self, message: str, place: Place, hint: str = "") -> None:
        """Store the message and the hint. ``place``: path from the model to the wrong value."""
        super().__init__(message)
        self.place = place
        self.hint = hint


FROM_KEY = "from the key"
"""Marker of a field that gets its value from the key above the entry. For example, the name of a host is the key of its entry
in `hosts`. The entry must not repeat such a field.
"""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'? ``, where x is the word in ``known`` that is most similar to ``word``. A word with the same
    letters in another order counts as the most similar. The result is empty when no word is similar, or ``word`` is very
    long.
    """
    words = list(known) if len(word) < 80 else []
    twisted = [other for other in words if len(word) > 1 and sorted(other) == sorted(word)]
    near = twisted or difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}? " if near else ""


EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "none_required": "nothing",
    "finite_number": "a number",
}
"""Plain name of the expected kind of value, for each type of pydantic error."""

PATTERNS = {
    r"^[a-z0-9][a-z0-9-]{0,62}$": "lower-case letters, digits and hyphens",
    r"^[a-z][a-z0-9_]*$": "a name of lower-case letters, digits and underscores, beginning with a letter",
}


def plain(detail: Any, model: type[BaseModel], location: tuple[Any, ...], held: Place) -> tuple[str, str]:
    """Return a message and a hint for a pydantic error. Both use the keys of the user's file.

    ``held``: path to the wrong value in the file.
    """
    kind, key = detail["type"], location[-1] if location else ""
    path = ".".join(str(part) for part in held)
    if kind == "extra_forbidden":
        known = keys_of(model, location[:-1])
        hint = did_you_mean(str(key), known) or _other_kinds(model, location)
        return f"unknown key {_cut(key)}", f"{hint}known keys: {', '.join(known)}"
    if kind == "missing":
        what = _describe(model, location)
        return f"the key {path!r} is missing", f"write `{key}: ...`" + (f"; its meaning: {what}" if what else "")
    if is_secret(detail):
        return (
            f"{path}: expected the source of a secret, not a value",
            "write the source of the secret instead of its value: !env NAME, !file PATH or !command [PROGRAM, ARGUMENT]",
        )
    if kind == "value_error":
        error = detail["ctx"]["error"]
        return (str(error), error.hint) if isinstance(error, Misplaced) else (f"{path}: {error}" if path else str(error), "")
    if kind.startswith("union_tag") or kind == "kind_of_service":
        return _kind(detail, model, location, path)
    return f"{path}: expected {_expected(kind, detail)}, not {_cut(detail['input'])}", _how(kind, detail["input"])


def _other_kinds(model: type[BaseModel], location: tuple[Any, ...]) -> str:
    """Return a hint for an unknown key at ``location``. The hint lists the other kinds that have this key, because the key
    may be right, and the value of `kind` in the same mapping wrong. The result is empty if no other kind has the key.
    """
    *outer, kind, key = location if len(location) > 1 else (None, None)
    models = [other for other in _models_at(model, tuple(outer)) if "kind" in other.model_fields]
    kinds = {str(other.model_fields["kind"].default): other for other in models}
    having = sorted(
        name for name, other in kinds.items() if any((i.alias or f) == key for f, i in other.model_fields.items())
    )
    return (
        f"the kind {kind!r} has no such key, but these kinds have it: {', '.join(having)}; "
        if kind in kinds and having
        else ""
    )


def validated(model: type[Model], written: Any, values: Any) -> Model:
    """Validate parameters whose expressions were evaluated, and return them as an object of ``model``.

    ``written`` and ``values`` are the parameters before and after the evaluation. Raises ValueError when a parameter is
    invalid. The message of this error comes from the function ``evaluated``."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ValueError(evaluated(error.errors()[0], model, written, values)) from None


def evaluated(detail: Any, model: type[BaseModel], written: Any, values: Any) -> str:
    """Return a message for a pydantic error in parameters whose expressions were replaced by their values. The message shows
    none of these values. There is one exception: the message of a validator is shown as it is, and may contain a value.

    ``written``: the parameters as the drill has them. ``values``: the same parameters after the evaluation.
    """
    held: list[str | int] = []
    text, value = written, values
    for part in detail["loc"]:
        if _holds(value, part):  # other parts are names of types in a union
            held.append(part)
            text, value = text[part] if _holds(text, part) else text, value[part]
    if detail["type"] in ("extra_forbidden", "missing"):
        key, inside = detail["loc"][-1], held[:-1] if detail["type"] == "extra_forbidden" else held
        message, hint = plain(detail, model, detail["loc"], (key,))
        return f"{_where(inside)}{message}, after its expressions were evaluated; {hint}"
    where = _where(held)
    if detail["type"] == "value_error":
        return f"{where}{detail['ctx']['error']}, after its expressions were evaluated"
    expected = _expected(detail["type"], detail)
    if not (held and value and isinstance(value, Mapping)):
        return f"{where}expected {expected}, after its expressions were evaluated"
    names = ", ".join(map(str, value))
    message = f"{where}expected {expected}, not {text if isinstance(text, str) else 'this'}, an object with the keys {names}"
    whole = re.fullmatch(r"\s*\{\{([^{}]*)\}\}\s*", text) if isinstance(text, str) else None
    key = "id" if "id" in value else next(iter(value), "")
    return f"{message}; write `{{{{ {whole[1].strip()}.{key} }}}}`, or another of its keys" if whole and key else message


def _where(held: Sequence[str | int]) -> str:
    """Return the beginning of a message about the parameter at the path ``held``. The result is empty when ``held`` is
    empty, because the message is then about the whole step.
    """
    *outer, last = held or [""]
    inside = ".".join(map(str, outer))
    path = f"entry {last + 1} of `{inside}`" if isinstance(last, int) else ".".join(map(str, held))
    return f"{path}: " if path else ""


def _holds(value: Any, part: Any) -> bool:
    """Return True when ``part`` is a key of the mapping ``value``, or an index of the list ``value``."""
    if isinstance(value, Mapping):
        return part in value
    return isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)


def _kind(detail: Any, model: type[BaseModel], location: tuple[Any, ...], path: str) -> tuple[str, str]:
    """Return a message and a hint for a wrong `kind`. The `kind` is missing, is unknown, or names a kind of service
    where a kind of backup is needed.
    """
    if detail["type"] == "kind_of_service":
        return f"{path}: {detail['msg']}", ""
    kinds = [str(t.model_fields["kind"].default) for t in _models_at(model, location) if "kind" in t.model_fields]
    if detail["type"] == "union_tag_not_found":
        return f"{path}: the key 'kind' is missing", f"kinds: {', '.join(kinds)}"
    tag, more = detail["ctx"]["tag"], detail["ctx"].get("hint")
    hint = f"{did_you_mean(str(tag), kinds)}kinds: {', '.join(kinds)}"
    return f"{path}: there is no kind {_cut(tag)}", f"{hint}; {more}" if more else hint


def _how(kind: str, value: Any) -> str:
    """Return a hint that shows how to write the expected value. ``kind``: type of the pydantic error. The result is
    empty when there is no hint for this type.
    """
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f"put the value in quotation marks: '{str(value).lower()}'"
    if kind == "tuple_type" and isinstance(value, str):
        return "write a list: [one, two], or each entry on its own line that begins with `- `"
    if kind in ("dict_type", "model_type"):
        return "write {key: value}, or `key: value` in indented lines below"
    return ""


def is_secret(detail: Any) -> bool:
    """Return True if the file contains a plain value where the source of a secret is needed. Messages must not show
    this value, because it may be the secret.
    """
    return bool(detail["type"] == "model_type" and detail.get("ctx", {}).get("class_name") == "Secret")


def _expected(kind: str, detail: Any) -> str:
    ctx = detail.get("ctx", {})
    if kind in ("literal_error", "enum"):
        return str(ctx["expected"])
    if kind == "string_pattern_mismatch":
        return PATTERNS.get(ctx["pattern"], f"text like {ctx['pattern']}")
    if kind in ("too_short", "string_too_short"):
        least = ctx["min_length"]
        what = "character" if kind == "string_too_short" else "entry" if least == 1 else "entries"
        return f"at least {least} {what}{'s' * (what == 'character' and least != 1)}"
    for rule, words in (
        ("greater_than_equal", "at least {ge}"),
        ("less_than_equal", "at most {le}"),
        ("greater_than", "more than {gt}"),
        ("less_than", "less than {lt}"),
    ):
        if kind == rule:
            return words.format(**ctx)
    message = str(detail["msg"]).replace("tuple", "list").replace("dictionary", "mapping")
    return EXPECTED.get(kind) or message[0].lower() + message[1:]


def _cut(value: Any) -> str:
    """Format a value for a message: on one line, shortened, and spelled as in YAML."""
    words = {None: "nothing", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    shown = "a mapping" if isinstance(value, dict) else repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _describe(model: type[BaseModel], location: tuple[Any, ...]) -> str:
    """Return the description of the key at ``location`` in the model. The result is empty if the key has no description."""
    for info_name, info in _model_at(model, location[:-1]).model_fields.items():
        if location and (info.alias or info_name) == location[-1]:
            return info.description or ""
    return ""


def keys_of(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Return the keys that an entry may have. ``location``: path of the entry inside a file that ``model`` describes."""
    return sorted(
        info.alias or name for name, info in _model_at(model, location).model_fields.items() if FROM_KEY not in info.metadata
    )


def _model_at(model: type[BaseModel], location: tuple[Any, ...]) -> type[BaseModel]:
    """Return the model at the path ``location`` in ``model``.

    If there is no model at the end of the path, return the last model on the path.
    """
    return _models_at(model, location)[0]


def _models_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[type[BaseModel]]:
    """Return the models that are possible at ``location``.

    There are several models, unless a `kind` on the path selects one of them.
    """
    models = [model]
    for part in location:
        if by_kind := [t for t in models if "kind" in t.model_fields and t.model_fields["kind"].default == part]:
            models = by_kind
            continue
        info = models[0].model_fields.get(str(part))
        inner = [t for t in _types(info.annotation if info else None) if isinstance(t, type) and issubclass(t, BaseModel)]
        models = inner or models
    return models


def _types(annotation: Any) -> list[Any]:
    """Return the types inside ``annotation``. If its metadata has a method `models`, return the result of this method."""
    for note in getattr(annotation, "__metadata__", ()):
        if hasattr(note, "models"):
            return list(note.models())
    arguments = getattr(annotation, "__args__", None)
    if not arguments:
        return [annotation]
    return [inner for argument in arguments for inner in _types(argument)]
