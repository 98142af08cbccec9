"""Restores a team's own backup into a MariaDB service whose databases were dropped.

The restore stops the server's unit. It then creates a new folder beside the data directory, and starts a private server on
the restored data in this folder. Clients reach the private server only by a socket in the folder. When every table
can be opened, the restored directory takes the place of the old data directory, and the unit starts again. A dump is loaded
into a copy of the old directory, so that accounts and settings stay.
"""

from __future__ import annotations

import hashlib
import time
from abc import abstractmethod
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from drillbook.errors import CouldNotVerify, HostError, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Facts, Undo
from drillbook.sdk.backup_source import Backup
from drillbook.sdk.host import Deadline, printable
from drillbook.sdk.identity import Identity
from drillbook.sdk.in_place import InPlace, beside, lies_in
from drillbook.sdk.manager.right import need_right
from drillbook.sdk.sandbox import Sandbox, removal
from drillbook.systems.mariadb import disposable_server, exchange, fault_record, identity, ownership
from drillbook.systems.mariadb.client import Client, connected, name, text, verifying
from drillbook.systems.mariadb.content import CANARIES
from drillbook.systems.mariadb.exchange import Exchange
from drillbook.systems.mariadb.service import Mariadb

GIVE_UP_S = 120.0
MARKER = "drillbook-restored"
"""Name of a file in a restored data directory. The file contains the id of the run that restored the directory."""
NEEDED = (
    "innodb_page_size",
    "innodb_log_file_size",
    "innodb_data_file_path",
    "innodb_undo_tablespaces",
    "lower_case_table_names",
)
"""Settings that must be equal in two servers, so that one server can open the files of the other server."""
OUTSIDE = ("innodb_data_home_dir", "innodb_log_group_home_dir", "innodb_undo_directory", "aria_log_dir_path")
"""Settings that can place files of the server outside its data directory."""
_SETTINGS = "SELECT VARIABLE_NAME AS name, VARIABLE_VALUE AS value FROM information_schema.GLOBAL_VARIABLES"
# FOLDER: wait until the server that wrote its exit status there has ended.
_ENDED = 'until test -s "$1/server.status"; do sleep 0.05; done; cat -- "$1/server.status"'
_PROGRAMS = """
SELECT 'routines' AS kind, COUNT(*) AS n FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA IN ({names})
UNION ALL SELECT 'events', COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA IN ({names})
"""
_FILES = f"""
SELECT CONCAT(CAST(CONVERT(TABLE_SCHEMA USING filename) AS BINARY), '/', CAST(CONVERT(TABLE_NAME USING filename) AS BINARY))
  AS file, TABLE_NAME AS t
FROM information_schema.TABLES
WHERE TABLE_SCHEMA IN ({{names}}) AND (TABLE_SCHEMA, TABLE_NAME) NOT IN ({CANARIES.format(where="TABLE_SCHEMA IN ({names})")})
"""  # noqa: S608  only constants are inserted


