"""Archives of files: the survey of the files on a host, comparisons, and the use of GNU tar on the host."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk import host_programs, nofollow
from drillbook.sdk.action import Context
from drillbook.sdk.identity import ANY, Identity, host_place
from drillbook.sdk.object_reference import Reference
from drillbook.systems.files.manifest import ZSTD, Entry, Manifest

PACKERS = {None: "gzip -1", ZSTD: "zstd -q -1 -T0"}
"""Commands that compress an archive with zstd or gzip, at compression level 1. At this level, zstd compresses about as well
as gzip, and uses all cores.
"""
RESOLVE = 'case $1 in "~/"*) printf %s "$HOME/${1#"~/"}";; *) printf %s "$1";; esac'
_MACHINE = 'id=$(cat /etc/machine-id 2>/dev/null); if test -n "$id"; then echo "$id"; else uname -n; fi'
# Check the programs for archives. Exit with 3 if tar is not GNU tar, 4 if tar is missing, 5 if it is too old, 6 without gzip.
_PROBE = """
case "$(tar --version 2>/dev/null)" in *"GNU tar"*) ;; *) command -v tar >/dev/null && exit 3; exit 4;; esac
tar --help | grep -q -e --xattrs-include || exit 5
command -v gzip >/dev/null || exit 6
"""
_KEPT = ("--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner")


@dataclass(frozen=True, slots=True)
class Found:
    """Result of a survey of files. ``entries`` is None when the path does not exist.

    ``sockets`` lists sockets, which are never archived.
    """

    entries: dict[str, Entry] | None
    sockets: list[str]
    changed: Mapping[str, float] = field(default_factory=dict)
    """Change time (ctime) of each entry in seconds since 1970, by the host's clock. Set only if change times were
    requested.
    """


def resolve(ctx: Context, path: str) -> str:
    """Return ``path`` with ``~/`` replaced by the home folder on the step's host, and without a trailing slash."""
    return ctx.run("sh", "-c", RESOLVE, "sh", path).check().stdout.decode("utf-8", "surrogateescape").rstrip("/")


def machine(ctx: Context) -> str:
    """Return the machine id of the step's host. If the host has no machine id, return the name of the host (`uname -n`).

    Raises HostError when the host cannot be used.
    """
    return ctx.run("sh", "-c", _MACHINE).check().text.strip()


def own_mark(ctx: Context) -> str:
    """Return the text by which the names of this run's temporary files are recognised. Temporary files are never archived or
    compared.
    """
    return f".drillbook-{ctx.run_id}"


def lost(ctx: Context, path: str) -> str:
    """Return the path to which `files.lose` moves ``path`` before it deletes the files.

    This path exists until the deletion is complete.
    """
    return f"{path}{own_mark(ctx)}-lost"


def identity(ctx: Context, path: str = ANY) -> Identity:
    """Return the identity of the files at ``path`` on the step's host. ``path`` must be a result of ``resolve``.

    Without ``path``, the identity stands for the files at any path on the host. Raises HostError when the host cannot be used.
    """
    at = host_place(ctx.host.name, ctx.hosts)
    return Identity(kind="files", of={"at": at, "machine": machine(ctx), "path": path})


def archived(ctx: Context, manifest: Manifest, origin: Reference) -> Identity:
    """Return the identity of the archived files. ``origin``: location of the archive to which ``manifest`` belongs."""
    known = {"at": host_place(manifest.host, ctx.hosts), "machine": manifest.machine, "path": manifest.path}
    files = Identity(kind="files", of={key: value for key, value in known.items() if value})
    return files.saved(manifest.digest_at(origin))


def survey(ctx: Context, path: str, prefix: tuple[str, ...] = (), *, changes: bool = False) -> Found:
    """List all entries of ``path`` on the step's host with their properties. When ``changes`` is true, also list change
    times.

    Raises CouldNotVerify when an entry cannot be read.
    """
    arguments = (path, own_mark(ctx), *(("changes",) if changes else ()))
    answer = host_programs.call(ctx, "drillbook.systems.files.survey_program", *arguments, prefix=prefix)
    if answer["problems"]:
        raise CouldNotVerify(
            f"{ctx.host.name}: {len(answer['problems'])} entries of {path} cannot be read: "
            + "; ".join(answer["problems"][:3]),
            hint="run as a user with read permission for the whole folder",
        )
    entries = {name: Entry.model_validate(fields) for name, fields in answer["entries"].items()}
    return Found(None if answer["missing"] else entries, answer["sockets"], answer.get("changed", {}))


