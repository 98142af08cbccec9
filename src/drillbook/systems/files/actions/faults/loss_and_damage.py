"""Faults of files: permanent deletion, and damage to the bytes of a file."""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.sdk import host_programs, nofollow, stored_backup
from drillbook.sdk.action import Context, Facts, Fault, Place, Undo
from drillbook.sdk.identity import Identity
from drillbook.sdk.object_reference import Uri
from drillbook.systems.files import archives, compare, content, identity, rights
from drillbook.systems.files.actions.fields import HostPath, ServiceName, need_harmless, refuse_dangerous
from drillbook.systems.files.manifest import read_manifest

_BEGUN, _KEPT = "losing.txt", "kept.txt"
"""Names of evidence files. The first is written right before a deletion begins, and the second when a deletion is refused.
"""
# PATH LOST: print the state of PATH, which a deletion first moves to LOST: `there`, `half` (deletion unfinished) or `gone`.
_STATE = """
if test ! -e "$1" && test ! -L "$1"; then echo gone
elif test -e "$2" || test -L "$2"; then echo half
else echo there
fi
"""


class Lose(Fault):
    """Delete a file or a folder permanently.

    If `from` names an archive that this run made, the action first checks that the archive has exactly the same content as
    the files. Without `from`, the action deletes the folder of a service, and `backup.restore` restores this folder from the
    team's own backup. Changes since the team's backup are lost. If that backup is older than the drill's objective `rpo`
    allows, nothing is deleted.
    """

    RESTORE_ONLY = True
    PROVEN_BY = ("files.backup_intact", "backup.check")
    RESTORED_BY = {"files.backup_intact": "files.extract", "backup.check": "backup.restore"}
    UNDO = ("restore",)

    service: ServiceName
    path: HostPath
    from_: Annotated[
        Uri | None,
        Field(
            alias="from",
            description="The fact `location` of a step `files.archive`. Omit it when the drill restores the team's own backup.",
        ),
    ] = None

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``entries`` (number of deleted entries), ``bytes``.

        Files that differ from the archive are never deleted.
        """
        path = archives.resolve(ctx, self.path)
        refuse_dangerous(path)
        if self.from_ is None:
            return self._lose_saved(ctx, path)
        manifest = read_manifest(ctx, self.from_)
        if (manifest.host, manifest.path) != (ctx.host.name, path):
            raise StepFailed(f"the archive contains {manifest.path} of {manifest.host}, not {path} of {ctx.host.name}")
        survey = content.survey(ctx, path)
        if survey.entries is None:
            raise StepFailed(f"{ctx.host.name}: the path to delete, {path}, does not exist")
        wrong = compare.differences(path, manifest.entries, survey.entries, unexpected=True)
        if wrong or survey.sockets:
            said = stored_backup.summary(wrong) or f"sockets: {', '.join(survey.sockets[:3])}"
            raise self._kept(ctx, f"{path} differs from the archive, so it is not deleted: {said}")
        ctx.evidence(_BEGUN, path, sync=True)
        self._delete(ctx, path)
        return {"path": path, "entries": len(survey.entries), "bytes": manifest.bytes}

    def _lose_saved(self, ctx: Context, path: str) -> Facts:
        """Delete the folder of a service, if a backup from a backup source was verified before."""
        if "backup.check" not in ctx.proofs:
            raise StepFailed(
                f"{ctx.host.name}: {path} is not deleted: this step does not set `from`, and no step `backup.check` verified a backup"
            )
        count = ctx.run("sh", "-c", 'find "$1" ! -type d | wc -l', "sh", path).check().text
        ctx.evidence(_BEGUN, path, sync=True)
        self._delete(ctx, path)
        return {"path": path, "entries": int(count)}

    def _kept(self, ctx: Context, why: str) -> StepFailed:
        """Record as evidence that the fault refused to delete anything. ``why``: the reason. Return the error to raise.

        If the files differ from the archive, the method ``untouched`` needs this evidence as the proof that the fault did
        not change the files.
        """
        ctx.evidence(_KEPT, why)
        return StepFailed(f"{ctx.host.name}: {why}")

    def _delete(self, ctx: Context, path: str) -> None:
        folder, _, name = path.rpartition("/")
        lost = archives.lost(ctx, name)
        inside = nofollow.inside(folder or "/")
        answer = host_programs.call(ctx, "drillbook.systems.files.deletion_program", f"./{name}", f"./{lost}", prefix=inside)
        if answer["refused"]:
            raise StepFailed(f"{ctx.host.name}: {path} is not deleted: {answer['refused']}")
        if answer["left"]:
            raise StepFailed(
                f"{ctx.host.name}: {path} could be deleted only in part; the remaining files are in "
                f"{folder}/{answer['left'].removeprefix('./')}: "
                f"{answer['said']}"
            )

    def ready(self, ctx: Context) -> None:
        """Check that the path exists, that a drill may remove it, and that the user may delete and restore it. Check also
        that a backup is known: the step names an archive, or the drill verifies a backup source.
        """
        path = archives.resolve(ctx, self.path)
        need_harmless(path)
        host_programs.need_python(ctx)
        if not ctx.run("test", "-e", path).ok:
            raise NotReady(
                f"{ctx.host.name}: the path to delete, {path}, does not exist",
                hint="set `path` to an existing file or folder",
            )
        rights.need_deletable(ctx, path)
        if self.if_known("from_", "") is None and "backup.check" not in ctx.proofs:
            raise NotReady(
                f"files.lose names no archive for {path}, and this drill verifies no backup of {self.service}",
                hint="set `from` to the location of a step `files.archive`, or verify a backup source by `backup.check`",
            )

    def subject(self, ctx: Context) -> Identity | None:
        """Identity of the deleted files. It consists of the host, the machine id and the path."""
        return identity.identity(ctx, archives.resolve(ctx, self.path))

    def undo(self, ctx: Context) -> Undo:
        """Return an undo of the kind `restore`, because only a restore can bring the deleted files back."""
        restore = "backup.restore" if self.from_ is None else "files.extract"
        return Undo.by_restore(f"the files are deleted; only `{restore}` can restore them")

    def active(self, ctx: Context) -> bool | None:
        """Return True while the path is missing. Raises CouldNotVerify while only a part of the files is deleted."""
        path = archives.resolve(ctx, self.path)
        state = ctx.run("sh", "-c", _STATE, "sh", path, archives.lost(ctx, path)).check().text
        if state == "half":
            raise CouldNotVerify(
                f"{ctx.host.name}: {archives.lost(ctx, path)} still contains some of the files to delete",
                hint="remove this folder; the archive contains all its files",
            )
        return state == "gone"

    def untouched(self, ctx: Context) -> bool | None:
        """Return True when the fault deleted nothing. This is so when the deletion was refused. Otherwise, every file in the
        archive `from` must still be at the path, with the same content. If the step names no archive, it is enough that the
        path still exists.
        """
        if ctx.kept_evidence(_KEPT) and not ctx.kept_evidence(_BEGUN):
            return True
        path = archives.resolve(ctx, self.path)
        if ctx.run("sh", "-c", _STATE, "sh", path, archives.lost(ctx, path)).check().text != "there":
            return False
        if self.from_ is None:
            return True  # before anything is deleted, the folder is moved away in one step
        manifest = read_manifest(ctx, self.from_)
        entries = content.survey(ctx, path).entries
        return entries is not None and not compare.differences(path, manifest.entries, entries, unexpected=False)


_SLICE = (
    nofollow.WALK
    + """
