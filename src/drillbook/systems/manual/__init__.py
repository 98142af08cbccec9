"""Manual confirmation steps. Needs no other system.

Lives here: the actions `manual.*`.
Lives elsewhere: identity of the person (`signing.account`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"manual": ".actions"},
    examples="examples",
    host_needs=".host_needs",
)
