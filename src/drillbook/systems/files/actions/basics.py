"""Files as they are: digests; and a folder that is moved out of the way."""

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


class Digest(Read):
    """SHA-256 of a file, or of every file below a folder, computed on the host."""

    PLACE = Place.HOSTS

    path: AbsolutePath
    sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$", description="The wanted digest of the file.")] = None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``sha256`` of a single file; ``files`` and ``evidence`` for a folder."""
        output = ctx.run("sh", "-c", _DIGEST, "sh", self.path)
        found = dict(_parse(output.text))
        if not output.ok or not found:
            said = output.stderr.decode("utf-8", "replace").strip()[-300:]
            raise CouldNotVerify(f"{ctx.host.name}: no digest of {self.path}: {said or 'there is no file'}")
        facts: Facts = {"files": len(found), "evidence": ctx.evidence("sha256.txt", output.text)}
        if len(found) == 1:
            facts["sha256"] = next(iter(found.values()))
        if self.sha256 and facts.get("sha256") != self.sha256:
            measured = str(facts.get("sha256", f"{len(found)} files"))
            raise StepFailed(
                f"{self.path} is not as expected",
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
# PATH KEPT: a name is moved within the folder around it, and what it is does not matter.
_ASIDE = (
    _PLACE
    + """
enter "${1%/*}" && there "$it" || exit 3
! there "$kept" || exit 4
mv -T -- "./$it" "./$kept"
"""
)
_BACK = (
    _PLACE
    + """
enter "${1%/*}" && there "$kept" || exit 0
if there "$it"; then rm -rf -- "./$kept"; else mv -T -- "./$kept" "./$it"; fi
"""
)
_GONE = _PLACE + 'enter "${1%/*}" || exit 0; there "$kept" || ! there "$it"'


class Remove(Fault):
    """Remove a file or a folder, as an operator's wrong `rm` does. Kept aside on the same disk, so it can be put back."""

    PLACE = Place.HOSTS
    UNDO = ("commands",)

    path: AbsolutePath

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``path``, ``kept`` (where it lies until it is put back)."""
        refuse_dangerous(self.path)
        output = ctx.run("sh", "-c", _ASIDE, "sh", self._path, self._kept(ctx))
        nofollow.refuse(ctx, output)
        if output.exit == 3:
            raise StepFailed(f"{ctx.host.name}: there is no {self.path} to remove")
        output.check()
        return {"path": self._path, "kept": self._kept(ctx)}

    def ready(self, ctx: Context) -> None:
        """There must be something to remove, at a place where that is allowed and the user may."""
        if not self.known("path"):
            return
        need_harmless(self.path)
        if not ctx.run("sh", "-c", 'test -e "$1" || test -L "$1"', "sh", self._path).ok:
            raise NotReady(
                f"{ctx.host.name}: there is no {self.path} to remove", hint="name a file or a folder that is there"
            )
        rights.need_place(ctx, self._path)

    @property
    def _path(self) -> str:
        return self.path.rstrip("/")

    def _kept(self, ctx: Context) -> str:
        return f"{self._path}.drillbook-{ctx.run_id}"

    def undo(self, ctx: Context) -> Undo:
        """Move it back, unless something else was put in its place meanwhile: then drop the kept one."""
        return Undo.by_commands(("sh", "-c", _BACK, "sh", self._path, self._kept(ctx)))

    def active(self, ctx: Context) -> bool:
        """True while the path is not there, or its kept copy still is."""
        return ctx.run("sh", "-c", _GONE, "sh", self._path, self._kept(ctx)).exit == 0
