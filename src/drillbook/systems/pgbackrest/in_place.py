"""Restores a backup from a pgBackRest repository into a service that has lost its data directory."""

from __future__ import annotations

from dataclasses import dataclass

from drillbook.sdk.action import Facts
from drillbook.sdk.backup_source import Backup
from drillbook.systems.postgres.connection import Connection, first_row
from drillbook.systems.postgres.in_place import ClusterInPlace
from drillbook.systems.postgres.programs import Tools

SYSTEM = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"


@dataclass(frozen=True, slots=True)
class RepositoryInPlace(ClusterInPlace):
    """Restore of a backup and of archived WAL. The restored files include the configuration of the lost cluster."""

    def differs(self, session: Connection, backup: Backup, checked: Facts) -> str:
        """Return a text that says how the system identifiers of backup and server differ, or an empty text."""
        system = str(first_row(session, SYSTEM)[0])
        if system != backup.facts["system_identifier"]:
            return (
                f"the backup is of the cluster {backup.facts['system_identifier']}, but the cluster of the server "
                f"is {system}"
            )
        return ""

    def configure(self, made: Tools, kept: Facts) -> None:
        """Do nothing, because the restored files already include the configuration."""
