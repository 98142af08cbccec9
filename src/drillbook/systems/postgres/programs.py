"""Runs PostgreSQL's programs on the host of a service. Each program runs as the operating system user that it needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from drillbook.errors import CouldNotVerify, DrillbookError, NotReady
from drillbook.sdk import target_folders, unix_socket
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, Host, Output, as_user, once_more
from drillbook.sdk.random_names import fresh
from drillbook.sdk.sandbox import Sandbox
from drillbook.systems.postgres.connection import DEADLOCKS, conninfo, socket_of
from drillbook.systems.postgres.service import Postgres

_FREE = 'd=$1; while test ! -d "$d"; do d=$(dirname -- "$d"); done; df -Pk -- "$d"'
_PRIVATE = 'umask 077; exec "$@"'
# ROOT REST FILE PROGRAM...: the first line of the input is the passfile. It exists only while the program runs, in a folder
# private to its user, which is created again if another program removed it on exit.
_WITH_PASSFILE = """
umask 077
root=$1 rest=$2 PGPASSFILE=$3
shift 3
IFS= read -r line || exit 126
trap 'rm -f -- "$PGPASSFILE"; empty "$root" "$rest"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
written=
for attempt in 1 2 3 4 5 6 7 8 9; do
  (own "$root" "$rest") || exit $?
  { printf '%s\\n' "$line" > "$PGPASSFILE"; } 2>/dev/null && written=yes && break
done
test "$written" || { echo "the file with the password could not be written below $root/$rest" >&2; exit 126; }
export PGPASSFILE
"$@"
"""

AS_CLIENT = {"LC_ALL": "C", "PGHOST": "/"}
"""Environment of a client program that connects to no server, such as pg_restore when it lists an archive.

On Debian, a program on PATH is a wrapper that chooses a version. Without the name of a server host, the wrapper chooses the
version of the local default cluster. With the name of a server host, it chooses the newest version. Programs that connect to a
server get the name of its host from ``Tools.asking``. All other programs get the value of `PGHOST` here, so that every call
uses the newest version.
"""
SOCKET_LIMIT = 107
"""Maximum length in bytes of the path of a Unix socket. Source: unix(7)."""
DEADLOCK = b"deadlock detected"
"""Message of the server for SQLSTATE 40P01 when `lc_messages` is C. psql prints it, but does not print the SQLSTATE."""
ENVIRONMENT = {
    "LC_ALL": "C",
    "PGCONNECT_TIMEOUT": "10",
    "PGAPPNAME": "drillbook",
    "PGOPTIONS": "-c synchronous_commit=off -c quote_all_identifiers=off",
}
"""Environment variables of client programs.

