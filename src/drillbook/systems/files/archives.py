"""An archive of files: its manifest, looking at files on a host, comparing the two, and GNU tar there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk import host_programs, nofollow
from drillbook.sdk.action import Context
from drillbook.sdk.identity import ANY, Identity, host_place
from drillbook.sdk.store import Reference, Store
from drillbook.sdk.stored_backup import StoredFile
from drillbook.sdk.transfer import File
from drillbook.values import canonical

FORMAT: Literal["drillbook/files-archive/1"] = "drillbook/files-archive/1"
FILE, ARCHIVE = "manifest.json", "archive.tar.gz"
RESOLVE = 'case $1 in "~/"*) printf %s "$HOME/${1#"~/"}";; *) printf %s "$1";; esac'
_MACHINE = 'id=$(cat /etc/machine-id 2>/dev/null); if test -n "$id"; then echo "$id"; else uname -n; fi'
_PROBE = """
case "$(tar --version 2>/dev/null)" in *"GNU tar"*) ;; *) command -v tar >/dev/null && exit 3; exit 4;; esac
tar --help | grep -q -e --xattrs-include || exit 5
command -v gzip >/dev/null || exit 6
"""
_KEPT = ("--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner")


class Entry(BaseModel):
    """One file, folder, link, pipe or device as it was; ``same_as`` names the first of its hard links."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["file", "folder", "link", "pipe", "device"]
    mode: str
    uid: int
    gid: int
    mtime: int
    xattrs: dict[str, str]
    target: str | None = None
    size: int | None = None
    sha256: str | None = None
    same_as: str | None = None


class Manifest(BaseModel):
    """Everything about an archive. It is written last: an archive without it is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["drillbook/files-archive/1"] = FORMAT
    run: str
    service: str
    host: str
    path: str
    taken_at: str
    machine: str = ""
    """The machine that it was taken on, by its own id; absent from archives of before."""
    archive: StoredFile
    entries: dict[str, Entry]

    def encoded(self) -> bytes:
        """Its canonical JSON."""
        return canonical(self.model_dump(mode="json", exclude_none=True))

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(one.size or 0 for one in self.entries.values())

    def packed(self) -> File:
        """The archive, for carrying."""
        return File(ARCHIVE, self.archive.size, self.archive.sha256)


@dataclass(frozen=True, slots=True)
class Found:
    """What is on the host: ``entries`` is None when there is nothing; sockets are never part of an archive."""

    entries: dict[str, Entry] | None
    sockets: list[str]


def resolve(ctx: Context, path: str) -> str:
    """``path`` with ``~/`` as the home folder on the step's host, without a slash at its end."""
    return ctx.run("sh", "-c", RESOLVE, "sh", path).check().stdout.decode("utf-8", "surrogateescape").rstrip("/")


def machine(ctx: Context) -> str:
    """The id of the machine that the step's host is, or its own name where it has none. Raises HostError."""
    return ctx.run("sh", "-c", _MACHINE).check().text.strip()


def own_mark(ctx: Context) -> str:
    """Part of the name of everything that this run puts beside files; never part of an archive or a comparison."""
    return f".drillbook-{ctx.run_id}"


def lost(ctx: Context, path: str) -> str:
    """Where what `files.lose` takes from ``path`` lies until it is deleted, or that this goes on."""
    return f"{path}{own_mark(ctx)}-lost"


def identity(ctx: Context, path: str = ANY) -> Identity:
    """The files at ``path`` on the step's host, a resolved one. Raises HostError."""
    at = host_place(ctx.host.name, ctx.hosts)
    return Identity(kind="files", of={"at": at, "machine": machine(ctx), "path": path})


def archived(ctx: Context, manifest: Manifest, digest: str | None) -> Identity:
    """Identity of the files in the archive with this manifest."""
    known = {"at": host_place(manifest.host, ctx.hosts), "machine": manifest.machine, "path": manifest.path}
    found = Identity(kind="files", of={key: value for key, value in known.items() if value})
    return found.saved(digest or hashlib.sha256(manifest.encoded()).hexdigest())


def survey(ctx: Context, path: str, prefix: tuple[str, ...] = ()) -> Found:
    """Look at ``path`` on the step's host. Raises CouldNotVerify when some of it cannot be read."""
    answer = host_programs.call(ctx, "drillbook.systems.files.tree", path, own_mark(ctx), prefix=prefix)
    if answer["problems"]:
        raise CouldNotVerify(
            f"{ctx.host.name}: {len(answer['problems'])} entries of {path} cannot be read: "
            + "; ".join(answer["problems"][:3]),
            hint="run as a user that may read all of it",
        )
    entries = {name: Entry.model_validate(one) for name, one in answer["entries"].items()}
    return Found(None if answer["missing"] else entries, answer["sockets"])


def need_tar(ctx: Context) -> None:
    """Raise NotReady unless the step's host has python3, and a GNU tar that keeps extended attributes."""
    host_programs.need_python(ctx)
    status = ctx.run("sh", "-c", _PROBE, env={"LC_ALL": "C"}).exit
    if status != 0:
        said = {
            3: "has a tar that is not GNU tar (busybox?), which loses attributes and sparse files",
            4: "has no tar",
            5: "has a GNU tar without extended attributes",
            6: "has no gzip",
        }.get(status or 0, "has no tar that works")
        raise NotReady(f"{ctx.host.name} {said}", hint="install GNU tar 1.27 or later, and gzip")


