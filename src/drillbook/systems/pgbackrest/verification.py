"""Verifies one backup in its pgBackRest repository: runs `pgbackrest verify`, compares the two copies of the info files and of
the manifest, and looks for wrong page checksums.

The exit status and the word `ok` in the output are not enough, as measured with version 2.55.1. `pgbackrest verify` exits
with status 0 even when it finds damage. It prints `status: ok` for a backup without a manifest, and for missing WAL. Without
``--set``, it calls an incremental backup valid even if its full backup is damaged.

Therefore the output for one backup set is parsed. The set is valid only if all of its files are counted as valid.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from drillbook.errors import CouldNotVerify
from drillbook.findings import Finding, finding
from drillbook.sdk.answer_limits import Answer, parsed
from drillbook.systems.pgbackrest.programs import Program, message

_BACKUP = re.compile(r"^ +backup: (\S+), status: ([\w -]+), total files checked: (\d+), total valid files: (\d+)$", re.M)
_COUNTS = re.compile(r"missing: (\d+), checksum invalid: (\d+), size invalid: (\d+), other: (\d+)")
_FILE = re.compile(r"(?:file missing|invalid checksum|invalid size|invalid result) '?([^\s':]+)")
_WAL = re.compile(r"[0-9A-F]{24}")
EXAMPLES = 5
"""Maximum number of files that are named in a finding."""
WHOLE = "files whose content agrees with the manifest"


@dataclass(frozen=True, slots=True)
class Verified:
    """Result of `pgbackrest verify` for one backup."""

    status: str
    files: int
    valid: int
    missing: int
    bad: tuple[str, ...]
    """Paths of those missing or damaged files that pgbackrest named. There may be more such files."""


def verified(program: Program, label: str) -> Verified:
    """Run `pgbackrest verify` on all files of a backup, including the files of earlier backups to which the backup refers.

    Raises StepFailed or CouldNotVerify when the command fails. Raises CouldNotVerify when it prints no result. Raises
    HostError when the host cannot be used.
    """
    sink = Answer(f"{program.host.name}: the output of pgbackrest verify")
    more = {"output": "text", "log-level-stderr": "detail"}
    output = program.run("pgbackrest", "verify", "--verbose", f"--set={label}", sink=sink, options=more)
    if not output.ok:
        raise program.failed("verify", output.stderr or sink.getvalue())
    return parse(sink.text, output.stderr.decode("utf-8", "backslashreplace"), label)


def parse(text: str, said: str, label: str) -> Verified:
    """Parse output and messages of `pgbackrest verify --set=LABEL`. Raises CouldNotVerify when they contain no result."""
    row = next((match for match in _BACKUP.finditer(text) if match[1] == label), None)
    status = re.search(r"^status: (ok|error)$", text, re.M)
    if row is None or status is None:
        raise CouldNotVerify(
            f"pgbackrest verify printed no result for the backup {label}: {message(text)}",
            hint="run `pgbackrest verify --output=text --verbose` by hand",
        )
    counts = _COUNTS.match(text[row.end() :].strip())
    bad = sorted({name for name in _FILE.findall(said) if not _WAL.search(name)})
    return Verified(row[2], int(row[3]), int(row[4]), int(counts[1]) if counts else 0, tuple(bad))


def problems(seen: Verified, label: str, host: str) -> list[Finding]:
    """Return a list with one finding if the backup is invalid. The list is empty for a valid backup."""
    if seen.status == "valid" and 0 < seen.files == seen.valid:
        return []
    if seen.status == "manifest missing":
        manifest = f"{label}/backup.manifest"
        return [finding("backup-missing", title=manifest, wanted="the manifest or its copy", measured="neither", host=host)]
    if seen.files == 0:
        return [
            finding(
                "backup-damaged",
                title=f"{label}/backup.manifest",
                wanted="a manifest that can be read",
                measured="neither the manifest nor its copy can be read",
                host=host,
            )
        ]
    wrong = seen.files - seen.valid
    only = "backup-missing" if seen.missing == wrong else "backup-damaged"
    named = f", such as {', '.join(seen.bad[:EXAMPLES])}" if seen.bad else ""
    measured = f"{wrong} of {seen.files} files are {'missing' if only == 'backup-missing' else 'damaged or missing'}{named}"
    return [finding(only, title=label, wanted=WHOLE, measured=measured, host=host)]


def copies(program: Program, stanza: str, label: str) -> Iterator[Finding]:
    """Compare the two copies of backup.info, of archive.info and of the manifest, and yield a finding for each difference.

    If one copy is damaged, pgbackrest uses the other copy and does not report the damage. A backup that ends during this
    check rewrites both copies. So a difference is reported only when a second reading confirms it.
    """
    for name in (
        f"backup/{stanza}/backup.info",
        f"archive/{stanza}/archive.info",
        f"backup/{stanza}/{label}/backup.manifest",
    ):
        for again in (False, True):
            first, second = _digest(program, name), _digest(program, f"{name}.copy")
            if first == second:
                break
            if not again:
                program.deadline.wait(1.0)
        else:
            gone = [file for file, digest in ((name, first), (f"{name}.copy", second)) if not digest]
            code = "backup-missing" if gone else "backup-damaged"
            measured = f"{gone[0]} is missing" if gone else "the two copies differ, so at least one of them is damaged"
            yield finding(code, title=name, wanted="two equal copies", measured=measured, host=program.host.name)


def _digest(program: Program, name: str) -> str:
    """Return the digest of the content of a file in the repository. The digest is empty when the file is missing or cannot be
    decrypted.
    """
    sink = Answer(f"{program.host.name}: {name}")
    output = program.run("pgbackrest", "repo-get", "--ignore-missing", name, sink=sink)
    return hashlib.sha256(sink.getvalue()).hexdigest() if output.ok and sink.getvalue() else ""


def pages(program: Program, label: str) -> list[Finding]:
    """Return a finding if pages had a wrong checksum when the backup was taken.

    Raises StepFailed or CouldNotVerify when pgbackrest fails, and HostError when the host cannot be used.
    """
    sink = program.answer("info", f"--set={label}", options={"output": "json"})
    answer = parsed(sink.getvalue(), sink.what)
    backups = [backup for stanza in answer for backup in stanza.get("backup", []) if backup.get("label") == label]
    if not backups or not backups[0].get("error"):
        return []
    files = [str(file) for file in backups[0].get("error-list") or ["a file that pgbackrest does not name"]]
    measured = f"pages with a wrong checksum in {', '.join(files[:EXAMPLES])}"
    return [finding("backup-damaged", title=label, wanted="pages with right checksums", measured=measured)]
