"""Base of backup sources where each backup is one file, such as tar archives, SQL dumps and database copies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from drillbook.errors import NotReady, StepFailed
from drillbook.findings import Finding
from drillbook.sdk import host_encryption
from drillbook.sdk.action import Context
from drillbook.sdk.backup import UNKNOWN_S
from drillbook.sdk.backup_beginning import LIMIT, Beginning, beginning_of, lines_of
from drillbook.sdk.backup_places import Place, Printed, StoredFile, matching, place_of
from drillbook.sdk.backup_source import Backup, BackupSource, need_programs
from drillbook.sdk.encryption import SUFFIX, AgeIdentity, secret_keys
from drillbook.sdk.host import Host
from drillbook.sdk.manual_restore import Files
from drillbook.sdk.service import KeptIn, kind_of
from drillbook.values import Secret


def _form(text: str) -> str:
    if text and ("%Y" not in text or "%d" not in text):
        raise ValueError(f"{text!r} contains no date; write it in the format of strptime(3), such as %Y%m%d-%H%M%S")
    return text


_PERHAPS_OTHER = ("backup-damaged", "backup-empty", "backup-incomplete", "backup-of-another")
"""Codes of findings which can mean that a file is not a backup, but some other file in the backup folder."""
_FIRST = 4096
"""Number of bytes that show whether a file is a backup of a kind."""


class FileBackups(BackupSource):
    """Base of backup sources where each backup is one file."""

    ADDED: ClassVar[frozenset[str]] = frozenset({"identity", "only_reads"})
    LIST_PROGRAMS: ClassVar[tuple[str, ...]] = ()
    DECRYPTS: ClassVar[bool] = True
    """True if encrypted files are allowed, and are decrypted for a restore. False for kinds where each backup consists of
    several files.
    """
    TAKEN: ClassVar[str] = ""
    """Name of the backup job, such as ``the dump``. Only set when the time of the file is the end of the job.

    The data in such a backup is older than the file: it is the data from the beginning of the job. The text is empty when the
    time of the file is the time of its data.
    """

    at: Secret | str | tuple[str, ...] = Field(
        description=(
            "Place of the backup files. It has one of five forms. The first form is the path of a folder or file on "
            "the host. The second form is s3://bucket/prefix/. Without the last slash, keys such as prefix-2/... belong to "
            "the place, too. The third form is sftp://HOST/path; HOST is the name of a host in the inventory. The fourth "
            "form is an https:// URL, usually as a secret. The fifth form is a command that prints the content of the newest "
            "backup. The command is written as a list of its words. The age of the printed data is unknown. Therefore it "
            "can be restored only into a sandbox, and `backup.measure`, `max_age` and `every` are refused."
        )
    )
    pattern: str = Field(default="*", description="Shell pattern. Only files whose names match it are backup files.")
    newest: Literal["modified", "name"] = Field(
        default="modified",
        description=(
            "Source of the time of each backup. `modified` means the modification time of the file. `name` means "
            "the time in the file's name (see `time`)."
        ),
    )
    time: Annotated[str, AfterValidator(_form)] = Field(
        default="",
        description=(
            "Format of the UTC time in the file names, as for strptime(3). Empty: the first text in the name "
            "that looks like a time is used."
        ),
    )

    identity: AgeIdentity | None = Field(
        default=None,
        description=(
            "Secret key of age that decrypts files whose names end with .age. It is the content of a file "
            "made by age-keygen, given by `!file` or `!env`."
        ),
    )

    only_reads: Literal[True] | None = Field(
        default=None,
        description=(
            "Set `true` if the command in `at` changes nothing and may be ended at any time. `drill.check` then starts the command, "
            "reads the beginning of its output, and ends the command. Otherwise `drill.check` cannot compare the version of the "
            "backup, and its exit status is 3."
        ),
    )

    @property
    def kept_in(self) -> tuple[KeptIn, ...]:
        """Host and path of the backup files, if `at` is a path on the source's host or an `sftp` URL.

        The value is empty for any other place.
        """
        if not isinstance(self.at, str):
            return ()
        if self.at.startswith("sftp://"):
            host, _, path = self.at.removeprefix("sftp://").partition("/")
            return (KeptIn(host, f"/{path}"),)
        return (KeptIn(self.host, self.at),) if self.at.startswith("/") else ()

    @property
    def place_programs(self) -> tuple[str, ...]:
        """Additional programs that are needed to list the backups. They are started on the host of the folder `at`.

        If `at` is an `sftp` URL, that host is not the host of the backup source. The programs in ``LIST_PROGRAMS`` are always
        started on the host of the backup source.
        """
        return ()

    @property
    def tells_age(self) -> bool:
        """False when the place of the backup is a command that prints the content of the backup, because the age of the
        printed data is unknown."""
        return not isinstance(self.at, tuple)

    @property
    def searched(self) -> str:
        """Text with the place of the files, and the pattern of their names. A place that is a secret or a command is
        not shown."""
        place = f" in {self.at}" if isinstance(self.at, str) else ""
        return f"{place} with a name like {self.pattern}"

    @property
    def by_hand(self) -> Files:
        """Place of the backup files, for the commands of a restore without Drillbook."""
        return Files(self.name, self.host, self.run_as, self.at, self.pattern, self.newest == "name", self.identity)

    def place(self, ctx: Context) -> Place:
        """Return the location of the backup files, from the field `at`."""
        return place_of(ctx, ctx.host_named(self.host), self.at, self.setting("at"))

    def backups(self, ctx: Context) -> list[Backup]:
        """List the files that match the pattern as backups."""
        return [self._backup(file) for file in self.matching(self.place(ctx).files(ctx))]

    def matching(self, files: Sequence[StoredFile]) -> list[StoredFile]:
        """Return the files whose name matches the pattern. The output of a command has no name, and always matches."""
        return matching(files, self.pattern if self.tells_age else "*")

    def _backup(self, file: StoredFile) -> Backup:
        if self.newest == "modified":
            ended = self.TAKEN and self.tells_age
            basis = f"{file.basis}: the end of {self.TAKEN}; {UNKNOWN_S}" if ended else file.basis
            return Backup(file.name, file.modified, basis, 1.0, file.bytes)
        moment = moment_in(file.name, self.time)
        if moment is None:
            raise StepFailed(
                f"{self.name}: the name {file.name!r} contains no time"
                + (f" in the format {self.time}" if self.time else ""),
            )
        return Backup(file.name, moment, "time in the file's name, taken as UTC", 1.0, file.bytes)

    @contextmanager
    def brought(self, ctx: Context, backup: Backup, host: Host, folder: str) -> Iterator[str]:
        """Bring the file of ``backup`` to ``host``, decrypt it, and yield its path on that host. At the end of the `with`
        block, remove the file if it is a copy in ``folder``.

        Raises StepFailed. The finding is ``backup-key-lost`` when no key decrypts the file, and ``backup-damaged`` when the
        file is damaged.
        """
        path = self.opened(ctx, self.place(ctx).bring(ctx, backup.id, host, folder), host, folder)
        try:
            yield path
        finally:
            if path.startswith(f"{folder}/"):
                host.run(("rm", "-f", "--", path), deadline=ctx.deadline)

    def beginning(self, ctx: Context, names: Sequence[str], limit: int = LIMIT, *, inside: Host | None = None) -> Beginning:
        """Read the first bytes of a backup on the step's host, decrypted and decompressed as for a restore.

        ``names``: possible names of the file. The first file that can be read is used. ``inside``: host that decompresses
        the file, such as a container of a sandbox; None means the step's host.

        The result is empty when no file can be read. A check before a drill then records that the backup's version was not
        verified. ``_printed`` reads backups that a command prints.
        """
        place, beginnings = self.place(ctx), []
        if isinstance(place, Printed):
            return self._printed(ctx, place, limit, inside)
        for name in names:
            beginnings.append(self._read(ctx, place, name, limit, inside))
            if beginnings[-1].data:
                return beginnings[-1]
        return self._told(ctx, names[0], beginnings[0])

    def lines(self, ctx: Context, name: str, program: str) -> tuple[str, bool]:
        """Filter a whole backup by `sed -n PROGRAM`; see ``lines_of``. Its file must be in a folder on the step's host.

        The second value of the result is False when the file was not read to its end.
        """
        keys = secret_keys(self.identity, name) if name.endswith(SUFFIX) else ()
        return lines_of(ctx, self.place(ctx), name, keys, program)

    def _printed(self, ctx: Context, place: Printed, limit: int, inside: Host | None) -> Beginning:
        """Start the command that prints the backup, return the beginning of its output, and end the command.

        In a check before a drill, the command is started only if ``only_reads`` is set. In a run, it is started at most once
        on each host, before the first fault. A run does not start it if a step before the first fault verifies the whole
        output anyway.
        """
        if ctx.doubt and not self.only_reads:
            ctx.unsure(
                f"the version of the backup that the command of {self.name} prints: only a run reads this version, before any fault. "
                f"If the command only reads and may be ended at any time, set `only_reads: true` of {self.name}; the check then "
                "reads the version, too"
            )
            return Beginning()
        if not ctx.doubt and not self.only_reads and self.name in ctx.verified:
            return Beginning()
        key = (self.name, ctx.host.name, ctx.host.target.account, inside.name if inside else "", str(limit))
        if key not in ctx.printed:
            ctx.printed[key] = self._read(ctx, place, "output", limit, inside)
        return self._told(ctx, "output", ctx.printed[key])

    def _read(self, ctx: Context, place: Place, name: str, limit: int, inside: Host | None) -> Beginning:
        try:
            keys = secret_keys(self.identity, name) if name.endswith(SUFFIX) else ()
            return beginning_of(ctx, place, name, keys, limit, inside=inside)
        except StepFailed as error:
            return Beginning(why=error.message)

    def _told(self, ctx: Context, name: str, head: Beginning) -> Beginning:
        if head.why:
            ctx.unsure(f"the version of the backup {name} of {self.name}, whose beginning cannot be read: {head.why}")
        return head

    def is_of_kind(self, ctx: Context, backup: Backup) -> bool | None:
        """Read the first bytes of the file, and return True if they are those of a backup of this kind. The result is None if
        they cannot be read, or if no first bytes are known for this kind.
        """
        if not self.tells_age:
            return None
        data = self.beginning(ctx, (backup.id,), _FIRST).data
        return self.begins(data) if data else None

    def begins(self, data: bytes) -> bool | None:
        """Return True if ``data``, the first bytes of a file, are those of a backup of this kind. The default is None: unknown."""
        return None

    def explained(self, backup: Backup, findings: Sequence[Finding], *, of_kind: bool | None = None) -> tuple[Finding, ...]:
        """Add advice about the field `pattern` to findings about a file that may be no backup.

        The advice is added only if the pattern ends with `*`, because such a pattern also matches files that are no backups. For
        a damaged file that begins like a backup, the advice stands last, because this file most probably is a backup.
        """
        if not self.tells_age or not self.pattern.endswith("*"):
            return tuple(findings)
        return tuple(
            finding.model_copy(update={"remedy": self._remedy(backup, finding, of_kind)})
            if finding.code in _PERHAPS_OTHER
            else finding
            for finding in findings
        )

    def _remedy(self, backup: Backup, problem: Finding, of_kind: bool | None) -> str:
        narrowed = f"narrow {self.setting('pattern')}, which is {self.pattern!r}"
        if of_kind and problem.code == "backup-damaged":
            return f"{problem.remedy} If {backup.id} is not a backup of this job, {narrowed}."
        other = (
            "is a backup of something else"
            if of_kind
            else "is not a backup, but for example a note, a checksum or a file of roles"
        )
        return f"If {backup.id} {other}, {narrowed}. Otherwise: {problem.remedy}"

    def unlike(self, ctx: Context, name: str, wanted: str) -> None:
        """During a check before a drill, record that the program version in a backup was not verified, because the first bytes
        of the backup have another format than expected. In a run, nothing is recorded.

        ``wanted``: text about the expected format.
        """
        ctx.unsure(
            f"the version of the backup {name} of {self.name}, which does not begin like {wanted}; if it is not a backup, "
            f"narrow {self.setting('pattern')}"
        )

    def opened(self, ctx: Context, path: str, host: Host, folder: str) -> str:
        """Decrypt the file ``path`` on ``host`` if its name ends with .age, and return the path of the plain file.

        The plain file is written to ``folder``. If ``path`` itself is a copy in ``folder``, the encrypted copy is removed.
        Raises StepFailed when the file cannot be decrypted, and NotReady when the program `age` is not on the host.
        """
        if not path.endswith(SUFFIX):
            return path
        name = path.rpartition("/")[2]
        plain, keys = f"{folder}/{name.removesuffix(SUFFIX)}", secret_keys(self.identity, name)
        host_encryption.decrypt(host, ctx.deadline, keys, [(path, plain)], keep=not path.startswith(f"{folder}/"))
        return plain

    def need_decryption(self, ctx: Context) -> None:
        """Check that the step's host can decrypt the files if they are encrypted. Raises NotReady when it cannot."""
        if self.identity and not self.DECRYPTS:
            raise NotReady(
                f"{self.name}: Drillbook cannot decrypt backups of kind {kind_of(self)}",
                hint="remove `identity`; or use the kind `tar`, where each backup is one archive, which can be encrypted",
            )
        if self.identity or self.pattern.endswith(SUFFIX):
            host_encryption.need_age(ctx.host, ctx.deadline)

    def need_here(self, ctx: Context) -> None:
        """Check that the files can be brought to the step's host, and decrypted there. Raises NotReady when they cannot."""
        self.place(ctx).need_way(ctx, ctx.host)
        self.need_decryption(ctx)

    def ready(self, ctx: Context) -> None:
        """Check that the host has the required programs and can receive the files, and that the field `at` is valid."""
        super().ready(ctx)
        self.place(ctx).need_way(ctx, ctx.host)
        self.need_decryption(ctx)
        self.need_list(ctx)

    def ready_to_list(self, ctx: Context) -> None:
        """Check that the files can be listed, by calling ``need_list`` or ``ready``.

        ``need_list`` checks the programs in ``LIST_PROGRAMS``. A class that overrides ``ready`` or ``backups`` may need others
        to list its backups. If it does not declare its own ``LIST_PROGRAMS``, this method calls ``ready``, which checks all
        programs of the class. An empty ``LIST_PROGRAMS`` counts as declared.
        """
        if _depth(type(self), "LIST_PROGRAMS") <= min(_depth(type(self), "ready"), _depth(type(self), "backups")):
            self.need_list(ctx)
        else:
            self.ready(ctx)

    def need_list(self, ctx: Context) -> None:
        """Check that the files can be listed: the field `at` is valid, and the programs that list the files exist. Raises
        NotReady in two cases: a program is missing, or `newest: name` is set although the backup is the output of a command.
        Such an output has no name. Raises ValueError when `at` is not valid.
        """
        if self.newest == "name" and not self.tells_age:
            raise NotReady(
                f"{self.name}: the output of a command has no name that contains a time",
                hint="remove `newest: name`, or let `at` name the files of the backups",
            )
        self.place(ctx).need_list(ctx, self.place_programs)
        need_programs(ctx, self.LIST_PROGRAMS)


