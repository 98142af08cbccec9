"""Actions that start, resume, reconnect or limit a container. One more action runs a command in a container."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from pydantic import Field

from drillbook.errors import StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Undo, Write
from drillbook.sdk.custom_step import Free
from drillbook.sdk.host import printable
from drillbook.systems.docker.actions.fields import ServiceName, examined, running, seen, wait
from drillbook.systems.docker.client import container_of, place, status_of
from drillbook.systems.docker.endpoint import Endpoint
from drillbook.systems.docker.streams import command
from drillbook.systems.docker.undo import put_back

Argv = Annotated[tuple[str, ...], Field(min_length=1, description="Program and its arguments.")]
KEPT = 4000
SETTLED_S = 1.0
"""Seconds that a container must have run to count as started, because a broken container exits at once."""


class _PutToWork(Write):
    """Base of actions that make a stopped, paused or disconnected container work again."""

    UNDO = ("nothing",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Check that the container exists."""
        examined(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the container should stay running."""
        return Undo.nothing("a running container is the wanted state")


class Start(_PutToWork):
    """Start a container and wait until it runs. If it already runs, do nothing."""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``container`` (name of the container), ``was`` (its state before the start)."""
        with container_of(ctx, self.service) as container:
            was = status_of(container)
            container.start()
            state = wait(ctx, container, ("running", "exited", "dead"))
            settled = time.monotonic() + SETTLED_S
            while was != "running" and state == "running" and time.monotonic() < settled:
                ctx.deadline.wait(0.1)
                state = wait(ctx, container, ("running", "exited", "dead"))
            if state != "running":
                code = container.attrs["State"]["ExitCode"]
                raise StepFailed(
                    f"{container.name} was started, but has exited with status {code}",
                    findings=[
                        finding(
                            "service-state",
                            title=container.name,
                            wanted="running",
                            measured=f"exited ({code})",
                            remedy=f"Read the log of the container: docker logs --tail 50 {container.name}",
                        )
                    ],
                )
            return {"container": container.name, "was": was}


class Unpause(_PutToWork):
    """Resume a paused container. If the container is not paused, do nothing."""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``container`` (name of the container), ``was_paused`` (true if the container was paused before the step)."""
        with container_of(ctx, self.service) as container:
            paused = status_of(container) == "paused"
            if paused:
                container.unpause()
            return {"container": container.name, "was_paused": paused}


class Connect(Write):
    """Connect a container to a network. If it is connected already, do nothing."""

    UNDO = ("nothing",)

    service: ServiceName
    network: Annotated[str, Field(description="Name of the network in the engine.")]
    aliases: Annotated[
        tuple[str, ...], Field(description="Additional names (aliases) of the container on the network.")
    ] = ()
    address: Annotated[
        str, Field(description="Fixed IPv4 address of the container on the network. Empty: the engine chooses an address.")
    ] = ""
    address6: Annotated[
        str, Field(description="Fixed IPv6 address of the container on the network. Empty: the engine chooses an address.")
    ] = ""
    link_local: Annotated[tuple[str, ...], Field(description="Link-local addresses of the container on the network.")] = ()
    links: Annotated[
        tuple[str, ...], Field(description="Links to other containers on the network, each as `NAME:ALIAS`.")
    ] = ()
    options: Annotated[dict[str, str], Field(description="Options of the network's driver.")] = Field(default_factory=dict)
    mac: Annotated[
        str,
        Field(
            description=(
                "MAC address of the container on the network. Engines with an API older than 1.54 ignore it. "
                "Empty: the engine chooses an address."
            )
        ),
    ] = ""

    def ready(self, ctx: Context) -> None:
        """Check that the container and the network exist."""
        seen(ctx, self.service, self.if_known("network", ""))

    def run(self, ctx: Context) -> Facts:
        """Facts: ``container`` (name of the container), ``network`` (name of the network), ``connected`` (true if the step
        connected the container, false if it was connected already).
        """
        wanted = Endpoint(
            list(self.aliases), self.address, self.address6, list(self.link_local), list(self.links), self.options, self.mac
        )
        with container_of(ctx, self.service) as container:
            there = self.network in container.attrs["NetworkSettings"]["Networks"]
            if not there:
                wanted.connect(container.client.networks.get(self.network), container)
                container.reload()
            has = container.attrs["NetworkSettings"]["Networks"][self.network].get("MacAddress")
            if self.mac and has != self.mac:
                raise StepFailed(
                    f"{container.name} is on {self.network}, but its MAC address is {has}, not {self.mac}: "
                    "this engine sets a MAC address only for new containers; create the container again"
                )
            return {"container": container.name, "network": self.network, "connected": not there}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the container should stay connected."""
        return Undo.nothing("a connected container is the wanted state")


class SetMemory(Write):
    """Set the memory limits of a container, and start the container if it does not run.

    The fault `docker.limit_memory` uses this action as its undo.
    """

    UNDO = ("nothing",)

    service: ServiceName
    memory: Annotated[int, Field(ge=1, description="Memory limit in bytes.")]
    swap: Annotated[
        int, Field(ge=-1, description="Limit of memory plus swap in bytes. The value -1 means that swap is unlimited.")
    ]

    def ready(self, ctx: Context) -> None:
        """Check that the container exists."""
        seen(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``container`` (name of the container), ``limit_bytes`` (its new memory limit)."""
        with container_of(ctx, self.service) as container:
            container.update(mem_limit=self.memory, memswap_limit=self.swap)
            container.start()
            return {"container": container.name, "limit_bytes": self.memory}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because this action is itself an undo."""
        return Undo.nothing("this step is itself an undo")


class Exec(Free):
    """Run a command in a container, without a shell.

    The engine cannot kill the command. After the step's timeout, the command continues to run in the container.
    """

    UNDO = ("commands", "action", "nothing")
    UNDO_ACTIONS = ("docker.exec",)
    UNDO_BY = "undo"

    service: ServiceName
    argv: Argv
    effect_: Literal["read", "write"] = Field(alias="effect", description="Effect of the command: read or write.")
    undo_: Annotated[
        Argv | None, Field(alias="undo", description="Command that undoes the change. It must be safe to run it twice.")
    ] = None
    user: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9_:-]*$",
            description="User in the container who runs the command. Empty: the container's default user.",
        ),
    ] = ""
    exit: Annotated[tuple[int, ...], Field(description="Exit statuses that count as success.")] = (0,)

    def ready(self, ctx: Context) -> None:
        """Check that the container runs."""
        running(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``effect`` (as the drill declares it), ``exit`` (the exit status), ``stdout`` and ``stderr`` (their last
        4,000 characters, in printable form).
        """
        with container_of(ctx, self.service) as container:
            status, out, err = command(ctx, container, list(self.argv), self.user)
        facts: Facts = {
            "exit": status,
            "stdout": printable(out, limit=KEPT).rstrip("\n"),
            "stderr": printable(err, limit=KEPT).rstrip("\n"),
            "effect": str(self.effect),
        }
        if status not in self.exit:
            raise StepFailed(
                f"{container.name}: `{self.argv[0]}` ended with status {status}\n"
                f"{printable(facts['stderr'] or facts['stdout'], limit=1000)}".rstrip(),
                facts=facts,
                findings=[
                    finding(
                        "step-failed",
                        title=self.argv[0],
                        measured=f"status {status}",
                        wanted=f"status {', '.join(map(str, self.exit))}",
                    )
                ],
            )
        return facts

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that runs the drill's `undo` command in the container, if the drill declares one."""
        if self.undo_ is None:
            return Undo.nothing("the drill declares no undo for this command")
        action = Undo.by_action("docker.exec", service=self.service, argv=list(self.undo_), effect="write", user=self.user)
        script = 'name=$1 user=$2; shift 2; TOOL exec --user "$user" -- "$name" "$@"'
        return put_back(ctx, place(ctx, self.service), script, (self.user, *self.undo_), action)