def need_tar(ctx: Context) -> None:
    """Raise NotReady unless the step's host has python3, gzip, and a GNU tar that supports extended attributes."""
    host_programs.need_python(ctx)
    status = ctx.run("sh", "-c", _PROBE, env={"LC_ALL": "C"}).exit
    if status != 0:
        said = {
            3: "has a tar other than GNU tar (perhaps of busybox), and this tar loses attributes and sparse files",
            4: "has no tar",
            5: "has a GNU tar without extended attributes",
            6: "has no gzip",
        }.get(status or 0, "has no working tar")
        raise NotReady(f"{ctx.host.name} {said}", hint="install GNU tar 1.27 or later, and gzip")


def compression_of(ctx: Context) -> Literal["zstd"] | None:
    """Return the fastest compression that the step's host has: ``zstd``, or None for gzip. Raises HostError when the host
    cannot be used.
    """
    return None if ctx.missing(ZSTD) else ZSTD


def pack(ctx: Context, path: str, archive: str, compression: Literal["zstd"] | None) -> None:
    """Archive ``path`` to the file ``archive`` on the host.

    Raises CommandFailed when tar fails, or when a file changed while tar read it.
    """
    parent, _, name = path.rpartition("/")
    output = ctx.run(
        *nofollow.inside(parent),
        "tar",
        "--create",
        "--format=posix",
        "--sparse",
        *_KEPT,
        f"--use-compress-program={PACKERS[compression]}",
        f"--file={archive}",
        "--warning=no-file-ignored",
        f"--exclude=*{own_mark(ctx)}*",
        "--",
        f"./{name}",
        env={"LC_ALL": "C"},
    )
    nofollow.refuse(ctx, output)
    output.check()


def unpack(ctx: Context, archive: str, prefix: tuple[str, ...], compression: Literal["zstd"] | None) -> None:
    """Extract ``archive``. ``prefix``: words that make a command run in the folder to extract to.

    Raises StepFailed when the host lacks the program that compressed the archive, and HostError when tar fails.
    """
    if compression and ctx.missing(compression):
        raise StepFailed(
            f"{ctx.host.name} has no {compression}, which compressed the archive; install {compression} on that host"
        )
    output = ctx.run(
        *prefix,
        "tar",
        "--extract",
        f"--{compression or 'gzip'}",
        "--same-permissions",
        "--same-owner",
        *_KEPT,
        "--delay-directory-restore",
        f"--file={archive}",
        env={"LC_ALL": "C"},
    )
    nofollow.refuse(ctx, output)
    output.check()


@dataclass(frozen=True, slots=True)
class _Property:
    """A property of entries that is compared.

    ``code``: code of the finding about a difference. ``value``: function that returns the value of the property.
    ``applies``: function that returns True for an entry that has the property.
    """

    code: str
    value: Callable[[Entry], str]
    applies: Callable[[Entry], bool] = lambda entry: True


_PROPERTIES = (
    _Property("file-mode", lambda entry: entry.type if entry.type == "link" else f"{entry.type} {entry.mode}"),
    _Property(
        "file-content", lambda entry: f"{entry.size} bytes, sha256 {entry.sha256}", lambda entry: entry.type == "file"
    ),
    _Property("file-owner", lambda entry: f"{entry.uid}:{entry.gid}"),
    _Property("file-link", lambda entry: str(entry.target), lambda entry: entry.type in ("link", "device")),
    _Property(
        "file-link", lambda entry: f"hard link of {entry.same_as}" if entry.same_as else "not a hard link of an earlier file"
    ),
    _Property("file-xattr", lambda entry: json.dumps(entry.xattrs, sort_keys=True)),
    _Property("file-time", lambda entry: f"{entry.mtime} s since 1970", lambda entry: entry.type == "file"),
)


def differences(path: str, wanted: Mapping[str, Entry], existing: Mapping[str, Entry], *, unexpected: bool) -> list[Finding]:
    """Return a finding for each difference between two lists of entries. ``wanted``: expected entries. ``existing``:
    existing entries. The title of each finding contains ``path``.
    """
    wrong = []
    for name, entry in sorted(wanted.items()):
        title = path if name == "." else f"{path}/{name}"
        other = existing.get(name)
        if other is None:
            wrong.append(finding("file-missing", title=title, wanted=entry.type, measured="not there"))
            continue
        for property_ in _PROPERTIES:
            if (
                property_.applies(entry)
                and (other.type == entry.type or property_.code == "file-mode")
                and (property_.value(entry) != property_.value(other))
            ):
                wrong.append(
                    finding(
                        property_.code,
                        title=title,
                        wanted=property_.value(entry)[:400],
                        measured=property_.value(other)[:400],
                    )
                )
    if unexpected:
        wrong += [
            finding("file-unexpected", title=f"{path}/{name}", wanted="nothing", measured=existing[name].type)
            for name in sorted(existing.keys() - wanted.keys())
        ]
    return wrong