@dataclass(frozen=True, slots=True)
class ServerInPlace(InPlace):
    """Base of restores into a service of kind mariadb."""

    source: Any
    """The backup source that this object restores from."""

    @property
    def mariadb(self) -> Mariadb:
        """The MariaDB service that is restored. Raises NotReady when the service is of another kind, or when the inventory
        lacks the unit or the data directory of the service.
        """
        if not isinstance(self.service, Mariadb):
            raise NotReady(f"{self.service.name} is not a service of kind mariadb", hint="correct `service` of the step")
        for field in ("unit", "data_directory"):
            if not getattr(self.service, field):
                raise NotReady(
                    f"the service {self.service.name!r} has no `{field}` in the inventory",
                    hint="set `unit` and `data_directory` of the service: a restore exchanges the directory and restarts the unit",
                )
        return self.service

    @property
    def _key(self) -> str:
        return hashlib.sha256(self.ctx.run_id.encode()).hexdigest()[:8]

    @property
    def box(self) -> Sandbox:
        """Sandbox with its own server, in a folder beside the data directory. The account for logging in to this server exists
        only for this run.
        """
        service, folder = self.mariadb, f"{self.mariadb.data}.drillbook.{self._key}"
        fields = {**Mariadb.fields_in_sandbox(folder), "user": f"drillbook_{self._key}", "sandbox": beside(folder)}
        return Sandbox(self.ctx, service.model_copy(update=fields), self.ctx.host)

    @property
    def exchange(self) -> Exchange:
        """Object that replaces the data directory by the restored directory."""
        return Exchange(self.ctx, self.mariadb, f"{self.mariadb.data}.drillbook.{self._key}.kept")

    @abstractmethod
    def differs(self, client: Client, backup: Backup, checked: Facts) -> str:
        """Return the reason why ``backup`` cannot restore the databases that ``client`` reads. The result is empty when
        it can. Raises SqlError when a query fails.
        """

    @abstractmethod
    def fill(self, box: Sandbox, backup: Backup, at: datetime | None, needed: dict[str, str]) -> Facts:
        """Restore into the folder of the sandbox, and leave the server of the sandbox running. ``needed``: settings of
        the stopped server that the sandbox's server needs, too.
        """

    def ready(self) -> None:
        """Check the unit, the data directory, the server and the programs of the service. Raises NotReady when one of
        them is unsuitable, and HostError when the host cannot be used.
        """
        ownership.ready(self.ctx, self.mariadb)
        need_right(self.ctx, self.mariadb.unit)
        self.exchange.ready()
        self.source.ready_sandbox(self.ctx, self.box.service)

    def unlike(self, backup: Backup, checked: Facts) -> str:
        """Return the reason why ``backup`` cannot restore the databases of the running server. The result is empty when
        it can.
        """
        if why := lies_in(self.ctx, self.source, self.mariadb.data):
            return f"{why}: a restore replaces this folder, and would remove the backup with it"
        with connected(self.ctx, self.mariadb) as client, verifying(self.mariadb):
            if outside := _outside(client, self.mariadb.data):
                return f"the server has files outside its data directory: {outside}"
            return self.differs(client, backup, checked)

    def restore(self, backup: Backup, at: datetime | None) -> Facts:
        """Restore into a folder beside the data directory, exchange the two directories, and start the unit.

        Raises StepFailed when the restore fails, and HostError when the host cannot be used.
        """
        undo, box, facts = self.undo(), self.box, {}
        if self.active():
            self.exchange.give_up(undo)  # what an earlier attempt of this step left
            self.exchange.start()
        try:
            needed = self._needed(backup)
            if needed is None:
                return {}
            box.make()
            try:
                facts = self._filled(box, backup, at, needed)
            except BaseException:
                later = replace(self.ctx, deadline=Deadline.after(GIVE_UP_S))
                replace(self.exchange, ctx=later).give_up(undo)
                raise
            finally:
                with suppress(HostError, TimeoutError):
                    replace(box, ctx=replace(self.ctx, deadline=Deadline.after(GIVE_UP_S))).remove()
        except CouldNotVerify as error:
            raise StepFailed(f"the restore failed: {error.message}") from error
        return facts

    def _needed(self, backup: Backup) -> dict[str, str] | None:
        """Return the settings that another server needs to open the files of this server. Return None when this run has already
        restored databases to this server.

        Raises StepFailed when the server has databases that this run did not restore, and CouldNotVerify when the server cannot
        be read.
        """
        with connected(self.ctx, self.mariadb) as client, verifying(self.mariadb):
            ownership.must_own(self.ctx, self.mariadb, client)
            if names := fault_record.databases(client):
                if self._made_here():
                    return None
                raise exchange.not_empty(self.mariadb, self.ctx.host.name, backup, names)
            return _values(client, NEEDED)

    def _made_here(self) -> bool:
        output = self.ctx.run("sh", "-c", 'cat -- "$1" 2>/dev/null', "sh", f"{self.mariadb.data}/{MARKER}")
        return output.text.strip() == self.ctx.run_id

    def _filled(self, box: Sandbox, backup: Backup, at: datetime | None, needed: dict[str, str]) -> Facts:
        self.exchange.stop()
        facts = self.fill(box, backup, at, needed)
        moments = [time.monotonic()]
        wanted = self._opened(box)
        self._end(box)
        self.exchange.put(f"{box.folder}/data")
        moments.append(time.monotonic())
        self.exchange.start()
        self._must_serve(wanted)
        self.exchange.forget()
        moments.append(time.monotonic())
        seconds = {"finish": round(moments[1] - moments[0], 3), "start": round(moments[2] - moments[1], 3)}
        return {**facts, "tables": len(wanted), "seconds": {**facts.pop("seconds", {}), **seconds}}

    def _opened(self, box: Sandbox) -> set[str]:
        """Return the names of the restored tables. The method ``fill`` has opened each of them. If the backup lacks the
        tables of the drill's canaries, create these tables.

        Raises CouldNotVerify when the server cannot be used. Raises HostError when the host cannot be used.
        """
        _, client = disposable_server.place(box)
        with verifying(box.service):  # type: ignore[arg-type]  # the sandbox is of the kind mariadb
            if made := fault_record.recorded(self.ctx, self.mariadb).get("canaries"):
                client.results("; ".join(made))
            return fault_record.tables(client)

    def _end(self, box: Sandbox) -> None:
        """Remove the account of this run, shut the server down, and write the id of the run into the restored data directory.

        Raises StepFailed when the account cannot be removed or the shutdown fails, and HostError when the host cannot be used.
        """
        service, client = disposable_server.place(box)
        asked = f"SELECT COUNT(*) AS n FROM mysql.global_priv WHERE User = {text(service.user)}"  # noqa: S608  quoted
        with verifying(service):
            (left,) = client.rows(f"DROP USER {name(service.user)}@localhost; {asked}; SHUTDOWN")
        if left["n"] != "0":
            raise StepFailed(f"{box.host.name}: the account {service.user} could not be removed from the restored server")
        output = box.run("sh", "-c", _ENDED, "sh", box.folder)
        if not output.ok or output.text.strip() != "0":
            said = printable(output.stderr or output.stdout, limit=300).strip()
            raise StepFailed(f"{box.host.name}: the restored server did not shut down properly: {said}")
        box.run("sh", "-c", 'cat > "$1"', "sh", f"{service.data}/{MARKER}", stdin=f"{self.ctx.run_id}\n".encode()).check()

    def _must_serve(self, wanted: set[str]) -> None:
        """Check that the unit serves the restored tables from the data directory that replaced the old one. Raises StepFailed
        when a table is missing, and CouldNotVerify when the server cannot be read.
        """
        with connected(self.ctx, self.mariadb) as client, verifying(self.mariadb):
            ownership.must_own(self.ctx, self.mariadb, client)
            lacking = sorted(wanted - fault_record.tables(client))
        if not lacking:
            return
        measured = f"{lacking[0]} is missing"
        host = self.ctx.host.name
        problem = finding(
            "restore-errors", title=self.mariadb.name, wanted="every restored table", measured=measured, host=host
        )
        raise StepFailed(f"{self.mariadb.name} does not serve all restored tables: {measured}", findings=[problem])

    def undo(self) -> Undo:
        """Return an undo that starts the unit, and puts the old data directory back if the restore did not finish. A
        finished restore stays.
        """
        return self.exchange.undo(removal(self.box.service, self.ctx.run_id))

    def active(self) -> bool:
        """Return True while the restore is unfinished: the unit does not run, or the restore's folder or the old data directory
        exists.
        """
        return self.box.exists() or self.exchange.unfinished()

    def identity(self) -> Identity:
        """Identity of the databases, read from the running server in the same way as in the fault `mariadb.lose_data`."""
        return identity.measured(self.ctx, self.mariadb.name)


