"""Files on a host: digests, archives, faults and comparisons. Needs the system linux.

Lives here: the service kind `folder`, the actions `files.*`, archives, and the programs that examine files on a host.
Lives elsewhere: env files of services (`systems.units`), objects of a store (`systems.s3`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"files": ".actions"},
    services={"folder": ".service"},
    needs=("linux",),
    examples="examples",
    host_needs=".host_needs",
)
