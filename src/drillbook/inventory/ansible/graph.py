"""The groups, hosts and variables of an Ansible inventory, and the rules that decide which value of a variable wins."""

from __future__ import annotations

import ipaddress
import re
import string
from dataclasses import dataclass, field
from typing import Any

from drillbook.errors import InventoryError, Where

HOST_LIMIT = 20_000
DEPTH_LIMIT = 50


@dataclass(frozen=True, slots=True)
class Variable:
    """A value, and its position in a file."""

    value: Any
    where: Where


@dataclass(frozen=True, slots=True)
class Vaulted:
    """Placeholder for a value that ansible-vault has encrypted."""


@dataclass(slots=True)
class Group:
    """A group with its own hosts, its child groups and its variables."""

    name: str
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, Where] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    priority: int = 1


@dataclass(slots=True)
class Graph:
    """The groups and hosts of one Ansible inventory. The groups ``all`` and ``ungrouped`` always exist."""

    groups: dict[str, Group] = field(default_factory=lambda: {name: Group(name) for name in ("all", "ungrouped")})
    hosts: dict[str, dict[str, Variable]] = field(default_factory=dict)

    def group(self, name: str, where: Where) -> Group:
        """Return the group ``name``. If it does not exist, create it. Raises InventoryError when the name is invalid."""
        if not name.isprintable() or not name:
            raise InventoryError(
                f"{name!r} is not a valid name of a group", where=where, hint="names must not contain control characters"
            )
        return self.groups.setdefault(name, Group(name))

    def add_hosts(self, pattern: str, group: str, variables: dict[str, Variable], where: Where) -> None:
        """Add the hosts of ``pattern`` with their variables to ``group``.

        Raises InventoryError when a name is invalid, or when there are too many hosts.
        """
        if not pattern.isprintable() or not pattern:
            raise InventoryError(
                f"{pattern!r} is not a valid name of a host", where=where, hint="names must not contain control characters"
            )
        names, port = expand_pattern(pattern, where)
        for name in names:
            if name not in self.hosts:
                self.hosts[name] = {"ansible_port": Variable(port, where)} if port is not None else {}
            self.hosts[name] |= variables
            self.groups[group].hosts[name] = None
        if len(self.hosts) > HOST_LIMIT:
            raise InventoryError(f"the inventory has more than {HOST_LIMIT} hosts", where=where)

    def set_variable(self, group: str, key: str, value: Variable) -> None:
        """Set a variable of a group. Raises InventoryError when the variable ``ansible_group_priority`` is not a whole
        number.

        The variable ``ansible_group_priority`` decides which of several groups at the same depth has precedence.
        """
        if key != "ansible_group_priority":
            self.groups[group].variables[key] = value
            return
        if not re.fullmatch(r"-?[0-9]{1,9}", str(value.value)):
            raise InventoryError(
                f"ansible_group_priority of {group!r} must be a whole number, not {value.value!r}", where=value.where
            )
        self.groups[group].priority = int(value.value)

    def close(self) -> None:
        """Complete the graph after a file was read.

        Groups without a parent become children of ``all``. The group ``ungrouped`` gets the hosts that are in no other
        group except ``all``.
        """
        here = Where("", 1, 1)
        children = {child for group in self.groups.values() for child in group.children}
        for name in self.groups:
            if name != "all" and name not in children:
                self.groups["all"].children[name] = here
        named = {host for name, group in self.groups.items() if name not in ("all", "ungrouped") for host in group.hosts}
        free = self.groups["ungrouped"].hosts
        self.groups["ungrouped"].hosts = {host: None for host in (*free, *self.hosts) if host not in named}

    def depths(self) -> dict[str, int]:
        """Return the length of the longest path from ``all`` to each group.

        Raises InventoryError when groups contain each other.
        """
        depths: dict[str, int] = {}
        open_: dict[str, None] = {}

        def visit(name: str, depth: int, where: Where) -> None:
            if name in open_:
                ring = [*list(open_)[list(open_).index(name) :], name]
                raise InventoryError(
                    f"these groups are children of each other: {' > '.join(ring)}",
                    where=where,
                    hint="remove one of them from `children`",
                )
            if depth > DEPTH_LIMIT:
                raise InventoryError(f"groups are nested in more than {DEPTH_LIMIT} levels", where=where)
            if depths.get(name, -1) >= depth:
                return
            depths[name] = depth
            open_[name] = None
            for child, place in self.groups[name].children.items():
                visit(child, depth + 1, place)
            del open_[name]

        for start in ("all", *self.groups):
            if start not in depths:
                visit(start, 0, Where("", 1, 1))
        return depths

    def members(self, name: str) -> tuple[str, ...]:
        """Return the hosts of a group and of its descendants. As in Ansible, the hosts of the group come first, then
        the hosts of its child groups, and then the hosts of the next level.
        """
        order, todo = dict.fromkeys([name]), [name]
        while todo:
            todo = [child for group in todo for child in self.groups[group].children if child not in order]
            order |= dict.fromkeys(todo)
        return tuple(dict.fromkeys(host for group in order for host in self.groups[group].hosts))

    def groups_of(self) -> dict[str, list[str]]:
        """Return the groups of each host, without the group ``all``. The group with the lowest precedence comes first.

        The groups are sorted by depth, then by priority, then by name.
        """
        depths = self.depths()
        by_host: dict[str, list[str]] = {host: [] for host in self.hosts}
        for name in sorted(depths, key=lambda name: (depths[name], self.groups[name].priority, name)):
            if name != "all":
                for host in self.members(name):
                    by_host[host].append(name)
        return by_host


