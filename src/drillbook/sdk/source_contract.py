"""Contract checks for tests of a backup source. They list, check and restore real backups on this machine.

The tests of the source's author create intact and damaged backups with the real backup tool, and pass them to
``source_problems``. A damaged backup must lead to exactly the finding that fits its damage. An intact backup must lead to
no finding. See docs/plugins.md.
"""

from __future__ import annotations

import hashlib
import json
import pkgutil
import subprocess
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillbook.errors import DrillbookError, StepFailed
from drillbook.sdk import discovery
from drillbook.sdk.action import Context, Facts, find
from drillbook.sdk.backup_source import Backup, BackupSource
from drillbook.sdk.discovery import System
from drillbook.sdk.host import Deadline, Host, Target
from drillbook.sdk.sandbox import Sandboxed
from drillbook.sdk.service import Service

SOURCE, SANDBOX, HOST = "backups", "copy", "here"
"""The checks make an inventory. These are the names of the source, of the sandbox and of this machine in it."""
CARRIER = "drillbook.hosts.local:LocalHost"
"""Class of a host that is this machine. It is loaded by its name, since the SDK must not import packages above it."""
SECONDS = 600.0
"""Deadline of each action in seconds."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH for the commands that remove a sandbox. A host whose controller has died runs these commands with the same
PATH.
"""


@dataclass(frozen=True, slots=True)
class Artefact:
    """One backup by which the actions of a backup source are tested. It is either intact, or has exactly one kind of damage."""

    name: str
    make: Callable[[Path], object]
    """Function that creates the backup in an empty folder."""
    finding: str = ""
    """Code of the finding that the damage must lead to. It is empty for an intact backup."""
    seen_by: tuple[str, ...] = ("check", "restore")
    """Names of the actions that must report the finding. All other actions must report no finding."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields to add to the backup source in the inventory when the test uses this backup."""

    def expected(self, action: str) -> list[str]:
        """Return the codes of the findings that ``action`` (``check`` or ``restore``) must report for this backup."""
        return [self.finding] if self.finding and action in self.seen_by else []


def source_problems(
    system: System,
    kind: str,
    artefacts: Iterable[Artefact],
    folder: Path,
    *,
    fields: Mapping[str, Any] | None = None,
    place: str = "at",
    sandbox: Mapping[str, Any] | None = None,
) -> list[str]:
    """Check the source ``kind`` with each of ``artefacts``. Returns one line for each problem. The line names the artefact.

    ``folder``: an empty folder for the artefacts and the sandboxes. ``fields``: inventory fields of the source. ``place``:
    name of a further field of the source. The checks set this field to the folder of the artefact. ``sandbox``: inventory
    fields of the sandbox. Its kind of service is the first kind in the source's RESTORES_TO.
    """
    given = list(artefacts)
    with discovery.registered(system):
        model = discovery.service_class(kind)
        if not issubclass(model, BackupSource):
            return [f"{kind} is not a kind of backup source: its class is not derived from BackupSource"]
        if wrong := [*_declared(model), *_given(given)]:
            return wrong
        setting = _Setting(model, place, fields or {}, sandbox or {})
        trials = {artefact.name: _Trial(setting, artefact, folder / str(n)) for n, artefact in enumerate(given)}
        return [f"{name}: {problem}" for name, trial in trials.items() for problem in trial.problems()]


def _declared(model: type[BackupSource]) -> Iterator[str]:
    if not model.RESTORES_TO:
        yield "RESTORES_TO names no kind of sandbox"
    for kind in model.RESTORES_TO:
        if not issubclass(discovery.service_class(kind), Sandboxed):
            yield f"RESTORES_TO names {kind!r}, which cannot be a sandbox: its class is not derived from Sandboxed"


def _given(artefacts: list[Artefact]) -> Iterator[str]:
    if len({artefact.name for artefact in artefacts}) < len(artefacts):
        yield "two artefacts have the same name"
    if not any(artefact.finding == "" for artefact in artefacts):
        yield "none of the artefacts is an intact backup"
    if not any(artefact.finding for artefact in artefacts):
        yield "none of the artefacts is a damaged backup"


@dataclass(frozen=True, slots=True)
class _Setting:
    """Inventory fields of a backup source and of a sandbox, without the fields for their folders. The methods ``source``
    and ``box`` add the fields for the folders.
    """

    model: type[BackupSource]
    place: str
    fields: Mapping[str, Any]
    sandbox: Mapping[str, Any]

    def source(self, folder: Path, fields: Mapping[str, Any]) -> BackupSource:
        """Return the source whose backups are in ``folder``."""
        head = {"name": SOURCE, "host": HOST, "kind": discovery.kind_default(self.model), self.place: str(folder)}
        return self.model.model_validate({**head, **self.fields, **fields})

    def box(self, folder: Path) -> Service:
        """Return the service of the sandbox whose folder is ``folder``."""
        kind = self.model.RESTORES_TO[0]
        config = {"folder": str(folder), "data_may_leave": True}
        head = {"name": SANDBOX, "host": HOST, "kind": kind, "sandbox": config}
        return discovery.service_class(kind).model_validate({**head, **self.sandbox})


