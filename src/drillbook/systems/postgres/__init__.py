"""PostgreSQL: backups, faults, restores, and verification of recoveries. This package imports two other packages:
`systems.linux`, and `systems.tar` for the suffixes of compressed files.

Lives here: the service kind `postgres`, the backup source `pg_dump`, the actions and probes `postgres.*`, and the code for
clusters, manifests and comparisons.
Lives elsewhere: the PostgreSQL server of the lab (`lab.database`), the backup source `pgbackrest` (`systems.pgbackrest`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"postgres": ".actions"},
    probes={"postgres": ".probes"},
    services={"postgres": ".service", "pg_dump": ".source"},
    logins={"postgres": ".login_check"},
    needs=("linux", "tar"),
    examples="examples",
    host_needs=".host_needs",
    looks=".looks",
    by_hand=".by_hand",
    varying_arguments=".varying_arguments",
    rehearsal="rehearsal",
    log_restore="postgres.recover",
    routine_drill="routine-database",
)
