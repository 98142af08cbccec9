"""Action that finds the newest backup of a service in a store, and measures its age."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.language.durations import seconds
from drillbook.sdk import manifest_signatures
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.backup_source import AHEAD_S
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import FILE, sha256
from drillbook.systems.postgres import newest_backup
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.newest_backup import Found, Search
from drillbook.systems.postgres.service import Postgres
from drillbook.values import Duration


class NewestBackup(Read):
    """Find the newest backup of a service in a store, the drill that took it, and its age.

    Without `taken_by`, the backups of all drills are considered. Some of them may be backups that drills took for themselves.
    The age then says nothing about routine backups. Therefore `max_age` needs `taken_by`.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    TIMEOUT = 300.0

    service: ServiceName
    store: Annotated[str, Field(description="Name of the S3 service in the inventory.")]
    prefix: Annotated[
        str, Field(description="Search only for backups whose keys begin with this prefix; empty: the whole bucket.")
    ] = ""
    taken_by: Annotated[
        tuple[str, ...],
        Field(
            description="Drills that take the routine backups, such as `[nightly-dump]`. Backups that other drills took are "
            "left out. Empty: backups of all drills."
        ),
    ] = ()
    max_age: Annotated[
        Duration | None,
        Field(gt=0, description="Maximum age of the newest routine backup; an older one fails the step. Needs `taken_by`."),
    ] = None
    signed: Annotated[
        bool,
        Field(
            description=(
                "`false`: also accept a backup without a trusted signature; the fact `unvouched` then contains the reason."
            )
        ),
    ] = True
    required: Annotated[
        bool, Field(description="If `false`, the step succeeds even without a backup, and its fact `found` is then false.")
    ] = True

    @model_validator(mode="after")
    def _of_routine(self) -> Self:
        """Raise ValueError when `max_age` is set but `taken_by` is empty."""
        if self.max_age is not None and not self.taken_by:
            raise ValueError(
                "`max_age` needs `taken_by`, the names of the drills that take the routine backups: a backup that another "
                "drill took for itself would hide that routine backups are missing"
            )
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``found``: true when there is a backup; ``count``: number of backups in the store.

        ``unreadable``: keys of manifests that could not be read. The other facts describe the newest backup. ``taken_by``:
        name of the drill that took it; ``routine``: true when the step sets the parameter `taken_by`, so that the backup is
        from one of the drills in this parameter. ``location``: address of the backup, with the digest of the manifest;
        ``manifest``: address of the manifest; ``snapshot_at``: time of the backup's snapshot by the server's clock;
        ``age_s``: seconds from this time until now by the controller's clock; ``tables``, ``rows`` and ``bytes``: numbers
        of tables, rows and bytes in the backup; ``vouched``: true when the manifest has a trusted signature; ``unvouched``:
        the reason why the signature is not trusted, absent when it is trusted or `required` is false.

        If `signed` and `required` are true, the step fails when the signature is not trusted.
        """
        service = ctx.service(self.service, Postgres)
        store = Store(ctx.service(self.store, S3))
        best, searched = self._newest(ctx, store, service)
        if best is None:
            return {"found": False, "count": 0, "unreadable": list(searched.unreadable)}
        doubt = self._doubt(ctx, store, best)
        age = best.age(datetime.now(UTC))
        if age < -AHEAD_S:
            raise CouldNotVerify(
                f"the newest backup of {service.database} is dated {best.manifest.server_time}, {seconds(-age, 0)} in the "
                f"future: {str(best.folder).partition('#')[0]}",
                hint="compare the clocks of the database server and of this machine; a backup dated in the future hides all "
                "later backups until it is removed",
            )
        facts = self._facts(best, searched, age, doubt)
        if self.max_age is not None and age > self.max_age:
            raise self._too_old(best, age, facts)
        return facts

    def _too_old(self, best: Found, age: float, facts: Facts) -> StepFailed:
        return StepFailed(
            f"the newest backup of {best.manifest.database.name} is {seconds(age, 0)} old",
            facts=facts,
            findings=[
                finding(
                    "backup-too-old",
                    title=str(best.folder).partition("#")[0],
                    wanted=f"at most {self.max_age} old",
                    measured=f"{seconds(age, 0)} old, taken at {best.manifest.server_time} by the drill {best.manifest.drill}",
                )
            ],
        )

    def _newest(self, ctx: Context, store: Store, service: Postgres) -> tuple[Found | None, Search]:
        """Return the newest backup and the result of the search for it.

        The backup is None when the store has no backup and the parameter `required` is false. Otherwise a store without a
        backup is an error.
        """
        if self.required:
            return newest_backup.of(store, self.prefix, service, ctx.deadline, self.taken_by)
        searched = newest_backup.search(store, self.prefix, service, ctx.deadline, self.taken_by)
        return searched.newest, searched

    def _facts(self, best: Found, searched: Search, age: float, doubt: str) -> Facts:
        tables = best.manifest.tables
        return {
            "found": True,
            "location": str(best.folder),
            "manifest": str(best.folder.below(FILE, best.folder.sha256)),
            "snapshot_at": best.manifest.server_time,
            "taken_by": best.manifest.drill,
            "routine": bool(self.taken_by),
            "age_s": round(age, 3),
            "count": searched.count,
            "unreadable": list(searched.unreadable),
            "tables": len(tables),
            "rows": sum(table.rows for table in tables),
            "bytes": best.manifest.bytes,
            "vouched": not doubt,
            **({"unvouched": doubt} if doubt and self.required else {}),
        }

    def _doubt(self, ctx: Context, store: Store, best: Found) -> str:
        """Return the reason why the newest backup's signature is not trusted, or an empty text when the signature is
        trusted.

        Raises CouldNotVerify when the step requires a trusted signature but the backup has no such signature.
        """
        if ctx.vouchers is None:
            return manifest_signatures.UNKNOWN_RUN
        data = store.get(best.folder.below(FILE).key) or b""
        doubt = (
            manifest_signatures.doubt(ctx, store, best.folder, data)
            if sha256(data) == best.folder.sha256
            else ("the manifest was changed while it was being read")
        )
        if doubt and self.signed and self.required:
            raise CouldNotVerify(
                f"the newest backup of {self.service}, {best.folder}, has no trusted signature: {doubt}",
                hint="take a new backup; to accept an unsigned backup, set `signed: false`",
            )
        return doubt

    def ready(self, ctx: Context) -> None:
        """Check that the bucket exists and the credentials permit reading."""
        Store(ctx.service(self.store, S3)).check()
