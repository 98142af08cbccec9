"""Docker: containers, volumes and Compose projects, used through the API of the engine. Needs no other system.

Lives here: the actions `docker.*` and `compose.*`, the service kind `container`.
Lives elsewhere: the service manager `docker`, whose units are containers (`sdk.manager`), the Docker lab
(`lab.containers`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"compose": ".compose_actions", "docker": ".actions"},
    services={"container": ".service"},
    examples="examples",
    host_needs=".host_needs",
)
