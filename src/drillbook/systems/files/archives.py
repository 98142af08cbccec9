"""Archives of files: the use of GNU tar on the host, and the paths of a run's temporary files."""

from __future__ import annotations

from typing import Literal

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk import host_programs, nofollow
from drillbook.sdk.action import Context
from drillbook.systems.files.manifest import ZSTD

PACKERS = {None: "gzip -1", ZSTD: "zstd -q -1 -T0"}
"""Commands that compress an archive with zstd or gzip, at compression level 1. At this level, zstd compresses about as well
as gzip, and uses all cores.
"""
RESOLVE = 'case $1 in "~/"*) printf %s "$HOME/${1#"~/"}";; *) printf %s "$1";; esac'
# Check the programs for archives. Exit with 3 if tar is not GNU tar, 4 if tar is missing, 5 if it is too old, 6 without gzip.
_PROBE = """
case "$(tar --version 2>/dev/null)" in *"GNU tar"*) ;; *) command -v tar >/dev/null && exit 3; exit 4;; esac
tar --help | grep -q -e --xattrs-include || exit 5
command -v gzip >/dev/null || exit 6
"""
_KEPT = ("--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner")


def resolve(ctx: Context, path: str) -> str:
    """Return ``path`` with ``~/`` replaced by the home folder on the step's host, and without a trailing slash."""
    return ctx.run("sh", "-c", RESOLVE, "sh", path).check().stdout.decode("utf-8", "surrogateescape").rstrip("/")


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
    """Extract ``archive``. ``prefix``: words to put before a command, so that it runs in the folder to extract to.

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
