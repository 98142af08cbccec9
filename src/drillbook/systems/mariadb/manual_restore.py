"""Commands with which a person, without Drillbook, restores a backup of MariaDB into a new server."""

from __future__ import annotations

import shlex
from dataclasses import replace

from drillbook.sdk import manual_move
from drillbook.sdk.manual_restore import STOP, Block, Files, ManualRestore, fetched, path_of, unpacked
from drillbook.systems.mariadb.service import Mariadb

_AS_ROOT = 'test "$(id -u)" != 0 || root=--user=root   # MariaDB refuses to run as root without this option'
_COPY = 'cp -r -- "$backup" "${folder:?}/data"'
_WHOLE = f'test -z "$(find "${{folder:?}}/data" -type l -o -name "*.isl")" || {STOP} the backup has links to files in other folders'
_PREPARE = 'mariadb-backup --no-defaults --prepare --target-dir="${folder:?}/data"'
_CLIENT = 'mariadb --no-defaults --host=localhost --socket="${folder:?}/server.sock" --user=root'


def dump(manual: ManualRestore, files: Files, service: Mariadb) -> list[Block]:
    """Return the commands that load a dump into a new server, which listens at a Unix socket only."""
    before, lines = fetched(manual, files)
    database = shlex.quote(service.database) if service.database else ""
    install = 'mariadb-install-db --no-defaults --datadir="${folder:?}/data" --auth-root-authentication-method=normal ${root:+"$root"}'
    created = f"{_CLIENT} --execute={shlex.quote(f'CREATE DATABASE IF NOT EXISTS `{service.database}`')}"
    return [
        *before,
        manual.block(
            *lines,
            path_of(service.bin),
            _AS_ROOT,
            f"{install} --skip-test-db --rpm",
            *_serve(service),
            created if database else "",
            f"{unpacked(files.pattern)} | {_CLIENT} --max-allowed-packet=1G {database}".rstrip(),
            *_end(manual.folder, database),
        ),
    ]


def physical(manual: ManualRestore, files: Files, service: Mariadb, *, stream: bool) -> list[Block]:
    """Return the commands that prepare a physical backup, and start a new server on its files."""
    in_folder = replace(files, pattern="mariadb_backup_info", whole="backup=${backup%/*}")
    before, lines = fetched(manual, files if stream else in_folder)
    copy = f'mkdir "${{folder:?}}/data" && {unpacked(files.pattern)} | mbstream -x -C "$folder/data"' if stream else _COPY
    return [
        *before,
        manual.block(
            *lines,
            path_of(service.bin),
            _AS_ROOT,
            copy,
            _WHOLE,
            _PREPARE,
            *_serve(service, " --skip-grant-tables"),
            *_end(manual.folder, shlex.quote(service.database) if service.database else ""),
        ),
    ]


_UNTIL = (
    'until mariadb-admin --no-defaults --host=localhost --socket="${folder:?}/server.sock" --user=root ping; '
    'do sleep 1; tail -n 1 "$folder/log"; done   # Ctrl-C when the log says why it ended'
)


def _serve(service: Mariadb, more: str = "") -> tuple[str, ...]:
    settings = "".join(f" --{key}={shlex.quote(value)}" for key, value in service.settings.items())
    return (
        f'mariadbd --no-defaults --datadir="${{folder:?}}/data" --socket="$folder/server.sock" --skip-networking{more}{settings} \\',
        '  --pid-file="$folder/pid" --skip-slave-start --skip-log-bin --event-scheduler=OFF ${root:+"$root"} \\',
        '  > "${folder:?}/log" 2>&1 &',
        _UNTIL,
    )


def _end(folder: str, database: str) -> tuple[str, ...]:
    shown = f"'SHOW TABLES' {database}" if database else "'SHOW DATABASES'"
    return (f"{_CLIENT} --execute={shown}", f'# stop the server: kill "$(cat {shlex.quote(folder)}/pid)"')


def move(manual: ManualRestore, *, physical: bool) -> str:
    """Return instructions, as sentences, for a person who puts the restored files in the place of the service's data
    directory. ``physical``: True for a backup of the server's files, which contains its accounts; False for a dump.
    """
    folder, data = manual.folder, manual.target.data or "the data directory of the server"
    return manual_move.told(
        manual,
        f'stop the new server (`kill "$(cat {folder}/pid)"`), and wait until it has ended',
        f"move {data} to another name",
        f"move {folder}/data to {data}, and give it to the user of the server (`chown -R mysql:mysql`)",
        after=""
        if physical
        else (
            "create the accounts again, unless the dump contains the database `mysql`, because the new server "
            "has only the account root"
        ),
    )
