"""YAML as people read it: with places, and without surprises.

Only ``true`` and ``false`` are booleans, only decimal digits are numbers (no octal, no sexagesimal), dates stay text,
duplicate keys are errors, and a tag means something only where the reader says so. Every value knows its line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from drillbook.errors import SourceError, Where

Place = tuple[str | int, ...]
"""The way to a value: keys and indexes from the top."""

TagReader = Callable[[Any], Any]
"""Makes a value of what stands behind a tag; raises ValueError with what was expected."""

Model = TypeVar("Model", bound=BaseModel)
PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in (
    "str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value"))
NODE_LIMIT = 20_000
BYTE_LIMIT = 2_000_000


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file: its value and the place of every part of it."""

    file: str
    value: Any
    lines: tuple[str, ...]
    marks: Mapping[Place, tuple[int, int]]
    keys: Mapping[Place, tuple[int, int]]
    error_type: type[SourceError] = field(default=SourceError)

    def where(self, place: Place, *, key: bool = False) -> Where:
        """File, line and column of ``place``, or of its nearest parent that the file holds; ``key``: of its key."""
        for end in range(len(place), -1, -1):
            marks = self.keys if key and end == len(place) else self.marks
            if (mark := marks.get(place[:end])) is not None:
                return Where(self.file, mark[0] + 1, mark[1] + 1)
        return Where(self.file, 1, 1)

    def error(self, place: Place, message: str, *, hint: str = "", key: bool = False) -> SourceError:
        """An error at ``place`` that shows the line."""
        where = self.where(place, key=key)
        excerpt = self.lines[where.line - 1] if where.line <= len(self.lines) else ""
        return self.error_type(message, where=where, excerpt=excerpt, hint=hint)

    def validate(self, model: type[Model], value: Any, place: Place = ()) -> Model:
        """``value`` as ``model``; raises the document's error at the first place that does not fit."""
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise self.explain(error, model, place) from None

    def explain(self, error: ValidationError, model: type[BaseModel], place: Place = ()) -> SourceError:
        """The telling problem of a pydantic error at its line, and how many more there are.

        An unknown key comes first: it is most often the misspelt one that is then missing.
        """
        details = error.errors()
        first = next((one for one in details if one["type"] == "extra_forbidden"), details[0])
        location = tuple(part for part in first["loc"] if not (isinstance(part, str) and part.startswith("function-")))
        message, hint = _plain(first, model, location)
        if len(details) > 1:
            hint = f"{hint}; " * bool(hint) + f"{len(details) - 1} more problem(s) in this part of the file"
        unknown = first["type"] in ("extra_forbidden", "missing")
        return self.error((*place, *self._held(place, location)), message, hint=hint, key=unknown)

    def _held(self, place: Place, location: tuple[Any, ...]) -> Place:
        """``location`` without the parts that pydantic adds, such as the kind in a discriminated union."""
        kept: list[str | int] = []
        for part in location:
            if (*place, *kept, part) in self.marks:
                kept.append(part)
        return tuple(kept)


