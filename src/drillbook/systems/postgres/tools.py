"""PostgreSQL's own programs on a service's host, and the rights that they run with."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from drillbook.errors import CouldNotVerify, DrillbookError, NotReady
from drillbook.sdk import target_folders as scratch
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, Host, Output, once_more
from drillbook.systems.postgres.connection import conninfo
from drillbook.systems.postgres.service import Postgres

_FREE = 'd=$1; while test ! -d "$d"; do d=$(dirname -- "$d"); done; df -Pk -- "$d"'
_PRIVATE = 'umask 077; exec "$@"'
# ROOT REST FILE PROGRAM...: the first line of the input is the passfile. It is there only while the program runs, in a
# folder of its user alone, which is made anew when another program that ended just then took it along.
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

ENVIRONMENT = {"LC_ALL": "C", "PGCONNECT_TIMEOUT": "10", "PGAPPNAME": "drillbook", "PGOPTIONS": "-c synchronous_commit=off"}
"""Of client programs. Commits of a restore need not wait for the disk one by one: it ends with a checkpoint."""


def passfile(service: Postgres, *, as_user: bool = False) -> bytes:
    """The line of a passfile with the password of the superuser, or of the application, for whatever server is asked.

    Raises CouldNotVerify when libpq could not read the password from there.
    """
    secret = service.password if as_user else service.admin.password
    password = secret.reveal() if secret else ""
    if "\n" in password or "\r" in password:
        raise CouldNotVerify(
            f"a password of {service.name} holds a line break, which no passfile can", hint="give it another password"
        )
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n".encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs for one service on one host."""

    service: Postgres
    host: Host
    deadline: Deadline
    scratch: str
    """The run's folder for temporary files on the host."""

    @classmethod
    def of(cls, ctx: Context, service: Postgres, host: Host | None = None) -> Tools:
        """The programs on ``host``, or on the service's own."""
        where = host or ctx.host_named(service.host)
        return cls(service, where, ctx.deadline, ctx.scratch_on(where))

    def path(self, program: str) -> str:
        """Where ``program`` is: in the service's folder, or on PATH."""
        return str(PurePosixPath(self.service.bin) / program) if self.service.bin else program

    def client(
        self, program: str, *arguments: str, database: str | None = None, stdin: bytes = b"", **options: Any
    ) -> Output:
        """Run a client program against the service as the superuser, with private files and plain messages.

        The password stands in a file for the time that it runs, which no other user can read, and in no environment.
        ``options`` go to Host.run. The caller looks at the status. Raises CouldNotVerify, HostError, Cancelled.
        """
        argv = self.asking(program, *arguments, database=database)
        if self.service.admin.password is None:
            return self.host.run(
                ("sh", "-c", _PRIVATE, "sh", *argv), deadline=self.deadline, env=ENVIRONMENT, stdin=stdin, **options
            )
        file = f"{self.scratch}/passfile-{secrets.token_hex(6)}"
        wrapped = ("sh", "-c", scratch.shell() + _WITH_PASSFILE, "sh", *scratch.parts(self.scratch), file, *argv)
        try:
            output = self.host.run(
                wrapped, deadline=self.deadline, env=ENVIRONMENT, stdin=passfile(self.service) + stdin, **options
            )
        except BaseException:  # the program, and the shell with it, may have been ended hard
            with suppress(DrillbookError):
                self.host.run(("rm", "-f", "--", file), deadline=Deadline.after(10))
            raise
        scratch.refuse(self.host, output)
        return output

    def make_scratch(self) -> None:
        """Make the run's folder for temporary files. Raises NotReady where somebody else could reach into it, HostError."""
        scratch.make(self.host, self.scratch, deadline=self.deadline)

    def asking(self, program: str, *arguments: str, database: str | None = None) -> tuple[str, ...]:
        """The command line of a client program that asks the service as the superuser; the password is no part of it."""
        named = ("--dbname", conninfo(self.service.database if database is None else database))
        return (
            self.path(program),
            "--no-password",
            "--host",
            self.service.address,
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
        """``argv`` in the form that runs as the owner of the data directory."""
        return (*(("sudo", "-n", "-u", self.service.run_as, "--") if self.service.run_as else ()), *argv)

    def version(self, program: str) -> tuple[int, str]:
        """Major version of a program and the whole of what it says. Raises NotReady when it is not there."""
        argv = (self.path(program), "--version")
        output = once_more(lambda: self.host.run(argv, deadline=self.deadline, env={"LC_ALL": "C"}))
        match = re.search(r"\(PostgreSQL\) (\d+)", output.text)
        if not output.ok or match is None:
            raise NotReady(
                f"{self.host.name} has no {self.path(program)}",
                hint="set `bin` of the service to the folder of PostgreSQL's programs",
            )
        return int(match[1]), output.text

    def need(self, programs: Sequence[str], least: int) -> dict[str, str]:
        """Versions of ``programs``, each of major version ``least`` or newer. Raises NotReady."""
        versions = {}
        for program in programs:
            major, versions[program] = self.version(program)
            if major < least:
                raise NotReady(
                    f"{self.host.name}: {self.path(program)} is of version {major}, the server of {least}",
                    hint="set `bin` of the service to the folder of the newer programs",
                )
        return versions

    def need_space(self, folder: str, wanted: int) -> None:
        """Look whether ``folder``, or the nearest one above it that exists, has ``wanted`` bytes free. Raises NotReady."""
        free = self._free(("sh", "-c", _FREE, "sh", folder))
        if free is None or free < wanted:
            raise NotReady(
                f"{self.host.name}: {folder} has {(free or 0) >> 20} MiB free, {-(-wanted >> 20)} MiB are needed",
                hint="make room, or set `scratch` of the host to a larger disk",
            )

    def free_space(self) -> int | None:
        """Bytes free where the data directory is, or belongs; None when nobody tells. Raises HostError."""
        return self._free(self.as_owner("sh", "-c", _FREE, "sh", self.service.data_directory))

    def _free(self, argv: Sequence[str]) -> int | None:
        output = once_more(lambda: self.host.run(argv, deadline=self.deadline, env={"LC_ALL": "C"}))
        match = re.search(r"\s(\d+)\s+\d+%\s", output.text)
        return int(match[1]) * 1024 if output.ok and match else None
