"""Rehearsing a restore away from production: the newest backup, and a cluster that lives for one run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.sdk import vouchers
from drillbook.sdk.action import Context, Facts, Place, Read, Undo, Write
from drillbook.sdk.service import S3
from drillbook.sdk.store import Store
from drillbook.sdk.stored_backup import FILE, sha256
from drillbook.systems.postgres import cluster, newest, temporary
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.newest import Found
from drillbook.systems.postgres.service import Postgres
from drillbook.systems.postgres.tools import Tools
from drillbook.values import Duration

AHEAD_S = 60.0
"""How far the clock of a database server may be ahead of the controller's."""


class NewestBackup(Read):
    """Find the newest backup of a service in a store, whichever run took it, and see how old it is."""

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    TIMEOUT = 300.0

    service: ServiceName
    store: Annotated[str, Field(description="The S3 service in the inventory.")]
    prefix: Annotated[str, Field(description="Only backups below this key; empty: of the whole bucket.")] = ""
    max_age: Annotated[Duration | None, Field(gt=0, description="An older one fails the step.")] = None
    signed: Annotated[
        bool,
        Field(description=("`false`: one that nobody vouches for is taken too, and `unvouched` in the facts says why.")),
    ] = True
    required: Annotated[bool, Field(description="`false`: without a backup it ends well, with `found: false`.")] = True

    def run(self, ctx: Context) -> Facts:
        """Facts: ``found location manifest snapshot_at age_s count unreadable rows bytes vouched unvouched``.

        The age is from the server's clock, at the snapshot, to the controller's now. The digest in ``location`` is that
        of the manifest as it reads now, which must be signed by a key that is vouched for. ``unvouched`` is there only
        for one that is taken although nobody vouches for it; with ``required: false`` none is taken yet.
        """
        service = ctx.service(self.service, Postgres)
        store = Store(ctx.service(self.store, S3))
        if not self.required:
            searched = newest.search(store, self.prefix, service, ctx.deadline)
            if searched.newest is None:
                return {"found": False, "count": 0, "unreadable": list(searched.unreadable)}
            best = searched.newest
        else:
            best, searched = newest.of(store, self.prefix, service, ctx.deadline)
        doubt = self._doubt(ctx, store, best)
        age = best.age(datetime.now(UTC))
        if age < -AHEAD_S:
            raise CouldNotVerify(
                f"the newest backup of {service.database} says that it is of {best.manifest.server_time}, {-age:.0f} s from "
                f"now: {str(best.folder).partition('#')[0]}",
                hint="compare the clocks of the database server and of this machine; a backup that was taken while one was "
                "wrong hides all later ones until it is removed",
            )
        facts: Facts = {
            "found": True,
            "location": str(best.folder),
            "manifest": str(best.folder.below(FILE, best.folder.sha256)),
            "snapshot_at": best.manifest.server_time,
            "age_s": round(age, 3),
            "count": searched.count,
            "unreadable": list(searched.unreadable),
            "tables": len(best.manifest.tables),
            "rows": sum(table.rows for table in best.manifest.tables),
            "bytes": best.manifest.bytes,
            "vouched": not doubt,
            **({"unvouched": doubt} if doubt and self.required else {}),
        }
        if self.max_age is not None and age > self.max_age:
            raise StepFailed(
                f"the newest backup of {service.database} is {age:.0f} s old",
                facts=facts,
                findings=[
                    finding(
                        "backup-too-old",
                        title=str(best.folder).partition("#")[0],
                        wanted=f"at most {self.max_age} old",
                        measured=f"{age:.0f} s old, of {best.manifest.server_time}",
                    )
                ],
            )
        return facts

    def _doubt(self, ctx: Context, store: Store, best: Found) -> str:
        """Why nobody vouches for the newest backup. Raises CouldNotVerify when it must be vouched for."""
        if ctx.vouchers is None:
            return vouchers.UNKNOWN_RUN
        data = store.get(best.folder.below(FILE).key) or b""
        doubt = (
            vouchers.doubt(ctx, store, best.folder, data)
            if sha256(data) == best.folder.sha256
            else ("it was changed while it was read")
        )
        if doubt and self.signed and self.required:
            raise CouldNotVerify(
                f"nobody vouches for the newest backup of {self.service}, {best.folder}: {doubt}",
                hint="take a new backup; to take one that is not signed all the same, write `signed: false`",
            )
        return doubt

    def ready(self, ctx: Context) -> None:
        """The store must answer."""
        Store(ctx.service(self.store, S3)).check()


class RemoveCluster(Write):
    """Stop and remove a cluster that this very run restored with `temporary: true`; any other is refused."""

    SERVICE = Postgres
    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``removed``, ``files``, ``bytes``. Nothing happens when there is nothing."""
        service = ctx.service(self.service, Postgres)
        tools = Tools.of(ctx, service, ctx.host)
        cluster.clear_aside(tools)
        if cluster.state(tools) in ("absent", "empty"):
            return {"removed": False, "files": 0, "bytes": 0}
        owner = temporary.owner(tools)
        if owner != ctx.run_id:
            whose = f"it belongs to the run {owner}" if owner else "no run restored it as a temporary one"
            raise StepFailed(
                f"{ctx.host.name}: {service.data_directory} is not removed: {whose}",
                findings=[
                    finding(
                        "restore-target",
                        title=self.service,
                        wanted=f"a cluster that the run {ctx.run_id} restored",
                        measured=whose,
                        remedy="Look whose it is. If nobody needs it, stop its server and remove its data directory by hand.",
                    )
                ],
            )
        temporary.stop(ctx, tools)
        removed = cluster.remove(tools)
        return {"removed": True, "files": removed.files, "bytes": removed.bytes}

    def undo(self, ctx: Context) -> Undo:
        """It was made only for this run."""
        return Undo.nothing("the cluster was made only for this run")
