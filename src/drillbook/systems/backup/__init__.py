"""Actions on backups that the team's own tools made. They work with every kind of backup source.

Lives here: the actions `backup.*`, which list, check, measure and restore backups, and the action `loss.measure`.
Lives elsewhere: the interfaces of a backup source and a sandbox (`sdk.backup_source`, `sdk.sandbox`), and the driver of each
backup tool, which has a package of its own (such as `systems.restic`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__, actions={"backup": ".actions", "loss": ".loss_actions"}, examples="examples", host_needs=".host_needs"
)
