"""Commands of a drill's own, with their effect and their undo declared in the drill. Needs no other system.

Lives here: the action `command.run`.
Lives elsewhere: what all free steps share (`sdk.free`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"command": ".actions"},
)
