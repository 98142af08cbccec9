"""Creates and starts a MariaDB server in a sandbox. Clients can reach this server only through a Unix socket in the sandbox's
folder.

The server writes no binary log, starts no replication and runs no events, even if the settings in the restored copy enable
them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from drillbook.errors import NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.host import printable
from drillbook.sdk.sandbox import Sandbox
from drillbook.systems.mariadb.client import Client, name, parsed, program, verifying
from drillbook.systems.mariadb.content import full_name, listed, listed_in, listing
from drillbook.systems.mariadb.service import Mariadb

LOG = "server.log"
ACCOUNT_FILE = "account.sql"
"""Name of a file in the folder of the sandbox. The file contains the SQL statements that create Drillbook's account."""
ACCOUNT = "CREATE OR REPLACE USER {user}@localhost;\nGRANT ALL PRIVILEGES ON *.* TO {user}@localhost WITH GRANT OPTION;\n"
"""SQL statements that create Drillbook's account in a restored copy."""
# PROGRAM...: add --user=root when running as root; MariaDB's programs refuse to run as root without it.
_AS_ROOT = """
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
test "$(id -u)" != 0 || set -- "$@" --user=root
"""
_RUN = f'{_AS_ROOT}exec "$@"'
# SERVER OPTION...: let the server read its options and end. Its help is discarded.
_TRY_OPTIONS = f'{_AS_ROOT}exec "$@" --verbose --help >/dev/null'
# TEMPORARY ACCOUNT_FILE ACCOUNT PROGRAM...: write the file with the account, and run the server.
_SERVE = f"""
rm -f server.status
mkdir -p -- "$1" && printf %s "$3" > "$2" || {{ echo "$?" > server.status; exit 1; }}
shift 3
{_AS_ROOT}"$@"
echo "$?" > server.status
"""
# TEMPORARY FILE: make the folder for temporary files, and print the settings of the server that was backed up.
_SETTINGS = 'mkdir -p -- "$1" && cat -- "$2"'
# CLIENT...: print the client's answer as soon as the server accepts the client. Stop waiting when the server has exited, or when
# it answers with an error that no waiting removes: errors from 2000 on are of the connection, and 1045 is a refused login.
_WAIT = """
exec 3>&1
until said=$("$@" 2>&1 >&3); do
  if test -e server.status; then tail -n 15 server.log >&2; exit 1; fi
  case $said in *"ERROR 1045 "* | *"ERROR 2"[0-9][0-9][0-9]" "*) ;; *"ERROR "*) printf '%s\\n' "$said" >&2; exit 1 ;; esac
  sleep 0.02
done
"""


def place(box: Sandbox) -> tuple[Mariadb, Client]:
    """Return the service of the sandbox, and a client that connects to its server."""
    service = box.service
    if not isinstance(service, Mariadb):
        raise NotReady(f"{service.name} is not a service of kind mariadb", hint="correct `service` of the step")
    return service, Client(box.ctx, service, "")


def install(box: Sandbox) -> None:
    """Create an empty data directory in the sandbox. Raises StepFailed when this fails, and HostError when the host cannot
    be used.

    With the option `--rpm`, mariadb-install-db does not change the owner of the host's PAM plugin files.
    """
    service, _ = place(box)
    make_temporary(box)
    output = box.run(
        "sh",
        "-c",
        _RUN,
        "sh",
        program_path(service, "mariadb-install-db"),
        "--no-defaults",
        f"--datadir={service.data}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
        "--rpm",
        f"--tmpdir={temporary(box)}",
        *settings(service.settings),
    )
    if not output.ok:
        what = f"the data directory of the sandbox {service.name} could not be created"
        raise _failed(box, what, "an empty data directory", output.stderr or output.stdout)


