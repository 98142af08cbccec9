"""Support for SQL databases of any kind, through a driver that the drill chooses. It uses no other package of
`systems`.

Lives here: the probe `sql.canary`, drivers of the Python DB-API (PEP 249).
Lives elsewhere: databases that Drillbook knows (`systems.postgres`, `systems.mariadb`), canaries of records (`sdk.record_canary`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, probes={"sql": ".probes"}, examples="examples")
