"""What can happen to files: lost for good, damaged in place."""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk import host_programs, nofollow
from drillbook.sdk.action import Context, Facts, Fault, Place, Undo
from drillbook.sdk.identity import Identity
from drillbook.sdk.store import Store
from drillbook.systems.files import archives, rights
from drillbook.systems.files.actions.fields import HostPath, Location, ServiceName, need_harmless, refuse_dangerous

_BEGUN, _KEPT = "losing.txt", "kept.txt"
"""Evidence: a deletion was about to begin; or it was refused."""
# PATH LOST
_STATE = """
if test ! -e "$1" && test ! -L "$1"; then echo gone
elif test -e "$2" || test -L "$2"; then echo half
else echo there
fi
"""


class Lose(Fault):
    """Delete a file or a folder for good, once it is shown to be just what an archive of this run holds."""

    RESTORE_ONLY = True
    PROVEN_BY = ("files.backup_intact",)
    RESTORED_BY = {"files.backup_intact": "files.extract"}
    UNDO = ("restore",)

    service: ServiceName
    path: HostPath
    from_: Location

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``entries``, ``bytes``. Deletes nothing that differs from the archive."""
        path = archives.resolve(ctx, self.path)
        refuse_dangerous(path)
        _, manifest = archives.read(Store(ctx.bucket(self.from_)), self.from_)
        if (manifest.host, manifest.path) != (ctx.host.name, path):
            raise StepFailed(f"the archive is of {manifest.path} on {manifest.host}, not of {path} on {ctx.host.name}")
        found = archives.survey(ctx, path)
        if found.entries is None:
            raise StepFailed(f"{ctx.host.name}: there is no {path} to lose")
        wrong = archives.differences(path, manifest.entries, found.entries, unexpected=True)
        if wrong or found.sockets:
            said = archives.summary(wrong) or f"sockets: {', '.join(found.sockets[:3])}"
            raise self._kept(ctx, f"{path} is not as the archive holds it, so it is not deleted: {said}")
        ctx.evidence(_BEGUN, path, sync=True)
        self._delete(ctx, path)
        return {"path": path, "entries": len(found.entries), "bytes": manifest.bytes}

    def _kept(self, ctx: Context, why: str) -> StepFailed:
        """The refusal, and a note of it for ``untouched``: what differs from the archive is not lost for that."""
        ctx.evidence(_KEPT, why)
        return StepFailed(f"{ctx.host.name}: {why}")

    def _delete(self, ctx: Context, path: str) -> None:
        folder, _, name = path.rpartition("/")
        lost = archives.lost(ctx, name)
        inside = nofollow.inside(folder or "/")
        answer = host_programs.call(ctx, "drillbook.systems.files.lose", f"./{name}", f"./{lost}", prefix=inside)
        if answer["refused"]:
            raise StepFailed(f"{ctx.host.name}: {path} is not deleted: {answer['refused']}")
        if answer["left"]:
            raise StepFailed(
                f"{ctx.host.name}: not all of {path} could be deleted; what is left lies in "
                f"{folder}/{answer['left'].removeprefix('./')}: "
                f"{answer['said']}"
            )

    def ready(self, ctx: Context) -> None:
        """There must be something to lose, where that is allowed, and the user may delete it and give it back."""
        path = archives.resolve(ctx, self.path)
        need_harmless(path)
        host_programs.need_python(ctx)
        if not ctx.run("test", "-e", path).ok:
            raise NotReady(f"{ctx.host.name}: there is no {path} to lose", hint="name a file or a folder that is there")
        rights.need_deletable(ctx, path)

    def subject(self, ctx: Context) -> Identity | None:
        """The files that are deleted."""
        return archives.identity(ctx, archives.resolve(ctx, self.path))

    def undo(self, ctx: Context) -> Undo:
        """Only a restore brings it back."""
        return Undo.by_restore("it is deleted; only `files.extract` brings it back")

    def active(self, ctx: Context) -> bool | None:
        """True while nothing is there; nobody can tell while some of what was lost still waits to be deleted."""
        path = archives.resolve(ctx, self.path)
        found = ctx.run("sh", "-c", _STATE, "sh", path, archives.lost(ctx, path)).check().text
        if found == "half":
            raise CouldNotVerify(
                f"{ctx.host.name}: {archives.lost(ctx, path)} still holds some of what was deleted",
                hint="it holds nothing that the archive does not hold: remove it",
            )
        return found == "gone"

    def untouched(self, ctx: Context) -> bool | None:
        """All of it is there as the archive holds it; or it never was, and nothing was deleted for that."""
        if ctx.kept_evidence(_KEPT) and not ctx.kept_evidence(_BEGUN):
            return True
        path = archives.resolve(ctx, self.path)
        if ctx.run("sh", "-c", _STATE, "sh", path, archives.lost(ctx, path)).check().text != "there":
            return False
        _, manifest = archives.read(Store(ctx.bucket(self.from_)), self.from_)
        found = archives.survey(ctx, path).entries
        return found is not None and not archives.differences(path, manifest.entries, found, unexpected=False)


_SLICE = (
    nofollow.WALK
    + """
