"""Backup source `tar`: tar archives, uncompressed or in any compression that is common with tar. It uses the package
`systems.files`.

Lives here: the kind of backup `tar`.
Lives elsewhere: the archives that drills take themselves (`systems.files`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, services={"tar": ".source"}, needs=("files",), rehearsal="rehearsal")