def start(box: Sandbox, more: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Start the server on the sandbox's data directory, and wait until it accepts clients. Return the tables and views of all
    its databases.

    ``more`` are settings of the original server. Raises StepFailed with the last lines of the server log when the server
    does not start, and HostError when the host cannot be used.
    """
    service, client = place(box)
    words = (temporary(box), f"{box.folder}/{ACCOUNT_FILE}", ACCOUNT.format(user=name(service.user)))
    server = (program_path(service, "mariadbd"), "--no-defaults", *options(box, service, more or {}))
    box.start("sh", "-c", _SERVE, "sh", *words, *server, log=LOG)
    sink = Answer(f"{service.name}: the list of the server's tables")
    asked = client.argv("--xml", f"--execute={listing(_every_database(service))}")
    output = box.run("sh", "-c", _WAIT, "sh", *asked, sink=sink)
    if not output.ok:
        what = f"the server in the sandbox {service.name} did not start"
        raise _failed(box, what, "a server that accepts clients", output.stderr)
    return [row for result in parsed(sink.text)[-1:] for row in listed_in(result)]


def options(box: Sandbox, service: Mariadb, more: Mapping[str, str]) -> tuple[str, ...]:
    """Return the server's options. The options that isolate the server come last, so that they override all other options."""
    return (
        "--max-allowed-packet=1G",
        *settings(more),
        *settings(service.settings),
        f"--datadir={service.data}",
        f"--socket={service.socket}",
        f"--pid-file={box.folder}/server.pid",
        f"--tmpdir={temporary(box)}",
        f"--secure-file-priv={temporary(box)}",
        f"--init-file={box.folder}/{ACCOUNT_FILE}",
        "--skip-networking",
        "--skip-slave-start",
        "--skip-log-bin",
        "--skip-name-resolve",
        "--event-scheduler=OFF",
        "--loose-simple-password-check=OFF",
        "--loose-cracklib-password-check=OFF",
        "--loose-feedback=OFF",
        "--loose-wsrep-on=OFF",
    )


def must_open(box: Sandbox, known: Sequence[dict[str, str]] | None = None) -> None:
    """Read one row of every table, to find tables that cannot be opened. `mariadb-backup --prepare` does not find them: it
    succeeds even when the file of a table is missing. ``known``: the tables and views of the server. When it is None, the
    function first lists them.

    Raises StepFailed when a table cannot be opened, CouldNotVerify when the server cannot be read, and HostError when the
    host cannot be used.
    """
    service, _ = place(box)
    client = Client(box.ctx, _every_database(service), "")
    with verifying(service):
        rows = listed(client) if known is None else known
        tables = {f"{row['s']}.{row['t']}": full_name(row) for row in rows if row["kind"] != "VIEW"}
        statements = {key: f"SELECT 1 AS opened FROM {table} LIMIT 1" for key, table in tables.items()}  # noqa: S608  quoted
        results, errors = client.answered(";\n".join(statements.values()))
    opened = {result.statement for result in results}
    unopened = [key for key, statement in statements.items() if statement not in opened]
    if unopened:
        raise StepFailed(
            f"{service.name}: {len(unopened)} tables of the copy cannot be opened, such as {unopened[0]}",
            findings=[
                finding("table-corrupt", title=key, wanted="a table that opens", measured=errors[:500])
                for key in unopened[:20]
            ],
        )


def _every_database(service: Mariadb) -> Mariadb:
    return service.model_copy(update={"database": ""})


def quiet(client: Client) -> list[str]:
    """Stop the replication and the event scheduler, because loading a dump can start them. Return the names of the
    replication connections. Raises SqlError when a statement fails.
    """
    rows = client.rows("SHOW ALL SLAVES STATUS")
    client.results("STOP ALL SLAVES; SET GLOBAL event_scheduler = OFF")
    return [row["Connection_name"] or "default" for row in rows]


def temporary(box: Sandbox) -> str:
    """Return the path of the folder for temporary files of all programs in the sandbox."""
    return f"{box.folder}/tmp"


def make_temporary(box: Sandbox) -> None:
    """Create a private folder for temporary files. In a shared folder, a starting server would delete temporary files of
    other servers.
    """
    box.run("mkdir", "-p", "--", temporary(box)).check()


def copied_settings(box: Sandbox) -> str:
    """Return the content of the file `backup-my.cnf` in the copied backup, and make the folder for temporary files. Raises
    HostError when this fails.
    """
    service, _ = place(box)
    return box.run("sh", "-c", _SETTINGS, "sh", temporary(box), f"{service.data}/backup-my.cnf").check().text


def settings(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return settings as command line options of the server."""
    return tuple(f"--{key.replace('_', '-')}={value}" for key, value in values.items())


def program_path(service: Mariadb, name: str) -> str:
    """Return the path of a program in the service's `bin` folder. If the service sets no `bin` folder, return only the name
    of the program. PATH is then searched for the program.
    """
    return program(service, name)[-1]


def version(ctx: Context, service: Mariadb, name: str = "mariadbd") -> str:
    """Return the version of the MariaDB program ``name`` on the step's host, such as ``11.8.9``. Raises NotReady when the
    program is missing.
    """
    output = ctx.run(*program(service, name), "--version")
    match = re.search(r"\b(\d+\.\d+\.\d+)-MariaDB", output.text)
    if not output.ok or match is None:
        raise _no_program(ctx, service, name)
    return match[1]


def series(number: str) -> str:
    """Return the release series of a version: ``11.8`` for ``11.8.9-MariaDB``."""
    return ".".join(number.split(".")[:2])


def is_newer(dumped: str, there: str) -> bool:
    """Return True when a dump is from a newer series of MariaDB than the server that will load it. ``dumped``: version of the
    dumped server; ``there``: version of the loading server.
    """
    match = re.match(r"(\d+)\.(\d+)\.\d+-MariaDB", dumped)
    return match is not None and (int(match[1]), int(match[2])) > tuple(map(int, there.split(".")[:2]))


def need(ctx: Context, service: Mariadb, programs: Sequence[str]) -> None:
    """Check that the step's host has the MariaDB programs ``programs``. Raises NotReady when one is missing."""
    for wanted in programs:
        if not ctx.run("sh", "-c", _HAS, "sh", program_path(service, wanted)).ok:
            raise _no_program(ctx, service, wanted)


def need_collations(
    ctx: Context, service: Mariadb, collations: Sequence[str], character_sets: Sequence[str], dump: str
) -> None:
    """Check that the server on the step's host knows ``collations`` and ``character_sets`` of the dump ``dump``.

    Raises NotReady when the server does not know one of them.
    """
    tries = [
        *(
            (collation.partition("_")[0], f"--collation-server={collation}", f"collation {collation}")
            for collation in collations
        ),
        *((name, "", f"character set {name}") for name in character_sets),
    ]
    for charset, option, shown in tries:
        options = filter(None, (f"--character-set-server={charset}", option))
        output = ctx.run("sh", "-c", _TRY_OPTIONS, "sh", *program(service, "mariadbd"), "--no-defaults", *options)
        if re.search(
            r"Unknown collation: '|Character set '[^']*' is not a compiled character set", printable(output.stderr)
        ):
            raise NotReady(
                f"{ctx.host.name}: {program_path(service, 'mariadbd')} does not know the {shown} of the dump {dump}",
                hint="install a version of MariaDB at least as new as that of the dump, or set "
                f"{service.setting('bin')} to the folder of its programs",
            )


def need_safe_client(ctx: Context, service: Mariadb) -> None:
    """Check that the client has the option `--sandbox`. A dump may contain client commands that run programs. This
    option blocks such commands. Raises NotReady when the option is missing.
    """
    if not ctx.run(*program(service, "mariadb"), "--no-defaults", "--sandbox", "--version").ok:
        raise NotReady(
            f"{ctx.host.name}: the client {program_path(service, 'mariadb')} has no option --sandbox; without it a dump can run "
            "programs on the host",
            hint="install a newer client: 10.5.25, 10.6.18, 10.11.8, 11.4.2 or later",
        )


def _no_program(ctx: Context, service: Mariadb, name: str) -> NotReady:
    return NotReady(
        f"{ctx.host.name} has no {program_path(service, name)}",
        hint="install Debian's mariadb-server (and mariadb-backup for physical backups) on that host, or set "
        f"{service.setting('bin')} to the folder of MariaDB's programs",
    )


_HAS = 'PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; command -v "$1" >/dev/null'


def _failed(box: Sandbox, what: str, wanted: str, stderr: bytes) -> StepFailed:
    measured = "; ".join(line for line in printable(stderr, limit=1500).splitlines() if "[Note]" not in line)
    return StepFailed(
        f"{box.host.name}: {what}: {measured}",
        findings=[finding("restore-errors", title=box.service.name, wanted=wanted, measured=measured, host=box.host.name)],
    )
