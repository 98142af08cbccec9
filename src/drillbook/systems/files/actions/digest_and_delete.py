"""Actions that compute digests of files, and that remove a file or a folder."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk import nofollow
from drillbook.sdk.action import Context, Facts, Fault, Place, Read, Undo
from drillbook.systems.files import rights
from drillbook.systems.files.actions.fields import AbsolutePath, need_harmless, refuse_dangerous

_DIGEST = 'cd -- "$1" 2>/dev/null || { sha256sum -b -- "$1"; exit; }; find . -type f -exec sha256sum -b -- {} +'

# PATH: exit with status 0 if a digest of the file, or of the files below the folder, can be computed.
_DIGESTIBLE = """
test -e "$1" || exit 3
test -d "$1" || { test -f "$1" || exit 5; test -r "$1" || exit 4; exit 0; }
cd -- "$1" 2>/dev/null && test -r . || exit 4
test "$(find . -type f 2>/dev/null | head -n 1)" || exit 5
"""
_INDIGESTIBLE = {
    3: "does not exist",
    4: "cannot be read by this user",
    5: "is no file, and contains no files",
}


class Digest(Read):
    """Compute the SHA-256 of a file, or of every file below a folder, on the host."""

    PLACE = Place.HOSTS

    path: AbsolutePath
    sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$", description="Expected SHA-256 of the file.")] = None

    def ready(self, ctx: Context) -> None:
        """Check that the path is a file, or a folder with files, and that the user may read it."""
        if self.known("path"):
            tested = ctx.run("sh", "-c", _DIGESTIBLE, "sh", self.path)
            if why := _INDIGESTIBLE.get(tested.exit or 0):
                ctx.lacking(
                    NotReady(
                        f"{ctx.host.name}: the path to digest, {self.path}, {why}",
                        hint="correct `path`, or run as a user who may read this path",
                    )
                )

    def run(self, ctx: Context) -> Facts:
        """Facts: ``files`` (number of files), ``evidence`` (list of their digests), ``sha256`` (only for a single file)."""
        output = ctx.run("sh", "-c", _DIGEST, "sh", self.path)
        digest_by_path = dict(_parse(output.text))
        if not output.ok or not digest_by_path:
            said = output.stderr.decode("utf-8", "replace").strip()[-300:]
            raise CouldNotVerify(
                f"{ctx.host.name}: the digest of {self.path} could not be computed: {said or 'there is no file'}"
            )
        facts: Facts = {"files": len(digest_by_path), "evidence": ctx.evidence("sha256.txt", output.text)}
        if len(digest_by_path) == 1:
            facts["sha256"] = next(iter(digest_by_path.values()))
        if self.sha256 and facts.get("sha256") != self.sha256:
            measured = str(facts.get("sha256", f"{len(digest_by_path)} files"))
            raise StepFailed(
                f"the digest of {self.path} differs from the expected digest",
                facts=facts,
                findings=[finding("file-content", title=self.path, wanted=self.sha256, measured=measured)],
            )
        return facts


def _parse(text: str) -> list[tuple[str, str]]:
    return [(match[2], match[1]) for match in re.finditer(r"^\\?([0-9a-f]{64}) [ *](.+)$", text, re.MULTILINE)]


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
        """Return an undo that moves the stored original back. If there is a new file or folder at the path, it deletes
        the stored original instead."""
        return Undo.by_commands(("sh", "-c", _BACK, "sh", self._path, self._kept(ctx)))

    def active(self, ctx: Context) -> bool:
        """Return True while the path is missing, or the stored original exists."""
        return ctx.run("sh", "-c", _GONE, "sh", self._path, self._kept(ctx)).exit == 0