@dataclass(frozen=True, slots=True)
class DumpInPlace(ServerInPlace):
    """Restore of a dump in place. The dump is restored into a copy of the data directory, so the accounts and the other
    databases are kept. Then the copy replaces the data directory.
    """

    def differs(self, client: Client, backup: Backup, checked: Facts) -> str:
        """Return the reason why the dump cannot replace the databases, or an empty text when it can.

        Possible reasons: the dump uses a collation or a character set that the server lacks; the dump lacks tables, routines
        or events of the databases; its verification did not name all of its tables.
        """
        try:  # a check before the drill reads only the beginning of the dump
            named = checked.get("collations", ()), checked.get("character_sets", ())
            disposable_server.need_collations(self.ctx, self.mariadb, *named, backup.id)
        except NotReady as error:
            return error.message
        names, held = fault_record.databases(client), fault_record.tables(client)
        there = set(checked.get("names", ()))
        if len(there) < int(checked.get("named", 0)):
            return (
                f"the verification of the backup named only {len(there)} of its {checked['named']} tables, which is not enough "
                "for a comparison"
            )
        if lacking := sorted(held - there):
            return f"the backup lacks {len(lacking)} of the {len(held)} tables of the server: {', '.join(lacking[:5])}"
        quoted = ", ".join(text(each) for each in names)
        for row in client.rows(_PROGRAMS.format(names=quoted)):
            if row["n"] != "0" and row["kind"] not in checked.get("sections", ()):
                return (
                    f"the backup contains no {row['kind']}, but the server has {row['n']}; take dumps with "
                    f"the option --{row['kind']}"
                )
        return ""

    def fill(self, box: Sandbox, backup: Backup, at: datetime | None, needed: dict[str, str]) -> Facts:
        """Copy the data directory of the stopped server, start a server on the copy, and load the dump into it."""
        begun = time.monotonic()
        size = self.ctx.run("du", "-sb", "--", self.mariadb.data).check().text.split()[0]
        box.need_space(int(size) + (backup.bytes or 0))
        box.files.run(("cp", "-a", "--", self.mariadb.data, f"{box.folder}/data"), deadline=self.ctx.deadline).check()
        disposable_server.start(box, needed)
        copied = time.monotonic()
        facts: Facts = self.source.loaded(self.ctx, backup, box)
        disposable_server.must_open(box)
        return {**facts, "seconds": {"copy": round(copied - begun, 3), **facts.pop("seconds", {})}}


