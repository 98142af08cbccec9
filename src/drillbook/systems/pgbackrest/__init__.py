"""Backup source `pgbackrest`: backups in a pgBackRest repository, with point-in-time recovery. It uses the package
`systems.postgres`.

Lives here: the kind of backup `pgbackrest`, its repository and its WAL archive, and recoveries from them.
Lives elsewhere: the server in a sandbox, and the code for WAL files and timelines (`systems.postgres`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, services={"pgbackrest": ".source"}, needs=("postgres",), rehearsal="rehearsal")
