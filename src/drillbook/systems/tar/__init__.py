"""Backup source `tar`: archives of tar, in any compression used with tar. Needs the system `files`.

Lives here: the kind of backup `tar`.
Lives elsewhere: the archives that drills take themselves (`systems.files`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, services={"tar": ".source"}, needs=("files",))
