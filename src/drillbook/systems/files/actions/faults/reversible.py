"""Reversible faults of files: replaced content, changed permissions, a full disk."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk import nofollow
from drillbook.sdk.action import Context, Facts, Fault, Place, Undo
from drillbook.systems.files import archives
from drillbook.systems.files.actions.fields import HostPath, need_harmless
from drillbook.systems.linux import swap
from drillbook.systems.linux.process_lookup import need
from drillbook.values import Size

CONTENT_LIMIT = 64 << 10
ROOT_FLOOR = 200 << 20
"""Number of bytes that must stay free on the root file system."""
_Least = Annotated[Size, Field(ge=1 << 20)]


def _resolved(ctx: Context, path: str) -> str:
    """Return ``path`` on the step's host, with `~/` replaced by the home folder.

    Raises NotReady for a path that no drill may change.
    """
    resolved = archives.resolve(ctx, path)
    need_harmless(resolved)
    return resolved


class Replace(Fault):
    """Replace the content of a file, as a wrong deployment or a wrong edit does. Owner and permissions stay the same.

    The original file is renamed within its folder, and the undo renames it back. A program that has the file open continues
    to use the original. If a restore creates a new file at the path meanwhile, the undo keeps the new file.
    """

    PLACE = Place.HOSTS
    UNDO = ("commands",)

    path: HostPath
    content: Annotated[
        str, Field(max_length=CONTENT_LIMIT, description="New content of the file. It must not contain secrets.")
    ]

    def ready(self, ctx: Context) -> None:
        """Check that the path is an ordinary file in a writable folder, and not a symbolic link."""
        if not self.known("path"):
            return
        need(ctx, "cmp", "sha256sum")
        path = _resolved(ctx, self.path)
        script = (
            'test ! -L "$1" || exit 3; test -f "$1" || exit 4; test -r "$1" || exit 5; test -w "${1%/*}" || exit 6; '
            'test -O "$1" || test "$(id -u)" = 0 || exit 7'
        )
        why = {
            3: ("is a symbolic link", "set `path` to the file to which the link points"),
            4: ("is not a file", "set `path` to an existing file"),
            5: ("cannot be read", "run as the owner of the file"),
            6: ("is in a folder that this user may not write to", "run as the owner of the folder"),
            7: ("belongs to another user", "run as the owner of the file"),
        }
        if said := why.get(ctx.run("sh", "-c", script, "sh", path).exit or 0):
            raise NotReady(f"{ctx.host.name}: {path} {said[0]}", hint=said[1])

    def commands(self, ctx: Context) -> tuple[tuple[str, ...], ...]:
        """Return two commands. The first command replaces the content. The second command checks whether this run still
        keeps the original file.
        """
        path = _resolved(ctx, self.path)
        rest = ("sh", path, self._beside(ctx, path))
        return (("sh", "-c", swap.REPLACE, *rest), ("sh", "-c", swap.STILL, *rest))

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``was`` and ``is`` (SHA-256 of the old and the new content)."""
        path = _resolved(ctx, self.path)
        output = ctx.run("sh", "-c", swap.REPLACE, "sh", path, self._beside(ctx, path), stdin=self.content.encode())
        nofollow.refuse(ctx, output)
        if output.exit in swap.REFUSED:
            raise StepFailed(f"{ctx.host.name}: {path} {swap.REFUSED[output.exit]}; nothing was changed")
        was, now = output.check().text.split()
        return {"path": path, "was": was, "is": now}

    def _beside(self, ctx: Context, path: str) -> str:
        return f"{path}{archives.own_mark(ctx)}-original"

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that renames the original file back to its path."""
        path = _resolved(ctx, self.path)
        return Undo.by_commands(("sh", "-c", swap.PUT_BACK, "sh", path, self._beside(ctx, path)))

    def active(self, ctx: Context) -> bool:
        """Return True while the folder with the original file, which this run keeps, exists."""
        path = _resolved(ctx, self.path)
        return ctx.run("sh", "-c", swap.STILL, "sh", path, self._beside(ctx, path)).ok


_IT = nofollow.WALK + "it=${1##*/}\n"
# PATH: print the permissions of PATH. Exit with 3 if it is missing or a link, and with 4 if it belongs to another user.
_MODE = (
    _IT
    + """
enter "${1%/*}" && test ! -L "./$it" && test -e "./$it" || exit 3
test -O "./$it" || test "$(id -u)" = 0 || exit 4
stat -c %a -- "./$it"
"""
)
# PATH IS WANTED: change the mode IS to WANTED. Leading zeros also clear set-group-id on a folder, which GNU chmod would
# otherwise keep. The mode is changed on the opened file; an unreadable file cannot be opened, so it is changed by its name,
# after a check that this is no link.
_CHMOD = (
    _IT
    + """
