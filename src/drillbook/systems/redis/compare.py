"""Compares a backup with a keyspace. Each key that differs gets its own finding, up to a maximum number of findings. One
further finding gives the number of the remaining keys that differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from drillbook.findings import Finding, finding
from drillbook.systems.redis.content import OWN, Entry, Keys
from drillbook.systems.redis.field_expiry import Fields, FieldTimes

SHOWN = 20
"""Maximum number of keys that get their own finding, for each code of a finding. One further finding gives the number of the
remaining keys with the same code.
"""
TOLERANCE_MS = 2000
"""Largest accepted difference between two expiry times, in milliseconds. An RDB stores milliseconds, but a client may set a
TTL in seconds.
"""


@dataclass(slots=True)
class Comparison:
    """Result of a comparison.

    ``compared``: number of compared keys; ``expired``: number of keys that were skipped because they have expired;
    ``ignored``: for each pattern of ignored keys, the number of skipped keys; ``own``: number of Drillbook's own keys, which
    are skipped, too; ``differing``: for each code of a finding, the number of keys that have such a finding.
    """

    compared: int = 0
    expired: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    own: int = 0
    differing: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def _wrong(self, code: str, name: str, wanted: str, measured: str) -> None:
        self.differing[code] = self.differing.get(code, 0) + 1
        if self.differing[code] <= SHOWN:
            self.findings.append(finding(code, title=name, wanted=wanted, measured=measured))

    def _summed(self) -> None:
        for code, count in self.differing.items():
            if count > SHOWN:
                more = "1 more key" if count == SHOWN + 1 else f"{count - SHOWN} more keys"
                self.findings.append(finding(code, title=more, measured=f"{count} keys in all"))


@dataclass(frozen=True, slots=True)
class Times:
    """Expiry times of hash fields. ``wanted``: times in the backup; ``present``: times on the server. Both are empty if
    the backup records no such times.
    """

    wanted: Fields = field(default_factory=dict)
    present: Fields = field(default_factory=dict)

    def of(self, database: str, name: str) -> tuple[FieldTimes | None, FieldTimes | None]:
        """Return the expiry times of the fields of the hash ``name``: first the times in the backup, then the times on the
        server.
        """
        return self.wanted.get(database, {}).get(name), self.present.get(database, {}).get(name)


def compare(wanted: Keys, present: Keys, now_ms: int, ignore: Mapping[str, str], times: Times | None = None) -> Comparison:
    """Compare the keys of the backup (``wanted``) with the keys of the server (``present``). Keys that had expired at the time
    ``now_ms`` are not compared. ``now_ms`` is the time at which ``present`` was read.

    Keys that match a pattern of ``ignore`` are counted but not compared. A hash is counted as expired when one of its fields
    has expired since the backup.
    """
    times = times or Times()
    result = Comparison(ignored=dict.fromkeys(ignore, 0))
    for database, name, entry in _all(wanted):
        if _leave_out(result, name):
            continue
        now = present.get(database, {}).get(name)
        shown = _shown(database, name)
        fields, fields_now = times.of(database, name)
        if (entry.expires_ms is not None and entry.expires_ms <= now_ms) or (fields and fields.first_ms <= now_ms):
            result.expired += 1
            continue
        result.compared += 1
        if now is None:
            result._wrong("key-missing", shown, _content(entry), "no such key")
        elif not _same(entry, now):
            result._wrong("key-content", shown, _content(entry), _content(now))
        elif fields != fields_now:
            result._wrong("key-content", shown, _expiring(fields), _expiring(fields_now))
    for database, name, entry in _all(present):
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
        result.own += 1
        return True
    for pattern in result.ignored:
        if fnmatchcase(name, pattern):
            result.ignored[pattern] += 1
            return True
    return False


def _same(wanted: Entry, entry: Entry) -> bool:
    if (wanted.type, wanted.sha256) != (entry.type, entry.sha256):
        return False
    if wanted.expires_ms is None or entry.expires_ms is None:
        return wanted.expires_ms == entry.expires_ms
    return abs(wanted.expires_ms - entry.expires_ms) <= TOLERANCE_MS


def _shown(database: str, name: str) -> str:
    short = name if len(name) <= 200 else name[:197] + "..."
    return short if database == "0" else f"{short} in database {database}"


def _expiring(times: FieldTimes | None) -> str:
    if times is None:
        return "no field expires"
    return f"number of fields that expire: {times.count}, the first at {times.first_ms} ms since 1970, digest {times.sha256[:16]}"


def _content(entry: Entry) -> str:
    ends = "never expires" if entry.expires_ms is None else f"expires at {entry.expires_ms} ms since 1970"
    return f"{entry.type}, digest {entry.sha256[:16]}, {ends}"
