"""Actions that record the content of a system, and later compare the content with the record."""

from __future__ import annotations

import hashlib
import json
import re
from itertools import islice
from typing import Annotated, Any

from pydantic import Field, ValidationError

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import Finding, finding
from drillbook.sdk.action import Context, Facts, Read
from drillbook.sdk.answer_limits import parsed
from drillbook.sdk.host import excerpt
from drillbook.systems.content import compare
from drillbook.systems.content.content_reading import Reading

FORMAT = "drillbook/content/1"
MOST_SHOWN = 20
"""Largest number of differences that a report shows for each reading (a command or request that reads the content)."""
SHOWN_CHARACTERS = 200
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
ServiceName = Annotated[
    str,
    Field(description="Service that holds this content, as named in the inventory. It can be of any kind."),
]


class Take(Read):
    """Record the content of a system before a fault, as commands and requests show it.

    `content.matches` compares the record with the content after the restore.

    Use this step while nothing writes to the system except the drill's own canaries. Choose commands and requests whose
    output does not show what the canaries write. Secrets of the inventory are hidden in the recorded content. Therefore the
    comparison does not notice that a secret changed.
    """

    TIMEOUT = 300.0
    CODE = "of"
    SECRETS = frozenset({"of"})

    service: ServiceName
    of: Annotated[
        dict[Name, Reading],
        Field(
            min_length=1,
            description=(
                "Content to read, as a mapping of readings. Each key is the name of a reading. A reading has either "
                "`command` or `url`, and may have `format` (`lines` or `json`), `ordered`, `ignore`, `tolerance` and "
                "`headers`."
            ),
        ),
    ]

    def programs(self, ctx: Context) -> tuple[str, ...]:
        """Return the name of each program that a command of a ``Reading`` starts."""
        return tuple(reading.command[0] for reading in self.of.values() if reading.command) if self.known("of") else ()

    def ready(self, ctx: Context) -> None:
        """Check that the programs of the readings' commands exist on the host."""
        if lacking := ctx.missing(*self.programs(ctx)):
            raise NotReady(
                f"{ctx.host.name}: the program {lacking[0]!r} is not installed",
                hint="install the program, or correct `command` of the readings",
            )

    def run(self, ctx: Context) -> Facts:
        """Facts: ``manifest`` (needed by `content.matches`), ``readings`` (number of lines or values that were read for each
        name), ``evidence``.
        """
        content = {
            name: {"reading": reading.model_dump(mode="json"), "content": reading.read(ctx)}
            for name, reading in self.of.items()
        }
        record = json.dumps({"format": FORMAT, "service": self.service, "of": content}, ensure_ascii=True, sort_keys=True)
        kept = ctx.evidence("content.json", record, sync=True)
        return {
            "manifest": f"{kept['file']}#sha256={kept['sha256']}",
            "readings": {name: _size(recorded["content"]) for name, recorded in content.items()},
            "evidence": kept,
        }


def _size(content: Any) -> int:
    return len(content) if isinstance(content, list | dict) else 1


class Matches(Read):
    """Read the same content as `content.take`, by the same commands and requests, and compare it with the record.

    Content that is empty or cannot be read never counts as equal. It counts as not verified.
    """

    TIMEOUT = 300.0
    COMPARES = True
    COMPARES_WITH = "content.take"

    service: ServiceName
    manifest: Annotated[
        str,
        Field(min_length=1, description="Record to compare with: the fact `manifest` of an earlier step `content.take`."),
    ]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``readings`` (number of lines or values that were read for each name), ``differences`` (number of differences
        for each name).
        """
        problems: list[Finding] = []
        facts: Facts = {"readings": {}, "differences": {}}
        for name, (reading, before) in self._recorded(ctx).items():
            after = reading.read(ctx)
            wrong = compare.differences(before, after, ordered=reading.ordered, tolerance=reading.tolerance)
            first = [_shown(ctx, line) for line in islice(wrong, MOST_SHOWN + 1)]
            count = len(first) + sum(1 for _ in wrong)
            facts["readings"][name], facts["differences"][name] = _size(after), count
            if count:
                problems.append(_finding(name, reading, first, count))
        if problems:
            raise StepFailed(
                f"the content of {self.service} differs from the recorded content: {', '.join(problem.title for problem in problems)}",
                facts=facts,
                findings=problems,
            )
        return facts

    def _recorded(self, ctx: Context) -> dict[str, tuple[Reading, Any]]:
        """Return the recorded readings with their content.

        Raises CouldNotVerify when the record is missing, when it cannot be read, or when it was changed after it was
        recorded.
        """
        match = re.fullmatch(r"(evidence/[A-Za-z0-9._~-]+)#sha256=([0-9a-f]{64})", self.manifest)
        if match is None:
            raise CouldNotVerify(f"{self.manifest!r} is not the fact `manifest` of a step `content.take`")
        try:
            data = (ctx.folder / match[1]).read_bytes()
        except OSError as error:
            raise CouldNotVerify(f"the recorded content cannot be read: {error}") from None
        if hashlib.sha256(data).hexdigest() != match[2]:
            raise CouldNotVerify(f"the recorded content {match[1]} was changed after it was recorded")
        return self._parsed(data, match[1])

    def _parsed(self, data: bytes, file: str) -> dict[str, tuple[Reading, Any]]:
        record = parsed(data, f"the recorded content {file}")
        if record.get("format") != FORMAT or record.get("service") != self.service:
            raise CouldNotVerify(
                f"{file} is not the recorded content of {self.service}: it belongs to {record.get('service')}"
            )
        try:
            return {
                name: (Reading.model_validate(recorded["reading"]), recorded["content"])
                for name, recorded in record["of"].items()
            }
        except (ValidationError, KeyError, AttributeError) as error:
            raise CouldNotVerify(f"the recorded content {file} cannot be used: {error}") from None


def _shown(ctx: Context, line: str) -> str:
    return excerpt(ctx.redactor.text(line), limit=SHOWN_CHARACTERS)


def _finding(name: str, reading: Reading, first: list[str], count: int) -> Finding:
    shown = first if count == len(first) else first[:MOST_SHOWN]
    more = f"; and {count - len(shown)} more" if count > len(shown) else ""
    return finding(
        "content-differs",
        title=f"{name} ({reading.called})",
        wanted="the recorded content",
        measured=f"{count} difference{'s' * (count != 1)}: {'; '.join(shown)}{more}",
    )