def _depth(kind: type, name: str) -> int:
    """Return the distance in the class hierarchy from ``kind`` to the class that defines the attribute ``name``. The
    distance of ``kind`` itself is 0.
    """
    return next(depth for depth, base in enumerate(kind.__mro__) if name in base.__dict__)


_TIMES = (
    (r"(\d{4})-?(\d\d)-?(\d\d)[T_. -]?(\d\d)[:_h-]?(\d\d)[:_m-]?(\d\d)", "%Y%m%d%H%M%S"),
    (r"(\d{4})-?(\d\d)-?(\d\d)[T_. -](\d\d)[:_h-]?(\d\d)(?!\d)", "%Y%m%d%H%M"),
    (r"(\d{4})-?(\d\d)-?(\d\d)(?!\d)", "%Y%m%d"),
)


def moment_in(name: str, form: str = "") -> datetime | None:
    """Return the UTC time in a file name, or None when the name contains no time.

    ``form``: its format, as for strptime(3).
    """
    if form:
        pattern = re.escape(form)
        for directive, digits in (
            ("%Y", r"\d{4}"),
            ("%m", r"\d\d"),
            ("%d", r"\d\d"),
            ("%H", r"\d\d"),
            ("%M", r"\d\d"),
            ("%S", r"\d\d"),
        ):
            pattern = pattern.replace(re.escape(directive), digits).replace(directive, digits)
        match = re.search(pattern, name)
        return _parsed(match[0], form) if match else None
    for pattern, plain in _TIMES:
        if (match := re.search(pattern, name)) and (moment := _parsed("".join(match.groups()), plain)):
            return moment
    return None


def _parsed(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None
