"""YAML as people read it: with places, and without surprises.

Only ``true`` and ``false`` are booleans, only decimal digits are numbers (no octal, no sexagesimal), dates stay text,
duplicate keys are errors, and a tag means something only where the reader says so. Every value knows its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import yaml
from pydantic import BaseModel, ValidationError

from drillbook.errors import SourceError, Where
from drillbook.language.explaining import Misplaced, did_you_mean, is_secret, plain

__all__ = ["Document", "Misplaced", "Place", "TagReader", "did_you_mean", "load", "parse", "scalar"]

Place = tuple[str | int, ...]
"""The way to a value: keys and indexes from the top."""

TagReader = Callable[[Any], Any]
"""Makes a value of what stands behind a tag; raises ValueError with what was expected."""


@runtime_checkable
class Placed(Protocol):
    """A value behind a tag that can say later where it stands."""

    def stands(self, where: str) -> None:
        """Take the file and line."""


Model = TypeVar("Model", bound=BaseModel)
PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value")
)
NODE_LIMIT = 20_000
BYTE_LIMIT = 2_000_000


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file: its value and the place of every part of it. ``parts`` are the files that it was merged from."""

    file: str
    value: Any
    lines: tuple[str, ...]
    marks: Mapping[Place, tuple[int, int]]
    keys: Mapping[Place, tuple[int, int]]
    error_type: type[SourceError] = field(default=SourceError)
    parts: tuple[Document, ...] = ()

    def part(self, place: Place) -> Document:
        """The file that says most of ``place``; of two, the later one."""

        def held(document: Document) -> int:
            return max((end for end in range(len(place) + 1) if place[:end] in document.marks), default=-1)

        return max(reversed(self.parts), key=held) if self.parts else self

    def where(self, place: Place, *, key: bool = False) -> Where:
        """File, line and column of ``place``, or of its nearest parent that the file holds; ``key``: of its key."""
        if self.parts:
            return self.part(place).where(place, key=key)
        for end in range(len(place), -1, -1):
            marks = self.keys if key and end == len(place) else self.marks
            if (mark := marks.get(place[:end])) is not None:
                return Where(self.file, mark[0] + 1, mark[1] + 1)
        return Where(self.file, 1, 1)

    def error(self, place: Place, message: str, *, hint: str = "", key: bool = False) -> SourceError:
        """An error at ``place`` that shows the line."""
        if self.parts:
            return self.part(place).error(place, message, hint=hint, key=key)
        where = self.where(place, key=key)
        excerpt = _short(self.lines[where.line - 1], where.column) if where.line <= len(self.lines) else ""
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
        held = self._held(place, location)
        if first["type"] == "missing":
            held = (*held, location[-1])
        message, hint = plain(first, model, location, held)
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, Misplaced):
            held = (*held, *cause.place)
        others = {self._held(place, tuple(one["loc"])) for one in details} - {self._held(place, location)}
        if others:
            hint = f"{hint}; " * bool(hint) + f"{len(others)} more problem(s) in this part of the file"
        found = self.error((*place, *held), message, hint=hint, key=first["type"] == "extra_forbidden")
        return self.error_type(found.message, where=found.where, hint=hint) if is_secret(first) else found

    def _held(self, place: Place, location: tuple[Any, ...]) -> Place:
        """``location`` without the parts that pydantic adds, such as the kind in a discriminated union."""
        kept: list[str | int] = []
        for part in location:
            if (*place, *kept, part) in self.marks:
                kept.append(part)
        return tuple(kept)


