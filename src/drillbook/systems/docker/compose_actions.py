"""A Compose project as a whole: its services looked at, stopped, started in the order of their needs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Fault, Read, Undo, Write
from drillbook.systems.docker.engine import Engine, Place, engine, grace, passing, place, status_of
from drillbook.systems.docker.project import Project
from drillbook.systems.docker.undo import put_back

ServiceName = Annotated[str, Field(description="Any service of the inventory that is a container of the project.")]
Only = Annotated[tuple[str, ...], Field(description="Names of services in the compose file; none: all.")]
_START = 'shift; TOOL start -- "$@"'


def _project(one: Engine, where: Place) -> Project:
    return Project.of(one, where.container)


def _can_ask(ctx: Context, name: str, only: tuple[str, ...]) -> Project:
    """The project. Raises NotReady."""
    try:
        where = place(ctx, name)
        with engine(ctx, where) as one:
            project = _project(one, where)
            project.chosen(only)
            return project
    except (CouldNotVerify, StepFailed) as error:
        raise NotReady(error.message, hint=error.hint) from None


class Ps(Read):
    """See whether the services of a project run, and are healthy where they have a health check."""

    service: ServiceName
    only: Only = ()

    def run(self, ctx: Context) -> Facts:
        """Facts: ``project``, ``services`` (by name: ``state``, ``health``, ``exit``). Fails when one is not well."""
        where = place(ctx, self.service)
        with engine(ctx, where) as one:
            project = _project(one, where)
            wanted = project.chosen(self.only)
        states = {name: state for name, state in project.states().items() if name in wanted}
        facts: Facts = {"project": project.name, "services": states}
        wrong = [
            finding("service-state", title=name, wanted="running", measured=_measured(state))
            for name, state in states.items()
            if state["state"] != "running" or state["health"] == "unhealthy"
        ]
        if wrong:
            said = ", ".join(f"{one.title.rpartition(': ')[2]} is {one.measured}" for one in wrong)
            raise StepFailed(f"{project.name}: {said}", facts=facts, findings=wrong)
        return facts


def _measured(state: Facts) -> str:
    if state["state"] == "running":
        return "running (unhealthy)"
    return f"{state['state']} ({state['exit']}{', out of memory' if state['oom_killed'] else ''})"


class Up(Write):
    """Start every service of a project that does not run, those first that others need, and wait until each runs.

    With a health check, it waits until that says healthy. Containers are not made: they must be there.
    """

    UNDO = ("nothing",)

    service: ServiceName
    only: Only = ()

    def ready(self, ctx: Context) -> None:
        """The containers must be there."""
        _can_ask(ctx, self.service, self.only)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``project``, ``started`` (the services that did not run, in order)."""
        where, started = place(ctx, self.service), []
        with engine(ctx, where) as one:
            project = _project(one, where)
            for name in project.chosen(self.only):
                container = project.containers[name]
                if status_of(container) == "paused":
                    container.unpause()
                elif status_of(container) != "running":
                    container.start()
                    started.append(name)
                _well(ctx, name, container)
        return {"project": project.name, "started": started}

    def undo(self, ctx: Context) -> Undo:
        """Running services are what is wanted."""
        return Undo.nothing("running services are the wanted state")


def _well(ctx: Context, name: str, container: Any) -> None:
    """Wait until a container runs and is not unwell. Raises StepFailed at the deadline, or when it has ended."""
    while True:
        container.reload()
        state = container.attrs["State"]
        health = (state.get("Health") or {}).get("Status", "none")
        if state["Status"] == "running" and health in ("none", "healthy", ""):
            return
        if state["Status"] in ("exited", "dead") or ctx.deadline.remaining() < 0.3:
            measured = f"{state['Status']} (status {state['ExitCode']}, health {health})"
            raise StepFailed(
                f"{name} is {measured}", findings=[finding("service-state", title=name, wanted="running", measured=measured)]
            )
        ctx.deadline.wait(0.1)


class Restart(Write):
    """Restart services of a project, those first that others need, and wait until each runs."""

    UNDO = ("nothing",)

    service: ServiceName
    only: Only = ()

    def ready(self, ctx: Context) -> None:
        """The containers must be there."""
        _can_ask(ctx, self.service, self.only)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``project``, ``restarted``."""
        where = place(ctx, self.service)
        with engine(ctx, where) as one:
            project = _project(one, where)
            names = project.chosen(self.only)
            for name in names:
                ctx.deadline.check()
                project.containers[name].restart(timeout=grace(ctx, 10))
                _well(ctx, name, project.containers[name])
        return {"project": project.name, "restarted": names}

    def undo(self, ctx: Context) -> Undo:
        """Running services are what is wanted."""
        return Undo.nothing("running services are the wanted state")


class Stop(Fault):
    """Stop services of a project, those last that others need, as an operator does who takes the platform down."""

    UNDO = ("commands", "action")

    service: ServiceName
    only: Only = ()

    def ready(self, ctx: Context) -> None:
        """All of the services must run."""
        project = _can_ask(ctx, self.service, self.only)
        if why := [one for name in project.chosen(self.only) if (one := passing(project.containers[name]))]:
            raise NotReady(f"{project.name}: {why[0]}", hint="name under `only` services whose containers stay")
        if down := set(project.chosen(self.only)) - set(_running(project, self.only)):
            raise NotReady(
                f"{project.name}: before the drill these do not run: {', '.join(sorted(down))}",
                hint="start them, or name under `only` those that the drill is about",
            )

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``project``, ``stopped`` (in order)."""
        where = place(ctx, self.service)
        with engine(ctx, where) as one:
            project = _project(one, where)
            names = list(reversed(_running(project, self.only)))
            for name in names:
                ctx.deadline.check()
                project.containers[name].stop(timeout=grace(ctx, 10))
        return {"project": project.name, "stopped": names}

    def undo(self, ctx: Context) -> Undo:
        """Start those that ran."""
        where = place(ctx, self.service)
        with engine(ctx, where) as one:
            project = _project(one, where)
        names = _running(project, self.only)
        if not names:
            raise NotReady(f"{project.name}: none of them runs, so there is nothing to stop", hint="start them first")
        action = Undo.by_action("compose.up", service=self.service, only=names)
        return put_back(ctx, where, _START, tuple(project.containers[name].name for name in names), action)

    def active(self, ctx: Context) -> bool:
        """True while one of the services does not run."""
        project = _can_ask(ctx, self.service, self.only)
        return len(_running(project, self.only)) < len(project.chosen(self.only))


def _running(project: Project, only: tuple[str, ...]) -> list[str]:
    return [name for name in project.chosen(only) if status_of(project.containers[name]) == "running"]
