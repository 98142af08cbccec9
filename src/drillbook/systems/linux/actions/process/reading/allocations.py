"""Action that shows the memory allocations of a Python process."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.sdk.action import Context, Effect, Facts, Read, Undo
from drillbook.sdk.host import excerpt, printable
from drillbook.sdk.service import Http
from drillbook.sdk.web import ask
from drillbook.systems.linux import allocations, attaching
from drillbook.systems.linux.actions.process.naming import _Named
from drillbook.systems.linux.actions.process.reading.profiles import _present, _too_short
from drillbook.systems.linux.allocations import Seen
from drillbook.systems.linux.process_lookup import need
from drillbook.values import Duration

_DEBUGGER = "command -v gdb >/dev/null || command -v lldb >/dev/null"


class Allocations(_Named, Read):
    """Show in a flame graph where a Python process allocates memory that it still holds after some seconds.

    When `path` is set, the application traces itself with tracemalloc and reports the result at this URL path. Then nothing
    outside the application touches the process. `by: memray` needs no help from the application, but runs code inside the
    process. A debugger stops the process for some seconds and loads memray, which then stays loaded. Every allocation is
    slower until the trace ends, and a line on the standard error of the process says so. Therefore memray is used only when
    the step asks for it. Such a step counts as a write, and no diagnosis uses it. memray must also be installed in the
    environment of the application.
    """

    TIMEOUT = 900.0
    CODE = "program"
    UNDO = ("nothing",)

    seconds: Annotated[Duration, Field(ge=1, le=600, description="Duration of the trace, in whole seconds.")] = Duration(
        10.0
    )
    by: Annotated[
        Literal["auto", "memray", "tracemalloc"],
        Field(
            description=(
                "Tool that measures the allocations. `memray`: a debugger loads memray into the process. `tracemalloc`, and also "
                "`auto`: the application measures itself with tracemalloc, and `path` must be set."
            )
        ),
    ] = "auto"
    path: Annotated[
        str | None,
        Field(
            pattern=r"^/[^\s?#]*$",
            description=(
                "Path below the service's `url` where the application answers `?seconds=S&most=N`, such as "
                "`/debug/allocations`. The application traces itself for S seconds by tracemalloc, and answers "
                "with a JSON object. Its fields are `seconds`, `held_bytes`, `held_allocations`, `peak_bytes` and "
                "`lines`. Each item of `lines` has the fields `where`, `bytes` and `allocations`."
            ),
        ),
    ] = None
    most: Annotated[int, Field(ge=1, le=100, description="Number of places to list.")] = 15
    program: Annotated[
        str,
        Field(
            min_length=1,
            pattern=r"^[^-\x00]",
            description=("Name of memray on the host. The path of memray in the application's environment is preferable."),
        ),
    ] = "memray"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.by == "memray" and self.path is not None:
            raise ValueError("`path` applies only to tracemalloc; omit it, or omit `by: memray`")
        if self.by != "memray" and self.path is None:
            raise ValueError(
                "set `path` to the URL path that reports allocations, or write `by: memray`, which runs code in the process"
            )
        if self.by != "memray" and self.service is None:
            raise ValueError("`path` needs the `service` whose URL it belongs to")
        return self

    @property
    def effect(self) -> Effect:
        """Effect of the step. A step with memray is a write, because memray is loaded into the process. A step without
        memray is a read.
        """
        return Effect.WRITE if self.if_known("by") == "memray" else Effect.READ

    def ready(self, ctx: Context) -> None:
        """For `by: memray`, check that memray and a debugger are on the host. The process need not exist yet."""
        if self.known("by") and self.by == "memray":
            need(ctx, *((self.program,) if self.known("program") else ()), "setsid")
            if not ctx.run("sh", "-c", _DEBUGGER).ok:
                raise NotReady(
                    f"{ctx.host.name}: gdb or lldb, which memray needs, is not installed", hint="install gdb on the host"
                )

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because a timer in the process ends memray's trace, even if the controller
        dies.
        """
        return Undo.nothing("memray ends its trace by itself" if self.by == "memray" else "reads only")

    def run(self, ctx: Context) -> Facts:
        """Facts: ``by``, ``pid``, ``seconds``, ``held_bytes``, ``held_allocations``, ``peak_bytes``, ``places``.

        ``pid`` is null with tracemalloc. ``seconds`` are measured by the clock of the process. ``held_bytes`` and
        ``held_allocations`` are the memory that was allocated during the trace and not freed by its end. ``peak_bytes`` is
        the largest amount at one time. Each item of ``places`` has ``where``, ``bytes``, ``allocations`` and ``share``.
        ``largest`` is the first item of ``places``. ``flamegraph`` is the evidence (SVG).
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
        process = _present(self, ctx)
        text = attaching.watch(ctx, process, self.program, round(self.seconds))
        try:
            return process.pid, allocations.of_memray(text)
        except ValueError as error:
            raise CouldNotVerify(
                f"{ctx.host.name}: the output of memray cannot be parsed: {error}", hint="memray 1.20 or newer is needed"
            ) from None

    def _by_tracemalloc(self, ctx: Context) -> Seen:
        url = f"{ctx.service(str(self.service), Http).url}{self.path}"
        wait = min(ctx.deadline.remaining(), self.seconds + 60.0)
        try:
            answer = ask(f"{url}?seconds={round(self.seconds)}&most={self.most}", timeout=max(0.1, wait))
        except OSError as error:
            raise CouldNotVerify(
                f"{url} does not answer: {printable(str(error), limit=300)}",
                hint="check with `http.health` that the application runs",
            ) from None
        said = excerpt(answer.body, limit=200)
        if answer.status != 200 or not answer.complete:
            raise CouldNotVerify(
                f"{url} answered {answer.status}: {said}",
                hint={
                    404: "the application does not support tracing at this path; correct `path`, or write `by: memray`",
                    409: "another trace is in progress; try again when it has finished",
                }.get(answer.status, "read the log of the application"),
            )
        try:
            return allocations.of_tracemalloc(answer.body)
        except ValueError as error:
            raise CouldNotVerify(
                f"{url} gave an unexpected answer: {error}: {said}",
                hint="see `invoke actions process.allocations` for the form of its answer",
            ) from None
