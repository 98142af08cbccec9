"""Support for MariaDB: checking a team's dumps and physical backups, breaking and restoring a server, and comparing content.
It uses the package `systems.tar`.

Lives here: the service kind `mariadb`, the kinds of backups `mariadb_dump` and `mariabackup`, the actions `mariadb.*`.
Lives elsewhere: the actions `backup.*` (`systems.backup`), the programs that unpack a compressed file (`systems.tar`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"mariadb": ".actions"},
    services={"mariadb": ".service", "mariadb_dump": ".dump_source", "mariabackup": ".mariabackup_source"},
    logins={"mariadb": ".login_check"},
    needs=("tar",),
    examples="examples",
    host_needs=".host_needs",
    looks=".looks",
    by_hand=".by_hand",
    rehearsal="rehearsal",
    routine_drill="routine-shop",
)