LC_ALL=C; export LC_ALL
file=/proc/self/fd/3 it= kept=${2##*/}
cut() { tail -c "+$(($1 + 1))" "$file" | head -c "$2"; }
"""
)
# PATH KEPT OFFSET LENGTH: keeps the bytes as they were and as they will be, and only then changes them in place. What is
# read and written is the file that was opened once, and is the one with this name.
_CORRUPT = (
    _SLICE
    + """
damage() {
  test -f "$file" && grasped "./$it" || exit 3
  mkdir -m 700 -- "./$kept" && hold "$kept" || exit 4
  umask 077
  touch -r "$file" -- ./time && cut "$1" "$2" > ./was &&
  tr '\\000-\\377' '\\200-\\377\\000-\\177' < ./was > ./is &&
  test "$(wc -c < ./is)" -eq "$2" && printf %s "$1" > ./where && mv -- ./where ./at || exit 5
  sync -f . 2>/dev/null || sync
  dd if=./is of="$file" bs=1 seek="$1" conv=notrunc 2>/dev/null || exit 5
  touch -r ./time -- "$file" 2>/dev/null || :
}
walk "$1" last && test -f "./$it" || exit 3
damage "$3" "$4" 3< "./$it" || exit 5
"""
)
# sound: is every byte there one of the two, so that it is the damage, whole or half done, and nobody else's? Every changed
# byte differs from what it was, so each is equal to at most one of the two.
_SOUND = (
    _SLICE
    + """
differ() { cut "$at" "$length" | cmp -l - "$1" 2>/dev/null | wc -l; }
sound() {
  test -s ./at && test -f "$file" && grasped "../$it" || return 1
  at=$(cat ./at) length=$(($(wc -c < ./is)))
  test "$(cut "$at" "$length" | wc -c)" -eq "$length" || return 1
  were=$(differ ./was) are=$(differ ./is)
  test "$((were + are))" -eq "$length" && test "$were" -gt 0
}
"""
)
# PATH KEPT: puts the bytes back only where the damaged ones still are; a file that was replaced meanwhile stays.
_REPAIR = (
    _SOUND
    + """
repair() {
  sound || return 0
  touch -r "$file" -- ./now
  dd if=./was of="$file" bs=1 seek="$at" conv=notrunc 2>/dev/null || exit 1
  sync -f "$file" 2>/dev/null || sync
  if test ! ./now -nt ./time && test ! ./now -ot ./time; then touch -r ./time -- "$file" 2>/dev/null || :; fi
}
walk "$1" last && hold "$kept" || exit 0
test ! -f "../$it" || repair 3< "../$it" || exit 1
drop
"""
)
_DAMAGED = _SOUND + 'walk "$1" last && hold "$kept" && test -f "../$it" || exit 1; sound 3< "../$it"'


class Corrupt(Fault):
    """Change bytes of a file in place, as a dying disk does; its size, time and permissions tell nothing."""

    PLACE = Place.HOSTS
    UNDO = ("commands",)

    path: HostPath
    bytes: Annotated[int, Field(ge=1, le=4096, description="How many bytes are changed.")] = 16
    seed: Annotated[int, Field(ge=0, description="Where they are: the same seed, the same place.")] = 0

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``offset``, ``bytes``."""
        path = archives.resolve(ctx, self.path)
        refuse_dangerous(path)
        offset, length = self._where(self._size(ctx, path))
        output = ctx.run("sh", "-c", _CORRUPT, "sh", path, _kept(ctx, path), str(offset), str(length))
        nofollow.refuse(ctx, output)
        if output.exit in (3, 4):
            said = "is no file" if output.exit == 3 else "is damaged by this run already"
            raise StepFailed(f"{ctx.host.name}: {path} {said}")
        output.check()
        return {"path": path, "offset": offset, "bytes": length}

    def _size(self, ctx: Context, path: str) -> int:
        output = ctx.run("sh", "-c", 'test -f "$1" && test -s "$1" && wc -c < "$1"', "sh", path)
        if not output.ok:
            raise StepFailed(f"{ctx.host.name}: {path} is no file with content")
        return int(output.text)

    def _where(self, size: int) -> tuple[int, int]:
        """Offset and length of what is changed in a file of ``size`` bytes."""
        length = min(self.bytes, size)
        number = int.from_bytes(hashlib.sha256(f"{self.seed}".encode()).digest()[:8], "big")
        return number % (size - length + 1), length

    def ready(self, ctx: Context) -> None:
        """There must be a file with content, which the user may write, in a folder that they may write."""
        try:
            path = archives.resolve(ctx, self.path)
            refuse_dangerous(path)
            self._size(ctx, path)
        except (StepFailed, CouldNotVerify) as error:
            raise NotReady(error.message) from None
        rights.need_writable(ctx, path)
        rights.need_place(ctx, _kept(ctx, path))

    def undo(self, ctx: Context) -> Undo:
        """Put back exactly those bytes, unless the file was replaced or changed there meanwhile."""
        path = archives.resolve(ctx, self.path)
        return Undo.by_commands(("sh", "-c", _REPAIR, "sh", path, _kept(ctx, path)))

    def active(self, ctx: Context) -> bool:
        """True while the changed bytes are there."""
        path = archives.resolve(ctx, self.path)
        return ctx.run("sh", "-c", _DAMAGED, "sh", path, _kept(ctx, path)).ok


def _kept(ctx: Context, path: str) -> str:
    return f"{path}{archives.own_mark(ctx)}-bytes"
