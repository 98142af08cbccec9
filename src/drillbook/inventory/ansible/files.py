"""Reads the files of an Ansible inventory. These are INI files, YAML files, and folders of such files. The folders
group_vars and host_vars beside them are read, too.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from drillbook.errors import InventoryError, Where, visible
from drillbook.inventory.ansible.graph import Graph, Group, Variable, Vaulted
from drillbook.language.strict import BYTE_LIMIT, did_you_mean

SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
YAML_ENDINGS = (".yml", ".yaml", ".json")
IGNORED = re.compile(r"\.|(host_vars|group_vars|vars_plugins)$|.*(~|\.(pyc|pyo|swp|bak|rpm|md|txt|rst|orig|cfg|retry))$")
LIMIT = 20_000


def add(graph: Graph, path: Path) -> None:
    """Read an inventory file, or every file of a folder, into ``graph``.

    Raises InventoryError when a file cannot be used as an inventory.
    """
    if path.is_dir():
        for entry in sorted(path.iterdir(), key=lambda entry: entry.name):
            if not IGNORED.match(entry.name):
                add(graph, entry)
        return
    text = _text(path)
    if text is None:
        raise InventoryError(
            f"{path} is encrypted with ansible-vault",
            where=_start(path),
            hint="Drillbook cannot read files encrypted with ansible-vault; decrypt the file",
        )
    if text.startswith("#!") and os.access(path, os.X_OK):
        raise InventoryError(
            f"{path} is a program that prints an inventory; Drillbook does not run such programs",
            where=_start(path),
            hint=f"run `ansible-inventory -i {path} --list --yaml > hosts.yml` and name that file",
        )
    if path.suffix in YAML_ENDINGS or (not path.suffix and _looks_like_yaml(text)):
        _Yaml(graph, path, text).read()
    else:
        _Ini(graph, path, text).read()
    graph.close()


def _text(path: Path) -> str | None:
    """Return the text of the file ``path``, or None when the file is encrypted with ansible-vault.

    Raises InventoryError when the file is unreadable, too large, or not UTF-8 text.
    """
    try:
        data = path.read_bytes()
        if len(data) > BYTE_LIMIT:
            raise InventoryError(
                f"{path} has {len(data)} bytes, which is more than the limit of {BYTE_LIMIT}",
                where=_start(path),
            )
        return None if data.startswith(b"$ANSIBLE_VAULT;") else data.decode("utf-8-sig")
    except OSError as error:
        raise InventoryError(f"{path} cannot be read: {error.strerror}", where=_start(path)) from None
    except UnicodeDecodeError as error:
        raise InventoryError(
            f"{path} is not UTF-8 text (byte {error.start})", where=_start(path), hint="save the file as UTF-8"
        ) from None


def _start(path: Path) -> Where:
    return Where(str(path), 1, 1)


def _looks_like_yaml(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip() and line.lstrip()[0] not in "#;"]
    return bool(lines) and bool(re.fullmatch(r"---.*|[\w.-]+:\s*(\{.*)?(#.*)?|\{.*", lines[0]))


def _shown(lines: list[str], number: int) -> str:
    """Return line ``number`` of ``lines``, shortened for a message. The result is empty when the line may contain a
    password.
    """
    line = lines[number - 1] if number <= len(lines) else ""
    return "" if re.search("pass|secret|token|key", line, re.IGNORECASE) else visible(line.replace("\t", " "), 200)


class _Ini:
    """Reader of one INI file of an Ansible inventory."""

    def __init__(self, graph: Graph, path: Path, text: str) -> None:
        self.graph, self.path = graph, path
        self.lines = text.splitlines()
        self.number = 0
        self.declared = set(graph.groups)
        self.wanted: dict[str, tuple[str, int]] = {}

    def fail(self, message: str, hint: str = "", number: int = 0) -> InventoryError:
        where = Where(str(self.path), number or self.number, 1)
        return InventoryError(message, where=where, excerpt=_shown(self.lines, where.line), hint=hint)

    def read(self) -> None:
        group, state = "ungrouped", "hosts"
        for number, raw in enumerate(self.lines, 1):
            self.number, line = number, raw.strip()
            if not line or line[0] in ";#":
                continue
            if len(line) > LIMIT:
                raise self.fail(f"a line has {len(line)} characters", f"at most {LIMIT} are allowed")
            if match := SECTION.fullmatch(line):
                group, state = match[1], match[2] or "hosts"
                self._section(group, state)
            elif line.startswith("[") and line.endswith("]"):
                raise self.fail(
                    "the name of this section is invalid", "write a name such as [db], [db:vars] or [site:children]"
                )
            else:
                {"hosts": self._host, "vars": self._variable, "children": self._child}[state](group, line)
        for name, (what, number) in self.wanted.items():
            if name not in self.declared:
                raise self.fail(
                    f"{what}, but there is no group {name!r}",
                    f"{did_you_mean(name, self.declared)}write a section [{name}]",
                    number,
                )

    def _section(self, group: str, state: str) -> None:
        if state not in ("hosts", "vars", "children"):
            raise self.fail(
                f"the section has the unknown kind {state!r}",
                f"{did_you_mean(state, ('vars', 'children', 'hosts'))}write [{group}], [{group}:vars] or [{group}:children]",
            )
        if state != "vars":
            self.declared.add(group)
        elif group not in self.graph.groups:
            self.wanted.setdefault(group, (f"[{group}:vars] sets variables of a group", self.number))
        self.graph.group(group, Where(str(self.path), self.number, 1))

    def _host(self, group: str, line: str) -> None:
        try:
            name, *words = shlex.split(line, comments=True)
        except ValueError as error:
            raise self.fail(f"the line of this host cannot be parsed: {error}", "close the quotation mark") from None
        where = Where(str(self.path), self.number, 1)
        variables: dict[str, Variable] = {}
        for word in words:
            key, sign, value = word.partition("=")
            if not sign:
                raise self.fail(f"expected key=value after the host, not {word!r}", "quote a value that contains spaces")
            variables[key] = Variable(_value(value), where)
        if name == "---":
            raise self.fail("this looks like YAML", "if it is YAML, give the file a name that ends with .yml")
        self.graph.add_hosts(name, group, variables, where)

    def _variable(self, group: str, line: str) -> None:
        key, sign, value = line.partition("=")
        if not sign:
            raise self.fail(f"expected key=value, not {line[:80]!r}")
        variable = Variable(_value(value.strip()), Where(str(self.path), self.number, 1))
        self.graph.set_variable(group, key.strip(), variable)

    def _child(self, group: str, line: str) -> None:
        name = re.split(r"\s+[#;]|\s*$", line, maxsplit=1)[0]
        if not re.fullmatch(r"[^:\]\s]+", name):
            raise self.fail(f"expected the name of a group, not {line[:80]!r}")
        self.wanted.setdefault(name, (f"[{group}:children] names a group", self.number))
        self.graph.groups[group].children[name] = Where(str(self.path), self.number, 1)


def _value(text: str) -> Any:
    """Parse a value in the same way as Ansible. If the value is a Python literal, return the value of this literal;
    otherwise return the text.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return _plain(value)


