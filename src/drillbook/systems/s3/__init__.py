"""Support for objects of an S3 store: writing, copying, deleting, corrupting, restoring and comparing them.

It uses the package `systems.postgres`, because `s3.matches` also reads manifests of PostgreSQL dumps, and that package
defines their format.

Lives here: the actions `s3.*`, manifests of copies, the program that reads objects on a host.
Lives elsewhere: the store of backups, and the service kind `s3` (`sdk`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"s3": ".actions"},
    services={"s3": ".service"},
    needs=("postgres",),
    examples="examples",
    host_needs=".host_needs",
)
