"""Commands with which a person, without Drillbook, restores a dump of PostgreSQL into a new server."""

from __future__ import annotations

import shlex
from dataclasses import replace

from drillbook.sdk import manual_move
from drillbook.sdk.manual_restore import DONE, STOP, Block, Files, ManualRestore, fetched, unpacked
from drillbook.systems.postgres.service import Postgres

_ARCHIVES = (".dump", ".custom", ".pgdump", ".tar", ".backup")
_OF_FOLDER = 'test ! -e "${backup%/*}/toc.dat" || backup=${backup%/*}'
_ENDED = 'grep -Eq "^-- PostgreSQL database (cluster )?dump complete"'
_USUAL = (
    "command -v initdb >/dev/null || "
    "PATH=$(find /usr/lib/postgresql /usr/pgsql-* -type d -name bin 2>/dev/null | sort -V | tail -n 1):$PATH"
)
_OPTIONS = "-c listen_addresses= -c port=5432 -c logging_collector=off -k $folder"
_TABLES = (
    "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
)
_APART = "unset PGHOSTADDR PGSERVICE PGDATA   # they could lead to another server"


def programs(service: Postgres) -> str:
    """Return the shell command that puts the folder of the server's programs at the front of PATH."""
    return f"PATH={shlex.quote(service.bin)}:$PATH" if service.bin else _USUAL


def client(program: str, service: Postgres) -> str:
    """Return the beginning of the command line of a client program: its name, and the options with which it connects to the
    new server and to no other server.
    """
    return f'{program} --host="${{folder:?}}" --port=5432 --username={shlex.quote(service.admin.user)}'


def serving(service: Postgres, folder: str, more: str = "") -> tuple[str, ...]:
    """Return the commands that start a server on the folder `data`. ``more``: options of the server.

    The server listens only at a Unix socket in ``folder``.
    """
    user, database = shlex.quote(service.admin.user), shlex.quote(service.database)
    ask = client("psql --no-psqlrc", service)
    return (
        _APART,
        'pg_ctl --pgdata="${folder:?}/data" --log="$folder/log" --timeout=86400 --wait \\',
        f'  --options="{_OPTIONS}{more}" start',
        f'until {ask} --dbname=template1 --list; do sleep 1; tail -n 1 "${{folder:?}}/log"; done   # until a recovery has ended',
        f"# other clients: psql --host={shlex.quote(folder)} --port=5432 --username={user} {database}",
    )


def stopping(folder: str) -> str:
    """Return the comment that tells how to stop the server."""
    return f"# stop the server: pg_ctl --pgdata={shlex.quote(folder)}/data stop"


def tables(service: Postgres) -> str:
    """Return the command that lists the tables in the new server. The tables of PostgreSQL's own catalogues are not listed."""
    ask = client("psql --no-psqlrc", service)
    return f'{ask} --dbname={shlex.quote(service.database)} --command="{_TABLES}"'


def blocks(manual: ManualRestore, files: Files, service: Postgres, jobs: int) -> list[Block]:
    """Return the commands that restore a dump into a new cluster. ``files``: the dump and, as its second file, the file of
    roles if there is one.
    """
    files = replace(files, whole=_OF_FOLDER, second=files.second if files.in_folder else "")
    before, lines = fetched(manual, files)
    database, user = shlex.quote(service.database), shlex.quote(service.admin.user)
    psql = client("psql --no-psqlrc", service)
    return [
        *before,
        manual.block(
            *lines,
            programs(service),
            f'initdb --pgdata="${{folder:?}}/data" --username={user} --auth=trust --encoding=UTF8',
            *serving(service, manual.folder),
            f'{psql} --dbname=postgres --file="$second"   # "role ... already exists" is harmless' if files.second else "",
            f"{client('createdb', service)} {database}",
            *_loading(files, service, jobs),
            f"{psql} --dbname={database} --command=ANALYZE",
            tables(service),
            stopping(manual.folder),
        ),
    ]


def _loading(files: Files, service: Postgres, jobs: int) -> tuple[str, ...]:
    """Return the commands that load a dump. The format of the dump is known if the pattern of the file names contains `.sql`
    or ends with a suffix of an archive. Otherwise, the commands find out the format with pg_restore.
    """
    database = shlex.quote(service.database)
    lacking = "" if files.second else " --no-owner --no-privileges"
    archive = (
        f'{client("pg_restore", service)} --exit-on-error --jobs={jobs}{lacking} --dbname={database} "$backup" && {DONE}'
    )
    psql = f"{client('psql --no-psqlrc', service)} --set=ON_ERROR_STOP=1 --quiet"
    ended = f"{unpacked(files.pattern)} | tail -n 20 | {_ENDED} || {STOP} the dump does not reach its end"
    # An interactive shell has no pipefail; without it, the status of the decompressor is lost.
    plain = f"(set -o pipefail; {unpacked(files.pattern)} | {psql} --dbname={database}) && {DONE}"
    if files.pattern.endswith(_ARCHIVES):
        return (archive,)
    if ".sql" in files.pattern:
        return (ended, plain)
    return ('if pg_restore --list "$backup" >/dev/null 2>&1', f"then {archive}", f"else {ended}", f"  {plain}", "fi")


def move(manual: ManualRestore, service: Postgres) -> list[Block]:
    """Return the commands that stop the new server, and put its cluster in the place of the service's data directory.

    A configuration outside the data directory does not change. A configuration inside the data directory is replaced: the
    commands write only the most important settings into the new cluster.
    """
    admin = f'"{service.admin.user}"'
    rules = [f"local all {admin} peer"] if service.admin.socket else []
    rules += [f"{kind} scram-sha-256" for kind in ("local all all", "host all all all")]
    here = service.address in ("localhost", "::1") or service.address.startswith("127.")
    settings = [f"port = {service.port}", f"listen_addresses = '{'localhost' if here or service.socket else '*'}'"]
    if folder := service.admin.socket or (service.address if service.socket else ""):
        settings.append(f"unix_socket_directories = '{folder}'")
    written = shlex.join(["printf", "%s\\n"])
    return manual_move.swapped(
        manual,
        programs(service),
        'test -z "${folder:+x}" || pg_ctl --pgdata="$folder/data" --mode=fast --wait stop',
        f'test ! -e "${{folder:?}}/data/postmaster.pid" || {STOP} the new server still runs',
        "# The new server trusts everybody. If the service has its configuration in its data directory, leave out the next two",
        "# commands, and copy the pg_hba.conf and postgresql.conf of the service into the new data directory instead:",
        f'{written} {shlex.join(rules)} > "${{folder:?}}/data/pg_hba.conf"',
        f'{written} {shlex.join(settings)} >> "${{folder:?}}/data/postgresql.auto.conf"',
        f'test ! -e "$data/postmaster.pid" || {STOP} the server of the service still runs, or has crashed',
        last=() if service.unit else ('test -n "${folder:+x}" && pg_ctl --pgdata="$data" --log="$data.log" --wait start',),
    )
