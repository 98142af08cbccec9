"""Locations of the backup files of a team: a folder on a host, an S3 prefix, a presigned URL, or the output of a command.

The class of each kind of location lists the files, and transfers a file to the host that needs it. A host downloads files
from a store directly. A file on one host goes to another host in chunks through the controller. The controller does not store
the chunks.
"""

from __future__ import annotations

import io
import re
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context
from drillbook.sdk.answer_limits import Answer
from drillbook.sdk.backup_source import PRINTED_BASIS
from drillbook.sdk.download import HEADERS, WHOLE
from drillbook.sdk.host import Host, printable
from drillbook.sdk.sandbox_host import SandboxHost
from drillbook.sdk.store import Store
from drillbook.values import Secret

READERS = 8
"""Maximum number of simultaneous requests to a store."""
PIECE = 8 << 20
"""Size in bytes of the chunks in which a file goes through the controller from one host to another."""
# PATH: print a line for the file, or for each file below the folder: size, time of the last change, path. The exit status is 44
# when nothing is there, and 45 when the user may not read the folder, or the printed folder above it.
_LIST = r"""
if test -f "$1"; then cd -- "${1%/*}/" && exec stat -L -c '%s %Y %n' -- "./${1##*/}"; fi
above=$1
while test ! -e "$above"; do above=${above%/*}; test "$above" || above=/; done
test -d "$above" || exit 44
if test "$above" = "$1"; then test -r "$1" && test -x "$1"; else test -x "$above"; fi || { printf %s "$above"; exit 45; }
cd -- "$1" 2>/dev/null || exit 44
find . -type f -exec stat -c '%s %Y %n' -- {} +
"""
# PATH LIMIT: standard input contains file names in the folder PATH (or PATH is a single file). Print the first bytes of each
# file in hexadecimal, one line each; an empty line when it is unreadable.
_BEGINNINGS = """
if test -f "$1"; then cd -- "${1%/*}/"; else cd -- "$1"; fi || exit 44
while IFS= read -r path; do head -c "$2" -- "./$path" 2>/dev/null | od -An -v -tx1 | tr -d ' \\n'; echo; done
"""
BEGINNINGS_NEED = ("head", "od", "tr")
"""Programs that the host of a folder with backups needs, so that `Place.beginnings` can read the first bytes of the files."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One backup file: its path relative to the location, its size in bytes if known, and its modification time."""

    name: str
    bytes: int | None
    modified: datetime
    basis: str
    """Text about the source of ``modified``: the field, and the clock that set it."""


class Place:
    """Location of backup files; see ``place_of``."""

    @abstractmethod
    def files(self, ctx: Context) -> list[StoredFile]:
        """List the files.

        Raises StepFailed when the location does not exist. Raises CouldNotVerify when the list cannot be read. Raises
        HostError when the host cannot be asked.
        """

    @abstractmethod
    def bring(self, ctx: Context, name: str, host: Host, folder: str) -> str:
        """Make the file ``name`` available on ``host``, and return its path there.

        A file that is already on ``host`` is not copied. Otherwise a copy is written to ``folder``, an existing private
        folder on ``host``.
        """

    def beginnings(self, ctx: Context, names: Sequence[str], limit: int) -> dict[str, bytes]:
        """Return the first ``limit`` bytes of each file, with the name of the file as the key.

        The result is empty when this location can only read whole files.
        """
        return {}

    def need_list(self, ctx: Context, programs: Sequence[str] = ()) -> None:
        """Check that the programs that list the files exist. Raises NotReady when a program is missing.

        ``programs``: further programs that the caller will start on the host of the files, such as ``BEGINNINGS_NEED``.
        For a location that is not a folder on a host, these programs are not needed.
        """

    def need_way(self, ctx: Context, host: Host) -> None:
        """Check that files of this location can be brought to ``host``. Raises NotReady when they cannot."""


