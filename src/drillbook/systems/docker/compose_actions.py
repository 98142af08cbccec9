"""Actions on a Compose project: check, start, restart and stop its services, in the order of their dependencies."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Fault, Read, Undo, Write
from drillbook.systems.docker.client import Engine, Place, engine, grace, passing, place, status_of
from drillbook.systems.docker.project import Project
from drillbook.systems.docker.undo import put_back

ServiceName = Annotated[
    str, Field(description="A service of the inventory. The action uses the Compose project to which its container belongs.")
]
Only = Annotated[tuple[str, ...], Field(description="Names of services in the compose file. Empty: all services.")]
_START = 'shift; TOOL start -- "$@"'


def _project(connection: Engine, where: Place) -> Project:
    return Project.of(connection, where.container)


def _can_ask(ctx: Context, name: str, only: tuple[str, ...]) -> Project:
    """Return the project of the service ``name``. Raises NotReady when the project or a service in ``only`` is missing."""
    try:
        where = place(ctx, name)
        with engine(ctx, where) as connection:
            project = _project(connection, where)
            project.chosen(only)
            return project
    except (CouldNotVerify, StepFailed) as error:
        raise NotReady(error.message, hint=error.hint) from None


class Ps(Read):
    """Check that the services of a project run, and that no health check reports `unhealthy`."""

    service: ServiceName
    only: Only = ()

    def ready(self, ctx: Context) -> None:
        """Check that the containers exist."""
        try:
            _can_ask(ctx, self.service, self.only)
        except NotReady as refusal:
            ctx.lacking(refusal)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``project``, ``services`` (state, health and exit status of each).

        Fails when a service is down or unhealthy.
        """
        where = place(ctx, self.service)
        with engine(ctx, where) as connection:
            project = _project(connection, where)
            wanted = project.chosen(self.only)
        states = {name: state for name, state in project.states().items() if name in wanted}
        facts: Facts = {"project": project.name, "services": states}
        wrong = [
            finding("service-state", title=name, wanted="running", measured=_measured(state))
            for name, state in states.items()
            if state["state"] != "running" or state["health"] == "unhealthy"
        ]
        if wrong:
            said = ", ".join(f"{problem.title.rpartition(': ')[2]} is {problem.measured}" for problem in wrong)
            raise StepFailed(f"{project.name}: {said}", facts=facts, findings=wrong)
        return facts


def _measured(state: Facts) -> str:
    if state["state"] == "running":
        return "running (unhealthy)"
    return f"{state['state']} ({state['exit']}{', out of memory' if state['oom_killed'] else ''})"


class Up(Write):
    """Start the stopped services of a project in the order of dependencies, resume paused ones, and wait until all run.

    A service with a health check must also become healthy. The containers must exist, because this action creates no
    containers.
    """

    UNDO = ("nothing",)

    service: ServiceName
    only: Only = ()

    def ready(self, ctx: Context) -> None:
        """Check that the containers exist."""
        _can_ask(ctx, self.service, self.only)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``project``, ``started`` (names of the services that did not run before, in the order of their start)."""
        where, started = place(ctx, self.service), []
        with engine(ctx, where) as connection:
            project = _project(connection, where)
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
        """Return an undo that changes nothing, because the services should stay running."""
        return Undo.nothing("running services are the wanted state")


def _well(ctx: Context, name: str, container: Any) -> None:
    """Wait until the container of the service ``name`` runs. If it has a health check, also wait until it is healthy.

    Raises StepFailed at the deadline, or when the container has exited.
    """
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
    """Restart services of a project in the order of their dependencies, and wait until each of them runs."""

    UNDO = ("nothing",)

    service: ServiceName
    only: Only = ()

    def ready(self, ctx: Context) -> None:
        """Check that the containers exist."""
        _can_ask(ctx, self.service, self.only)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``project``, ``restarted`` (names of services, in order)."""
        where = place(ctx, self.service)
        with engine(ctx, where) as connection:
            project = _project(connection, where)
            names = project.chosen(self.only)
            for name in names:
                ctx.deadline.check()
                project.containers[name].restart(timeout=grace(ctx, 10))
                _well(ctx, name, project.containers[name])
        return {"project": project.name, "restarted": names}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the services should stay running."""
        return Undo.nothing("running services are the wanted state")


class Stop(Fault):
    """Stop services of a project in the reverse order of their dependencies, as an operator does."""

    UNDO = ("commands", "action")
    UNDO_ACTIONS = ("compose.up",)

    service: ServiceName
    only: Only = ()

    def ready(self, ctx: Context) -> None:
        """Check that all chosen services run, and can be started again after a stop."""
        project = _can_ask(ctx, self.service, self.only)
        if why := [reason for name in project.chosen(self.only) if (reason := passing(project.containers[name]))]:
            raise NotReady(
                f"{project.name}: {why[0]}",
                hint="set `only` to services whose containers are not removed when they stop",
            )
        if down := set(project.chosen(self.only)) - set(_running(project, self.only)):
            raise NotReady(
                f"{project.name}: these services do not run before the drill: {', '.join(sorted(down))}",
                hint="start these services, or set `only` to running services",
            )

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``project``, ``stopped`` (names of services, in order)."""
        where = place(ctx, self.service)
        with engine(ctx, where) as connection:
            project = _project(connection, where)
            names = list(reversed(_running(project, self.only)))
            for name in names:
                ctx.deadline.check()
                project.containers[name].stop(timeout=grace(ctx, 10))
        return {"project": project.name, "stopped": names}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that starts the services which ran before the fault."""
        where = place(ctx, self.service)
        with engine(ctx, where) as connection:
            project = _project(connection, where)
        names = _running(project, self.only)
        if not names:
            raise NotReady(
                f"{project.name}: none of the chosen services runs, so there is nothing to stop",
                hint="start at least one of these services first",
            )
        action = Undo.by_action("compose.up", service=self.service, only=names)
        return put_back(ctx, where, _START, tuple(project.containers[name].name for name in names), action)

    def active(self, ctx: Context) -> bool:
        """Return True while one of the chosen services does not run."""
        project = _can_ask(ctx, self.service, self.only)
        return len(_running(project, self.only)) < len(project.chosen(self.only))


def _running(project: Project, only: tuple[str, ...]) -> list[str]:
    return [name for name in project.chosen(only) if status_of(project.containers[name]) == "running"]
