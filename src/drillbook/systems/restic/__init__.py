"""Backup source `restic`: snapshots in a restic repository, on any storage that restic supports. It uses the package
`systems.files`.

Lives here: the kind of backup `restic`.
Lives elsewhere: the comparison of restored files with the original files (`systems.files`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, services={"restic": ".source"}, needs=("files",), rehearsal="rehearsal")
