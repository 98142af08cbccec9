"""Objects of an S3 store: write, copy, lose, corrupt, bring back, compare. Needs the system postgres (its manifests).

Lives here: the actions `s3.*`, manifests of copies, the program that reads objects on a host.
Lives elsewhere: the store that backups go to, and the service kind `s3` (`sdk`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"s3": ".actions"},
    services={"s3": ".service"},
    needs=("postgres",),
)
