"""Commands with which a person restores a backup of pgBackRest, and replays its WAL, without Drillbook."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from drillbook.sdk.manual_restore import Block, ManualRestore, secret
from drillbook.systems.pgbackrest.program import variable
from drillbook.systems.postgres import manual_restore
from drillbook.systems.postgres.service import Postgres
from drillbook.values import Secret

_FILES = "for file in postgresql.conf pg_hba.conf pg_ident.conf; do : >> data/$file; done"
_ACCESS = "echo 'local all all trust' > hba.conf"
_OPTIONS = " -c hba_file=$folder/hba.conf -c archive_mode=off -c ssl=off -c hot_standby=off"


def blocks(manual: ManualRestore, options: Mapping[str, Secret | str], service: Postgres, *, inclusive: bool) -> list[Block]:
    """Return the commands that restore a backup, and start a server that replays the WAL and ends the recovery."""
    target = "--type=default"
    if manual.moment:
        target = f"--type=time --target={shlex.quote(f'{manual.moment:%Y-%m-%d %H:%M:%S.%f%z}')} --target-action=promote"
        target += "" if inclusive else " --target-exclusive"
    elif manual.chosen:
        target = f"--set={shlex.quote(manual.chosen)} --type=immediate --target-action=promote"
    return [
        manual.block(
            *manual.begin(),
            *(secret(variable(name), value) for name, value in options.items()),
            "pgbackrest info",
            "mkdir data tablespaces",
            'export PGBACKREST_PG1_PATH="$folder/data" PGBACKREST_LOCK_PATH="$folder" PGBACKREST_SPOOL_PATH="$folder"',
            "export PGBACKREST_ARCHIVE_ASYNC=n PGBACKREST_LOG_LEVEL_FILE=off",
            f'pgbackrest {target} --archive-mode=off --tablespace-map-all="$folder/tablespaces" --link-all restore',
            f"{_FILES}; {_ACCESS}",
            manual_restore.programs(service),
            *manual_restore.serving(service, manual.folder, _OPTIONS),
            f"psql --dbname={shlex.quote(service.database)} --command='\\dt *.*'",
            "# stop the server: pg_ctl --pgdata=data stop",
        )
    ]
