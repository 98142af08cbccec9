"""Backup source `pgbackrest`: backups in a pgBackRest repository, with point-in-time recovery. Needs the system postgres.

Lives here: the kind of backup `pgbackrest`.
Lives elsewhere: the server in a sandbox, and WAL names and timelines (`systems.postgres`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, services={"pgbackrest": ".source"}, needs=("postgres",))