@dataclass(frozen=True, slots=True)
class HostFolder(Place):
    """Folder on a host, or one file."""

    host: Host
    path: str
    setting: str = ""
    """Field of the inventory in which the folder is set, with the file and the line of this field. Messages contain it."""

    def files(self, ctx: Context) -> list[StoredFile]:
        """List the files below the folder. When ``path`` is a file, the list contains only this file."""
        sink = Answer(f"{self.host.name}: the list of {self.path}")
        output = self.host.run(("sh", "-c", _LIST, "sh", self.path), deadline=ctx.deadline, sink=sink)
        if output.exit in (44, 45):
            raise self._unreadable(printable(sink.text, limit=300) if output.exit == 45 else "")
        output.check()
        matches = [re.fullmatch(r"(\d+) (\d+) \./(.*)", line, re.DOTALL) for line in sink.text.splitlines()]
        basis = f"time of the last change of the file on {self.host.name}"
        return [
            StoredFile(match[3], int(match[1]), datetime.fromtimestamp(int(match[2]), UTC), basis)
            for match in matches
            if match
        ]

    def _unreadable(self, closed: str) -> StepFailed:
        """Return the error for a folder that cannot be read.

        ``closed``: the path that the user has no right to read. It is empty when the folder does not exist.
        """
        field = self.setting or "`at` of the source in the inventory"
        why = f"the user may not read {closed}" if closed else "there is no folder and no file at this path"
        remedy = f"Give the user the right to read {closed}, or correct {field}." if closed else f"Correct {field}."
        return _no_place(f"{self.path} on {self.host.name}", why, remedy)

    def need_list(self, ctx: Context, programs: Sequence[str] = ()) -> None:
        """Check that the host of the folder has the programs that list the folder. Also check that the host has
        ``programs``.
        """
        _need(ctx, self.host, "find", "stat", *programs)

    def need_way(self, ctx: Context, host: Host) -> None:
        """Check that a file can be copied to ``host``. If ``host`` is the folder's own host, no check is needed."""
        if host.name != self.host.name:
            _need(ctx, self.host, "dd")
            _need(ctx, host, "cat")

    def bring(self, ctx: Context, name: str, host: Host, folder: str) -> str:
        """Return the path of the file on ``host``. A file on another machine is copied in chunks through the controller.

        A file on the same machine is copied only for a sandbox whose user cannot read the file.
        """
        path, to = self._path(ctx, name), f"{folder}/{_plain(name)}"
        if host.name != self.host.name:
            return _relayed(ctx, self.host, path, host, to)
        if isinstance(host, SandboxHost) and not host.sees(path, ctx.deadline):
            return host.take(path, to, ctx.deadline)
        return path

    def is_near(self, ctx: Context, name: str, host: Host) -> bool:
        """Return True when ``host`` can read the file or folder ``name`` directly.

        Raises HostError when the host cannot be used.
        """
        if host.name != self.host.name:
            return False
        return not isinstance(host, SandboxHost) or host.sees(self._path(ctx, name), ctx.deadline)

    def _path(self, ctx: Context, name: str) -> str:
        """Return the path of the file ``name``. If this location is a single file with this name, return its own path."""
        if name == self.path.rpartition("/")[2] and self.host.run(("test", "-f", self.path), deadline=ctx.deadline).ok:
            return self.path
        return f"{self.path.rstrip('/')}/{name}"

    def beginnings(self, ctx: Context, names: Sequence[str], limit: int) -> dict[str, bytes]:
        """Return the first bytes of each file, read with one command for all files."""
        sink = Answer(f"{self.host.name}: the beginnings of files in {self.path}")
        argv = ("sh", "-c", _BEGINNINGS, "sh", self.path, str(limit))
        asked = "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")
        self.host.run(argv, deadline=ctx.deadline, stdin=asked, sink=sink).check()
        return {name: bytes.fromhex(line) for name, line in zip(names, sink.text.splitlines(), strict=True)}


