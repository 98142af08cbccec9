"""What happens to containers: stopped, killed, paused, cut off from a network, squeezed in memory."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

from pydantic import Field

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Undo
from drillbook.systems.docker.actions.fields import ServiceName, found, lasting, running, wait
from drillbook.systems.docker.endpoint import Endpoint, lost, made_with
from drillbook.systems.docker.engine import PROJECT, container_of, grace, place, status_of
from drillbook.systems.docker.undo import put_back
from drillbook.values import Duration, Size

STOPPED = ("exited", "dead", "created")
_START = 'TOOL start -- "$1"'
_UNPAUSE = """
paused=$(TOOL inspect --type container --format '{{.State.Paused}}' -- "$1") || exit 1
test "$paused" = false || TOOL unpause "$1"
"""
# CONTAINER NETWORK OPTION...
_CONNECT = """
name=$1 network=$2
shift 2
each='{{range $network, $_ := .NetworkSettings.Networks}}{{$network}} {{end}}'
known=$(TOOL inspect --type container --format "$each" -- "$name") || exit 1
case " $known" in *" $network "*) exit 0 ;; esac
TOOL network connect "$@" -- "$network" "$name"
"""
# A container that died of the limit runs again afterwards.
_MEMORY = 'TOOL update --memory "$2" --memory-swap "$3" "$1" >/dev/null && TOOL start -- "$1"'
NETWORK = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class _OnContainer(Fault):
    """A fault of one container."""

    UNDO = ("commands", "action")

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """The container must be there and run."""
        running(ctx, self.service)

    @abstractmethod
    def _shown(self, container: Any) -> bool:
        """Is the fault to be seen at the container?"""

    def active(self, ctx: Context) -> bool:
        """True while the engine shows the container in that state."""
        return self._shown(found(ctx, self.service)[1])


class _Down(_OnContainer):
    """What stopping and killing share: the container is down until somebody starts it."""

    def ready(self, ctx: Context) -> None:
        """The container must run, and be there still once it has ended."""
        lasting(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Start the container."""
        return put_back(ctx, place(ctx, self.service), _START, (), Undo.by_action("docker.start", service=self.service))

    def _shown(self, container: Any) -> bool:
        return status_of(container) != "running"


