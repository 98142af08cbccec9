"""Parts of an append-only file of Redis 7 or later. This module reads the manifest, and checks each part separately.

The checker programs can also check a manifest. Their check is not used, for two reasons. First, valkey-check-aof 9.1 wrongly
reports damage in a base file that Valkey 9 wrote. Second, no checker reports a file that is in the folder but not in the
manifest. A server starts without such a file, so its data is lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from drillbook.findings import Finding, finding
from drillbook.sdk.host import Host
from drillbook.systems.redis.verification import Checker, Verdict

MANIFEST = ".manifest"
"""Suffix of the file name of every manifest."""
_LINE = re.compile(r'file (?:"([^"/\\]+)"|([^\s"/]+)) seq (\d+) type ([bhi])(?: \S+ \S+)*')
PART = re.compile(r"(.+)\.(\d+)\.(?:incr|base)\.(?:aof|rdb)")
"""Pattern of the file name of a part. Its groups are the name of the append-only file and the number of the part."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file in a manifest: ``kind`` is ``b`` (base), ``i`` (increment) or ``h`` (history, no longer needed)."""

    name: str
    number: int
    kind: str


@dataclass(frozen=True, slots=True)
class Copy:
    """Private copy of a backup on a host, which checkers may open for writing."""

    id: str
    """Name of the backup in findings."""
    host: Host
    folder: str
    sizes: dict[str, int]
    """Sizes of the files in bytes. The keys are the names of the files."""
    manifest: str = ""
    """Name of the manifest. It is empty for a single append-only file."""
    text: str = ""
    """Text of the manifest that lists the parts."""

    @property
    def parts(self) -> list[Part] | None:
        """Parts that a server loads, in the order of loading. The value is None when the manifest is invalid."""
        if not self.manifest:
            return [Part(name, 1, "i") for name in self.sizes]
        matches = [_LINE.fullmatch(line) for line in self.text.splitlines() if line.strip() and not line.startswith("#")]
        if not matches or None in matches:
            return None
        parts = [Part(match[1] or match[2], int(match[3]), match[4]) for match in matches if match]
        return [part for part in parts if part.kind != "h"]


def judged(tool: Checker, copy: Copy) -> Verdict:
    """Compare the manifest with the files, and check each part separately. Raises CouldNotVerify when no program on the host
    can check a part, and HostError when the host cannot be used.

    Only the keys in the base file are counted.
    """
    if copy.manifest and copy.manifest not in copy.sizes:
        return Verdict((_missing(copy, copy.manifest, "a manifest in the folder of the parts"),))
    parts = copy.parts
    if not parts:
        measured = f"{copy.sizes.get(copy.manifest, 0)} bytes that are not a valid manifest"
        return Verdict((_damaged(copy, "a manifest that names the parts", measured),))
    if wrong := list(_unlike(copy, parts)):
        return Verdict(tuple(wrong))
    verdicts = [(part, _part(tool, copy, part)) for part in parts]
    base = next((verdict for part, verdict in verdicts if part.kind == "b"), Verdict(()))
    problems = tuple(problem for _, verdict in verdicts for problem in verdict.problems)
    commands = sum(copy.sizes[part.name] for part, verdict in verdicts if not verdict.begins)
    if not problems and not commands and not base.keys:
        problems = (
            finding(
                "backup-empty",
                title=copy.id,
                wanted="keys in the base file, or commands in the other parts",
                measured="no key and no command",
                host=copy.host.name,
            ),
        )
    return replace(base, problems=problems)


def _unlike(copy: Copy, parts: list[Part]) -> Iterator[Finding]:
    """Compare the manifest with the files. Yield a finding for each part in the manifest that has no file. Also yield a
    finding for each non-empty file with a higher number than all parts in the manifest.
    """
    for part in parts:
        if part.name not in copy.sizes:
            yield _missing(copy, part.name, "a file that the manifest names")
    newest = max(part.number for part in parts)
    for name, size in sorted(copy.sizes.items()) if copy.manifest else ():
        if size and (match := PART.fullmatch(name)) and int(match[2]) > newest:
            yield _damaged(copy, f"a manifest that names {name}", f"the last part in the manifest is part {newest}")


def _missing(copy: Copy, name: str, wanted: str) -> Finding:
    return finding("backup-missing", title=f"{copy.id}: {name}", wanted=wanted, measured="no such file", host=copy.host.name)


def _part(tool: Checker, copy: Copy, part: Part) -> Verdict:
    path, title = f"{copy.folder}/{part.name}", copy.id if part.name == copy.id else f"{copy.id}: {part.name}"
    if part.name.endswith(".rdb"):
        if copy.sizes[part.name] == 0:
            return Verdict((_damaged(copy, f"an RDB in {part.name}", "a file of 0 bytes"),))
        verdict = tool.rdb(title, path)
        return replace(verdict, problems=tuple(problem for problem in verdict.problems if problem.code != "backup-empty"))
    return tool.aof(title, path)


def _damaged(copy: Copy, wanted: str, measured: str) -> Finding:
    return finding("backup-damaged", title=copy.id, wanted=wanted, measured=measured, host=copy.host.name)
