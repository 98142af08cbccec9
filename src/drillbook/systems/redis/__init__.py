"""Redis and Valkey: save, flush, restore, and compare key by key. Needs no other system.

Lives here: the service kind `redis`, the actions and probes `redis.*`, content and manifests of keyspaces.
Lives elsewhere: the lab's own server (`lab.programs`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"redis": ".actions"},
    probes={"redis": ".probes"},
    services={"redis": ".service"},
)
