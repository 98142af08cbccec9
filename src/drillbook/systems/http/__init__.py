"""HTTP services: requests, load at a fixed rate, and access logs. Needs the system linux.

Lives here: the actions `http.*`, the probes `http.*` and `content.*`, the service kind `http`.
Lives elsewhere: the code that sends one request with a deadline (`sdk.web`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"http": ".actions"},
    probes={"content": ".probes.content", "http": ".probes.http"},
    services={"http": ".service"},
    needs=("linux",),
    examples="examples",
    host_needs=".host_needs",
    looks=".looks",
    by_hand=".by_hand",
)
