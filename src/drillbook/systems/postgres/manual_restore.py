"""Commands with which a person restores a dump of PostgreSQL into a new server without Drillbook."""

from __future__ import annotations

import shlex
from dataclasses import replace

from drillbook.sdk.manual_restore import Block, Files, ManualRestore, fetched, unpacked
from drillbook.systems.postgres.service import Postgres

_ARCHIVES = (".dump", ".custom", ".pgdump", ".tar", ".backup")
_OF_FOLDER = 'test ! -e "${backup%/*}/toc.dat" || backup=${backup%/*}'
_USUAL = (
    "command -v initdb >/dev/null || "
    "PATH=$(find /usr/lib/postgresql /usr/pgsql-* -type d -name bin 2>/dev/null | sort -V | tail -n 1):$PATH"
)
_OPTIONS = "-c listen_addresses= -c port=5432 -c logging_collector=off -k $folder"
_START = 'pg_ctl --pgdata=data --log=log --timeout=86400 --wait --options="{options}{more}" start'


def programs(service: Postgres) -> str:
    """Return the command that puts the folder of the server's programs before PATH."""
    return f"PATH={shlex.quote(service.bin)}:$PATH" if service.bin else _USUAL


def serving(service: Postgres, folder: str, more: str = "") -> tuple[str, ...]:
    """Return the commands that start a server on the folder `data`. ``more``: its options.

    The server listens only at a Unix socket in ``folder``.
    """
    user, database = shlex.quote(service.admin.user), shlex.quote(service.database)
    return (
        _START.format(options=_OPTIONS, more=more),
        f'export PGHOST="$folder" PGPORT=5432 PGUSER={user}',
        "until psql --dbname=template1 --list; do sleep 1; tail -n 1 log; done   # until a recovery has ended",
        f"# other clients: psql --host={shlex.quote(folder)} --username={user} {database}",
    )


def blocks(manual: ManualRestore, files: Files, service: Postgres, jobs: int) -> list[Block]:
    """Return the commands that restore a dump into a new cluster. The second file, if there is one, is that of the roles."""
    files = replace(files, whole=_OF_FOLDER, second=files.second if files.in_folder else "")
    before, lines = fetched(manual, files)
    database, user = shlex.quote(service.database), shlex.quote(service.admin.user)
    return [
        *before,
        manual.block(
            *lines,
            programs(service),
            f"initdb --pgdata=data --username={user} --auth=trust --encoding=UTF8",
            *serving(service, manual.folder),
            'psql --dbname=postgres --file="$second"   # "role ... already exists" is harmless' if files.second else "",
            f"createdb {database}",
            *_loading(files, database, jobs),
            f"psql --dbname={database} --command=ANALYZE --command='\\dt *.*'",
            "# stop the server: pg_ctl --pgdata=data stop",
        ),
    ]


def _loading(files: Files, database: str, jobs: int) -> tuple[str, ...]:
    """Return the commands that load a dump. The pattern of the files tells its format, or else pg_restore does."""
    lacking = "" if files.second else " --no-owner --no-privileges"
    archive = f'pg_restore --exit-on-error --jobs={jobs}{lacking} --dbname={database} "$backup"'
    plain = f"{unpacked(files.pattern)} | psql --set=ON_ERROR_STOP=1 --quiet --dbname={database}"
    if files.pattern.endswith(_ARCHIVES):
        return (archive,)
    if ".sql" in files.pattern:
        return (plain,)
    return ('if pg_restore --list "$backup" >/dev/null 2>&1', f"then {archive}", f"else {plain}", "fi")
