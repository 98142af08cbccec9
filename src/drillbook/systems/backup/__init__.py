"""Actions on backups that a team takes with its own tools: list, check, measure, restore, and what a restore would lose.

Lives here: the actions `backup.*`, which are the same for all kinds of backup sources, and `loss.measure`.
Lives elsewhere: the interface of a source (`sdk.backup_source`) and of a sandbox (`sdk.sandbox`), the driver of each backup
tool (such as `systems.restic`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, actions={"backup": ".actions", "loss": ".loss"}, examples="examples", host_needs=".host_needs")