change() { # FILE IS WANTED
  test "$(stat -L -c %a -- "$1")" = "$2" || exit 0
  chmod "00$3" -- "$1"
}
opened() {
  grasped "./$it" || refuse "$it was changed meanwhile"
  change /proc/self/fd/3 "$@"
}
enter "${1%/*}" && test -e "./$it" && test ! -L "./$it" || exit 0
if test -r "./$it"; then opened "$2" "$3" 3< "./$it"; else change "./$it" "$2" "$3"; fi
"""
)


class Chmod(Fault):
    """Change the permissions of a file or a folder, as a careless `chmod` does. Root can still access the file or folder."""

    PLACE = Place.HOSTS
    UNDO = ("commands",)

    path: HostPath
    mode: Annotated[str, Field(pattern=r"^[0-7]{3,4}$", description="New permissions as octal digits, such as `000`.")]

    def ready(self, ctx: Context) -> None:
        """Check that the path exists, belongs to the user, and has other permissions than `mode`."""
        if self.known("path") and self.known("mode"):
            self._was(ctx)

    @property
    def _wanted(self) -> str:
        """Wanted permissions as octal digits without leading zeros, as `stat` prints them."""
        return f"{int(self.mode, 8):o}"

    def _was(self, ctx: Context) -> tuple[str, str]:
        """Return the path (with `~/` replaced by the home folder) and its present permissions.

        Raises NotReady when the permissions cannot be changed, or need not be changed.
        """
        path = _resolved(ctx, self.path)
        output = ctx.run("sh", "-c", _MODE, "sh", path)
        nofollow.refuse(ctx, output)
        if output.exit in (3, 4):
            said = "does not exist, or is a symbolic link" if output.exit == 3 else "belongs to another user"
            raise NotReady(
                f"{ctx.host.name}: {path} {said}", hint="set `path` to an existing file, and run as the owner of the file"
            )
        mode = output.check().text
        if mode == self._wanted:
            raise NotReady(f"{ctx.host.name}: {path} already has the permissions {mode}", hint="choose other permissions")
        return path, mode

    def commands(self, ctx: Context) -> tuple[tuple[str, ...], ...]:
        """Return the command that changes the permissions."""
        path, mode = self._was(ctx)
        return (("sh", "-c", _CHMOD, "sh", path, mode, self._wanted),)

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``was`` and ``is`` (the old and the new permissions as octal digits)."""
        path, mode = self._was(ctx)
        output = ctx.run("sh", "-c", _CHMOD, "sh", path, mode, self._wanted)
        nofollow.refuse(ctx, output)
        output.check()
        return {"path": path, "was": mode, "is": self._wanted}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that restores the old permissions, unless somebody changed them again meanwhile."""
        path, mode = self._was(ctx)
        return Undo.by_commands(("sh", "-c", _CHMOD, "sh", path, self._wanted, mode))

    def active(self, ctx: Context) -> bool:
        """Return True while the path has the changed permissions."""
        path = _resolved(ctx, self.path)
        return ctx.run("stat", "-c", "%a", "--", path).text == self._wanted


# FOLDER: print the mount point of its file system, and the free space on it in KiB.
_SPACE = """
test -d "$1" && test -w "$1" || exit 3
space() { df -Pk -- "$1" | awk 'NR == 2 { print $6, $4 }'; }
set -- $(space "$1")
test -n "$2" || exit 3
echo "$1 $2"
"""
# FILE MEASURE BYTES: fill the file, with fallocate if the file system supports that, otherwise with zeros; stop when the file
# is removed. MEASURE is `size`, or `leave` for the bytes that stay free; the amount is printed. The free space is no argument,
# so that a rule of sudoers matches every run. Exit status 6: there is no room to fill.
_FILL = (
    _IT
    + """
fill() { # BYTES ; into the descriptor by which the file was made
  set +C
  file=/proc/self/fd/3
  test -f "$file" && test ! -s "$file" && grasped "./$it" || refuse "$it was changed meanwhile"
  if command -v fallocate >/dev/null && fallocate -l "$1" -- "$file" 2>/dev/null; then
    sync -f "$file" 2>/dev/null
    exit 0
  fi
  : > "$file"
  left=$1 part=16777216
  while test "$left" -gt 0; do
    test -e "./$it" || exit 4
    test "$left" -ge "$part" || part=$left
    head -c "$part" /dev/zero >&3 || exit 5
    left=$((left - part))
  done
  sync -f "$file" 2>/dev/null || sync
}
enter "${1%/*}" || exit 3
amount=$3
if test "$2" = leave; then
  free=$(df -Pk . | awk 'NR == 2 { print $4 }')
  amount=$((free * 1024 - $3))
  test "$amount" -gt 0 || exit 6
