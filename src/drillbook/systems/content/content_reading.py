"""Reads the content of a system by a command or a request, to record it or to compare it.

The result is a list of lines or a JSON value. Lines are sorted, unless their order is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drillbook.errors import CouldNotVerify, HostError
from drillbook.sdk import answer_limits
from drillbook.sdk.action import Context
from drillbook.sdk.host import excerpt, shown
from drillbook.sdk.service import handed
from drillbook.systems.http.actions.fields import requested
from drillbook.values import Handed

MOST_BYTES = 8 << 20
"""Largest permitted size in bytes of the output of a ``Reading``'s command or request."""


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return text


class Reading(BaseModel):
    """One reading of a system's content: a command or a request, and the rules by which its output is compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: Annotated[
        tuple[str, ...],
        Field(
            description=(
                "Program and arguments of a command that runs on the host of the step. The command must only "
                "read, and must end with status 0."
            )
        ),
    ] = ()
    url: Annotated[
        str,
        Field(
            pattern=r"^(https?://.*)?$",
            description=(
                "URL to request instead of running a command. The controller sends the request, and the answer "
                "must have the status 200."
            ),
        ),
    ] = ""
    headers: Annotated[
        dict[str, Handed],
        Field(
            description=(
                "Headers of the request. A secret must be the whole value of a header, such as `{{ services.app.token }}`."
            )
        ),
    ] = Field(default_factory=dict)
    format: Annotated[Literal["lines", "json"], Field(description="Form of the output: lines of text, or JSON.")] = "lines"
    ordered: Annotated[
        bool,
        Field(
            description=(
                "True: the order of lines, and of items in JSON lists, is compared. False: lines and items are "
                "sorted before they are compared."
            )
        ),
    ] = False
    ignore: Annotated[
        tuple[str, ...],
        Field(
            description=(
                "Parts that are not compared. For lines, they are regular expressions, and a line that matches "
                "one of them is left out. For JSON, they are paths such as `items.*.seen`, where `*` stands for "
                "any key or index."
            )
        ),
    ] = ()
    tolerance: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="Largest difference by which two numbers may differ and still count as equal.",
        ),
    ] = 0.0

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("set either `command` or `url`")
        if self.format == "lines":
            for pattern in self.ignore:
                _regex(pattern)
        return self

    @property
    def called(self) -> str:
        """Short text of the command or the URL."""
        return self.url or f"`{shown(self.command, limit=80)}`"

    def read(self, ctx: Context) -> Any:
        """Return the content as a list of lines or as a JSON value. Ignored parts are left out, and secrets are hidden.

        Raises CouldNotVerify when the content cannot be read, or is empty.
        """
        text = ctx.redactor.text(self._text(ctx))
        if self.format == "json":
            return self._json(text)
        lines = [line for line in text.splitlines() if not any(re.search(pattern, line) for pattern in self.ignore)]
        if not any(line.strip() for line in lines):
            raise CouldNotVerify(f"{self.called} shows no content, so comparing it would prove nothing")
        return lines if self.ordered else sorted(lines)

    def _json(self, text: str) -> Any:
        value = answer_limits.parsed(text.encode("utf-8", "surrogateescape"), f"the JSON of {self.called}")
        for path in self.ignore:
            value = _without(value, path.split("."))
        if value in (None, [], {}, ""):
            raise CouldNotVerify(f"{self.called} shows no content, so comparing it would prove nothing")
        return value

    def _text(self, ctx: Context) -> str:
        return self._output(ctx) if self.command else self._answer(ctx)

    def _output(self, ctx: Context) -> str:
        said = answer_limits.Answer(f"the output of {self.called}", MOST_BYTES)
        try:
            output = ctx.run(*self.command, sink=said)
        except HostError as error:
            raise CouldNotVerify(f"{ctx.host.name}: {self.called}: {error.message}") from error
        if not output.ok:
            how = f"signal {output.signal}" if output.signal else f"status {output.exit}"
            said_last = excerpt(output.stderr, limit=300)
            raise CouldNotVerify(
                f"{ctx.host.name}: {self.called} failed, because it ended with {how}: {said_last}".rstrip(": ")
            )
        return said.text

    def _answer(self, ctx: Context) -> str:
        given = {name: handed(value, ctx.services) for name, value in self.headers.items()}
        headers = {name: value if isinstance(value, str) else value.reveal() for name, value in given.items()}
        try:
            answer = requested(ctx, self.url, headers=headers, size=MOST_BYTES)
        except OSError as error:
            raise CouldNotVerify(f"{self.url} does not answer: {error}") from None
        if answer.status != 200:
            raise CouldNotVerify(f"{self.url} answered {answer.status}: {excerpt(answer.body, limit=200)}")
        if not answer.complete:
            raise CouldNotVerify(f"the answer of {self.url} is longer than the limit of {MOST_BYTES} bytes")
        return answer.body.decode("utf-8", "surrogateescape")


def _without(value: Any, path: list[str]) -> Any:
    """Return a copy of ``value`` without the parts at ``path``."""
    first, rest = path[0], path[1:]
    items: Iterable[tuple[Any, Any]]
    if isinstance(value, dict):
        items = [(key, item) for key, item in value.items() if rest or first not in ("*", key)]
        return {key: _without(item, rest) if rest and first in ("*", key) else item for key, item in items}
    if isinstance(value, list):
        items = [(index, item) for index, item in enumerate(value) if rest or first not in ("*", str(index))]
        return [_without(item, rest) if rest and first in ("*", str(index)) else item for index, item in items]
    return value
