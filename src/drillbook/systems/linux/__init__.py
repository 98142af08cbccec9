"""Linux hosts: processes, ports, resources, the network and its packet filter. Needs no other system.

Lives here: CPU profiles, packet captures, and the actions `host.*`, `process.*`, `resource.*`, `port.*`, `net.*`,
`network.*`, `path.*`, `relay.*` and `tcp.*`.
Lives elsewhere: units of a service manager (`systems.units`), files (`systems.files`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={
        "host": ".actions.host",
        "net": ".actions.net",
        "network": ".actions.network",
        "path": ".actions.path",
        "port": ".actions.port",
        "process": ".actions.process",
        "relay": ".actions.relay",
        "resource": ".actions.resource",
        "tcp": ".actions.tcp",
    },
    probes={"tcp": ".probes"},
    services={"relay": ".service", "tcp": ".service"},
    examples="examples",
    host_needs=".host_needs",
)