@dataclass(frozen=True, slots=True)
class Prefix(Place):
    """Objects below a prefix of an S3 bucket."""

    store: Store
    key: str

    def files(self, ctx: Context) -> list[StoredFile]:
        """List the objects below the prefix."""
        basis = f"time of the object's last write, by the clock of {self.store.service.endpoint}"
        return [StoredFile(name, size, moment, basis) for name, (size, moment) in self.store.modified(self.key).items()]

    def need_way(self, ctx: Context, host: Host) -> None:
        """Check that ``host`` can download objects."""
        _need_download(ctx, host)

    def bring(self, ctx: Context, name: str, host: Host, folder: str) -> str:
        """Make the host download the object with a presigned URL."""
        url = self.store.sign_get(self.key + name, ctx.deadline.remaining())
        return _fetched(ctx, host, url, f"{folder}/{_plain(name)}", f"s3://{self.store.service.bucket}/{self.key}{name}")

    def beginnings(self, ctx: Context, names: Sequence[str], limit: int) -> dict[str, bytes]:
        """Return the first bytes of each object, read with one range request for each."""
        with ThreadPoolExecutor(READERS) as pool:
            heads = pool.map(lambda name: self.store.beginning(self.key + name, limit), names)
            return dict(zip(names, heads, strict=True))


@dataclass(frozen=True, slots=True)
class Web(Place):
    """One file at a URL, such as a presigned URL. The URL is a secret."""

    host: Host
    url: str

    @property
    def name(self) -> str:
        """Name of the file: the last part of the URL's path."""
        return urlsplit(self.url).path.rpartition("/")[2] or "backup"

    def files(self, ctx: Context) -> list[StoredFile]:
        """Return the one file.

        Its size and its modification time are read from an answer to a request for its first byte.
        """
        output = self.host.run(("sh", "-c", HEADERS), deadline=ctx.deadline, stdin=f"{self.url}\n".encode())
        if not output.ok:
            raise _no_place(f"the URL of {self.name}", printable(output.stderr, limit=200).strip())
        head = {
            key.strip().lower(): value.strip()
            for key, _, value in (line.partition(":") for line in output.text.splitlines())
        }
        if "last-modified" not in head:
            raise CouldNotVerify(
                f"the server of {self.name} does not report the modification time of the file",
                hint="put the time into the name of the file, and set `newest: name` and `time` in the inventory",
            )
        size = head.get("content-range", "").rpartition("/")[2] or head.get("content-length", "")
        moment = parsedate_to_datetime(head["last-modified"])
        return [StoredFile(self.name, int(size) if size.isdigit() else None, moment, "Last-Modified of the web server")]

    def need_list(self, ctx: Context, programs: Sequence[str] = ()) -> None:
        """Check that the host has curl, which requests the headers of the file."""
        _need(ctx, self.host, "curl")

    def need_way(self, ctx: Context, host: Host) -> None:
        """Check that ``host`` can download the file."""
        _need_download(ctx, host)

    def bring(self, ctx: Context, name: str, host: Host, folder: str) -> str:
        """Make the host download the file."""
        return _fetched(ctx, host, self.url, f"{folder}/{_plain(name)}", f"the URL of {name}")


@dataclass(frozen=True, slots=True)
class Printed(Place):
    """Backup that a command on a host writes to its standard output. This output is the whole content of the newest backup."""

    host: Host
    argv: tuple[str, ...]

    def files(self, ctx: Context) -> list[StoredFile]:
        """Return one file that stands for the output of the command, with the present time as its modification time."""
        basis = f"{PRINTED_BASIS}; the age of the data that it prints is unknown"
        return [StoredFile("output", None, datetime.now(UTC), basis)]

    def bring(self, ctx: Context, name: str, host: Host, folder: str) -> str:
        """Run the command, and write its output to a file on ``host``, which must be the host of the command."""
        self.need_way(ctx, host)
        path = f"{folder}/{name}"
        if not isinstance(host, SandboxHost):
            return self._printed(ctx, path)
        with ctx.temporary("printed") as own:
            return host.take(self._printed(ctx, f"{own}/{name}"), path, ctx.deadline)

    def need_way(self, ctx: Context, host: Host) -> None:
        """Check that ``host`` is the host of the command. Raises NotReady for any other host."""
        if host.name != self.host.name:
            raise NotReady(
                f"the backup command runs on {self.host.name}, but the restore would run on {host.name}",
                hint="use a sandbox on the host of the command",
            )

    def _printed(self, ctx: Context, path: str) -> str:
        script = 'out=$1; shift; umask 077; exec "$@" > "$out"'
        self.host.run(("sh", "-c", script, "sh", path, *self.argv), deadline=ctx.deadline).check()
        return path


