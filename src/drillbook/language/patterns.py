r"""Host patterns as in Ansible: ``db:!db-2``, ``all``, ``app[0]``, ``db[0:1]``, ``web*``, ``web:&spare``, ``~web\d+``.

Drillbook differs from Ansible in one way, on purpose. When a part of the pattern matches no host, this is an error,
even for a part after ``!`` or ``&``. Otherwise a misspelt exclusion would be ignored, and the drill could run on a host
that must be excluded.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from drillbook.language.strict import did_you_mean

SUBSCRIPT = re.compile(r"(.+)\[(?:(-?[0-9]{1,6})|([0-9]{1,6})[:-]([0-9]{0,6}))\]", re.DOTALL)
PART = re.compile(r"(?:[^\s:\[\]]|\[[^\]]*\])+")


class PatternError(ValueError):
    """Raised when a host pattern is invalid or matches nothing. The attribute ``hint`` suggests a correction."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Store the problem as ``message``, and the suggested correction as ``hint``."""
        super().__init__(message)
        self.hint = hint


def expand(
    patterns: str | Iterable[str], hosts: Sequence[str], groups: Mapping[str, Sequence[str]], *, aside: Sequence[str] = ()
) -> set[str]:
    """Return the names of the hosts that match ``patterns``.

    ``hosts``: all hosts in their order. ``groups``: the hosts of each group. ``aside``: hosts that match only by their full
    name; ``all`` and globs do not match them. Raises PatternError when a part of the pattern matches nothing. Also raises it
    when no host remains.
    """
    written = [patterns] if isinstance(patterns, str) else list(patterns)
    parts = [part for pattern in written for part in _split(pattern, hosts)]
    if not parts:
        raise PatternError("`hosts` names no host", _there_is(hosts, groups))
    plain = [part for part in parts if part[0] not in "&!"] or ["all"]
    selected = {host for part in plain for host in ([part] if part in aside else _one(part, hosts, groups))}
    for part in [part for part in parts if part[0] == "&"]:
        selected &= {part[1:]} if part[1:] in aside else set(_one(part[1:], hosts, groups))
    for part in [part for part in parts if part[0] == "!"]:
        selected -= {part[1:]} if part[1:] in aside else set(_one(part[1:], hosts, groups))
    if not selected:
        raise PatternError(f"the pattern {':'.join(parts)!r} selects no host", _there_is(hosts, groups))
    return selected


def _split(pattern: str, hosts: Sequence[str]) -> list[str]:
    """Split a pattern at commas and colons, except inside brackets."""
    if pattern in hosts or pattern.startswith("~"):
        return [pattern]
    if "," in pattern:
        return [inner for part in pattern.split(",") for inner in _split(part.strip(), hosts)]
    parts = PART.findall(pattern)
    if "".join(parts).replace(":", "") != re.sub(r"[\s:]", "", pattern):
        raise PatternError(
            f"{pattern!r} is not a host pattern", "write a pattern such as `db:!db-2`, `app[0]`, `db[0:1]` or `web*`"
        )
    return parts


def _one(pattern: str, hosts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    if pattern in hosts:
        return [pattern]
    match = None if pattern.startswith("~") else SUBSCRIPT.fullmatch(pattern)
    name = match[1] if match else pattern
    named = list(dict.fromkeys(_named(name, hosts, groups)))
    if not named and match:  # the brackets may be part of a glob, such as web[12]
        name, match = pattern, None
        named = list(dict.fromkeys(_named(name, hosts, groups)))
    if not named and name in groups:
        raise PatternError(f"the group {name!r} has no hosts", _there_is(hosts, groups))
    if not named:
        raise PatternError(
            f"there is no host or group {pattern!r} in the inventory",
            did_you_mean(pattern, [*hosts, *groups]) + _there_is(hosts, groups),
        )
    return _subscript(named, match, pattern) if match else named


def _subscript(named: list[str], match: re.Match[str], pattern: str) -> list[str]:
    _, index, start, end = match.groups()
    if index is not None:
        kept = named[int(index) :][:1] if -len(named) <= int(index) < len(named) else []
    else:
        kept = named[int(start) : (int(end) + 1 if end else len(named))]
    if not kept:
        raise PatternError(
            f"the index in {pattern!r} is too large: the number of hosts in {match[1]!r} is {len(named)}",
            f"the first host is {match[1]}[0], and the last is {match[1]}[-1]",
        )
    return kept


def _named(name: str, hosts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """Return the hosts that match ``name``, as in Ansible: first the hosts of all matching groups, then the hosts with a
    matching name of their own.

    A name without wildcards may be the name of a group and of a host. It then selects only the group.
    """
    if name == "all":
        yield from hosts
        return
    fits = _matcher(name)
    matching = [group for group in groups if fits(group)]
    for group in matching:
        yield from groups[group]
    if not matching or name[:1] == "~" or any(sign in name for sign in ".?*["):
        yield from (host for host in hosts if fits(host))


def _matcher(name: str) -> Callable[[str], object]:
    if not name.startswith("~"):
        return re.compile(fnmatch.translate(name)).match
    try:
        return re.compile(name[1:]).match
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(
            f"{name!r} is not a regular expression: {error}", "without the ~, the text is a name or a glob"
        ) from None


def _there_is(hosts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> str:
    return f"hosts: {', '.join(hosts) or 'none'}; groups: {', '.join(groups) or 'none'}"
