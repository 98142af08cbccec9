"""Capacity: size of a service, and free space on its disk. Needs the systems postgres and linux.

Lives here: the actions `capacity.*`.
Lives elsewhere: growth from run to run (`judge.outlook`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"capacity": ".actions"},
    needs=("linux", "postgres"),
    host_needs=".host_needs",
)