def load(path: Path, *, tags: Mapping[str, TagReader] | None = None,
         error_type: type[SourceError] = SourceError) -> Document:
    """Read a YAML file that holds one mapping. Raises ``error_type`` with the place of what is wrong."""
    try:
        data = path.read_bytes()
        if len(data) > BYTE_LIMIT:
            raise error_type(f"{path} has {len(data)} bytes; more than {BYTE_LIMIT} is no file written by people")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise error_type(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise error_type(f"{path} is not UTF-8 text (byte {error.start})", hint="save the file as UTF-8") from None
    return parse(text, str(path), tags=tags, error_type=error_type)


def parse(text: str, file: str, *, tags: Mapping[str, TagReader] | None = None,
          error_type: type[SourceError] = SourceError) -> Document:
    """Read YAML text; see ``load``."""
    lines = tuple(text.splitlines())
    builder = _Builder(file, lines, dict(tags or {}), error_type)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise builder.fail(mark, f"this is not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise error_type(f"{file}: this is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(node, yaml.MappingNode):
        raise builder.fail(node.start_mark if node else None, "the file must hold one mapping of keys to values")
    value = builder.build(node, ())
    return Document(file, value, lines, builder.marks, builder.keys, error_type)


class _Builder:
    """Makes plain values of YAML nodes and remembers where each stood."""

    def __init__(self, file: str, lines: tuple[str, ...], tags: dict[str, TagReader], error_type: type[SourceError]) -> None:
        self.file, self.lines, self.tags, self.error_type = file, lines, tags, error_type
        self.marks: dict[Place, tuple[int, int]] = {}
        self.keys: dict[Place, tuple[int, int]] = {}
        self._open: set[int] = set()

    def fail(self, mark: Any, message: str, hint: str = "") -> SourceError:
        if mark is None:
            return self.error_type(message, where=Where(self.file, 1, 1), hint=hint)
        excerpt = self.lines[mark.line] if mark.line < len(self.lines) else ""
        return self.error_type(message, where=Where(self.file, mark.line + 1, mark.column + 1), excerpt=excerpt, hint=hint)

    def build(self, node: yaml.Node, place: Place) -> Any:
        if len(self.marks) > NODE_LIMIT or len(place) > 50 or id(node) in self._open:
            raise self.fail(node.start_mark, "the file is too deep, too large or refers to itself")
        self.marks[place] = (node.start_mark.line, node.start_mark.column)
        self._open.add(id(node))
        value = self._value(node, place)
        self._open.discard(id(node))
        return value

    def _value(self, node: yaml.Node, place: Place) -> Any:
        tag = "" if node.tag in PLAIN_TAGS else node.tag.replace("tag:yaml.org,2002:", "!!")
        if tag and tag not in self.tags:
            known = ", ".join(sorted(self.tags)) or "none"
            raise self.fail(node.start_mark, f"unknown tag {tag}", f"{did_you_mean(tag, self.tags)}tags known here: {known}")
        if isinstance(node, yaml.MappingNode):
            plain: Any = self._mapping(node, place)
        elif isinstance(node, yaml.SequenceNode):
            plain = [self.build(child, (*place, index)) for index, child in enumerate(node.value)]
        else:
            plain = scalar(node.value) if getattr(node, "style", None) is None and not tag else node.value
        if not tag:
            return plain
        try:
            return self.tags[tag](plain)
        except ValueError as error:
            raise self.fail(node.start_mark, f"{tag}: {error}") from None

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.fail(key_node.start_mark, "a key must be a word")
            key = key_node.value
            if key == "<<":
                raise self.fail(key_node.start_mark, "merge keys (<<) are not supported", "write the keys out")
            if key in result:
                raise self.fail(key_node.start_mark, f"the key {key!r} is here twice", "remove one of them")
            self.keys[(*place, key)] = (key_node.start_mark.line, key_node.start_mark.column)
            result[key] = self.build(value_node, (*place, key))
        return result


def scalar(text: str) -> Any:
    """The value of a plain word: null, true, false, a decimal number, or the word itself."""
    words: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
    if text in words:
        return words[text]
    if re.fullmatch(r"[-+]?(0|[1-9][0-9]{0,18})", text):
        return int(text)
    if re.fullmatch(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]{1,2})?", text):
        return float(text)
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'? `` for the nearest of ``known``, or nothing."""
    words = list(known)
    twisted = [other for other in words if len(word) > 1 and sorted(other) == sorted(word)]
    near = twisted or difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}? " if near else ""


def _plain(detail: Any, model: type[BaseModel], location: tuple[Any, ...]) -> tuple[str, str]:
    """Message and hint of a pydantic problem in words of the file."""
    kind, key = detail["type"], location[-1] if location else ""
    path = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        known = _keys_of(model, location[:-1])
        return f"unknown key {key!r}", f"{did_you_mean(str(key), known)}known keys: {', '.join(known)}"
    if kind == "missing":
        return f"the key {path!r} is missing", ""
    if kind == "value_error":
        return f"{path}: {detail['ctx']['error']}", ""
    shown = repr(detail["input"])
    message = detail["msg"].replace("tuple", "list").replace("dictionary", "mapping")
    return f"{path}: {message[0].lower()}{message[1:]}, not {shown[:80]}", ""


def _keys_of(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Keys of the model at ``location`` below ``model``; of ``model`` itself where the way cannot be followed."""
    found = model
    for part in location:
        info = found.model_fields.get(str(part))
        inner = [t for t in _types(info.annotation if info else None) if isinstance(t, type) and issubclass(t, BaseModel)]
        by_kind = [t for t in inner if "kind" in t.model_fields and t.model_fields["kind"].default == part]
        found = (by_kind or inner or [found])[0]
    return sorted(info.alias or name for name, info in found.model_fields.items())


def _types(annotation: Any) -> list[Any]:
    arguments = getattr(annotation, "__args__", None)
    if not arguments:
        return [annotation]
    return [inner for argument in arguments for inner in _types(argument)]
