"""Files on a host: digests, archives, damage, comparison. Needs the system linux.

Lives here: the actions `files.*`, archives and the programs that look at files on a host.
Lives elsewhere: env files of services (`systems.units`), objects of a store (`systems.s3`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"files": ".actions"},
    needs=("linux",),
)
