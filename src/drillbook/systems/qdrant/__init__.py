"""Support for Qdrant: backing up, breaking, restoring and comparing collections of vectors. It uses the package
`systems.postgres` to read the source rows of points.

Lives here: the service kind `qdrant`, the actions and probes `qdrant.*`, points and manifests.
Lives elsewhere: the lab's stand-in for a server (`lab.qdrant_stand_in`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"qdrant": ".actions"},
    probes={"qdrant": ".probes"},
    services={"qdrant": ".service"},
    needs=("postgres",),
    examples="examples",
    host_needs=".host_needs",
    routine_drill="routine-vectors",
    extra="qdrant",
)
