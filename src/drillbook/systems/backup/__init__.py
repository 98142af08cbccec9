"""Actions that list, check, measure and restore backups made by the team's own tools, or measure the data that a
restore loses.

The package contains the actions `backup.*` and the action `loss.measure`. The same actions serve all kinds of backup sources.
The interface of a backup source is in `sdk.backup_source`, and the interface of a sandbox in `sdk.sandbox`.
The driver of each backup tool has a package of its own, such as `systems.restic`.
"""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, actions={"backup": ".actions", "loss": ".loss"}, examples="examples", host_needs=".host_needs")
