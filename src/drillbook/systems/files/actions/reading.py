"""Action that computes digests of files."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.host import printable
from drillbook.systems.files.actions.fields import AbsolutePath

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
        """Facts: ``files`` (number of files), ``evidence`` (the stored list with the digest of each file), ``sha256`` (digest
        of the file, if there is only one).
        """
        output = ctx.run("sh", "-c", _DIGEST, "sh", self.path)
        digest_by_path = dict(_parse(output.text))
        if not output.ok or not digest_by_path:
            said = printable(output.stderr.strip(), limit=300)
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
