"""Units of a service manager, and the env files and settings of services. Needs the systems `files` and `linux`.

Lives here: the actions `service.*`, `settings.*` and `env.*`, the service kind `process`.
Lives elsewhere: the code for each service manager (`sdk.manager`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"env": ".actions.env", "service": ".actions.service", "settings": ".actions.settings"},
    services={"process": ".service"},
    needs=("files", "linux"),
    examples="examples",
    host_needs=".host_needs",
    by_hand=".by_hand",
)
