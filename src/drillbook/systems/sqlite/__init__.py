"""Backup source `sqlite`: copies of SQLite databases. It uses no other package of `systems`.

Lives here: the kind of backup `sqlite`, and the program that examines a copy on a host.
Lives elsewhere: the comparison of restored files with other files (`systems.files`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, services={"sqlite": ".source"}, rehearsal="rehearsal")
