"""Custom commands, with their effect and undo declared in the drill. Needs no other system.

Lives here: the actions `command.run`, `command.script` and `command.check`, the probe `command.canary`, the service kind `command`.
Lives elsewhere: code that all custom steps share (`sdk.free`), and all canaries of numbered records (`sdk.record_canary`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"command": ".actions"},
    probes={"command": ".probes"},
    services={"command": ".service"},
    examples="examples",
    host_needs=".host_needs",
)