@dataclass(frozen=True, slots=True)
class PhysicalInPlace(ServerInPlace):
    """Restore of a physical backup. The restore brings back the whole server with its accounts, as it was at the time of the
    backup.
    """

    def differs(self, client: Client, backup: Backup, checked: Facts) -> str:
        """Return the reason why the backup must not be restored, or an empty text when it can be restored.

        Possible reasons: the backup would change other databases, is of another series of MariaDB, or lacks tables of the
        server; or its verification did not name all of its tables.
        """
        if more := fault_record.others(client):
            return (
                f"the server also contains {', '.join(more[:5])}, and a physical backup would also restore "
                "these databases to an older state; remove the field `database` from the service to drill the whole server"
            )
        (version,) = (str(row["v"]) for row in client.rows("SELECT VERSION() AS v"))
        copied, series = str(checked.get("server_version", "")), disposable_server.series
        if copied and series(copied) != series(version):
            return (
                f"the backup is from MariaDB {copied}, and only a server of the same series can open it, but this "
                f"server has the version {version}"
            )
        quoted = ", ".join(text(each) for each in fault_record.databases(client))
        held = {str(row["file"]): str(row["t"]) for row in client.rows(_FILES.format(names=quoted))}
        there = set(checked.get("names", ()))
        if len(there) < int(checked.get("named", 0)):
            return (
                f"the verification of the backup named only {len(there)} of its {checked['named']} tables, which is not enough "
                "for a comparison"
            )
        if lacking := sorted(table for file, table in held.items() if file not in there):
            return f"the backup lacks {len(lacking)} of the {len(held)} tables of the server: {', '.join(lacking[:5])}"
        return ""

    def fill(self, box: Sandbox, backup: Backup, at: datetime | None, needed: dict[str, str]) -> Facts:
        """Prepare a copy of the backup in the folder of the sandbox, and start a server on this copy."""
        facts: Facts = self.source.restore(self.ctx, backup, box, at)
        return facts


def _values(client: Client, names: tuple[str, ...]) -> dict[str, str]:
    quoted = ", ".join(text(each.upper()) for each in names)
    rows = client.rows(f"{_SETTINGS} WHERE VARIABLE_NAME IN ({quoted})")
    return {str(row["name"]).lower(): str(row["value"] or "") for row in rows}


def _outside(client: Client, data: str) -> str:
    """Return the first setting that places files of the server outside its data directory. The result is empty when
    there is none.
    """
    inside = ("", ".", data)
    values = _values(client, OUTSIDE)
    return next((f"{key} {value}" for key, value in values.items() if value.rstrip("/") not in inside), "")
