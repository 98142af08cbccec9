"""What can happen to files and comes back by itself: another content, other permissions, a full disk."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk import nofollow
from drillbook.sdk.action import Context, Facts, Fault, Place, Undo
from drillbook.systems.files import archives
from drillbook.systems.files.actions.fields import HostPath, need_harmless
from drillbook.systems.linux import swap
from drillbook.systems.linux.target import need
from drillbook.values import Size

CONTENT_LIMIT = 64 << 10
ROOT_FLOOR = 200 << 20
"""Bytes that always stay free on the root file system."""
_Least = Annotated[Size, Field(ge=1 << 20)]


def _resolved(ctx: Context, path: str) -> str:
    """``path`` on the step's host. Raises NotReady where no drill may change anything."""
    found = archives.resolve(ctx, path)
    need_harmless(found)
    return found


class Replace(Fault):
    """Put another content in a file's place, as a wrong deployment or a wrong edit does; owner and permissions stay.

    The original keeps its identity under a name beside it, and takes its place again. A program that has the file open
    goes on with the original. What a restore puts there meanwhile, as a file of its own, stays.
    """

    PLACE = Place.HOSTS
    UNDO = ("commands",)

    path: HostPath
    content: Annotated[str, Field(max_length=CONTENT_LIMIT, description="What stands in the file instead; no secrets.")]

    def ready(self, ctx: Context) -> None:
        """There must be an ordinary file in a folder that may be written, not a symbolic link."""
        if not self.known("path"):
            return
        need(ctx, "cmp", "sha256sum")
        path = _resolved(ctx, self.path)
        script = (
            'test ! -L "$1" || exit 3; test -f "$1" || exit 4; test -r "$1" || exit 5; test -w "${1%/*}" || exit 6; '
            'test -O "$1" || test "$(id -u)" = 0 || exit 7'
        )
        why = {
            3: ("is a symbolic link", "name the file that it leads to"),
            4: ("is no file", "name a file that is there"),
            5: ("cannot be read", "run as its owner"),
            6: ("is in a folder that may not be written", "run as its owner"),
            7: ("belongs to another user", "run as its owner"),
        }
        if said := why.get(ctx.run("sh", "-c", script, "sh", path).exit or 0):
            raise NotReady(f"{ctx.host.name}: {path} {said[0]}", hint=said[1])

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``was`` and ``is``: SHA-256 of the content before and now."""
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
        """The original takes its place again."""
        path = _resolved(ctx, self.path)
        return Undo.by_commands(("sh", "-c", swap.PUT_BACK, "sh", path, self._beside(ctx, path)))

    def active(self, ctx: Context) -> bool:
        """True while the replacement is there, or the original is still beside it."""
        path = _resolved(ctx, self.path)
        return ctx.run("sh", "-c", swap.STILL, "sh", path, self._beside(ctx, path)).ok


_IT = nofollow.WALK + "it=${1##*/}\n"
_MODE = (
    _IT
    + """
enter "${1%/*}" && test ! -L "./$it" && test -e "./$it" || exit 3
test -O "./$it" || test "$(id -u)" = 0 || exit 4
stat -c %a -- "./$it"
"""
)
# PATH IS WANTED. The zeros in front let go of set-group-id on a folder too, which GNU chmod would otherwise keep. It is the
# file that was opened which is changed; what its owner cannot read cannot be opened, and no link leads to others' then.
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
    """Change the permissions of a file or a folder, as a careless `chmod` does. Root does not mind."""

    PLACE = Place.HOSTS
    UNDO = ("commands",)

    path: HostPath
    mode: Annotated[str, Field(pattern=r"^[0-7]{3,4}$", description="The permissions, in octal, such as `000`.")]

    def ready(self, ctx: Context) -> None:
        """It must be there, be ours, and have other permissions."""
        if self.known("path") and self.known("mode"):
            self._was(ctx)

    @property
    def _wanted(self) -> str:
        """The mode as `stat` shows it: without zeros in front."""
        return f"{int(self.mode, 8):o}"

    def _was(self, ctx: Context) -> tuple[str, str]:
        """The path, and the mode that it has now. Raises NotReady."""
        path = _resolved(ctx, self.path)
        output = ctx.run("sh", "-c", _MODE, "sh", path)
        nofollow.refuse(ctx, output)
        if output.exit in (3, 4):
            said = "is not there, or is a symbolic link" if output.exit == 3 else "belongs to another user"
            raise NotReady(f"{ctx.host.name}: {path} {said}", hint="name a file that is there, and run as its owner")
        mode = output.check().text
        if mode == self._wanted:
            raise NotReady(f"{ctx.host.name}: {path} has the permissions {mode} already", hint="choose others")
        return path, mode

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``was`` and ``is``: the permissions before and now."""
        path, mode = self._was(ctx)
        output = ctx.run("sh", "-c", _CHMOD, "sh", path, mode, self._wanted)
        nofollow.refuse(ctx, output)
        output.check()
        return {"path": path, "was": mode, "is": self._wanted}

    def undo(self, ctx: Context) -> Undo:
        """Give it the permissions back that it has now, unless somebody changed them again meanwhile."""
        path, mode = self._was(ctx)
        return Undo.by_commands(("sh", "-c", _CHMOD, "sh", path, self._wanted, mode))

    def active(self, ctx: Context) -> bool:
        """True while it has those permissions."""
        path = _resolved(ctx, self.path)
        return ctx.run("stat", "-c", "%a", "--", path).text == self._wanted


