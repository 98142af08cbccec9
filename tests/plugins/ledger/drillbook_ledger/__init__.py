"""A ledger: a small HTTP server that keeps numbered lines in a file."""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"ledger": ".actions"},
    probes={"ledger": ".probes"},
    services={"ledger": ".service"},
    findings=".findings",
    looks=".looks",
    trees="trees",
    drills="drills",
    examples="examples",
)
