"""Commands with which a person restores a backup of pgBackRest, and replays its WAL, without Drillbook."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from drillbook.sdk import manual_move
from drillbook.sdk.manual_restore import Block, ManualRestore, secret
from drillbook.systems.pgbackrest.programs import variable
from drillbook.systems.pgbackrest.recovery import RESET, SAFE
from drillbook.systems.postgres import manual_restore
from drillbook.systems.postgres.service import Postgres
from drillbook.values import Secret

_FILES = 'for file in postgresql.conf pg_hba.conf pg_ident.conf; do : >> "${folder:?}/data/$file"; done'
_ACCESS = "echo 'local all all trust' > \"${folder:?}/hba.conf\""
_OPTIONS = (
    " -c data_directory=$folder/data -c hba_file=$folder/hba.conf -c external_pid_file= -c archive_mode=off -c ssl=off"
    " -c hot_standby=off -c archive_cleanup_command= -c recovery_end_command= -c primary_conninfo="
    " -c max_logical_replication_workers=0 -c cron.launch_active_jobs=off"
)
"""Settings that override the settings in the restored copy. With the copy's own settings, the server could use files of
the original, or reach other servers."""
_OWN = (
    'export PGBACKREST_PG1_PATH="${folder:?}/data" PGBACKREST_LOCK_PATH="$folder" PGBACKREST_SPOOL_PATH="$folder"',
    "export PGBACKREST_ARCHIVE_ASYNC=n PGBACKREST_FORCE=n PGBACKREST_LOG_LEVEL_FILE=off",
)
_SAFE = [f"--no-{name}" for name, value in SAFE.items() if value == "n" and name not in ("archive-async", "force")]


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
            'mkdir "${folder:?}/data" "$folder/tablespaces"',
            *_OWN,
            # The places are in the command itself, so that it uses no other place when the commands before it failed.
            f'pgbackrest {target} --archive-mode=off --pg1-path="${{folder:?}}/data" \\',
            '  --tablespace-map-all="$folder/tablespaces" \\',
            f"  {' '.join(_SAFE)} \\",
            f"  {' '.join(RESET)} restore",
            f"{_FILES}; {_ACCESS}",
            manual_restore.programs(service),
            *manual_restore.serving(service, manual.folder, _OPTIONS),
            manual_restore.tables(service),
            manual_restore.stopping(manual.folder),
        )
    ]


def move(manual: ManualRestore, stanza: str) -> str:
    """Return instructions, as sentences, for a person who puts the restored cluster in the place of the service's data
    directory.
    """
    folder, data = manual.folder, manual.target.data
    return manual_move.told(
        manual,
        f"stop the new server (`pg_ctl --pgdata={folder}/data stop`)",
        f"if {folder}/tablespaces is not empty, move its folders to their places and correct the links in {folder}/data/pg_tblspc",
        f"remove the lines of `restore_command`, `archive_mode` and `recovery_target...` from {folder}/data/postgresql.auto.conf, "
        "and replace each configuration file that is empty there by the file of the service",
        f"move {data} to another name",
        f"move {folder}/data to {data}",
        after=f"take a full backup (`pgbackrest --stanza={stanza} --type=full backup`), because the cluster is on a new timeline",
    )
