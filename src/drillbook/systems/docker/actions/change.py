"""Containers put back to work, and commands in them."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from pydantic import Field

from drillbook.errors import StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Undo, Write
from drillbook.sdk.free import Free
from drillbook.sdk.host import printable
from drillbook.systems.docker.actions.fields import ServiceName, found, running, wait
from drillbook.systems.docker.endpoint import Endpoint
from drillbook.systems.docker.engine import container_of, place, status_of
from drillbook.systems.docker.streams import command
from drillbook.systems.docker.undo import put_back

Argv = Annotated[tuple[str, ...], Field(min_length=1, description="The program and its arguments.")]
KEPT = 4000
SETTLED_S = 1.0
"""How long a container must run to be called started: one that cannot work ends at once."""


class _PutToWork(Write):
    """What has a container work, which is what is wanted."""

    UNDO = ("nothing",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """The container must be there."""
        found(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """A container that works is what is wanted."""
        return Undo.nothing("a running container is the wanted state")


class Start(_PutToWork):
    """Start a container and wait until it runs; nothing happens when it runs already."""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``container``, ``was`` (its state before)."""
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
                    f"{container.name} was started and ended with status {code}",
                    findings=[
                        finding(
                            "service-state",
                            title=container.name,
                            wanted="running",
                            measured=f"exited ({code})",
                            remedy=f"Read its log: docker logs --tail 50 {container.name}",
                        )
                    ],
                )
            return {"container": container.name, "was": was}


class Unpause(_PutToWork):
    """Let a paused container go on; nothing happens to one that is not paused."""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``container``, ``was_paused``."""
        with container_of(ctx, self.service) as container:
            paused = status_of(container) == "paused"
            if paused:
                container.unpause()
            return {"container": container.name, "was_paused": paused}


class Connect(Write):
    """Connect a container to a network; nothing happens when it is connected."""

    UNDO = ("nothing",)

    service: ServiceName
    network: Annotated[str, Field(description="The engine's name of the network.")]
    aliases: Annotated[tuple[str, ...], Field(description="Its names there.")] = ()
    address: Annotated[str, Field(description="A fixed IPv4 address there; empty: any.")] = ""
    address6: Annotated[str, Field(description="A fixed IPv6 address there; empty: any.")] = ""
    link_local: Annotated[tuple[str, ...], Field(description="Link-local addresses there.")] = ()
    links: Annotated[tuple[str, ...], Field(description="Other containers there, each `NAME:ALIAS`.")] = ()
    options: Annotated[dict[str, str], Field(description="Options of the network's driver.")] = Field(default_factory=dict)
    mac: Annotated[str, Field(description="Its MAC address there, for an engine of API 1.54 or newer; empty: any.")] = ""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``container``, ``network``, ``connected`` (false: it was already)."""
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
                    "this engine gives one to new containers alone; make the container anew"
                )
            return {"container": container.name, "network": self.network, "connected": not there}

    def undo(self, ctx: Context) -> Undo:
        """A connected container is what is wanted."""
        return Undo.nothing("a connected container is the wanted state")


class SetMemory(Write):
    """Set the memory limits of a container, and start it when they had killed it: the undo of `docker.limit_memory`."""

    UNDO = ("nothing",)

    service: ServiceName
    memory: Annotated[int, Field(ge=1, description="Bytes of memory.")]
    swap: Annotated[int, Field(ge=-1, description="Bytes of memory with swap; -1: as much as there is.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``container``, ``limit_bytes``."""
        with container_of(ctx, self.service) as container:
            container.update(mem_limit=self.memory, memswap_limit=self.swap)
            container.start()
            return {"container": container.name, "limit_bytes": self.memory}

    def undo(self, ctx: Context) -> Undo:
        """It is an undo itself."""
        return Undo.nothing("it puts back")


class Exec(Free):
    """Run a command in a container, without a shell.

    The engine cannot end it: a command that outlives the step's timeout goes on in the container.
    """

    UNDO = ("commands", "action", "nothing")

    service: ServiceName
    argv: Argv
    effect_: Literal["read", "write"] = Field(alias="effect", description="What it does: read or write.")
    undo_: Annotated[Argv | None, Field(alias="undo", description="Command that puts it back; safe to run twice.")] = None
    user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_:-]*$", description="User in the container; empty: its own.")] = ""
    exit: Annotated[tuple[int, ...], Field(description="Exit statuses that are good.")] = (0,)

    def ready(self, ctx: Context) -> None:
        """The container must run."""
        running(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``exit``, ``stdout`` and ``stderr`` (printable, the last 4,000 characters)."""
        with container_of(ctx, self.service) as container:
            status, out, err = command(ctx, container, list(self.argv), self.user)
        facts: Facts = {
            "exit": status,
            "stdout": printable(out, limit=KEPT).rstrip("\n"),
            "stderr": printable(err, limit=KEPT).rstrip("\n"),
        }
        if status not in self.exit:
            raise StepFailed(
                f"{container.name}: `{self.argv[0]}` ended with status {status}\n"
                f"{(facts['stderr'] or facts['stdout'])[-1000:]}".rstrip(),
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
        """The declared command, in the container."""
        if self.undo_ is None:
            return Undo.nothing("the drill declares no undo for this command")
        action = Undo.by_action("docker.exec", service=self.service, argv=list(self.undo_), effect="write", user=self.user)
        script = 'name=$1 user=$2; shift 2; TOOL exec --user "$user" -- "$name" "$@"'
        return put_back(ctx, place(ctx, self.service), script, (self.user, *self.undo_), action)
