"""PostgreSQL: backup, faults, restore, and verification of the recovery. Needs the system linux.

Lives here: service kind `postgres`, backup source `pg_dump`, actions and probes `postgres.*`, clusters, manifests, comparison.
Lives elsewhere: the lab's own PostgreSQL (`lab.database`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"postgres": ".actions"},
    probes={"postgres": ".probes"},
    services={"postgres": ".service", "pg_dump": ".dump_source"},
    needs=("linux",),
    examples="examples",
    host_needs=".host_needs",
)