# FOLDER: is it on the root file system, and how many KiB are free there?
_SPACE = """
test -d "$1" && test -w "$1" || exit 3
space() { df -Pk -- "$1" | awk 'NR == 2 { print $6, $4 }'; }
set -- $(space "$1") ; echo "$1 $2"
"""
# FILE BYTES: fills it. fallocate where the file system can, else zeros in parts, which stop when the file's name is gone.
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
umask 077
set -C
fill "$2" 3> "./$it" || exit 3
"""
)
# FILE: bytes by its length, and bytes that the file system really gave it.
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
    """Use up the space of a file system with one file, as a log that nobody rotates does.

    Either by `size`, or until `leave` is left. On the root file system at least 200 MiB always stay free.
    """

    PLACE = Place.HOSTS
    TIMEOUT = 300.0
    UNDO = ("commands",)

    path: Annotated[HostPath, Field(description="A folder on the file system; the file is made in it.")]
    size: Annotated[_Least | None, Field(description="How much to fill.")] = None
    leave: Annotated[_Least | None, Field(description="How much to leave free.")] = None

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.size is None) == (self.leave is None):
            raise ValueError("write either `size` or `leave`")
        return self

    def _needed(self, ctx: Context) -> tuple[str, int, int]:
        """The file, the bytes it will have, and the bytes that are free now. Raises NotReady when that is too much."""
        folder = archives.resolve(ctx, self.path)
        output = ctx.run("sh", "-c", _SPACE, "sh", folder)
        if output.exit == 3:
            raise NotReady(f"{ctx.host.name}: {folder} is no folder that may be written", hint="correct `path`")
        mount, free_kib = output.check().text.split()
        free, floor = int(free_kib) << 10, ROOT_FLOOR if mount == "/" else 0
        wanted = int(self.size) if self.size is not None else free - int(self.leave or 0)
        if wanted <= 0 or free - wanted < floor:
            raise NotReady(
                f"{ctx.host.name}: {folder} has {free >> 20}MiB free, too little for this",
                hint=(f"the root file system keeps {ROOT_FLOOR >> 20}MiB; " if floor else "")
                + "choose another `size` or `leave`",
            )
        return self._file(ctx, folder), wanted, free

    def _file(self, ctx: Context, folder: str) -> str:
        return f"{folder}/{archives.own_mark(ctx)}-{ctx.step}-filler"

    def ready(self, ctx: Context) -> None:
        """The folder must be there and writable, the space free, and no such file there."""
        if all(map(self.known, ("path", "size", "leave"))):
            file, _, _ = self._needed(ctx)
            if ctx.run("sh", "-c", 'test -e "$1" || test -L "$1"', "sh", file).ok:
                raise NotReady(f"{ctx.host.name}: {file} is there already", hint="find out who made it, and remove it")

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``file``, ``bytes``, ``free_before``, ``free_after``."""
        file, wanted, free = self._needed(ctx)
        output = ctx.run("sh", "-c", _FILL, "sh", file, str(wanted))
        nofollow.refuse(ctx, output)
        if output.exit == 3:
            raise StepFailed(f"{ctx.host.name}: {file} cannot be made, or is there already; nothing was filled")
        output.check()
        after = ctx.run("sh", "-c", _SPACE, "sh", archives.resolve(ctx, self.path)).text.split()
        return {"file": file, "bytes": wanted, "free_before": free, "free_after": int(after[1]) << 10 if after[1:] else None}

    def undo(self, ctx: Context) -> Undo:
        """Remove the file."""
        return Undo.by_commands(("sh", "-c", _REMOVE, "sh", self._file(ctx, archives.resolve(ctx, self.path))))

    def active(self, ctx: Context) -> bool:
        """True while the file is there and the file system really gave it that space."""
        output = ctx.run("sh", "-c", _REALLY, "sh", self._file(ctx, archives.resolve(ctx, self.path)))
        if output.exit == 3:
            return False
        length, given = map(int, output.check().text.split())
        return length > 0 and given >= 0.99 * length and (self.size is None or length >= self.size)
