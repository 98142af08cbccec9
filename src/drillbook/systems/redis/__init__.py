"""Support for Redis and Valkey: saving, flushing and restoring a keyspace, and comparing it key by key with a backup.

It uses the decompression commands of the package `systems.tar`.

Lives here: the service kind `redis`, the actions and probes `redis.*`, content and manifests of keyspaces, and the backup
sources `redis_rdb` and `redis_aof`.
Lives elsewhere: the lab's own server (`lab.programs`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(
    __name__,
    actions={"redis": ".actions"},
    probes={"redis": ".probes"},
    services={"redis": ".service", "redis_rdb": ".rdb_source", "redis_aof": ".aof_source"},
    logins={"redis": ".login_check"},
    needs=("tar",),
    examples="examples",
    host_needs=".host_needs",
    looks=".looks",
    by_hand=".by_hand",
    rehearsal="rehearsal",
    routine_drill="routine-cache",
    own_backups=True,
)