def load(
    path: Path, *, tags: Mapping[str, TagReader] | None = None, error_type: type[SourceError] = SourceError
) -> Document:
    """Read a YAML file that holds one mapping. Raises ``error_type`` with the place of what is wrong."""
    try:
        data = path.read_bytes()
        if len(data) > BYTE_LIMIT:
            raise error_type(f"{path} has {len(data)} bytes; more than {BYTE_LIMIT} is no file written by people")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise error_type(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        where = Where(str(path), before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise error_type(f"the file is not UTF-8 text (byte {error.start})", where=where, hint="save it as UTF-8") from None
    return parse(text, str(path), tags=tags, error_type=error_type)


def parse(
    text: str, file: str, *, tags: Mapping[str, TagReader] | None = None, error_type: type[SourceError] = SourceError
) -> Document:
    """Read YAML text; see ``load``."""
    lines = tuple(text.splitlines())
    builder = _Builder(file, lines, dict(tags or {}), error_type)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or ""
        raise builder.fail(mark, f"this is not YAML: {problem}", _yaml_hint(problem)) from None
    except yaml.reader.ReaderError as error:
        raise builder.unprintable(text, error.position) from None
    except RecursionError:
        raise builder.fail(None, "the file is nested too deep", "50 levels are more than a file needs") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise builder.fail(None, f"this is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(node, yaml.MappingNode):
        raise builder.fail(
            node.start_mark if node else None,
            "the file must hold one mapping of keys to values",
            "begin with `drill: NAME`, `suite: NAME` or `environment: NAME`",
        )
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
        excerpt = _short(self.lines[mark.line], mark.column) if mark.line < len(self.lines) else ""
        return self.error_type(message, where=Where(self.file, mark.line + 1, mark.column + 1), excerpt=excerpt, hint=hint)

    def unprintable(self, text: str, position: int) -> SourceError:
        """An error at a character that no YAML file holds."""
        before = text[:position]
        where = Where(self.file, before.count("\n") + 1, position - before.rfind("\n"))
        return self.error_type(
            f"the character U+{ord(text[position]):04X} cannot stand in YAML",
            where=where,
            hint="remove it; in double quotes it can be written as an escape",
        )

    def build(self, node: yaml.Node, place: Place) -> Any:
        if len(self.marks) > NODE_LIMIT or len(place) > 50 or id(node) in self._open:
            raise self.fail(
                node.start_mark,
                "the file is too deep, too large or refers to itself",
                f"at most 50 levels and {NODE_LIMIT} values",
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
            raise self.fail(node.start_mark, f"unknown tag {tag}", f"{did_you_mean(tag, self.tags)}tags known here: {known}")
        if isinstance(node, yaml.MappingNode):
            plain: Any = self._mapping(node, place)
        elif isinstance(node, yaml.SequenceNode):
            plain = [self.build(child, (*place, index)) for index, child in enumerate(node.value)]
        else:
            self._writable(node)
            plain = scalar(node.value) if getattr(node, "style", None) is None and not tag else node.value
        if not tag:
            return plain
        try:
            made = self.tags[tag](plain)
            if isinstance(made, Placed):
                made.stands(f"{self.file}:{node.start_mark.line + 1}")
            return made
        except ValueError as error:
            raise self.fail(node.start_mark, f"{tag}: {error}") from None

    def _writable(self, node: yaml.Node) -> None:
        """NUL and halves of surrogate pairs can be escaped in YAML, but no path, command or journal can hold them."""
        if bad := re.search("[\x00\ud800-\udfff]", node.value):
            raise self.fail(
                node.start_mark, f"this text holds the character U+{ord(bad[0]):04X}, which cannot be passed on", "remove it"
            )

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.fail(
                    key_node.start_mark,
                    "a key must be a word, not a list or a mapping",
                    "put a text that begins with {{, { or [ in quotation marks",
                )
            key = key_node.value
            self._writable(key_node)
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


def _short(line: str, column: int) -> str:
    """A line for a message: control characters made visible, not longer than a screen; columns stay.

    Nothing of a line that may hold a secret: what is shown may end in the log of a pipeline.
    """
    if re.search(r"(pass\w*|secret\w*|token\w*)['\"]?\s*[:=]\s*[^!\s]", line, re.IGNORECASE):
        return ""
    shown = "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)
    return shown[: max(160, column + 40)] if len(shown) <= 1000 and column <= 400 else ""


def _yaml_hint(problem: str) -> str:
    """What was probably meant, for the mistakes that people make most."""
    for part, hint in (
        ("mapping values are not allowed", "put a text that holds `: ` in quotation marks"),
        ("'\\t'", "indent with spaces, not tabs"),
        ("expected ',' or '}'", "close the `{`, or put a text that holds `{`, `,` or `}` in quotation marks"),
        ("expected ',' or ']'", "close the `[`, or put a text that holds `[`, `,` or `]` in quotation marks"),
        ("could not find expected ':'", "write `key: value`, with a space behind the colon, here and in the line above"),
        ("expected <block end>", "entries of one list or mapping begin in one column; or a quotation mark is open"),
        ("end of stream", "a quotation mark is opened and not closed"),
        ("undefined alias", "put a text that begins with * in quotation marks"),
        ("cannot start any token", "put a text that begins with this character in quotation marks"),
        ("but found another document", "one file holds one document: remove the line `---`"),
        ("unknown escape character", "in double quotes write \\\\ for a backslash, or use single quotes"),
    ):
        if part in problem:
            return hint
    return ""