class Stop(_Down):
    """Stop a container in its ordinary way, as a deployment or an operator does; its engine does not start it again."""

    grace: Annotated[Duration, Field(description="How long its process may take before it is killed.")] = Duration(10)

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``container``, ``exit`` (its process's status)."""
        with container_of(ctx, self.service) as container:
            container.stop(timeout=grace(ctx, float(self.grace)))
            wait(ctx, container, STOPPED)
            return {"container": container.name, "exit": container.attrs["State"]["ExitCode"]}


class Kill(_Down):
    """Kill a container with a signal, SIGKILL when no other is named, as when memory is short.

    Its engine does not start it again, whatever its restart policy: it was killed by its user.
    """

    signal: Annotated[str, Field(pattern=r"^(SIG)?[A-Z][A-Z0-9+-]*$", description="Signal to its main process.")] = "KILL"

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``container``, ``exit``."""
        with container_of(ctx, self.service) as container:
            container.kill(signal=self.signal)
            wait(ctx, container, STOPPED)
            return {"container": container.name, "exit": container.attrs["State"]["ExitCode"]}


class Pause(_OnContainer):
    """Freeze every process of a container: it is there, holds its ports and its connections, and answers nothing."""

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``container``."""
        with container_of(ctx, self.service) as container:
            container.pause()
            wait(ctx, container, ("paused",))
            return {"container": container.name}

    def undo(self, ctx: Context) -> Undo:
        """Let its processes go on."""
        action = Undo.by_action("docker.unpause", service=self.service)
        return put_back(ctx, place(ctx, self.service), _UNPAUSE, (), action)

    def _shown(self, container: Any) -> bool:
        return status_of(container) == "paused"


class Disconnect(_OnContainer):
    """Take a container off a network: its name and address there are gone, and ports published through it are dead."""

    network: Annotated[str, Field(pattern=NETWORK, description="Name of the network, in the engine or in its project.")]

    def ready(self, ctx: Context) -> None:
        """The container must run and be on that network, with nothing there that the engine would not give back."""
        _, container = running(ctx, self.service)
        name = self._name(container)
        if gone := lost(container, name, self._endpoint(ctx, name)):
            raise NotReady(
                f"{container.name} has {gone} on the network {name}, which it would not get back",
                hint="cut it off by `network.*` on its host, or pause it by `docker.pause`",
            )

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``container``, ``network``, ``aliases``."""
        with container_of(ctx, self.service) as container:
            name = self._name(container)
            aliases = Endpoint.of(container, name).aliases
            container.client.networks.get(name).disconnect(container)
            return {"container": container.name, "network": name, "aliases": aliases}

    def undo(self, ctx: Context) -> Undo:
        """Connect it again with the names, fixed addresses, links and options that it had.

        A MAC address that was set can only be given by the engine's API: then nothing on the host puts it back by itself.
        """
        where, container = found(ctx, self.service)
        name = self._name(container)
        endpoint = self._endpoint(ctx, name)
        action = Undo.by_action("docker.connect", service=self.service, network=name, **endpoint.params())
        return action if endpoint.mac else put_back(ctx, where, _CONNECT, (name, *endpoint.options_of_docker()), action)

    def _endpoint(self, ctx: Context, name: str) -> Endpoint:
        """How the container is connected to the network ``name``."""
        with container_of(ctx, self.service) as container:
            return Endpoint.of(container, name, made_with(container))

    def _name(self, container: Any) -> str:
        """The engine's name of the network. Raises NotReady when the container is not on it."""
        known = container.attrs["NetworkSettings"]["Networks"]
        for name in (self.network, f"{container.labels.get(PROJECT, '')}_{self.network}"):
            if name in known:
                return name
        if str(container.attrs["HostConfig"].get("NetworkMode", "")).startswith("container:"):
            raise NotReady(
                f"{container.name} shares the network of another container: that one can be cut off",
                hint="name the service of the container whose network it is",
            )
        raise NotReady(
            f"{container.name} is not on the network {self.network!r}",
            hint=f"it is on: {', '.join(sorted(known)) or 'none'}",
        )

    def _shown(self, container: Any) -> bool:
        known = container.attrs["NetworkSettings"]["Networks"]
        return not {self.network, f"{container.labels.get(PROJECT, '')}_{self.network}"} & set(known)


class LimitMemory(_OnContainer):
    """Lower the memory limit of a container, so that the kernel reclaims from it, and kills in it, earlier.

    Only for a container that has a limit: an engine cannot take one away again.
    """

    to: Annotated[Size, Field(description="The limit, at least 6MiB, less than the one that is in force.")]

    def ready(self, ctx: Context) -> None:
        """The container must run, be there still when it dies of the limit, and have a higher one."""
        _, container = lasting(ctx, self.service)
        limit, _ = _limits(container)
        if not limit:
            raise NotReady(
                f"{container.name} has no memory limit, and an engine cannot take one away again",
                hint="give it one, such as `mem_limit` in its compose file",
            )
        if self.known("to") and not 6 << 20 <= int(self.to) < limit:
            raise NotReady(
                f"{self.to} is not between 6MiB and the {limit} bytes that {container.name} may use now",
                hint="choose a lower limit than the one that is in force",
            )

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``container``, ``was_bytes``, ``limit_bytes``."""
        with container_of(ctx, self.service) as container:
            was, swap = _limits(container)
            limit = int(self.to)
            if not was:
                raise StepFailed(f"{container.name} has no memory limit")
            container.update(mem_limit=limit, memswap_limit=limit if swap == was else -1 if swap < 0 else limit + swap - was)
            return {"container": container.name, "was_bytes": was, "limit_bytes": limit}

    def undo(self, ctx: Context) -> Undo:
        """Give back the limits of memory and swap that it had; a container that died of the limit is started."""
        where, container = found(ctx, self.service)
        memory, swap = _limits(container)
        action = Undo.by_action("docker.set_memory", service=self.service, memory=memory, swap=swap)
        return put_back(ctx, where, _MEMORY, (str(memory), str(swap)), action)

    def _shown(self, container: Any) -> bool:
        return _limits(container)[0] == int(self.to)


def _limits(container: Any) -> tuple[int, int]:
    """Bytes of memory, and of memory with swap, that a container may use; 0: no limit, -1: as much swap as there is."""
    config = container.attrs["HostConfig"]
    return int(config.get("Memory") or 0), int(config.get("MemorySwap") or 0)
