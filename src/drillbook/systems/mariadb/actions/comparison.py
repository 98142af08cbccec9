"""Actions that record the content of a MariaDB server, and compare it with a record or with another server."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, PlanError, StepFailed
from drillbook.sdk import key_ranges
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.expected_differences import Reasons
from drillbook.sdk.key_ranges import History, Tables, Tolerance
from drillbook.systems.mariadb import compare, content
from drillbook.systems.mariadb.actions.reading import _OfServer
from drillbook.systems.mariadb.client import connected, verifying
from drillbook.systems.mariadb.key_reader import KeyReader
from drillbook.systems.mariadb.service import Mariadb


class Content(_OfServer):
    """Record the row count and the digest of every table, and the definition of every object, for a later comparison."""

    TIMEOUT = 1800.0

    def run(self, ctx: Context) -> Facts:
        """Facts: ``manifest`` (input for `mariadb.matches`), ``tables`` (number of tables), ``rows`` (number of rows)."""
        manifest, _ = content.measure(ctx, self._service(ctx))
        if broken := {name: table.error for name, table in manifest.tables.items() if table.error}:
            raise CouldNotVerify(
                f"{self.service}: the table {next(iter(broken))} could not be read: {next(iter(broken.values()))}"
            )
        rows = sum(table.rows or 0 for table in manifest.tables.values())
        return {"manifest": manifest.model_dump(mode="json"), "tables": len(manifest.tables), "rows": rows}


class Matches(_OfServer):
    """Compare a server with another server or with a manifest.

    It compares the row count and the digest of every table, and all definitions.
    """

    TIMEOUT = 1800.0
    COMPARES_WITH = "mariadb.content"

    with_: Annotated[
        str,
        Field(
            alias="with",
            description="Service to compare with. No client may change the tables of this service during the comparison.",
        ),
    ] = ""
    manifest: Annotated[
        dict[str, Any] | None,
        Field(description="Fact `manifest` of an earlier step `mariadb.content`. Set either this parameter or `with`."),
    ] = None
    ignore: Annotated[Reasons, Field(description="Tables whose rows are not compared, each with the reason.")] = Field(
        default_factory=dict
    )

    @classmethod
    def proves_content(cls, facts: Facts) -> bool:
        """Return True, because this action always compares the content of rows."""
        return True

    @model_validator(mode="after")
    def _one(self) -> Matches:
        if bool(self.with_) is (self.manifest is not None):
            raise ValueError("set exactly one of `with` (a service) and `manifest`")
        return self

    def run(self, ctx: Context) -> Facts:
        """Facts: ``tables``, ``rows`` and ``definitions`` (how many of each were compared), ``algorithm`` (algorithm of the
        digests), ``seconds`` (duration), ``not_compared`` (each part that was not compared, with the reason).
        """
        begun = ctx.deadline.remaining()
        wanted, texts = self._wanted(ctx)
        measured, copies = content.measure(ctx, self._service(ctx))
        wrong = [
            *compare.tables(wanted, measured, self.ignore),
            *compare.definitions(wanted, measured, texts, copies),
        ]
        compared = [name for name in wanted.tables if name not in self.ignore and wanted.tables[name].kind != "VIEW"]
        facts: Facts = {
            "tables": len(compared),
            "rows": sum(wanted.tables[name].rows or 0 for name in compared),
            "definitions": sum(map(bool, wanted.definitions.values())),
            "algorithm": wanted.algorithm,
            "seconds": round(begun - ctx.deadline.remaining(), 3),
            "not_compared": compare.not_compared(wanted, measured, self.ignore),
        }
        if wrong:
            raise StepFailed(
                f"{self.service} differs from the expected content in {len(wrong)} places, the first in {wrong[0].title}",
                findings=wrong,
                facts=facts,
            )
        if not compared:
            raise CouldNotVerify(
                "nothing was compared: there is no table whose rows could be compared",
                hint="the database has no tables, or `ignore` excludes all of them",
            )
        if unread := [name for name in compared if wanted.tables[name].error]:
            raise CouldNotVerify(f"the table {unread[0]} could not be read: {wanted.tables[unread[0]].error}")
        return facts

    def _wanted(self, ctx: Context) -> tuple[content.Content, dict[str, str]]:
        if self.with_:
            return content.measure(ctx, ctx.service(self.with_, Mariadb))
        try:
            return content.Content.model_validate(self.manifest), {}
        except ValueError as error:
            raise CouldNotVerify(f"the value is not a manifest of mariadb.content: {error}") from error

    def ready(self, ctx: Context) -> None:
        """Check that the client program exists, and that `with` is another service than the service of the step."""
        super().ready(ctx)
        if (other := self.if_known("with_")) and ctx.same_service(self.service, other):
            raise PlanError(f"mariadb.matches: {self.service} would be compared with itself")


class Compare(_OfServer):
    """Compare a restored copy with the server in production.

    The action compares the number of rows in every table. It compares the content of the rows only in the tables that are
    listed in the parameter `tables`. Such a table is compared in ranges of a key.

    Production has changed since the backup. So a table that only grows is compared up to the newest row of the copy. A table
    that never changes is compared as a whole. Rows that production changed after the backup are reported as different.
    """

    TIMEOUT = 1800.0

    against: Annotated[
        str, Field(description="Service whose server is in production and still runs. The action only reads this server.")
    ]
    tables: Tables = Field(default_factory=dict)
    tolerance: Tolerance = None
    history: History = None

    @classmethod
    def proves_content(cls, facts: Facts) -> bool:
        """Return True when the rows of at least one table were compared, and not only counted."""
        return bool(facts.get("tables"))

    def run(self, ctx: Context) -> Facts:
        """Facts: ``tables`` and ``rows`` (numbers of compared tables and rows), ``algorithm`` (algorithm of the digests),
        ``ranges`` (the key ranges of each table; each range has its number of rows, and a flag that is true when the copy and
        production are equal in this range).

        More facts: ``volume`` (number of rows of each table, in the copy and in production), ``history`` (the earlier run
        whose row counts were compared, and the tables that are new or gone since that run), ``not_compared`` (each part that
        was not compared, with the reason), ``seconds`` (duration of the comparison).
        """
        parts = key_ranges.wanted(
            ctx, self.name(), self.service, self.tables, tolerance=self.tolerance, history=self.history
        )
        begun, production = ctx.deadline.remaining(), ctx.service(self.against, Mariadb)
        with connected(ctx, self._service(ctx)) as there, connected(ctx, production) as here, verifying(production):
            result = key_ranges.compare(KeyReader(there), KeyReader(here), parts)
        facts = result.facts(content.ALGORITHM) | {"seconds": round(begun - ctx.deadline.remaining(), 3)}
        return result.answer(self.service, facts)

    def ready(self, ctx: Context) -> None:
        """Check that the client program exists, and that `against` is another service than the service of the step."""
        super().ready(ctx)
        if (other := self.if_known("against")) and ctx.same_service(self.service, other):
            raise PlanError(f"mariadb.compare: {self.service} would be compared with itself")
