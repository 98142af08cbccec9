"""Selects the process of an action by a unit, a pid file or a port. Each of these identifies exactly one process.

A process cannot be selected by a pattern of its name.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from drillbook.sdk.action import Action, Context
from drillbook.sdk.service import Service
from drillbook.systems.linux import process_lookup
from drillbook.systems.linux.process_lookup import Found


class _Named(Action):
    """Base of actions on exactly one process. The step selects the process by unit, pid file or port."""

    service: Annotated[
        str | None,
        Field(
            description=(
                "Service. The main process of its unit is selected. When `pid_file` or `port` is set, the "
                "service selects only the host."
            )
        ),
    ] = None
    pid_file: Annotated[str | None, Field(pattern=r"^/[^\x00\n]+$", description="Pid file of the process.")] = None
    port: Annotated[int | None, Field(ge=1, le=65535, description="TCP port that the process listens on.")] = None

    @model_validator(mode="after")
    def _one_process(self) -> Self:
        if self.service is None and self.pid_file is None and self.port is None:
            raise ValueError("no process is selected: set `service`, `pid_file` or `port`")
        if self.pid_file is not None and self.port is not None:
            raise ValueError("`pid_file` and `port` both select a process; set only one of them")
        return self

    def _find(self, ctx: Context) -> Found:
        """Return the running process that the step selects. Raises NotReady when no such process runs."""
        if self.pid_file is not None:
            return process_lookup.of_pid_file(ctx, self.pid_file)
        if self.port is not None:
            return process_lookup.of_port(ctx, self.port)
        return process_lookup.of_unit(ctx, str(self.service))

    def _unit(self, ctx: Context) -> str:
        """Return the name of the process's unit in the service manager. The result is empty if the step names a pid file or a
        port.
        """
        if self.service is None or self.pid_file is not None or self.port is not None:
            return ""
        return ctx.service(self.service, Service).unit

    def _decided(self) -> bool:
        """Return True when the values that select the process are known.

        A value is unknown while it comes from an earlier step that has not finished.
        """
        return all(map(self.known, ("service", "pid_file", "port")))

    def ready(self, ctx: Context) -> None:
        """Check that the process exists, and that the user may send signals to it."""
        if self._decided():
            self._find(ctx)
