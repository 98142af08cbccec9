"""Backups that the journals of a project record, and the backups that an unfinished run may still need."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from drillbook.engine.lab_gone import lab_gone
from drillbook.errors import JournalError, PlanError
from drillbook.events.content import Content, Json
from drillbook.events.event import Event, contents, each
from drillbook.events.first_event import opening
from drillbook.events.runs import PruningFinished, PruningStarted
from drillbook.events.steps import BackupProven, Done
from drillbook.inventory.inventory import Inventory
from drillbook.journal.run_state import RunState
from drillbook.plan.plan import Plan
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.planner import checked
from drillbook.sdk.action import Effect
from drillbook.sdk.identity import Identity
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.service import S3

_REFERENCE = re.compile(rb's3://[^"\\\s]+')


@dataclass(frozen=True, slots=True)
class Recorded:
    """A backup recorded in a journal. A run wrote it into a folder with the run's name."""

    run: str
    location: Reference
    """Folder of the backup, with the digest of its manifest."""
    store: str
    """Name of the bucket's lock. The name identifies the store and the bucket."""
    series: tuple[str, ...]
    """Series to which the backup belongs. It consists of the environment, the service, the action, and the folder without
    the run's name.

    A retention rule counts the backups of each series separately.
    """
    at: datetime
    """End of the step that wrote the backup, on the controller's clock."""
    action: str
    """Name of the action that wrote the backup."""
    manifest: Path
    """Path of the manifest's copy in the folder of the run."""


@dataclass(slots=True)
class Records:
    """Facts about backups, collected from all journals of a project."""

    backups: dict[str, Recorded] = field(default_factory=dict)
    """Backups that no run has removed. The key of each entry is the location of the backup."""
    proven: set[str] = field(default_factory=set)
    """Digests of the manifests of all backups that a step verified."""
    begun: set[str] = field(default_factory=set)
    """Locations of backups that a run began to remove."""
    needed: dict[str, str] = field(default_factory=dict)
    """Names of unfinished runs whose journals mention a backup. The key of each entry is the location of the backup.

    A run is unfinished while it is alive, or needs a recovery.
    """
    unreadable: list[str] = field(default_factory=list)
    """Messages about unfinished runs with a damaged journal. The backups that these runs need are unknown."""

    def needed_by(self, backup: Recorded) -> str:
        """Return the name of a run that may still need the backup. The result is empty when no run needs it."""
        folder = f"s3://{backup.location.bucket}/{backup.location.key}"
        return next(
            (run for location, run in self.needed.items() if location == folder or location.startswith(folder + "/")), ""
        )


def read(folders: Iterable[Path]) -> Records:
    """Read the journal of each run in ``folders`` once, and return the facts about backups. A journal is parsed only if
    its run wrote a backup that may still exist.

    The newest run is read first. If a backup was removed, a later run than the run that wrote the backup recorded the
    removal. So the removal is usually known before the journal of the run that wrote the backup is read.
    """
    records, gone, plans = Records(), set[str](), _Plans()
    for state in map(RunState, sorted(folders, key=lambda folder: folder.name, reverse=True)):
        data = _data(state)
        gone.update(_listed(data, PruningFinished, "pruned"))
        records.begun.update(_listed(data, PruningStarted, "backups"))
        _needs(records, state, data)
        if _wrote(state.folder.name, data, gone):
            _add(records, state, plans)
    there = sorted(
        records.backups.items(), key=lambda item: item[1].run
    )  # the backups of one run, in the order of its steps
    records.backups = {location: backup for location, backup in there if location not in gone}
    return records


class _Plans:
    """Plans of journals. Equal plans, such as the plans of a drill that runs every night, are validated only once."""

    def __init__(self) -> None:
        self._known: dict[bytes, Plan] = {}

    def checked(self, data: Json) -> Plan:
        """Validate a plan. Raises PlanError when it is invalid."""
        key = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).digest()
        if key not in self._known:
            self._known[key] = checked(data)
        return self._known[key]


