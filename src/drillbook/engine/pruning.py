"""Pruning: after a passed run, remove older backups of the project from stores with a retention rule (`keep`).

A backup is removed only if it meets three conditions: a journal of the project records it, it lies in a folder named
after the run that wrote it, and its manifest has the recorded digest. Only objects that are listed in the manifest are
removed. While a run is alive or needs a recovery, the backups that this run wrote or mentions are kept. See
docs/safety.md.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from drillbook.engine.recorded_backups import Recorded, Records, read
from drillbook.engine.step_context import Stage
from drillbook.errors import Cancelled, DrillbookError, JournalError, message_of
from drillbook.events.content import Json
from drillbook.events.runs import PruningFinished, PruningStarted
from drillbook.judge.result import Result
from drillbook.judge.verdicts import Verdict
from drillbook.sdk.action import find
from drillbook.sdk.backup_history import AHEAD_S
from drillbook.sdk.deadline import under
from drillbook.sdk.host import Deadline
from drillbook.sdk.retention import Aged, Keep, expired
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import FILE, SIGNATURE, BackupManifest, content, sha256

LIMIT_S = 300.0
"""Longest time, in seconds, for the pruning of one store."""
WORKERS = 8


class _NotPruned(Exception):
    """Raised when one backup, or every backup of a store, must stay. The message is the reason."""


_ENDS = (DrillbookError, TimeoutError, OSError, _NotPruned)
"""Errors that end the pruning of a store. They are recorded, and the report of the run is still written afterwards."""


def prune(
    stage: Stage, folders: Callable[[], Iterable[Path]], result: Callable[[], Result], stop: threading.Event | None = None
) -> None:
    """Prune every store that has a retention rule and received a backup from the run of ``stage``.

    Do nothing unless the run passed. Every outcome is journalled. Errors of a store are not raised.

    Parameters:
        stage: the run.
        folders: function that returns the folders of all runs of the project.
        result: function that returns the result of the run.
        stop: flag that ends the pruning early. The next run continues it.
    """
    rules = [store for store in stage.plan.inventory.services.values() if isinstance(store, S3) and store.keep]
    if not rules or not _passed(result):
        return
    for service in rules:
        try:
            with under(Deadline.after(LIMIT_S, stop)):
                _prune(stage, service, folders)
        except _ENDS as error:
            stage.journal.append(PruningFinished(store=service.name, message=f"nothing was removed: {_said(error)}"))


def _passed(result: Callable[[], Result]) -> bool:
    """Return True when the run passed. Return False also when its journal can no longer be read."""
    try:
        return result().verdict is Verdict.PASSED
    except JournalError:
        return False


def _prune(stage: Stage, service: S3, folders: Callable[[], Iterable[Path]]) -> None:
    records = read(folders())
    mine = [backup for backup in records.backups.values() if backup.store == service.lock_name]
    own = [backup for backup in mine if backup.run == stage.run["id"]]
    if not own or service.keep is None:
        return
    if records.unreadable:
        raise _NotPruned(
            f"a run has an unreadable journal, so it is unknown which backups that run needs: {records.unreadable[0]}"
        )
    store = Store(service)
    _check_clock(store, own[-1])
    there = _there(store, mine)
    pruning = Pruning(stage.run["id"], store, records)
    todo = pruning.doomed(there, service.keep) + pruning.begun_before(set(mine) - set(there))
    if todo:
        names = tuple(str(backup.location) for backup in todo)
        stage.journal.append(PruningStarted(store=service.name, backups=names), sync=True, required=True)
    if todo or pruning.left:
        message = pruning.remove(todo)
        stage.journal.append(pruning.finished(service.name, len(there), message), sync=True)


def _said(error: Exception) -> str:
    return "a signal stopped the pruning" if isinstance(error, Cancelled) else message_of(error)


def _check_clock(store: Store, own: Recorded) -> None:
    """Compare the clock of the controller with the clock of the store. The controller recorded a time for this run's
    backup, and so did the store. These two times are compared.

    Raises _NotPruned if the times differ too much. Also raises _NotPruned if the backup is no longer in the store.
    """
    key = own.location.below(FILE).key
    there = store.live(key).get(key)
    if there is None:
        raise _NotPruned(f"the backup of this run is no longer in the store: {own.location.below(FILE)}")
    apart = (own.at - there.at).total_seconds()
    if abs(apart) > AHEAD_S:
        fast, slow = ("this machine", "the store") if apart > 0 else ("the store", "this machine")
        raise _NotPruned(
            f"the clock of {fast} is {abs(apart):.0f} s ahead of the clock of {slow}, so the ages of the backups are unknown"
        )


def _there(store: Store, backups: Iterable[Recorded]) -> list[Recorded]:
    """Return the items of ``backups`` whose manifest is still in the store.

    Raises CouldNotVerify when the store gives no answer.
    """
    recorded = list(backups)
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="manifests") as pool:
        # each thread gets a copy of the context, which contains the deadline and the request to stop
        sizes = [pool.submit(copy_context().run, store.size, backup.location.below(FILE).key) for backup in recorded]
        try:
            return [backup for backup, size in zip(recorded, sizes, strict=True) if size.result() is not None]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@dataclass(slots=True)
class Pruning:
    """Pruning of one store: its settings, and the results so far."""

    run: str
    """Name of the run that prunes."""
    store: Store
    records: Records
    pruned: list[Recorded] = field(default_factory=list)
    left: list[Json] = field(default_factory=list)
    bytes: int = 0
    fewer: int = 0
    """Number of backups whose manifest was removed. They no longer count as backups."""

    def doomed(self, there: Iterable[Recorded], keep: Keep) -> list[Recorded]:
        """Return the backups that can be removed, oldest first.

        The retention rule does not keep these backups, and no unfinished run needs them.
        """
        known = {str(backup.location): backup for backup in there}
        aged = [
            Aged(key, backup.series, backup.at, backup.location.sha256 in self.records.proven)
            for key, backup in known.items()
        ]
        surplus = [known[aged_backup.key] for aged_backup in expired(aged, keep, datetime.now(UTC))]
        for backup in surplus:
            if (run := self.records.needed_by(backup)) not in ("", self.run):
                self._leave(backup, f"the run {run} is unfinished and may need the backup")
        return [backup for backup in surplus if not self.records.needed_by(backup)]

    def begun_before(self, missing: Iterable[Recorded]) -> list[Recorded]:
        """Return the backups that an earlier run began to remove. They are incomplete, because their manifest is gone."""
        return [
            backup for backup in missing if str(backup.location) in self.records.begun and not self.records.needed_by(backup)
        ]

    def remove(self, backups: Iterable[Recorded]) -> str:
        """Remove the backups. Return the reason why the removal ended early, or an empty text.

        If the store refuses to remove a backup, the backup stays, and the refusal is recorded.
        """
        for backup in backups:
            try:
                self._remove(backup)
            except (Cancelled, TimeoutError, OSError) as error:
                return f"the removal ended early, and the next run will continue it: {_said(error)}"
            except (DrillbookError, _NotPruned) as error:
                self._leave(backup, _said(error))
        return ""

    def _remove(self, backup: Recorded) -> None:
        folder = backup.location.key + "/"
        before = self.store.sizes(folder)
        # a folder without a manifest is left from an interrupted pruning; the copy in the run's folder lists the objects
        data = content(self.store, backup.location) if FILE in before else _copy(backup)
        named = {SIGNATURE, *_named(backup, data)}
        self.store.delete([folder + FILE])
        self.fewer += FILE in before
        self.store.delete([folder + name for name in sorted(named & before.keys())])
        after = self.store.sizes(folder)
        self.bytes += sum(size for name, size in before.items() if name not in after)
        if still := sorted(({FILE} | named) & after.keys()):
            raise _NotPruned(f"the store still lists {len(still)} removed objects of this backup, such as {still[0]}")
        self.pruned.append(backup)

    def _leave(self, backup: Recorded, why: str) -> None:
        self.left.append({"location": str(backup.location), "why": why})

    def finished(self, store: str, there: int, message: str) -> PruningFinished:
        """Make the event that reports the result of the pruning.

        ``there``: number of backups in the store before the pruning.
        """
        return PruningFinished(
            store=store,
            pruned=tuple(str(backup.location) for backup in self.pruned),
            bytes=self.bytes,
            kept=there - self.fewer,
            left=tuple(self.left),
            older_versions=self._older_versions(),
            message=message,
        )

    def _older_versions(self) -> int | None:
        """Return the total size in bytes of the older versions of the removed objects.

        The result is None when the bucket keeps no older versions, or when the size is unknown.
        """
        try:
            if not self.pruned or not self.store.versioned():
                return None
            histories = [self.store.history(backup.location.key + "/") for backup in self.pruned]
        except (DrillbookError, TimeoutError):
            return None
        return sum(version.size for history in histories for versions in history.values() for version in versions)


def _copy(backup: Recorded) -> bytes:
    """Read the copy of a backup's manifest in the folder of the run that wrote the backup.

    Raises _NotPruned when the copy cannot be read, or when its digest differs from the recorded digest.
    """
    try:
        data = backup.manifest.read_bytes()
    except OSError as error:
        raise _NotPruned(
            f"the manifest of this backup is not in the store, and its copy {backup.manifest} cannot be read: "
            f"{error.strerror}"
        ) from None
    if sha256(data) != backup.location.sha256:
        raise _NotPruned(
            f"the manifest of this backup is not in the store, and its copy {backup.manifest} has another digest"
        )
    return data


def _named(backup: Recorded, data: bytes) -> Mapping[str, int]:
    """Return the objects that are listed in the manifest, with their sizes.

    Raises _NotPruned when the format of the manifest is unknown.
    """
    find(backup.action)  # imports the kinds of the action's system
    form = json.loads(data).get("format")
    for kind in _kinds(BackupManifest):
        if kind.model_fields["format"].default == form:
            named = kind.parsed(data, backup.location.below(FILE)).stored()
            if named is not None:
                return named
    raise _NotPruned(f"this version of Drillbook does not know which objects belong to a backup in the format {form}")


def _kinds(base: type[BackupManifest]) -> Iterator[type[BackupManifest]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)
