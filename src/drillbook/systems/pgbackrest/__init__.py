"""Backup source `pgbackrest`: backups in a pgBackRest repository, with point-in-time recovery.

The package needs the package `systems.postgres`, which contains the server in a sandbox and the code for WAL files and
timelines.
"""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, services={"pgbackrest": ".source"}, needs=("postgres",))