def expand_pattern(pattern: str, where: Where) -> tuple[list[str], int | None]:
    """Return the host names and the port that a host pattern such as ``web[01:10].example.com:2222`` stands for. The
    port is None if the pattern contains no port.

    Raises InventoryError when the pattern is invalid.
    """
    name, port = pattern, None
    if (match := re.fullmatch(r"\[([^\]]+)\]:([0-9]{1,9})", pattern)) and _is_ipv6(match[1]):
        return [match[1]], int(match[2])
    if match := re.fullmatch(r"((?:[^:\[\]]|\[[^\]]*\])+):([0-9]{1,9})", pattern):
        name, port = match[1], int(match[2])
    elif pattern.endswith(":"):
        raise InventoryError(
            f"{pattern!r} ends in a colon", where=where, hint="if this is a YAML file, give it a name that ends with .yml"
        )
    names = [""]
    for text, bounds in re.findall(r"([^\[]*)(?:\[([^\]]*)\])?", name):
        values = _range(bounds, pattern, where) if bounds or "]" in text else [""]
        if len(names) * len(values) > HOST_LIMIT:
            raise InventoryError(f"{pattern!r} stands for more than {HOST_LIMIT} hosts", where=where)
        names = [f"{start}{text}{value}" for start in names for value in values]
    if "[" in name and names == [name]:
        raise _bad(pattern, where)
    return names, port


def _range(bounds: str, pattern: str, where: Where) -> list[str]:
    first, *rest = bounds.split(":")
    first = first or "0"
    if len(rest) not in (1, 2) or not rest[0] or not re.fullmatch("[1-9][0-9]{0,5}", rest[1] if len(rest) > 1 else "1"):
        raise _bad(pattern, where)
    last, step = rest[0], int(rest[1]) if len(rest) > 1 else 1
    letters = string.ascii_letters
    if len(first) == len(last) == 1 and first in letters and last in letters:
        chosen = list(letters[letters.index(first) : letters.index(last) + 1 : step])
    elif re.fullmatch("[0-9]{1,9}", first) and re.fullmatch("[0-9]{1,9}", last):
        width = len(first) if first[0] == "0" and len(first) > 1 else 0
        if width and len(last) != width:
            raise _bad(pattern, where, "with leading zeros, both ends must have the same number of digits")
        if int(last) - int(first) > HOST_LIMIT * step:
            raise InventoryError(f"{pattern!r} stands for more than {HOST_LIMIT} hosts", where=where)
        chosen = [str(number).zfill(width) for number in range(int(first), int(last) + 1, step)]
    else:
        raise _bad(pattern, where)
    if not chosen:
        raise _bad(pattern, where, "the beginning of the range must not be after its end")
    return chosen


def _bad(pattern: str, where: Where, hint: str = "") -> InventoryError:
    return InventoryError(
        f"{pattern!r} contains an invalid range",
        where=where,
        hint=hint or "write a range such as web[01:10], db-[a:c] or web[1:9:2]",
    )


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