LC_ALL=C; export LC_ALL
file=/proc/self/fd/3 it= kept=${2##*/}
cut() { tail -c "+$(($1 + 1))" "$file" | head -c "$2"; }
mode() { stat -L -c %a -- "$file"; }
# WAS: gives back set-user-id and set-group-id, which the kernel takes from a file when an ordinary user writes to it.
keep_mode() {
  is=$(mode) && test -n "$1" || return 0
  if test "$((0$1 & ~0$is & 06000))" -ne 0 && test "$(((0$1 ^ 0$is) & ~06000))" -eq 0; then chmod "00$1" -- "$file"; fi
}
"""
)
# PATH KEPT OFFSET LENGTH: store the old and the new bytes in KEPT, and only then change the file in place. The file is
# opened only once, and the script checks that the opened file is the file of this name.
_CORRUPT = (
    _SLICE
    + """
damage() {
  test -f "$file" && grasped "./$it" || exit 3
  mkdir -m 700 -- "./$kept" && hold "$kept" || exit 4
  umask 077
  touch -r "$file" -- ./time && mode > ./mode && cut "$1" "$2" > ./was &&
  tr '\\000-\\377' '\\200-\\377\\000-\\177' < ./was > ./is &&
  test "$(wc -c < ./is)" -eq "$2" && printf %s "$1" > ./where && mv -- ./where ./at || exit 5
  sync -f . 2>/dev/null || sync
  dd if=./is of="$file" bs=1 seek="$1" conv=notrunc 2>/dev/null || exit 5
  keep_mode "$(cat ./mode)" && rm -f -- ./mode || exit 5
  touch -r ./time -- "$file" 2>/dev/null || :
}
walk "$1" last && test -f "./$it" || exit 3
damage "$3" "$4" 3< "./$it" || exit 5
"""
)
# `sound` succeeds when every byte is either the old or the new one: then nobody else has changed the file. Every changed
# byte differs from the old one, so a byte can be equal to only one of the two.
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
# PATH KEPT: put the old bytes back, but only over damaged bytes; if the file was replaced since the fault, do nothing.
_REPAIR = (
    _SOUND
    + """
repair() {
  sound || return 0
  touch -r "$file" -- ./now
  # An interrupted damage left the mode unchanged; a complete one restored the mode, which may have been changed again since.
  mode=$(cat ./mode 2>/dev/null || mode)
  dd if=./was of="$file" bs=1 seek="$at" conv=notrunc 2>/dev/null || exit 1
  keep_mode "$mode" || exit 1
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
    """Change some bytes of a file without replacing it, as a failing disk does.

    Its size, times and permissions stay the same.
    """

    PLACE = Place.HOSTS
    UNDO = ("commands",)

    path: HostPath
    bytes: Annotated[int, Field(ge=1, le=4096, description="Number of bytes to change.")] = 16
    seed: Annotated[
        int, Field(ge=0, description="Seed for the choice of the position. The same seed gives the same position.")
    ] = 0

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``offset`` (position of the first changed byte), ``bytes`` (number of changed bytes)."""
        path = archives.resolve(ctx, self.path)
        refuse_dangerous(path)
        offset, length = self._where(self._size(ctx, path))
        output = ctx.run("sh", "-c", _CORRUPT, "sh", path, _kept(ctx, path), str(offset), str(length))
        nofollow.refuse(ctx, output)
        if output.exit in (3, 4):
            said = "is not a file" if output.exit == 3 else "was already damaged by this run"
            raise StepFailed(f"{ctx.host.name}: {path} {said}")
        output.check()
        return {"path": path, "offset": offset, "bytes": length}

    def _size(self, ctx: Context, path: str) -> int:
        output = ctx.run("sh", "-c", 'test -f "$1" && test -s "$1" && wc -c < "$1"', "sh", path)
        if not output.ok:
            raise StepFailed(f"{ctx.host.name}: {path} is not a file, or is empty")
        return int(output.text)

    def _where(self, size: int) -> tuple[int, int]:
        """Return the offset and the length of the part to change, both in bytes. ``size``: size of the file in bytes."""
        length = min(self.bytes, size)
        number = int.from_bytes(hashlib.sha256(f"{self.seed}".encode()).digest()[:8], "big")
        return number % (size - length + 1), length

    def ready(self, ctx: Context) -> None:
        """Check that the file exists and is not empty, and that the user may write to the file and to its folder."""
        try:
            path = archives.resolve(ctx, self.path)
            refuse_dangerous(path)
            self._size(ctx, path)
        except (StepFailed, CouldNotVerify) as error:
            raise NotReady(
                error.message, hint="set `path` to a file that is not empty, and not directly in the folder /"
            ) from None
        rights.need_writable(ctx, path)
        rights.need_mode(ctx, path)
        rights.need_place(ctx, _kept(ctx, path))

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that restores exactly the changed bytes. The undo does nothing if the file was replaced, or if these
        bytes were changed again after the fault.
        """
        path = archives.resolve(ctx, self.path)
        return Undo.by_commands(("sh", "-c", _REPAIR, "sh", path, _kept(ctx, path)))

    def active(self, ctx: Context) -> bool:
        """Return True while the changed bytes are in the file."""
        path = archives.resolve(ctx, self.path)
        return ctx.run("sh", "-c", _DAMAGED, "sh", path, _kept(ctx, path)).ok


def _kept(ctx: Context, path: str) -> str:
    return f"{path}{archives.own_mark(ctx)}-bytes"
