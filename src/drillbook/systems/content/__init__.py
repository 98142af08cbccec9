"""Recording and comparing the content of any system, as commands and requests show it.

The content is recorded before a fault, and compared with the record after the restore.

Lives here: the actions `content.take` and `content.matches`, the comparison of lines and JSON. They use the package
`systems.http`.
Lives elsewhere: comparisons for one kind of system (`postgres.matches`, `files.matches` and others), the probe
`content.unchanged` (`systems.http`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"content": ".actions"},
    needs=("http",),
    examples="examples",
    host_needs=".host_needs",
)
