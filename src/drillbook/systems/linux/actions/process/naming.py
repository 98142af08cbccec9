"""Which process an action means: exactly one, named by unit, pid file or port, never by a pattern."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from drillbook.sdk.action import Action, Context
from drillbook.sdk.service import Service
from drillbook.systems.linux import target
from drillbook.systems.linux.target import Found


class _Named(Action):
    """An action on exactly one process."""

    service: Annotated[
        str | None,
        Field(description="Service whose unit's main process is meant; with `pid_file` or `port` it names only the host."),
    ] = None
    pid_file: Annotated[str | None, Field(pattern=r"^/[^\x00\n]+$", description="File that holds its number.")] = None
    port: Annotated[int | None, Field(ge=1, le=65535, description="TCP port that the process listens on.")] = None

    @model_validator(mode="after")
    def _one_process(self) -> Self:
        if self.service is None and self.pid_file is None and self.port is None:
            raise ValueError("name the process: `service`, `pid_file` or `port`")
        if self.pid_file is not None and self.port is not None:
            raise ValueError("`pid_file` and `port` both name a process; write one of them")
        return self

    def _find(self, ctx: Context) -> Found:
        """The process now. Raises NotReady."""
        if self.pid_file is not None:
            return target.of_pid_file(ctx, self.pid_file)
        if self.port is not None:
            return target.of_port(ctx, self.port)
        return target.of_unit(ctx, str(self.service))

    def _unit(self, ctx: Context) -> str:
        """Its unit in the service manager, or nothing when it is named by pid file or port."""
        if self.service is None or self.pid_file is not None or self.port is not None:
            return ""
        return ctx.service(self.service, Service).unit

    def _decided(self) -> bool:
        """False in ``ready`` while the process depends on an earlier step."""
        return all(map(self.known, ("service", "pid_file", "port")))

    def ready(self, ctx: Context) -> None:
        """The process must be there and ours to touch."""
        if self._decided():
            self._find(ctx)
