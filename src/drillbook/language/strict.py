"""Strict YAML: every value has a source position, and no value is converted implicitly.

Only ``true`` and ``false`` are booleans. Only decimal numbers are numbers; octal and sexagesimal numbers remain text.
Dates remain text too. Duplicate keys are errors. Only the tags that the caller registers are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import yaml
from pydantic import BaseModel, ValidationError

from drillbook.errors import SourceError, Where
from drillbook.language import indentation, syntax
from drillbook.language.explaining import Misplaced, did_you_mean, is_secret, keys_of, plain
from drillbook.language.mistakes import Mistakes

__all__ = ["Document", "Misplaced", "Place", "TagReader", "did_you_mean", "load", "parse", "scalar"]

Place = tuple[str | int, ...]
"""Path to a value: keys and indexes from the top of the document."""

TagReader = Callable[[Any], Any]
"""Function that converts the content of a tag to a value.

When the content is wrong, the function raises ValueError with a message that names the expected content.
"""


@runtime_checkable
class Placed(Protocol):
    """Protocol of values that are created from a YAML tag and store their position in the file."""

    def stands(self, where: str) -> None:
        """Store the position of the value in ``where``: the file and the line."""


Model = TypeVar("Model", bound=BaseModel)
PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value")
)
NODE_LIMIT = 20_000
BYTE_LIMIT = 2_000_000


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file: its value, and the position of each part of the value.

    If several files were merged, ``parts`` contains their documents.
    """

    file: str
    value: Any
    lines: tuple[str, ...]
    marks: Mapping[Place, tuple[int, int]]
    keys: Mapping[Place, tuple[int, int]]
    error_type: type[SourceError] = field(default=SourceError)
    parts: tuple[Document, ...] = ()
    unread: Mapping[Place, SourceError] = field(default_factory=dict)
    """Errors about values that could not be read because of a mistake in their YAML tag, such as ``!env``. Each error is stored
    under the place of the value in the file. The field ``value`` of the document contains None at this place."""

    def part(self, place: Place) -> Document:
        """Return the file that contains the value at ``place``. If no file contains it, return the file that contains the
        nearest parent of the value. If several files contain the value, or this parent, return the last of them.
        """

        def held(document: Document) -> int:
            return max((end for end in range(len(place) + 1) if place[:end] in document.marks), default=-1)

        return max(reversed(self.parts), key=held) if self.parts else self

    def where(self, place: Place, *, key: bool = False) -> Where:
        """Return file, line and column of the value at ``place``, or of its nearest parent with a known position.

        When ``key`` is true, return the position of the value's key.
        """
        if self.parts:
            return self.part(place).where(place, key=key)
        for end in range(len(place), -1, -1):
            marks = self.keys if key and end == len(place) else self.marks
            if (mark := marks.get(place[:end])) is not None:
                return Where(self.file, mark[0] + 1, mark[1] + 1)
        return Where(self.file, 1, 1)

    def error(self, place: Place, message: str, *, hint: str = "", key: bool = False) -> SourceError:
        """Return an error for the value at ``place``. The error contains an excerpt of the line. If the value has a YAML
        tag such as ``!env`` with a mistake, return the error about the tag instead, because it causes all other mistakes in
        this value.
        """
        if self.parts:
            return self.part(place).error(place, message, hint=hint, key=key)
        if place in self.unread and not key:
            return self.unread[place]
        where = self.where(place, key=key)
        excerpt = _short(self.lines[where.line - 1], where.column) if where.line <= len(self.lines) else ""
        return self.error_type(message, where=where, excerpt=excerpt, hint=hint)

    def below(self, place: Place, known: Iterable[str]) -> str:
        """Return a hint that the unknown key at ``place`` may belong to the key above it, and must then be indented more.
        The result is empty when the key above has a value. ``known``: keys that are allowed in this mapping.
        """
        value = self.value
        for part in place[:-1]:
            value = value[part]
        keys, right = list(value) if isinstance(value, dict) else [], set(known)
        before = keys[: keys.index(place[-1])] if place[-1] in keys else []
        above = next((key for key in reversed(before) if key in right or "." in key), None)
        if above is None or value[above] is not None:
            return ""
        line = self.where((*place[:-1], above), key=True).line
        return f"if it belongs to `{above}`, indent it more than line {line}; "

    def validate(self, model: type[Model], value: Any, place: Place = ()) -> Model:
        """Validate ``value`` with the model ``model``.

        Raises the document's type of error at the position of the first mistake.
        """
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise self.explain(error, model, place) from None

    def explain(self, error: ValidationError, model: type[BaseModel], place: Place = ()) -> SourceError:
        """Return one error for all problems in a validation error. It describes the first problem, and holds the errors
        about the other problems.

        Unknown keys come first. Missing keys of a mapping with an unknown key are not reported, because the unknown key is
        often a misspelling of a missing key. A list with wrong elements is not also reported as too short.
        """
        details = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        deepest = [self._place(detail, place) for detail in details]
        misspelt = {self._place(detail, place)[:-1] for detail in details if detail["type"] == "extra_forbidden"}
        told: dict[Place, SourceError] = {}
        for detail in details:
            held = self._place(detail, place)
            follows = detail["type"] == "too_short" and any(
                len(held) < len(at) and at[: len(held)] == held for at in deepest
            )
            if held not in told and not follows and not (detail["type"] == "missing" and held[:-1] in misspelt):
                told[held] = self._explained(detail, model, place, held)
        first, *others = told.values()
        first.others = tuple(others)
        return first

    def _place(self, problem: Mapping[str, Any], place: Place) -> Place:
        """Return the path in the file to ``problem``, which is one entry of a validation error.

        ``place``: path of the validated value.
        """
        location = _location(problem)
        held = self._held(place, location)
        return (*held, location[-1]) if problem["type"] == "missing" else held

    def _explained(self, problem: Mapping[str, Any], model: type[BaseModel], place: Place, held: Place) -> SourceError:
        message, hint = plain(problem, model, _location(problem), held)
        cause = problem.get("ctx", {}).get("error")
        if isinstance(cause, Misplaced):
            held = (*held, *cause.place)
        if problem["type"] == "extra_forbidden":
            hint = self.below((*place, *held), keys_of(model, _location(problem)[:-1])) + hint
        mistake = self.error((*place, *held), message, hint=hint, key=problem["type"] == "extra_forbidden")
        return self.error_type(mistake.message, where=mistake.where, hint=hint) if is_secret(problem) else mistake

    def _held(self, place: Place, location: tuple[Any, ...]) -> Place:
        """Return those parts of ``location`` that exist in the file. Pydantic adds other parts to the location of an error,
        such as the `kind` of a value for which several kinds are allowed.
        """
        kept: list[str | int] = []
        for part in location:
            if (*place, *kept, part) in self.marks:
                kept.append(part)
        return tuple(kept)


