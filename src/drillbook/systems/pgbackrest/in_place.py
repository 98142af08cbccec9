"""Restores from a pgBackRest repository into a service whose data directory was lost."""

from __future__ import annotations

from dataclasses import dataclass

from drillbook.sdk.action import Facts
from drillbook.sdk.backup_source import Backup
from drillbook.systems.postgres.connection import Connection, one
from drillbook.systems.postgres.in_place import ClusterInPlace
from drillbook.systems.postgres.tools import Tools

SYSTEM = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"


@dataclass(frozen=True, slots=True)
class RepositoryInPlace(ClusterInPlace):
    """Restore of a backup and archived WAL; the restored files include the lost cluster's configuration and archiving."""

    def differs(self, session: Connection, backup: Backup, checked: Facts) -> str:
        """Return the difference between the system identifiers of backup and server; empty when they are equal."""
        system = str(one(session, SYSTEM)[0])
        if system != backup.facts["system_identifier"]:
            return f"it is of the cluster {backup.facts['system_identifier']}, and the server is of {system}"
        return ""

    def configure(self, made: Tools, kept: Facts) -> None:
        """Return an undo that changes nothing: the restored files already include the configuration."""