def place_of(ctx: Context, host: Host, at: str | Secret | Sequence[str], setting: str = "") -> Place:
    """Return the location of backup files that ``at`` describes. ``setting``: field of the inventory with this value, for
    messages.

    ``at`` has one of five forms:
    - an absolute path on ``host``,
    - ``s3://bucket/prefix/``,
    - ``sftp://HOST/path`` with a host of the inventory,
    - an ``https://`` URL, usually as a secret,
    - a command, as a list of its words.

    Raises PlanError when the host or the bucket is not in the inventory. Raises ValueError when ``at`` has no known form.
    """
    if isinstance(at, Secret):
        at = at.reveal()
    if not isinstance(at, str):
        return Printed(host, tuple(at))
    if at.startswith("/"):
        return HostFolder(host, at, setting)
    parts = urlsplit(at)
    if parts.scheme == "s3":
        return Prefix(Store(ctx.bucket(at)), parts.path.removeprefix("/"))
    if parts.scheme == "sftp" and parts.netloc:
        return HostFolder(ctx.host_named(parts.netloc), parts.path, setting)
    if parts.scheme in ("http", "https"):
        return Web(host, at)
    raise ValueError(
        f"{at!r} is not a location of backups; write /path, s3://bucket/prefix/, sftp://HOST/path, or https://..."
    )


def matching(files: Sequence[StoredFile], pattern: str) -> list[StoredFile]:
    """Return the files whose name matches the shell pattern. A pattern with a slash is compared with the whole path."""
    return [
        file for file in files if fnmatchcase(file.name if "/" in pattern else file.name.rpartition("/")[2], pattern or "*")
    ]


def _need(ctx: Context, host: Host, *programs: str) -> None:
    if missing := ctx.programs.missing(host, programs, deadline=ctx.deadline):
        raise NotReady(
            f"{host.name} has no {', '.join(missing)}, needed to list or transfer the backup files",
            hint=f"install {' and '.join(missing)} on that host",
        )


def _need_download(ctx: Context, host: Host) -> None:
    if len(ctx.programs.missing(host, ("curl", "python3"), deadline=ctx.deadline)) > 1:
        raise NotReady(
            f"{host.name} needs curl or python3 to download the backup files, but has neither",
            hint="install curl on that host",
        )


def _plain(name: str) -> str:
    """Return the last part of the path ``name`` as a file name. Characters other than letters, digits and ``._-`` become
    ``_``. If nothing is left, the file name is `backup`.
    """
    return re.sub(r"[^A-Za-z0-9._-]", "_", name.rpartition("/")[2]) or "backup"


def _fetched(ctx: Context, host: Host, url: str, path: str, what: str) -> str:
    output = host.run(("sh", "-c", WHOLE, "sh", path), deadline=ctx.deadline, stdin=f"{url}\n".encode())
    if not output.ok:
        said = printable(output.stderr, limit=200).strip()
        raise StepFailed(
            f"{host.name} could not fetch {what}: {said}",
            findings=[finding("backup-missing", title=what, wanted="the whole file", measured=said, host=host.name)],
        )
    return path


def _relayed(ctx: Context, source: Host, path: str, host: Host, to: str) -> str:
    """Copy a file from one host to another host, in chunks through the controller."""
    host.run(("sh", "-c", 'umask 077; : > "$1"', "sh", to), deadline=ctx.deadline).check()
    number = 0
    while True:
        piece = io.BytesIO()
        argv = ("dd", f"if={path}", f"bs={PIECE}", f"skip={number}", "count=1", "status=none")
        source.run(argv, deadline=ctx.deadline, sink=piece).check()
        if data := piece.getvalue():
            host.run(("sh", "-c", 'cat >> "$1"', "sh", to), deadline=ctx.deadline, stdin=data).check()
        if len(data) < PIECE:
            return to
        number += 1


def _no_place(what: str, why: str, remedy: str = "") -> StepFailed:
    return StepFailed(
        f"no backups can be read from {what}: {why}",
        findings=[finding("backup-missing", title=what, wanted="a readable place of backups", measured=why, remedy=remedy)],
    )