def _plain(value: Any) -> Any:
    """Convert a Python literal to the JSON values that ``ansible-inventory --list`` prints for it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if value is Ellipsis:
        return "..."
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | float | bool | None) else str(value)


class _Loader(yaml.SafeLoader):
    """YAML loader with the tags of Ansible. Values that are encrypted with ansible-vault become ``Vaulted``."""


_Loader.add_constructor("!vault", lambda loader, node: Vaulted())
_Loader.add_constructor("!vault-encrypted", lambda loader, node: Vaulted())
_Loader.add_constructor("!unsafe", lambda loader, node: str(node.value))


class _Yaml:
    """Reader of one YAML file of groups or variables."""

    def __init__(self, graph: Graph, path: Path, text: str) -> None:
        self.graph, self.path = graph, path
        self.lines = text.splitlines()
        self.count = 0
        try:
            self.loader = _Loader(text)
            self.root = self.loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            raise self.fail(error.problem_mark, f"this is not YAML: {error.problem or error.context}") from None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise self.fail(None, f"this is not YAML: {visible(str(error)).splitlines()[0]}") from None

    def where(self, mark: Any) -> Where:
        return Where(str(self.path), mark.line + 1, mark.column + 1) if mark else Where(str(self.path), 1, 1)

    def fail(self, mark: Any, message: str, hint: str = "") -> InventoryError:
        where = self.where(mark)
        return InventoryError(message, where=where, excerpt=_shown(self.lines, where.line), hint=hint)

    def read(self) -> None:
        for key, node, mark in self.items(self.root, "an inventory must be a mapping of groups"):
            if key == "plugin":
                raise self.fail(
                    mark,
                    "this file configures an inventory plugin, but Drillbook does not run inventory plugins",
                    f"run `ansible-inventory -i {self.path} --list --yaml > hosts.yml` and name that file",
                )
            self._group(key, node, mark, 0)

    def items(self, node: Any, what: str) -> Iterator[tuple[str, Any, Any]]:
        """Yield key, value node and position of each entry of a mapping.

        Yields nothing for an empty node. Raises InventoryError when the node is no mapping, a name in it is not a text, or
        the file is too large.
        """
        if node is None or (isinstance(node, yaml.ScalarNode) and self.value(node, node.start_mark).value is None):
            return
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(
                node.start_mark, f"{what}, not {node.id}", "see `Writing an inventory` in the documentation for an example"
            )
        self._flatten(node)
        for key, value in node.value:
            self.count += 1
            if self.count > LIMIT:
                raise self.fail(key.start_mark, "the file is too large or refers to itself")
            name = self.value(key, key.start_mark).value if isinstance(key, yaml.ScalarNode) else None
            if not isinstance(name, str):
                raise self.fail(key.start_mark, "a name must be text", "put numbers in quotation marks")
            yield name, value, key.start_mark

    def _flatten(self, node: yaml.MappingNode) -> None:
        try:
            self.loader.flatten_mapping(node)
        except (yaml.YAMLError, RecursionError) as error:
            problem = visible(str(error)).splitlines()[0]
            raise self.fail(node.start_mark, f"these merge keys are invalid: {problem}") from None

    def _group(self, name: str, node: Any, mark: Any, depth: int) -> None:
        if depth > 50:
            raise self.fail(mark, "groups are nested too deep")
        group = self.graph.group(name, self.where(mark))
        for key, part, place in self.items(node, f"the group {name!r} must be a mapping of hosts, vars and children"):
            if key not in ("hosts", "vars", "children"):
                raise self.fail(
                    place,
                    f"unknown key {key!r} in the group {name!r}",
                    f"{did_you_mean(key, ('hosts', 'vars', 'children'))}known keys: children, hosts, vars",
                )
            self._part(group, key, part, place, depth)

    def _part(self, group: Group, key: str, part: Any, mark: Any, depth: int) -> None:
        if isinstance(part, yaml.ScalarNode) and isinstance(single := self.value(part, mark).value, str):
            entries = iter([(single, None, part.start_mark)])
        else:
            entries = self.items(part, f"`{key}` of the group {group.name!r} must be a mapping")
        for name, inner, place in entries:
            if key == "children":
                self._group(name, inner, place, depth + 1)
                group.children[name] = self.where(place)
            elif key == "hosts":
                self.graph.add_hosts(name, group.name, self.variables(inner), self.where(place))
            else:
                self.graph.set_variable(group.name, name, self.value(inner, place))

    def variables(self, node: Any) -> dict[str, Variable]:
        """Read a mapping of variables. Each variable of the result holds its position in the file."""
        return {key: self.value(value, mark) for key, value, mark in self.items(node, "variables must be a mapping")}

    def value(self, node: Any, mark: Any) -> Variable:
        try:
            return Variable(None if node is None else self.loader.construct_object(node, deep=True), self.where(mark))
        except (yaml.YAMLError, ValueError, RecursionError, TypeError, OverflowError, AttributeError, LookupError) as error:
            problem = getattr(error, "problem", None) or str(error) or type(error).__name__
            raise self.fail(mark, f"this value cannot be parsed: {problem}") from None


def variables_beside(folder: Path, name: str, *, vault: bool) -> dict[str, Variable]:
    """Read the variables of the group or host ``name`` from the folder group_vars or host_vars. Raises InventoryError when a
    file is invalid.

    When ``vault`` is true, files that are encrypted with ansible-vault are skipped.
    """
    variables: dict[str, Variable] = {}
    if "/" in name or not name.strip(".") or len(name) > 200:
        return variables
    for ending in ("", *YAML_ENDINGS):
        path = folder / f"{name}{ending}"
        if path.exists():
            for file in _files(path):
                variables |= _variables(file, vault)
            break
    return variables


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for entry in sorted(path.iterdir(), key=lambda entry: entry.name):
        if entry.name.startswith(".") or entry.name.endswith("~"):
            continue
        if (entry.is_dir() and not entry.suffix) or (entry.is_file() and entry.suffix in ("", *YAML_ENDINGS)):
            yield from _files(entry)


def _variables(path: Path, vault: bool) -> dict[str, Variable]:
    text = _text(path)
    if text is None:
        if vault:
            return {}
        raise InventoryError(
            f"{path} is encrypted with ansible-vault, so its variables are unknown",
            where=_start(path),
            hint=(
                "if these variables do not affect connections to hosts, write `ansible: {files: ..., vault: ignore}`; "
                "otherwise decrypt the file, or set the values in `hosts`"
            ),
        )
    reader = _Yaml(Graph(), path, text)
    return reader.variables(reader.root)
