"""Action `env.matches`: compare the names in a service's env file with its template. Values are never shown."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Read
from drillbook.sdk.host import printable

LIMIT = 1 << 18
_LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)$")
_COMMENTED = re.compile(r"^\s*#\s*optional:?\s*([A-Za-z_][A-Za-z0-9_]*)\s*=", re.IGNORECASE)


class Matches(Read):
    """Compare an env file with its template, and report names that are missing, extra, or empty. Values are never shown.

    Every name of the template must be in the file, and must have a value there. The value may be empty only if the
    template's own value is `''`. A name in a line `# optional:` of the template may be missing in the file.
    """

    service: Annotated[
        str | None,
        Field(
            description="Service whose host is used when the step names no `hosts`. The env file and the template are on that host."
        ),
    ] = None
    file: Annotated[str, Field(pattern=r"^/", description="Path of the env file on the host.")]
    template: Annotated[str, Field(pattern=r"^/", description="Path of the env file's template on the host.")]

    def ready(self, ctx: Context) -> None:
        """Check that the template can be read."""
        try:
            if self.known("template"):
                self._text(ctx, self.template)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``present`` (true when the file exists), and the lists of variables ``missing``, ``extra`` and
        ``empty``.

        The fact ``names`` is a number. It counts the variables that are both in the template and in the file.
        """
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
                f"{self.file} does not exist"
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
            raise CouldNotVerify(f"{ctx.host.name}: the template {path} does not exist", hint="correct `template`") from None


def _names(text: str) -> dict[str, str]:
    """Return the variables of an env file with their values."""
    return {match[1]: match[2].strip() for line in text.splitlines() if (match := _LINE.match(line))}


def _wanted(text: str) -> tuple[set[str], set[str], set[str]]:
    """Return three sets of names in the template: required, optional, and allowed to have an empty value."""
    names = _names(text)
    optional = {match[1] for line in text.splitlines() if (match := _COMMENTED.match(line))}
    return set(names), optional, {name for name, value in names.items() if value in ("''", '""')}
