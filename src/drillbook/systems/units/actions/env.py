"""A service's env file against its template: names only, values never leave the host's file."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Read
from drillbook.sdk.host import printable

LIMIT = 1 << 18
_LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)$")
_COMMENTED = re.compile(r"^\s*#\s*optional:?\s*([A-Za-z_][A-Za-z0-9_]*)\s*=", re.IGNORECASE)


class Matches(Read):
    """Compare an env file with its template: which names are missing, extra, or empty. Values are never shown.

    A name that the template has must be in the file, and not empty unless the template's own value is `''`; a name
    behind `# optional:` may be missing.
    """

    service: Annotated[
        str | None, Field(description="A service: its host has the files, where the step names no `hosts`.")
    ] = None
    file: Annotated[str, Field(pattern=r"^/", description="Path of the env file on the host.")]
    template: Annotated[str, Field(pattern=r"^/", description="Path of its template on the host.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``present`` (is there a file), ``missing``, ``extra``, ``empty`` (names), ``names`` (how many match)."""
        wanted, optional, blank = _wanted(self._text(ctx, self.template))
        try:
            there, present = _names(ctx.host.get(self.file, limit=LIMIT).decode("utf-8", "replace")), True
        except FileNotFoundError:
            there, present = {}, False
        except (HostError, OSError) as error:
            said = printable(str(error), limit=200)
            raise CouldNotVerify(f"{ctx.host.name}: {self.file} cannot be read: {said}") from error
        missing = sorted(wanted - set(there))
        empty = sorted(name for name, value in there.items() if name in wanted - blank and value in ("", "''", '""'))
        facts: Facts = {
            "present": present,
            "missing": missing,
            "empty": empty,
            "extra": sorted(set(there) - wanted - optional),
            "names": len(wanted & set(there)),
        }
        if missing or empty or not present:
            seen = (
                f"{self.file} is not there"
                if not present
                else ", ".join([*(f"{name} is missing" for name in missing), *(f"{name} is empty" for name in empty)])
            )
            raise StepFailed(
                f"{ctx.host.name}: {seen}",
                facts=facts,
                findings=[finding("expectation", title=self.file, wanted=f"every name of {self.template}", measured=seen)],
            )
        return facts

    def _text(self, ctx: Context, path: str) -> str:
        try:
            return ctx.host.get(path, limit=LIMIT).decode("utf-8", "replace")
        except FileNotFoundError:
            raise CouldNotVerify(f"{ctx.host.name}: there is no template {path}", hint="correct `template`") from None


def _names(text: str) -> dict[str, str]:
    """Names and what stands behind their `=`."""
    return {found[1]: found[2].strip() for line in text.splitlines() if (found := _LINE.match(line))}


def _wanted(text: str) -> tuple[set[str], set[str], set[str]]:
    """Names that must be there, those that may, and those that may be empty."""
    names = _names(text)
    optional = {found[1] for line in text.splitlines() if (found := _COMMENTED.match(line))}
    return set(names), optional, {name for name, value in names.items() if value in ("''", '""')}
