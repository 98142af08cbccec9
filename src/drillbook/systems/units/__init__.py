"""Units of a service manager, their env files and settings. Needs the systems files and linux.

Lives here: the actions `service.* settings.* env.*`, the service kind `process`.
Lives elsewhere: the managers themselves (`sdk.manager`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"env": ".actions.env", "service": ".actions.service", "settings": ".actions.settings"},
    services={"process": ".service"},
    needs=("files", "linux"),
)
