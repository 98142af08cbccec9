"""Qdrant: collections of vectors, their backup, their comparison. Needs the system postgres (rows that points agree with).

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
)
