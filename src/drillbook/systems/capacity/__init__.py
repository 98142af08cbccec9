"""Capacity: how much a service holds, and how much room is left. Needs the systems postgres and linux.

Lives here: the actions `capacity.*`.
Lives elsewhere: how that grows from run to run (`judge.outlook`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"capacity": ".actions"},
    needs=("linux", "postgres"),
)
