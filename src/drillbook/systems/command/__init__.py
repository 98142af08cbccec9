"""Actions that run a team's own commands. The drill declares their effect and their undo. Needs no other system.

Lives here: the actions `command.run`, `command.script` and `command.check`, the probe `command.canary`, the service kind
`command`.
Lives elsewhere: code for steps whose effect the drill declares (`sdk.custom_step`), and for canaries that write numbered
records (`sdk.record_canary`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"command": ".actions"},
    probes={"command": ".probes"},
    services={"command": ".service"},
    examples="examples",
    host_needs=".host_needs",
    by_hand=".by_hand",
)
