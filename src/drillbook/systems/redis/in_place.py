"""Restores a team's RDB file into a server that lost its keys: restarts the server with this file, and checks that it has
loaded all keys.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk.action import Facts, Undo
from drillbook.sdk.backup_source import Backup
from drillbook.sdk.identity import Identity
from drillbook.sdk.in_place import InPlace, evidence_of_run, lies_in
from drillbook.systems.redis import identity, ownership, server_state, verification
from drillbook.systems.redis.connection import connected
from drillbook.systems.redis.restore import Replacement
from drillbook.systems.redis.service import Redis
from drillbook.systems.redis.verification import Checker

MARKED = "marked.txt"
"""Name of the evidence file of `redis.mark`. The mark is a key in the keyspace. The team's backup does not contain this key.
Therefore the mark is missing after a restore of the backup, and the restoring step writes it again. It does so only if this
file shows that the run wrote the mark before.
"""


@dataclass(frozen=True, slots=True)
class RedisInPlace(InPlace):
    """Restore of an RDB into a service of kind redis."""

    source: Any
    """The backup source that this object restores from."""

    @property
    def redis(self) -> Redis:
        """The Redis service that is restored. Raises NotReady when the service is of another kind."""
        if not isinstance(self.service, Redis):
            raise NotReady(f"{self.service.name} is not a service of kind redis", hint="correct `service` of the step")
        return self.service

    @property
    def replacement(self) -> Replacement:
        """Object that replaces the server's files by the RDB file, and that can put the old files back."""
        return Replacement(self.ctx, self.redis)

    def ready(self) -> None:
        """Check that the unit runs the server at the port, and that its host has a checker program."""
        if not self.redis.unit:
            raise NotReady(
                f"the service {self.redis.name!r} has no `unit` in the inventory",
                hint="a restore restarts the server: set `unit` of the service to its unit in the service manager",
            )
        ownership.ready(self.ctx, self.redis)
        program = self._program()
        verification.need_checker(lambda argv: self.ctx.run(*argv), self.ctx.host, program)
        self.source.need_here(self.ctx)
        self.source.need_format(self.ctx, program)

    def _program(self) -> str:
        """Return the path of the server's program. The program can also check files. The path comes from the inventory, or
        else from the running server. If both lack it, the returned path is empty, and PATH is searched for the program.
        """
        if self.redis.program:
            return self.redis.program
        try:
            with connected(self.ctx, self.redis) as session:
                return server_state.place(session, self.redis).program
        except CouldNotVerify:
            return ""

    def unlike(self, backup: Backup, checked: Facts) -> str:
        """Return the reason why this backup must not be restored, or an empty text when it can be restored.

        There are three reasons. The server does not know the format of the RDB. The backups are in the server's data folder.
        The server has keys in a database that the RDB does not have.
        """
        begins = str(checked.get("format", "")).encode()
        try:  # a check before the drill does not read the beginning of every file, for example of an encrypted one
            verification.need_format(lambda argv: self.ctx.run(*argv), self.ctx.host, self._program(), backup.id, begins)
        except NotReady as error:
            return error.message
        with connected(self.ctx, self.redis) as session:
            directory, sizes = server_state.place(session, self.redis).directory, session.sizes()
        if why := lies_in(self.ctx, self.source, directory):
            return f"{why}: after a flush the server overwrites its RDB file in this folder, and the new file has no keys"
        if beyond := sorted(number for number in map(int, sizes) if number >= int(checked.get("databases", 0))):
            return f"the backup has no database {beyond[0]}, but the server has keys in this database"
        return ""

    def restore(self, backup: Backup, at: datetime | None) -> Facts:
        """Check the file on the server's host, and restart the server with this file. Raises StepFailed when the file is
        damaged or not all keys are loaded, and HostError when the host cannot be used.
        """
        begun, ctx = time.monotonic(), self.ctx
        replacement, program = self.replacement, self._program()
        try:
            place = replacement.present()
            with ctx.temporary("rdb") as folder, self.source.brought(ctx, backup, ctx.host, folder) as brought:
                tool = Checker(lambda argv: ctx.run(*argv), ctx.host, program, folder)
                path, verdict = self.source.verdict(tool, backup, brought)
                if verdict.problems:
                    raise StepFailed(f"{ctx.host.name}: {verdict.problems[0].title}", findings=verdict.problems)
                replacement.timed("fetch", begun)
                keys, appends = replacement.exchange(place, path, verdict.keys)
            self._mark()
        except CouldNotVerify as error:
            raise StepFailed(f"the restore failed: {error.message}") from error
        return {"keys": keys, "append_only": appends, "bytes": backup.bytes, "seconds": replacement.seconds}

    def _mark(self) -> None:
        """Write the mark of this run, a key that identifies the keyspace, to the restored keyspace. Do this only if `redis.mark`
        wrote the mark to the lost keyspace.
        """
        if evidence_of_run(self.ctx, MARKED):
            with connected(self.ctx, self.redis) as session:
                identity.mark(session, self.ctx.run_id)

    def undo(self) -> Undo:
        """Return an undo that starts the unit, and puts the old files back if the restore did not finish."""
        return self.replacement.undo(self.replacement.present())

    def active(self) -> bool:
        """Return True while the server's old files must still be put back, or the unit is stopped."""
        return self.replacement.unfinished(self.replacement.present())

    def identity(self) -> Identity:
        """Identity of the keyspace, read from the mark in the keyspace."""
        return identity.measured(self.ctx, self.redis.name)
