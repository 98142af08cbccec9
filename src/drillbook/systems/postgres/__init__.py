"""PostgreSQL: back up, break, restore, and prove that it came back. Needs the system linux.

Lives here: the service kind `postgres`, the actions and probes `postgres.*`, clusters, manifests, comparison.
Lives elsewhere: the lab's own PostgreSQL (`lab.database`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"postgres": ".actions"},
    probes={"postgres": ".probes"},
    services={"postgres": ".service"},
    needs=("linux",),
)
