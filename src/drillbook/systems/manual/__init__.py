"""Manual confirmation steps. Needs no other system.

Lives here: the actions `manual.*`.
Lives elsewhere: who confirms (`signing.account`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"manual": ".actions"},
)