def _data(state: RunState) -> bytes:
    try:
        return state.data
    except JournalError:
        return b""


def _listed(data: bytes, kind: type[Content], key: str) -> Iterator[str]:
    """Find all events of the kind ``kind`` in a journal, and yield the locations in their field ``key``. Other events are
    not parsed.
    """
    mark = f'"kind":"{kind.KIND}"'.encode()
    for line in data.splitlines() if mark in data else ():
        if mark in line:
            with suppress(ValueError, KeyError, TypeError):
                yield from json.loads(line)["data"].get(key, ())


def _wrote(run: str, data: bytes, gone: set[str]) -> bool:
    """Return True when the journal ``data`` mentions a backup that the run wrote, and that may still exist. Such a
    backup lies in a folder with the name of the run.

    ``gone``: backups that are known to be removed.
    """
    own = re.compile(rb'"location":"(s3://[^"\\]*/' + re.escape(run.encode()) + rb'/[^"\\]*)"')
    return any(location.decode("utf-8", "replace") not in gone for location in own.findall(data))


def _needs(records: Records, state: RunState, data: bytes) -> None:
    """Record that an unfinished run may still need the backups that its journal mentions. When the run is dead and its
    journal is damaged, store a message about the damage, too.
    """
    if not state.alive and (state.settled or not state.open or lab_gone(state.first)):
        return
    if state.damage and not state.alive:
        records.unreadable.append(state.damage)
    for reference in _REFERENCE.findall(data):
        records.needed[reference.decode("utf-8", "replace").partition("#")[0]] = state.folder.name


def _add(records: Records, state: RunState, plans: _Plans) -> None:
    """Record the backups that the run wrote, and the backups that it verified.

    Nothing is recorded from a damaged journal.
    """
    try:
        events = state.history.events
        plan = plans.checked(opening(events).plan)
    except (JournalError, PlanError):
        return
    steps = {step.id: step for step in plan.steps}
    for event, done in each(events, Done):
        if (step := steps.get(str(event.step))) is None:
            continue
        if step.proves_backup and (identity := Identity.read(done.facts.get("identity"))):
            records.proven.add(identity.manifest)
        if made := _made(state.folder, plan, step, event, done):
            records.backups.setdefault(str(made.location), made)
    records.proven |= {content.location.rpartition("=")[2] for content in contents(events, BackupProven)}


def _made(folder: Path, plan: Plan, step: PlannedStep, event: Event, done: Done) -> Recorded | None:
    """Return the backup that ``step`` wrote into a folder which has the name of the run. Returns None when the step wrote no
    such backup.
    """
    location, kept, run = done.facts.get("location"), done.facts.get("evidence"), folder.name
    if step.effect is not Effect.WRITE or not isinstance(location, str) or not isinstance(kept, dict):
        return None
    try:
        reference = Reference.parse(location)
    except ValueError:
        return None
    parts = reference.key.split("/")
    store = _bucket(plan.inventory, reference.bucket)
    if store is None or reference.sha256 is None or run not in parts[:-1]:
        return None
    service = str(step.params.get("service") or "")
    what = str(plan.inventory.thing(service)) if service in plan.inventory.services else service
    series = (plan.inventory.environment, what, step.action, "/".join("*" if part == run else part for part in parts))
    return Recorded(
        run=run,
        location=reference,
        store=store.lock_name,
        series=series,
        at=datetime.fromisoformat(event.at),
        action=step.action,
        manifest=folder / str(kept.get("file", "")),
    )


def _bucket(inventory: Inventory, name: str) -> S3 | None:
    """Return the store that has the bucket ``name``. Returns None when no store or several stores have this bucket."""
    stores = {
        service.lock_name: service
        for service in inventory.services.values()
        if isinstance(service, S3) and service.bucket == name
    }
    return next(iter(stores.values())) if len(stores) == 1 else None
