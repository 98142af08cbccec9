"""PostgreSQL's own programs on a service's host, and the rights that they run with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from drillbook.action import Context
from drillbook.errors import NotReady
from drillbook.host import Deadline, Host, Output
from drillbook.postgresql.connection import conninfo
from drillbook.services import Postgres
from drillbook.values import Secret

_PRIVATE = 'umask 077; exec "$@"'


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs for one service on one host."""

    service: Postgres
    host: Host
    deadline: Deadline

    @classmethod
    def of(cls, ctx: Context, service: Postgres, host: Host | None = None) -> Tools:
        """The programs on ``host``, or on the service's own."""
        return cls(service, host or ctx.host_named(service.host), ctx.deadline)

    def path(self, program: str) -> str:
        """Where ``program`` is: in the service's folder, or on PATH."""
        return str(PurePosixPath(self.service.bin) / program) if self.service.bin else program

    def client(self, program: str, *arguments: str, database: str | None = None, **options: Any) -> Output:
        """Run a client program against the service as the superuser, with private files and plain messages.

        ``options`` go to Host.run. The caller looks at the status. Raises HostError, Cancelled.
        """
        named = ("--dbname", conninfo(self.service.database if database is None else database))
        argv = ("sh", "-c", _PRIVATE, "sh", self.path(program), "--no-password", "--host", self.service.address, "--port",
                str(self.service.port), "--username", self.service.admin.user, *named, *arguments)
        return self.host.run(argv, deadline=self.deadline, env=self.environment(), **options)

    def environment(self) -> dict[str, str | Secret]:
        """Environment of a client program, which carriers pass unseen.

        Commits of a restore need not wait for the disk one by one: it ends with a checkpoint.
        """
        plain: dict[str, str | Secret] = {"LC_ALL": "C", "PGCONNECT_TIMEOUT": "10", "PGAPPNAME": "drillbook",
                                          "PGOPTIONS": "-c synchronous_commit=off"}
        return plain if self.service.admin.password is None else plain | {"PGPASSWORD": self.service.admin.password}

    def owned(self, argv: Sequence[str], **options: Any) -> Output:
        """Run ``argv`` as the owner of the data directory."""
        return self.host.run(self.as_owner(*argv), deadline=self.deadline, **options)

    def as_owner(self, *argv: str) -> tuple[str, ...]:
        """``argv`` in the form that runs as the owner of the data directory."""
        return (*(("sudo", "-n", "-u", self.service.run_as, "--") if self.service.run_as else ()), *argv)

    def version(self, program: str) -> tuple[int, str]:
        """Major version of a program and the whole of what it says. Raises NotReady when it is not there."""
        output = self.host.run((self.path(program), "--version"), deadline=self.deadline, env={"LC_ALL": "C"})
        match = re.search(r"\(PostgreSQL\) (\d+)", output.text)
        if not output.ok or match is None:
            raise NotReady(f"{self.host.name} has no {self.path(program)}",
                           hint="set `bin` of the service to the folder of PostgreSQL's programs")
        return int(match[1]), output.text

    def need(self, programs: Sequence[str], least: int) -> dict[str, str]:
        """Versions of ``programs``, each of major version ``least`` or newer. Raises NotReady."""
        versions = {}
        for program in programs:
            major, versions[program] = self.version(program)
            if major < least:
                raise NotReady(f"{self.host.name}: {self.path(program)} is of version {major}, the server of {least}",
                               hint="set `bin` of the service to the folder of the newer programs")
        return versions

    def need_space(self, folder: str, wanted: int) -> None:
        """Look whether ``folder``, or the nearest one above it that exists, has ``wanted`` bytes free. Raises NotReady."""
        script = 'd=$1; while test ! -d "$d"; do d=$(dirname -- "$d"); done; df -Pk -- "$d"'
        output = self.host.run(("sh", "-c", script, "sh", folder), deadline=self.deadline, env={"LC_ALL": "C"})
        match = re.search(r"\s(\d+)\s+\d+%\s", output.text)
        free = int(match[1]) * 1024 if match else 0
        if not output.ok or free < wanted:
            raise NotReady(f"{self.host.name}: {folder} has {free >> 20} MiB free, {-(-wanted >> 20)} MiB are needed",
                           hint="make room, or set `scratch` of the host to a larger disk")
