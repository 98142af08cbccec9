"""Fault that makes a file or a folder disappear, until the undo renames it back."""

from __future__ import annotations

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk import nofollow
from drillbook.sdk.action import Context, Facts, Fault, Place, Undo
from drillbook.systems.files import rights
from drillbook.systems.files.actions.fields import AbsolutePath, need_harmless, refuse_dangerous

_PLACE = (
    nofollow.WALK
    + """
it=${1##*/} kept=${2##*/}
there() { test -e "./$1" || test -L "./$1"; }
"""
)
# PATH KEPT: move a file or folder of any kind to another name in the same folder.
_ASIDE = (
    _PLACE
    + """
enter "${1%/*}" && there "$it" || exit 3
! there "$kept" || exit 4
mv -T -- "./$it" "./$kept"
"""
)
# PATH KEPT: give the file or folder its old name back. If PATH exists again, delete the kept one instead.
_BACK = (
    _PLACE
    + """
enter "${1%/*}" && there "$kept" || exit 0
if there "$it"; then rm -rf -- "./$kept"; else mv -T -- "./$kept" "./$it"; fi
"""
)
_GONE = _PLACE + 'enter "${1%/*}" || exit 0; there "$kept" || ! there "$it"'


class Remove(Fault):
    """Make a file or a folder disappear, as a mistaken `rm` does.

    The step renames the file or folder within its parent folder. The undo renames it back.
    """

    PLACE = Place.HOSTS
    UNDO = ("commands",)

    path: AbsolutePath

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``kept`` (path in the same folder, at which the original is stored until the undo)."""
        refuse_dangerous(self.path)
        output = ctx.run("sh", "-c", _ASIDE, "sh", self._path, self._kept(ctx))
        nofollow.refuse(ctx, output)
        if output.exit == 3:
            raise StepFailed(f"{ctx.host.name}: the path to remove, {self.path}, does not exist")
        output.check()
        return {"path": self._path, "kept": self._kept(ctx)}

    def ready(self, ctx: Context) -> None:
        """Check that the path exists, that a drill may remove it, and that the user may write to its folder."""
        if not self.known("path"):
            return
        need_harmless(self.path)
        if not ctx.run("sh", "-c", 'test -e "$1" || test -L "$1"', "sh", self._path).ok:
            raise NotReady(
                f"{ctx.host.name}: the path to remove, {self.path}, does not exist",
                hint="set `path` to an existing file or folder",
            )
        rights.need_place(ctx, self._path)

    @property
    def _path(self) -> str:
        return self.path.rstrip("/")

    def _kept(self, ctx: Context) -> str:
        return f"{self._path}.drillbook-{ctx.run_id}"

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that moves the stored original back. If somebody has created a new file or folder at the path, the
        undo keeps this, and deletes the stored original."""
        return Undo.by_commands(("sh", "-c", _BACK, "sh", self._path, self._kept(ctx)))

    def active(self, ctx: Context) -> bool:
        """Return True while the path is missing, or the stored original exists."""
        return ctx.run("sh", "-c", _GONE, "sh", self._path, self._kept(ctx)).exit == 0
