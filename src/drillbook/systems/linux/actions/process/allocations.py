"""Where a Python process allocates the memory that it keeps."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context, Effect, Facts, Read, Undo
from drillbook.sdk.host import excerpt, printable
from drillbook.sdk.service import Http
from drillbook.sdk.web import ask
from drillbook.systems.linux import allocations, attaching
from drillbook.systems.linux.actions.process.looks import _present, _too_short
from drillbook.systems.linux.actions.process.naming import _Named
from drillbook.systems.linux.allocations import Seen
from drillbook.systems.linux.target import need
from drillbook.values import Duration

_DEBUGGER = "command -v gdb >/dev/null || command -v lldb >/dev/null"


class Allocations(_Named, Read):
    """Where a Python process allocates what it still holds after some seconds; a flame graph in bytes is the evidence.

    With `path` the application watches itself by tracemalloc and answers there; nothing is changed in it from outside.
    `by: memray` works without its help, but runs code inside the process: a debugger holds it for some seconds and loads
    memray, which stays loaded; every allocation is slower until the time is over, and a line on its standard error says so.
    So it must be written out, counts as a write, and no diagnosis uses it. memray must be installed in the environment of
    the application as well.
    """

    TIMEOUT = 900.0
    CODE = "program"
    UNDO = ("nothing",)

    seconds: Annotated[Duration, Field(ge=1, le=600, description="How long to watch, in whole seconds.")] = Duration(10.0)
    by: Annotated[
        Literal["auto", "memray", "tracemalloc"],
        Field(description="Who watches; auto: the application itself, by tracemalloc, which needs `path`."),
    ] = "auto"
    path: Annotated[
        str | None,
        Field(
            pattern=r"^/[^\s?#]*$",
            description=(
                "Path below the service's `url` where the application answers `?seconds=S&most=N`, such as `/debug/allocations`: "
                "it watches itself for S seconds by tracemalloc and answers `seconds held_bytes held_allocations peak_bytes lines`, "
                "of each line `where bytes allocations`."
            ),
        ),
    ] = None
    most: Annotated[int, Field(ge=1, le=100, description="How many places to list.")] = 15
    program: Annotated[
        str,
        Field(
            min_length=1,
            pattern=r"^[^-\x00]",
            description=("memray on the host: its name, or its path, best that of the application's environment."),
        ),
    ] = "memray"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.by == "memray" and self.path is not None:
            raise ValueError("`path` is for tracemalloc; leave it out, or `by: memray`")
        if self.by != "memray" and self.path is None:
            raise ValueError(
                "name the `path` where the application answers, or write `by: memray`, which runs code inside the process"
            )
        if self.by != "memray" and self.service is None:
            raise ValueError("`path` needs the `service` whose URL it belongs to")
        return self

    @property
    def effect(self) -> Effect:
        """A write with memray, which is loaded into the process."""
        return Effect.WRITE if self.__dict__.get("by") == "memray" else Effect.READ

    def ready(self, ctx: Context) -> None:
        """With memray: it must be on the host, and a debugger; the process need not be there yet."""
        if self.known("by") and self.by == "memray":
            need(ctx, *((self.program,) if self.known("program") else ()), "setsid")
            if not ctx.run("sh", "-c", _DEBUGGER).ok:
                raise NotReady(
                    f"{ctx.host.name}: not there: gdb or lldb, which memray needs", hint="install gdb on the host"
                )

    def undo(self, ctx: Context) -> Undo:
        """Nothing: a timer in the process ends memray's watching, whatever becomes of the drill."""
        return Undo.nothing("memray ends its watching by itself" if self.by == "memray" else "reads only")

    def run(self, ctx: Context) -> Facts:
        """Facts: ``by``, ``pid`` (null with tracemalloc), ``seconds`` (by the clock of the process), ``held_bytes`` and
        ``held_allocations`` (made meanwhile, not freed by the end), ``peak_bytes`` (the most that was held of what is
        counted), ``largest`` (a place), ``places`` (``where bytes allocations share``), ``flamegraph`` (evidence, SVG).
        """
        if ctx.deadline.remaining() < self.seconds:
            raise _too_short(self.seconds)
        pid, seen = self._by_memray(ctx) if self.by == "memray" else (None, self._by_tracemalloc(ctx))
        title = f"{self.service or f'process {pid}'} on {ctx.host.name}: {seen.bytes} bytes held after {seen.seconds:.1f} s"
        return {
            "by": "memray" if self.by == "memray" else "tracemalloc",
            "pid": pid,
            **allocations.summary(seen, self.most),
            "flamegraph": ctx.evidence("allocations.svg", allocations.drawing(seen, title)),
        }

    def _by_memray(self, ctx: Context) -> tuple[int, Seen]:
        found = _present(self, ctx)
        text = attaching.watch(ctx, found, self.program, round(self.seconds))
        try:
            return found.pid, allocations.of_memray(text)
        except ValueError as error:
            raise CouldNotVerify(
                f"{ctx.host.name}: what memray saw cannot be read: {error}", hint="memray 1.20 or newer is needed"
            ) from None

    def _by_tracemalloc(self, ctx: Context) -> Seen:
        url = f"{ctx.service(str(self.service), Http).url}{self.path}"
        wait = min(ctx.deadline.remaining(), self.seconds + 60.0)
        try:
            answer = ask(f"{url}?seconds={round(self.seconds)}&most={self.most}", timeout=max(0.1, wait))
        except OSError as error:
            raise CouldNotVerify(
                f"{url} does not answer: {printable(str(error), limit=300)}",
                hint="look whether the application runs: `http.health`",
            ) from None
        said = excerpt(answer.body, limit=200)
        if answer.status != 200 or not answer.complete:
            raise CouldNotVerify(
                f"{url} answered {answer.status}: {said}",
                hint={
                    404: "the application does not offer it; correct `path`, or write `by: memray`",
                    409: "somebody else looks there now; try again when that is over",
                }.get(answer.status, "look in its log"),
            )
        try:
            return allocations.of_tracemalloc(answer.body)
        except ValueError as error:
            raise CouldNotVerify(
                f"{url} answered something else: {error}: {said}",
                hint="see `invoke actions process.allocations` for the form of its answer",
            ) from None