def _location(problem: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the location of a problem in the value. Function names that pydantic adds to the location are removed."""
    return tuple(part for part in problem["loc"] if not (isinstance(part, str) and part.startswith("function-")))


def load(
    path: Path,
    *,
    tags: Mapping[str, TagReader] | None = None,
    error_type: type[SourceError] = SourceError,
    mistakes: Mistakes | None = None,
) -> Document:
    """Read a YAML file that contains one mapping. Raises ``error_type`` with the position of the mistake when it is invalid.

    ``mistakes``: optional list. Some mistakes leave the rest of the file readable, such as a key that occurs twice. They are
    added to this list and not raised. The caller then reports all mistakes together.
    """
    try:
        data = path.read_bytes()
        if len(data) > BYTE_LIMIT:
            raise error_type(f"{path} has {len(data)} bytes, which is more than the limit of {BYTE_LIMIT}")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise error_type(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        where = Where(str(path), before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise error_type(
            f"the file is not UTF-8 text (byte {error.start})", where=where, hint="save the file as UTF-8"
        ) from None
    return parse(text, str(path), tags=tags, error_type=error_type, mistakes=mistakes)


def parse(
    text: str,
    file: str,
    *,
    tags: Mapping[str, TagReader] | None = None,
    error_type: type[SourceError] = SourceError,
    mistakes: Mistakes | None = None,
) -> Document:
    """Parse YAML text that contains one mapping; see ``load``."""
    lines = tuple(text.splitlines())
    builder = _Builder(file, lines, dict(tags or {}), error_type)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or ""
        if mark and (told := indentation.explained(problem, lines, mark.line, mark.column)):
            begins = len(lines[mark.line]) - len(lines[mark.line].lstrip(" "))
            raise builder.fail_at(
                mark.line, min(begins, mark.column) if "tab" not in told[0] else mark.column, *told
            ) from None
        raise builder.fail(mark, f"this is not YAML: {problem}", syntax.hint_for(problem)) from None
    except yaml.reader.ReaderError as error:
        raise builder.unprintable(text, error.position) from None
    except RecursionError:
        raise builder.fail(None, "the file is nested too deep", "at most 50 levels are allowed") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise builder.fail(None, f"this is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(node, yaml.MappingNode):
        raise builder.fail(
            node.start_mark if node else None,
            "the file must contain one mapping of keys to values",
            "begin with `drill: NAME`, `suite: NAME` or `environment: NAME`",
        )
    value = builder.build(node, ())
    if mistakes is None or builder.incomplete:
        builder.mistakes.report()
    else:
        mistakes.errors += builder.mistakes.errors
    return Document(file, value, lines, builder.marks, builder.keys, error_type, unread=builder.unread)


class _Builder:
    """Builder of plain values from YAML nodes. It records the position of each value and of each key."""

    def __init__(self, file: str, lines: tuple[str, ...], tags: dict[str, TagReader], error_type: type[SourceError]) -> None:
        self.file, self.lines, self.tags, self.error_type = file, lines, tags, error_type
        self.marks: dict[Place, tuple[int, int]] = {}
        self.keys: dict[Place, tuple[int, int]] = {}
        self.mistakes = Mistakes()
        self.unread: dict[Place, SourceError] = {}
        self.incomplete = False
        """True when keys are missing in the value, so that further checks of it would mislead."""
        self._open: set[int] = set()

    def fail(self, mark: Any, message: str, hint: str = "") -> SourceError:
        if mark is None:
            return self.error_type(message, where=Where(self.file, 1, 1), hint=hint)
        return self.fail_at(mark.line, mark.column, message, hint)

    def fail_at(self, line: int, column: int, message: str, hint: str) -> SourceError:
        """Return the error for a position that is counted from 0."""
        excerpt = _short(self.lines[line], column) if line < len(self.lines) else ""
        return self.error_type(message, where=Where(self.file, line + 1, column + 1), excerpt=excerpt, hint=hint)

    def unprintable(self, text: str, position: int) -> SourceError:
        """Return the error for a character that YAML does not allow."""
        before = text[:position]
        where = Where(self.file, before.count("\n") + 1, position - before.rfind("\n"))
        return self.error_type(
            f"the character U+{ord(text[position]):04X} is not allowed in YAML",
            where=where,
            hint="remove the character, or write the character in double quotes as an escape",
        )

    def build(self, node: yaml.Node, place: Place) -> Any:
        if len(self.marks) > NODE_LIMIT or len(place) > 50 or id(node) in self._open:
            raise self.fail(
                node.start_mark,
                "the file is nested too deep, too large, or refers to itself",
                f"at most 50 levels and {NODE_LIMIT} values are allowed",
            )
        self.marks[place] = (node.start_mark.line, node.start_mark.column)
        self._open.add(id(node))
        value = self._value(node, place)
        self._open.discard(id(node))
        return value

    def _value(self, node: yaml.Node, place: Place) -> Any:
        tag = "" if node.tag in PLAIN_TAGS else node.tag.replace("tag:yaml.org,2002:", "!!")
        if tag and tag not in self.tags:
            known = ", ".join(sorted(self.tags)) or "none"
            hint = f"{did_you_mean(tag, self.tags)}tags known here: {known}"
            return self._unreadable(place, self.fail(node.start_mark, f"unknown tag {tag}", hint))
        if isinstance(node, yaml.MappingNode):
            plain: Any = self._mapping(node, place)
        elif isinstance(node, yaml.SequenceNode):
            plain = [self.build(child, (*place, index)) for index, child in enumerate(node.value)]
        else:
            self._writable(node)
            self._alone(node)
            plain = scalar(node.value) if getattr(node, "style", None) is None and not tag else node.value
        if not tag:
            return plain
        try:
            made = self.tags[tag](plain)
            if isinstance(made, Placed):
                made.stands(f"{self.file}:{node.start_mark.line + 1}")
            return made
        except ValueError as error:
            return self._unreadable(place, self.fail(node.start_mark, f"{tag}: {error}"))

    def _unreadable(self, place: Place, error: SourceError) -> None:
        """Record a mistake that makes the value at ``place`` unreadable."""
        self.unread[place] = error
        self.mistakes.errors.append(error)

    def _writable(self, node: yaml.Node) -> None:
        """Raise an error for a text that contains NUL or a lone surrogate.

        YAML allows escapes for these characters, but paths, commands and journals cannot contain them.
        """
        if bad := re.search("[\x00\ud800-\udfff]", node.value):
            raise self.fail(
                node.start_mark,
                (f"this text contains the character U+{ord(bad[0]):04X}, which no path, command or journal can represent"),
                "remove it",
            )

    def _alone(self, node: yaml.Node) -> None:
        """Record a mistake if a text without quotation marks has several lines, and one of them looks like an entry of a list.
        YAML reads this line as a part of the text, although it was probably meant as an entry.
        """
        first, last = node.start_mark.line, node.end_mark.line
        if getattr(node, "style", None) is None and (line := indentation.swallowed(self.lines, first, last)) is not None:
            column = len(self.lines[line]) - len(self.lines[line].lstrip())
            message = f"wrong indentation: this line continues the text of line {first + 1}, and is no entry of a list"
            hint = "indent this line like the other entries of its list, or put the whole text in quotation marks"
            self.mistakes.errors.append(self.fail_at(line, column, message, hint))

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.fail(
                    key_node.start_mark,
                    "a key must be text, not a list or a mapping",
                    "put a text that begins with {{, { or [ in quotation marks",
                )
            key = key_node.value
            self._writable(key_node)
            wrong = ("merge keys (<<) are not supported", "write each key in full") if key == "<<" else None
            if key in result:
                first = self.keys[(*place, key)][0] + 1
                wrong = (f"the key {key!r} occurs twice, first in line {first}", "remove one of them")
            if wrong:
                self.incomplete |= key == "<<"
                self.mistakes.errors.append(self.fail(key_node.start_mark, *wrong))
                continue
            self.keys[(*place, key)] = (key_node.start_mark.line, key_node.start_mark.column)
            result[key] = self.build(value_node, (*place, key))
        return result


def scalar(text: str) -> Any:
    """Return the value of a scalar without quotes: null, true, false, a decimal number, or the text itself."""
    words: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
    if text in words:
        return words[text]
    if re.fullmatch(r"[-+]?(0|[1-9][0-9]{0,18})", text):
        return int(text)
    if re.fullmatch(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]{1,2})?", text):
        return float(text)
    return text


def _short(line: str, column: int) -> str:
    """Shorten a line for a message, and replace its control characters. Each remaining character keeps its column.

    The result is empty for a line that may contain a secret, because messages may end up in the log of a CI pipeline.
    """
    if re.search(r"(pass\w*|secret\w*|token\w*)['\"]?\s*[:=]\s*[^!\s]", line, re.IGNORECASE):
        return ""
    shown = "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)
    return shown[: max(160, column + 40)] if len(shown) <= 1000 and column <= 400 else ""
