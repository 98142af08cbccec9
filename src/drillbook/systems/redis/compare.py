"""What differs between a backup and a keyspace: a finding a key, up to a limit, and one that counts the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from drillbook.findings import Finding, finding
from drillbook.systems.redis.content import OWN, Entry, Keys

SHOWN = 20
"""Findings of one code that name their key."""
TOLERANCE_MS = 2000
"""How far two times of expiry may be apart: an RDB keeps milliseconds, a client that sets a TTL again does not."""


@dataclass(slots=True)
class Comparison:
    """How many keys were compared, were not and why, and what was wrong with the others."""

    compared: int = 0
    expired: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    differing: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def _wrong(self, code: str, name: str, wanted: str, measured: str) -> None:
        self.differing[code] = self.differing.get(code, 0) + 1
        if self.differing[code] <= SHOWN:
            self.findings.append(finding(code, title=name, wanted=wanted, measured=measured))

    def _summed(self) -> None:
        for code, count in self.differing.items():
            if count > SHOWN:
                self.findings.append(finding(code, title=f"{count - SHOWN} more keys", measured=f"{count} keys in all"))


def compare(wanted: Keys, found: Keys, now_ms: int, ignore: Mapping[str, str]) -> Comparison:
    """Compare every key of ``wanted`` that has not expired at ``now_ms``, the time at which ``found`` had been read.

    Keys that match a pattern of ``ignore`` are counted and not compared.
    """
    result = Comparison(ignored=dict.fromkeys(ignore, 0))
    for database, name, entry in _all(wanted):
        if _leave_out(result, name):
            continue
        now = found.get(database, {}).get(name)
        shown = _shown(database, name)
        if entry.expires_ms is not None and entry.expires_ms <= now_ms:
            result.expired += 1
            continue
        result.compared += 1
        if now is None:
            result._wrong("key-missing", shown, _content(entry), "no such key")
        elif not _same(entry, now):
            result._wrong("key-content", shown, _content(entry), _content(now))
    for database, name, entry in _all(found):
        if name not in wanted.get(database, {}) and not _leave_out(result, name):
            result._wrong("key-unexpected", _shown(database, name), "no such key", _content(entry))
    result._summed()
    return result


def _all(keys: Keys) -> Iterator[tuple[str, str, Entry]]:
    for database, entries in sorted(keys.items()):
        for name, entry in sorted(entries.items()):
            yield database, name, entry


def _leave_out(result: Comparison, name: str) -> bool:
    if name.startswith(OWN):
        return True
    for pattern in result.ignored:
        if fnmatchcase(name, pattern):
            result.ignored[pattern] += 1
            return True
    return False


def _same(wanted: Entry, found: Entry) -> bool:
    if (wanted.type, wanted.sha256) != (found.type, found.sha256):
        return False
    if wanted.expires_ms is None or found.expires_ms is None:
        return wanted.expires_ms == found.expires_ms
    return abs(wanted.expires_ms - found.expires_ms) <= TOLERANCE_MS


def _shown(database: str, name: str) -> str:
    short = name if len(name) <= 200 else name[:197] + "..."
    return short if database == "0" else f"{short} in database {database}"


def _content(entry: Entry) -> str:
    ends = "never expires" if entry.expires_ms is None else f"expires at {entry.expires_ms} ms"
    return f"{entry.type}, digest {entry.sha256[:16]}, {ends}"