fi
umask 077
set -C
echo "$amount"
fill "$amount" 3> "./$it" || exit 3
"""
)
# FILE: print its length in bytes, and the number of bytes that the file system has allocated for it.
_REALLY = (
    _IT
    + """
enter "${1%/*}" && test -f "./$it" && test ! -L "./$it" || exit 3
stat -c %s -- "./$it"
du -k -- "./$it" | awk '{ print $1 * 1024 }'
"""
)
_REMOVE = _IT + 'enter "${1%/*}" || exit 0; rm -f -- "./$it"'


class FillDisk(Fault):
    """Fill a file system with one file, as a log without rotation does.

    The file has the size `size`, or it fills all free space except `leave`. On the root file system, the step is
    refused if less than 200 MiB would stay free.
    """

    PLACE = Place.HOSTS
    TIMEOUT = 300.0
    UNDO = ("commands",)

    path: Annotated[HostPath, Field(description="Folder in which the file is created. Its file system is filled.")]
    size: Annotated[_Least | None, Field(description="Amount to fill.")] = None
    leave: Annotated[_Least | None, Field(description="Amount of space to leave free.")] = None

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.size is None) == (self.leave is None):
            raise ValueError("set either `size` or `leave`")
        return self

    def _needed(self, ctx: Context) -> tuple[str, int]:
        """Return the path of the file to create, and the number of bytes that are free now.

        Raises NotReady if space is short.
        """
        folder = archives.resolve(ctx, self.path)
        output = ctx.run("sh", "-c", _SPACE, "sh", folder)
        if output.exit == 3:
            raise NotReady(f"{ctx.host.name}: {folder} is not a folder that this user may write to", hint="correct `path`")
        mount, free_kib = output.check().text.split()
        free, floor = int(free_kib) << 10, ROOT_FLOOR if mount == "/" else 0
        wanted = int(self.size) if self.size is not None else free - int(self.leave or 0)
        if wanted <= 0 or free - wanted < floor:
            raise NotReady(
                f"{ctx.host.name}: {folder} has {free >> 20}MiB free, too little to fill the wanted amount",
                hint=(f"on the root file system {ROOT_FLOOR >> 20}MiB must stay free; " if floor else "")
                + "choose another `size` or `leave`",
            )
        return self._file(ctx, folder), free

    def _file(self, ctx: Context, folder: str) -> str:
        return f"{folder}/{archives.own_mark(ctx)}-{ctx.step}-filler"

    def ready(self, ctx: Context) -> None:
        """Check that the folder is writable, that there is enough space, and that the file does not exist yet."""
        if all(map(self.known, ("path", "size", "leave"))):
            file, _ = self._needed(ctx)
            if ctx.run("sh", "-c", 'test -e "$1" || test -L "$1"', "sh", file).ok:
                raise NotReady(
                    f"{ctx.host.name}: {file} already exists", hint="find out what created the file, and remove it"
                )

    def commands(self, ctx: Context) -> tuple[tuple[str, ...], ...]:
        """Return the command that fills the disk."""
        return (self._fill(self._file(ctx, archives.resolve(ctx, self.path))),)

    def _fill(self, file: str) -> tuple[str, ...]:
        measure, amount = ("size", self.size) if self.size is not None else ("leave", self.leave)
        return ("sh", "-c", _FILL, "sh", file, measure, str(int(amount or 0)))

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``file`` (its path), ``bytes`` (number of written bytes), ``free_before`` and ``free_after`` (free bytes)."""
        file, free = self._needed(ctx)
        output = ctx.run(*self._fill(file))
        nofollow.refuse(ctx, output)
        if output.exit == 3:
            raise StepFailed(f"{ctx.host.name}: {file} cannot be created or already exists; the disk was not filled")
        if output.exit == 6:
            raise StepFailed(f"{ctx.host.name}: the disk of {file} has no space left to fill; it was not filled")
        wanted = int(output.check().text)
        after = ctx.run("sh", "-c", _SPACE, "sh", archives.resolve(ctx, self.path)).text.split()
        return {"file": file, "bytes": wanted, "free_before": free, "free_after": int(after[1]) << 10 if after[1:] else None}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that removes the file which fills the disk."""
        return Undo.by_commands(("sh", "-c", _REMOVE, "sh", self._file(ctx, archives.resolve(ctx, self.path))))

    def active(self, ctx: Context) -> bool:
        """Return True while the file exists and the file system has allocated its whole size."""
        output = ctx.run("sh", "-c", _REALLY, "sh", self._file(ctx, archives.resolve(ctx, self.path)))
        if output.exit == 3:
            return False
        length, given = map(int, output.check().text.split())
        return length > 0 and given >= 0.99 * length and (self.size is None or length >= self.size)