class _Trial:
    """Runs the checks of one artefact, with a source and a sandbox on this machine."""

    def __init__(self, setting: _Setting, artefact: Artefact, root: Path) -> None:
        self.artefact, self.root, self.backups = artefact, root, root / "backups"
        for folder in (self.backups, root / "scratch"):
            folder.mkdir(parents=True)
        target = Target(name=HOST, local=True, scratch=str(root / "scratch"))
        self.source = setting.source(self.backups, artefact.fields)
        self.host: Host = pkgutil.resolve_name(CARRIER)(HOST, target=target)
        self.ctx = Context(
            run_id=uuid.uuid4().hex[:12],
            step="contract.1",
            host=self.host,
            services={SOURCE: self.source, SANDBOX: setting.box(root / "sandbox")},
            host_named=lambda name: self.host,
            deadline=Deadline.after(SECONDS),
            folder=root / "run",
            hosts={HOST: target},
        )

    def problems(self) -> Iterator[str]:
        """Run all checks with the artefact. Yields one line for each problem."""
        self.artefact.make(self.backups)
        before = digest(self.backups)
        yield from self._listed()
        for action, check in (("check", self._checked), ("restore", self._restored)):
            with self._expecting(action) as unexpected:
                yield from check()
            yield from unexpected
        if digest(self.backups) != before:
            yield "an action changed the backup"
        left = sorted(str(path.relative_to(self.root)) for path in (self.root / "scratch").rglob("*") if path.is_file())
        if left:
            yield f"files were left on the host: {', '.join(left)}"

    @contextmanager
    def _expecting(self, action: str) -> Iterator[list[str]]:
        """Compare the findings of the action in the `with` block with the expected findings.

        Add each problem to the yielded list.
        """
        expected, codes, problems = self.artefact.expected(action), list[str](), list[str]()
        try:
            yield problems
        except StepFailed as error:
            codes = [each.code for each in error.findings]
            if not codes:
                problems.append(f"backup.{action} fails without a finding: {error.message}")
        except DrillbookError as error:
            problems.append(f"backup.{action}: {error.message}")
            return
        if codes != expected and not problems:
            problems.append(f"backup.{action} reports {codes or 'nothing'}, expected {expected or 'nothing'}")

    def _listed(self) -> Iterator[str]:
        try:
            backups = self.source.backups(self.ctx)
        except StepFailed as error:
            if [each.code for each in error.findings] != self.artefact.expected("check"):
                yield f"its list: {error.message}"
            return
        if not backups:
            yield "the source lists no backups"
        if len({backup.id for backup in backups}) < len(backups):
            yield "the source lists two backups with the same id"
        for backup in backups:
            yield from (f"backup {backup.id}: {problem}" for problem in _of_backup(backup))

    def _checked(self) -> Iterator[str]:
        facts = self._act("backup.check", service=SOURCE)
        if not facts["covered"]:
            yield "the result of backup.check lists no check that was carried out"
        yield from _as_json("backup.check", facts)

    def _restored(self) -> Iterator[str]:
        try:
            facts = self._act("backup.restore", service=SANDBOX, **{"from": SOURCE})
            yield from _as_json("backup.restore", facts)
            if not [path for path in (self.root / "sandbox").iterdir() if path.name != "drillbook.run"]:
                yield "backup.restore leaves the sandbox empty"
        finally:
            self._remove()
        if (self.root / "sandbox").exists():
            yield "the sandbox could not be removed"

    def _act(self, name: str, **fields: Any) -> Facts:
        action = find(name).model_validate(fields)
        action.ready(self.ctx)
        facts: Facts = action.run(self.ctx)
        return facts

    def _remove(self) -> None:
        undo = find("backup.restore").model_validate({"service": SANDBOX, "from": SOURCE}).undo(self.ctx)
        for argv in undo.commands:
            subprocess.run(argv, env={"PATH": PATH}, check=False, stdin=subprocess.DEVNULL)


def _of_backup(backup: Backup) -> Iterator[str]:
    if backup.taken_at.tzinfo is None:
        yield "the time of the backup has no offset from UTC"
    elif backup.taken_at > datetime.now(UTC):
        yield "the time of the backup is in the future"
    if not backup.basis:
        yield "the backup has no `basis`, which tells the source of its time"
    if backup.error_s < 0:
        yield "the error of the backup's time is negative"
    yield from _as_json("its facts", backup.as_facts())


def _as_json(what: str, facts: Facts) -> Iterator[str]:
    try:
        json.dumps(facts, allow_nan=False)
    except (TypeError, ValueError) as error:
        yield f"{what}: the facts cannot be written as JSON: {error}"


def digest(folder: Path) -> str:
    """Return a digest of the names and the contents of all files below ``folder``."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        total.update(f"{path.relative_to(folder)}\0".encode("utf-8", "surrogateescape"))
        if path.is_file():
            total.update(path.read_bytes())
    return total.hexdigest()