`synchronous_commit` is off, because a restore ends with a checkpoint, so its commits need not wait for the disk.
`quote_all_identifiers` is off, so that the text of a schema does not depend on the server's setting.
"""


def passfile(service: Postgres, *, as_user: bool = False) -> bytes:
    """Return the line of a passfile that contains the password of the superuser. The line is valid for any server.

    When ``as_user`` is true, the line contains the password of the application's role. Raises CouldNotVerify when the
    password contains a line break, because libpq cannot read such a password from a passfile.
    """
    secret = service.password if as_user else service.admin.password
    password = secret.reveal() if secret else ""
    if "\n" in password or "\r" in password:
        raise CouldNotVerify(
            f"a password of {service.name} contains a line break, which a passfile cannot represent",
            hint="set a password without a line break",
        )
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n".encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Tools:
    """Runner of PostgreSQL's programs for one service on one host."""

    service: Postgres
    host: Host
    deadline: Deadline
    scratch: str
    """Path of the run's folder for temporary files on the host."""

    @classmethod
    def of(cls, ctx: Context, service: Postgres, host: Host | None = None) -> Tools:
        """Return the runner for ``host``.

        When ``host`` is None, return the runner for the service's host. If the service is a sandbox in a container, return
        the runner for this container instead.
        """
        where = host or ctx.host_named(service.host)
        if host is None and service.sandbox is not None and service.sandbox.isolation == "container":
            where = Sandbox.of(ctx, service).programs
            service = service.model_copy(update={"run_as": ""})
        return cls(service, where, ctx.deadline, ctx.scratch_on(where))

    def path(self, program: str) -> str:
        """Return the path of ``program`` in the service's folder `bin`. Without such a folder, return only its name."""
        return str(PurePosixPath(self.service.bin) / program) if self.service.bin else program

    def transaction(self, *files: str, flags: tuple[str, ...] = (), sink: Any) -> Output:
        """Run SQL files with psql as one transaction. If the server rolls the transaction back because of a deadlock, run
        it again.

        ``sink`` receives the standard output of each attempt. The caller must check the exit status. Raises CouldNotVerify
        when the result is unknown, HostError when the host cannot be used, and Cancelled when the run is stopped.
        """
        arguments = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", *flags)
        for _ in range(DEADLOCKS):
            output = self.client("psql", *arguments, *(f"--file={file}" for file in files), sink=sink)
            if output.ok or DEADLOCK not in output.stderr:
                break
        return output

    def client(
        self, program: str, *arguments: str, database: str | None = None, stdin: bytes = b"", **options: Any
    ) -> Output:
        """Run a client program that connects to the service as the superuser. The program's messages are not translated.

        Other users cannot read the files that the program writes. While the program runs, the superuser's password is in a
        file that other users cannot read. The password is not in the environment. ``options`` are passed to Host.run. The
        caller must check the exit status. Raises CouldNotVerify when the result is unknown, HostError when the host cannot
        be used, and Cancelled when the run is stopped.
        """
        if self.through_relay:
            return self._through_relay(program, *arguments, database=database, stdin=stdin, **options)
        argv = self.asking(program, *arguments, database=database)
        if self.service.admin.password is None:
            return self.host.run(
                ("sh", "-c", _PRIVATE, "sh", *argv), deadline=self.deadline, env=ENVIRONMENT, stdin=stdin, **options
            )
        file = f"{self.scratch}/passfile-{fresh(12)}"
        wrapped = (
            "sh",
            "-c",
            target_folders.shell() + _WITH_PASSFILE,
            "sh",
            *target_folders.parts(self.scratch),
            file,
            *argv,
        )
        try:
            output = self.host.run(
                wrapped, deadline=self.deadline, env=ENVIRONMENT, stdin=passfile(self.service) + stdin, **options
            )
        except BaseException:  # remove the passfile: the program and its shell may have been killed
            with suppress(DrillbookError):
                self.host.run(("rm", "-f", "--", file), deadline=Deadline.after(10))
            raise
        target_folders.refuse(self.host, output)
        return output

    @property
    def through_relay(self) -> bool:
        """True when the superuser logs in by peer authentication, but another user runs the programs."""
        return bool(self.service.admin.socket and self.service.run_as)

    def _through_relay(self, program: str, *arguments: str, database: str | None, stdin: bytes, **options: Any) -> Output:
        """Run a client program as the SSH user, so that this user owns the files that the program writes. The program
        connects to a relay, a small program on the host. The relay runs as the user `run_as`, and passes the connection on to
        the server.
        """
        folder = self.make_relay_folder()
        argv = self.relayed(folder, self.asking(program, *arguments, database=database, folder=folder))
        try:
            return self.host.run(argv, deadline=self.deadline, env=ENVIRONMENT, stdin=stdin, **options)
        except BaseException:  # remove the folder: the program and its shell may have been killed
            with suppress(DrillbookError):
                self.host.run(("rm", "-rf", "--", folder), deadline=Deadline.after(10))
            raise

    def make_relay_folder(self) -> str:
        """Make the run's folder, and return a new path in this folder. A relay makes a folder for its socket at this path.

        Raises NotReady when the path of the socket would be too long.
        """
        self.make_scratch()
        return self._relay_folder()

    def _relay_folder(self) -> str:
        folder = f"{self.scratch}/{fresh(4)}"
        if len(f"{folder}/.s.PGSQL.{self.service.port}".encode()) > SOCKET_LIMIT:
            raise NotReady(
                f"{self.host.name}: the path of a Unix socket in {self.scratch} would be longer than {SOCKET_LIMIT} bytes",
                hint="set `scratch` of the host to a folder with a shorter path, or give the drill a shorter name",
            )
        return folder

    def relayed(self, folder: str, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the command that runs ``argv`` together with a relay. The relay is a program that listens on a Unix socket
        in ``folder``.

        For each connection to this socket, the user `run_as` makes a connection to the server.
        """
        path = socket_of(self.service)
        relay = unix_socket.relay(path, self.service.run_as)
        return unix_socket.beside(f"{folder}/{path.rpartition('/')[2]}", relay, argv)

    def make_scratch(self) -> None:
        """Make the run's folder for temporary files.

        Raises NotReady when other users could write to it, and HostError when the host cannot be used.
        """
        target_folders.make(self.host, self.scratch, deadline=self.deadline)

    def asking(self, program: str, *arguments: str, database: str | None = None, folder: str = "") -> tuple[str, ...]:
        """Return the command line of a client program that connects as the superuser. The command line does not contain
        the password.

        ``folder``: folder with the socket of a relay (see ``relayed``), or empty without a relay.
        """
        named = ("--dbname", conninfo(self.service.database if database is None else database))
        return (
            self.path(program),
            "--no-password",
            "--host",
            folder or self.service.admin.socket or self.service.address,
            "--port",
            str(self.service.port),
            "--username",
            self.service.admin.user,
            *named,
            *arguments,
        )

    def owned(self, argv: Sequence[str], **options: Any) -> Output:
        """Run ``argv`` as the owner of the data directory."""
        return self.host.run(self.as_owner(*argv), deadline=self.deadline, **options)

    def as_owner(self, *argv: str) -> tuple[str, ...]:
        """Return the command that runs ``argv`` as the owner of the data directory.

        Raises NotReady for a managed database, because nothing can be run on its host.
        """
        if self.service.managed:
            raise NotReady(
                f"{self.service.name} is a managed database: nothing can be run on its host",
                hint="use actions that need nothing but a login to the database: backups, sandboxes, comparisons, canaries; "
                "see `Backup methods` in the documentation",
            )
        return as_user(self.service.run_as, argv)

    def version(self, program: str) -> tuple[int, str]:
        """Return the major version of ``program``, and the whole text that the program prints about its version. On a host
        with several versions, ``program`` may be a wrapper that chooses a version. The result is then the version that the
        wrapper chooses for a connection to a server. Raises NotReady when the host lacks ``program``.
        """
        argv = (self.path(program), "--version")
        output = once_more(lambda: self.host.run(argv, deadline=self.deadline, env=AS_CLIENT))
        match = re.search(r"\(PostgreSQL\) (\d+)", output.text)
        if not output.ok or match is None:
            raise NotReady(
                f"{self.host.name} has no {self.path(program)}",
                hint=f"set {self.service.setting('bin')} to the folder of PostgreSQL's programs",
            )
        return int(match[1]), output.text

    def need(self, programs: Sequence[str], least: int) -> dict[str, str]:
        """Check that ``programs`` have the major version ``least`` or a newer version, and return their version texts.

        Raises NotReady when a program is missing or too old, or when the path of the relay's socket would be too long.
        """
        if self.through_relay:
            self._relay_folder()
        versions = {}
        for program in programs:
            major, versions[program] = self.version(program)
            if major < least:
                raise NotReady(
                    f"{self.host.name}: {self.path(program)} has version {major}, but the server has version {least}",
                    hint=f"set {self.service.setting('bin')} to the folder of programs of the server's version",
                )
        return versions

    def need_space(self, folder: str, wanted: int) -> None:
        """Raise NotReady when the disk of ``folder`` has fewer than ``wanted`` free bytes. The folder need not exist."""
        free = self._free(("sh", "-c", _FREE, "sh", folder))
        if free is None or free < wanted:
            raise NotReady(
                f"{self.host.name}: {folder} has {(free or 0) >> 20} MiB free, but {-(-wanted >> 20)} MiB are needed",
                hint="free some space, or set `scratch` of the host to a folder on a larger disk",
            )

    def free_space(self) -> int | None:
        """Return the number of free bytes on the disk of the data directory, or None if it is unknown.

        Raises HostError when the host cannot be used.
        """
        return self._free(self.as_owner("sh", "-c", _FREE, "sh", self.service.data_directory))

    def _free(self, argv: Sequence[str]) -> int | None:
        output = once_more(lambda: self.host.run(argv, deadline=self.deadline, env={"LC_ALL": "C"}))
        match = re.search(r"\s(\d+)\s+\d+%\s", output.text)
        return int(match[1]) * 1024 if output.ok and match else None