def pack(ctx: Context, path: str, archive: str) -> None:
    """Write ``path`` into the file ``archive`` on the host. Raises CommandFailed, also when a file changed meanwhile."""
    parent, _, name = path.rpartition("/")
    output = ctx.run(
        *nofollow.inside(parent),
        "tar",
        "--create",
        "--format=posix",
        "--sparse",
        *_KEPT,
        "--use-compress-program=gzip -1",
        f"--file={archive}",
        "--warning=no-file-ignored",
        f"--exclude=*{own_mark(ctx)}*",
        "--",
        f"./{name}",
        env={"LC_ALL": "C"},
    )
    nofollow.refuse(ctx, output)
    output.check()


def unpack(ctx: Context, archive: str, prefix: tuple[str, ...]) -> None:
    """Extract an archive on the host into the folder of ``nofollow.inside``. Raises StepFailed, HostError."""
    output = ctx.run(
        *prefix,
        "tar",
        "--extract",
        "--gzip",
        "--same-permissions",
        "--same-owner",
        *_KEPT,
        "--delay-directory-restore",
        f"--file={archive}",
        env={"LC_ALL": "C"},
    )
    nofollow.refuse(ctx, output)
    output.check()


def folder_of(text: str) -> Reference:
    """The folder of an archive, from a reference to it or to its manifest. Raises ValueError."""
    found = Reference.parse(text)
    return Reference(found.bucket, found.key.removesuffix("/" + FILE), found.sha256)


def read(store: Store, text: str) -> tuple[Reference, Manifest]:
    """Folder and manifest of the archive at ``text``, of the digest it pins. Raises StepFailed, CouldNotVerify."""
    folder = folder_of(text)
    where = folder.below(FILE)
    data = store.get(where.key)
    if data is None:
        raise StepFailed(
            f"there is no {where}",
            findings=[finding("backup-missing", title=FILE, wanted=str(where), measured="no such object")],
        )
    found = hashlib.sha256(data).hexdigest()
    if folder.sha256 not in (None, found):
        raise StepFailed(
            f"{where} is not the one that was written",
            findings=[
                finding("backup-manifest", title=str(where), wanted=f"sha256 {folder.sha256}", measured=f"sha256 {found}")
            ],
        )
    try:
        return folder, Manifest.model_validate(json.loads(data))
    except (ValidationError, ValueError) as error:
        said = re.sub(r"\s+", " ", str(error))[:300]
        raise StepFailed(
            f"{where} is no manifest of files",
            findings=[finding("backup-manifest", title=str(where), wanted=f"a manifest of format {FORMAT}", measured=said)],
        ) from error


@dataclass(frozen=True, slots=True)
class _Property:
    """What of an entry is compared, and the finding when it differs."""

    code: str
    value: Callable[[Entry], str]
    applies: Callable[[Entry], bool] = lambda entry: True


_PROPERTIES = (
    _Property("file-mode", lambda one: one.type if one.type == "link" else f"{one.type} {one.mode}"),
    _Property("file-content", lambda one: f"{one.size} bytes, sha256 {one.sha256}", lambda one: one.type == "file"),
    _Property("file-owner", lambda one: f"{one.uid}:{one.gid}"),
    _Property("file-link", lambda one: str(one.target), lambda one: one.type in ("link", "device")),
    _Property("file-link", lambda one: f"hard link of {one.same_as}" if one.same_as else "no second name of a file before"),
    _Property("file-xattr", lambda one: json.dumps(one.xattrs, sort_keys=True)),
    _Property("file-time", lambda one: f"{one.mtime} s since 1970", lambda one: one.type == "file"),
)


def differences(path: str, wanted: Mapping[str, Entry], found: Mapping[str, Entry], *, unexpected: bool) -> list[Finding]:
    """A finding for each thing that is not as in the manifest; titles name the path on the host."""
    wrong = []
    for name, entry in sorted(wanted.items()):
        title = path if name == "." else f"{path}/{name}"
        other = found.get(name)
        if other is None:
            wrong.append(finding("file-missing", title=title, wanted=entry.type, measured="not there"))
            continue
        for one in _PROPERTIES:
            if (
                one.applies(entry)
                and (other.type == entry.type or one.code == "file-mode")
                and (one.value(entry) != one.value(other))
            ):
                wrong.append(finding(one.code, title=title, wanted=one.value(entry)[:400], measured=one.value(other)[:400]))
    if unexpected:
        wrong += [
            finding("file-unexpected", title=f"{path}/{name}", wanted="nothing", measured=found[name].type)
            for name in sorted(found.keys() - wanted.keys())
        ]
    return wrong


def summary(findings: Sequence[Finding]) -> str:
    """One line for several findings."""
    return "; ".join(one.title for one in findings[:3]) + (f" and {len(findings) - 3} more" if len(findings) > 3 else "")
