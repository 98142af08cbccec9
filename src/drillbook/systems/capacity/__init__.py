"""Measurement of capacity: the size of a service, and the free space on its disk. It uses the packages `systems.postgres`
and `systems.linux`.

Lives here: the actions `capacity.*`.
Lives elsewhere: the computation of growth from run to run (`judge.outlook`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"capacity": ".actions"},
    needs=("linux", "postgres"),
    host_needs=".host_needs",
)
