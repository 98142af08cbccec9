"""Action that checks references from rows of a database to objects in a bucket.

The database itself cannot check such references.
"""

from __future__ import annotations

from typing import Annotated

import psycopg
from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.host import printable
from drillbook.sdk.store import MOST_LISTED, Store
from drillbook.systems.postgres.actions.fields import ServiceName
from drillbook.systems.postgres.connection import connected, reason
from drillbook.systems.postgres.service import Postgres

SHOWN = 10
"""Maximum number of object keys that a finding lists. The evidence file contains all keys."""


class References(Read):
    """Check that a bucket contains every object to which rows of a database refer. The database is usually a restored copy.

    If the object of a restored row was deleted since the backup, the row is useless although the database is intact.
    Objects without a row, such as objects written since the backup, are only counted.
    """

    SERVICE = Postgres
    PLACE = Place.CONTROLLER
    TIMEOUT = 600.0
    CODE = "query"

    service: ServiceName
    query: Annotated[
        str,
        Field(
            min_length=1,
            description="SQL statement whose rows have the key of an object as the first column. A second column, "
            "with the object's size in bytes, is optional.",
        ),
    ]
    objects: Annotated[
        str,
        Field(
            pattern=r"^s3://[^/#]+/[^#]*$",
            description="Bucket and prefix of the objects: s3://bucket/ or s3://bucket/prefix/. The query returns keys "
            "without the prefix.",
        ),
    ]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``references``: number of objects to which rows refer; ``objects``: number of objects in the bucket.

        ``missing``: number of objects that the bucket lacks although rows refer to them; ``wrong_size``: number of
        objects whose size differs from the size in their row; ``unreferenced``: number of objects to which no row
        refers. After a failure, ``evidence`` is a file with the list of the missing and differing objects.
        """
        wanted = self._wanted(ctx)
        if not wanted:
            raise CouldNotVerify(
                f"the query returns no key of an object in {self.objects}",
                hint="run the query by hand in this database, and correct it",
            )
        prefix = self.objects.removeprefix("s3://").partition("/")[2]
        there = {key: size for key, (size, _) in Store(ctx.bucket(self.objects)).modified(prefix).items()}
        missing = [key for key in wanted if key not in there]
        other = [key for key, size in wanted.items() if size is not None and key in there and there[key] != size]
        facts: Facts = {
            "references": len(wanted),
            "objects": len(there),
            "missing": len(missing),
            "wrong_size": len(other),
            "unreferenced": len(there.keys() - wanted.keys()),
        }
        if not missing and not other:
            return facts
        lines = [*(f"missing {key}" for key in missing), *(f"{there[key]} bytes, not {wanted[key]}: {key}" for key in other)]
        facts["evidence"] = ctx.evidence("references.txt", "".join(f"{line}\n" for line in lines))
        said = f"{self.service}: {len(missing)} of {len(wanted)} objects are missing, {len(other)} have another size"
        raise StepFailed(said, findings=[self._finding(said, lines, facts)], facts=facts)

    def _wanted(self, ctx: Context) -> dict[str, int | None]:
        """Return the keys of the objects that the query selects, each with the object's expected size.

        The size is None if the query returns no size.

        Raises CouldNotVerify when the query fails or returns too many rows.
        """
        try:
            with connected(ctx, ctx.service(self.service, Postgres)) as session:
                session.execute("BEGIN READ ONLY")
                rows = session.execute(self.query.encode(), prepare=True).fetchmany(MOST_LISTED + 1)
        except (psycopg.Error, HostError) as error:
            raise CouldNotVerify(f"{self.service} could not be queried for the keys of objects: {reason(error)}") from error
        if len(rows) > MOST_LISTED:
            raise CouldNotVerify(
                f"the query returns more than {MOST_LISTED} rows", hint="use several steps, each with a narrower query"
            )
        return {str(key): None if not size or size[0] is None else int(size[0]) for key, *size in rows if key is not None}

    def _finding(self, measured: str, lines: list[str], facts: Facts) -> Finding:
        shown = tuple(printable(line, limit=300) for line in lines[:SHOWN])
        return finding(
            "reference-dangling",
            title=f"{self.service} and {self.objects}",
            wanted=f"{facts['references']} objects, each with the size that the query returns",
            measured=measured,
            evidence=(*shown, str(facts["evidence"]["file"])),
        )

    def ready(self, ctx: Context) -> None:
        """Check that the bucket can be read."""
        Store(ctx.bucket(self.objects)).check()
