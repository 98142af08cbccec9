"""Faults of containers: stop, kill, pause, disconnect from a network, and lower the memory limit."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

from pydantic import Field

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Undo
from drillbook.systems.docker.actions.fields import ServiceName, examined, lasting, running, wait
from drillbook.systems.docker.client import PROJECT, container_of, grace, place, status_of
from drillbook.systems.docker.endpoint import Endpoint, lost, made_with
from drillbook.systems.docker.undo import put_back
from drillbook.values import Duration, Size

STOPPED = ("exited", "dead", "created")
_START = 'TOOL start -- "$1"'
# CONTAINER: continue the container if it is paused. Exit with 1 if the container cannot be inspected.
_UNPAUSE = """
paused=$(TOOL inspect --type container --format '{{.State.Paused}}' -- "$1") || exit 1
test "$paused" = false || TOOL unpause "$1"
"""
# CONTAINER NETWORK OPTION...: connect the container to the network again.
_CONNECT = """
name=$1 network=$2
shift 2
each='{{range $network, $_ := .NetworkSettings.Networks}}{{$network}} {{end}}'
known=$(TOOL inspect --type container --format "$each" -- "$name") || exit 1
case " $known" in *" $network "*) exit 0 ;; esac
TOOL network connect "$@" -- "$network" "$name"
"""
# If the lower memory limit killed the container, start it too.
_MEMORY = 'TOOL update --memory "$2" --memory-swap "$3" "$1" >/dev/null && TOOL start -- "$1"'
NETWORK = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class _OnContainer(Fault):
    """Base of faults that affect one container."""

    UNDO = ("commands", "action")

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Check that the container exists and runs."""
        running(ctx, self.service)

    @abstractmethod
    def _shown(self, container: Any) -> bool:
        """Return True when the attributes of ``container``, as they were last read, show the state that the fault causes."""

    def active(self, ctx: Context) -> bool:
        """Return True while the engine reports the container in the state that the fault causes."""
        return self._shown(examined(ctx, self.service)[1])


class _Down(_OnContainer):
    """Base of the faults stop and kill. After these faults, the container stays down until somebody starts it again."""

    UNDO_ACTIONS = ("docker.start",)

    def ready(self, ctx: Context) -> None:
        """Check that the container runs, and that the engine will not remove it when it stops."""
        lasting(ctx, self.service)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that starts the container again."""
        return put_back(ctx, place(ctx, self.service), _START, (), Undo.by_action("docker.start", service=self.service))

    def _shown(self, container: Any) -> bool:
        return status_of(container) != "running"


class Stop(_Down):
    """Stop a container in the ordinary way, as an operator or a deployment does. The engine does not restart the container."""

    grace: Annotated[
        Duration, Field(description="Time to wait until the main process exits. After this time it is killed.")
    ] = Duration(10)

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``container`` (name of the container), ``exit`` (exit status of its main process)."""
        with container_of(ctx, self.service) as container:
            container.stop(timeout=grace(ctx, float(self.grace)))
            wait(ctx, container, STOPPED)
            return {"container": container.name, "exit": container.attrs["State"]["ExitCode"]}


class Kill(_Down):
    """Kill a container with a signal. The default is SIGKILL, which the kernel sends when memory is short.

    The engine does not restart a container that a user killed, whatever the restart policy of the container is.
    """

    signal: Annotated[
        str, Field(pattern=r"^(SIG)?[A-Z][A-Z0-9+-]*$", description="Name of the signal that is sent to the main process.")
    ] = "KILL"

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``container`` (name of the container), ``exit`` (exit status of its main process)."""
        with container_of(ctx, self.service) as container:
            container.kill(signal=self.signal)
            wait(ctx, container, STOPPED)
            return {"container": container.name, "exit": container.attrs["State"]["ExitCode"]}


class Pause(_OnContainer):
    """Freeze all processes of a container. The container keeps its ports and connections, but does not answer."""

    UNDO_ACTIONS = ("docker.unpause",)

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``container`` (name of the container)."""
        with container_of(ctx, self.service) as container:
            container.pause()
            wait(ctx, container, ("paused",))
            return {"container": container.name}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that resumes the processes of the container."""
        action = Undo.by_action("docker.unpause", service=self.service)
        return put_back(ctx, place(ctx, self.service), _UNPAUSE, (), action)

    def _shown(self, container: Any) -> bool:
        return status_of(container) == "paused"


class Disconnect(_OnContainer):
    """Disconnect a container from a network.

    The container loses its name and its address on the network. Ports that are published through that network stop working.
    """

    UNDO_ACTIONS = ("docker.connect",)

    network: Annotated[
        str, Field(pattern=NETWORK, description="Name of the network in the engine or in the Compose project.")
    ]

    def ready(self, ctx: Context) -> None:
        """Check that the container runs, that it is on the network, and that the engine can restore its network settings."""
        _, container = running(ctx, self.service)
        name = self._name(container)
        if gone := lost(container, name, self._endpoint(ctx, name)):
            raise NotReady(
                f"{container.name} has {gone} on the network {name}; the undo could not restore this",
                hint="isolate the container with `network.*` on its host, or pause it with `docker.pause`",
            )

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``container`` (name of the container), ``network`` (name of the network), ``aliases`` (further names of the
        container on that network).
        """
        with container_of(ctx, self.service) as container:
            name = self._name(container)
            aliases = Endpoint.of(container, name).aliases
            container.client.networks.get(name).disconnect(container)
            return {"container": container.name, "network": name, "aliases": aliases}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that connects the container again, with its names, fixed addresses, links and options.

        A MAC address that a user set can be restored only through the engine's API. In that case the host cannot run
        the undo without the controller.
        """
        where, container = examined(ctx, self.service)
        name = self._name(container)
        endpoint = self._endpoint(ctx, name)
        action = Undo.by_action("docker.connect", service=self.service, network=name, **endpoint.params())
        return action if endpoint.mac else put_back(ctx, where, _CONNECT, (name, *endpoint.options_of_docker()), action)

    def _endpoint(self, ctx: Context, name: str) -> Endpoint:
        """Return the settings of the container's connection to the network ``name``."""
        with container_of(ctx, self.service) as container:
            return Endpoint.of(container, name, made_with(container))

    def _name(self, container: Any) -> str:
        """Return the name that the engine gives to the step's network.

        Raises NotReady when the container is not on that network.
        """
        known = container.attrs["NetworkSettings"]["Networks"]
        for name in (self.network, f"{container.labels.get(PROJECT, '')}_{self.network}"):
            if name in known:
                return name
        if str(container.attrs["HostConfig"].get("NetworkMode", "")).startswith("container:"):
            raise NotReady(
                f"{container.name} shares the network of another container; only that container can be disconnected",
                hint="set `service` to the service whose container owns the shared network",
            )
        raise NotReady(
            f"{container.name} is not on the network {self.network!r}",
            hint=f"networks of the container: {', '.join(sorted(known)) or 'none'}",
        )

    def _shown(self, container: Any) -> bool:
        known = container.attrs["NetworkSettings"]["Networks"]
        return not {self.network, f"{container.labels.get(PROJECT, '')}_{self.network}"} & set(known)


class LimitMemory(_OnContainer):
    """Lower the memory limit of a container. The kernel then reclaims memory and kills processes in the container sooner.

    The container must have a memory limit, because the undo can set the old limit again, but cannot remove a limit.
    """

    UNDO_ACTIONS = ("docker.set_memory",)

    to: Annotated[Size, Field(description="New memory limit. It must be at least 6MiB, and lower than the present limit.")]

    def ready(self, ctx: Context) -> None:
        """Check that the container runs, that the engine does not remove a killed container, and that the present limit is
        above `to`.
        """
        _, container = lasting(ctx, self.service)
        limit, _ = _limits(container)
        if not limit:
            raise NotReady(
                (
                    f"{container.name} has no memory limit. The undo would have to remove the new limit, but an engine "
                    "cannot remove a limit"
                ),
                hint="set a limit for the container, such as `mem_limit` in its compose file",
            )
        if self.known("to") and not 6 << 20 <= int(self.to) < limit:
            raise NotReady(
                f"{self.to} is not between 6MiB and the {limit} bytes that {container.name} may use now",
                hint="choose a limit that is lower than the present limit",
            )

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``container`` (name of the container), ``was_bytes`` and ``limit_bytes`` (its old and its new memory
        limit).
        """
        with container_of(ctx, self.service) as container:
            was, swap = _limits(container)
            limit = int(self.to)
            if not was:
                raise StepFailed(f"{container.name} has no memory limit")
            container.update(mem_limit=limit, memswap_limit=limit if swap == was else -1 if swap < 0 else limit + swap - was)
            return {"container": container.name, "was_bytes": was, "limit_bytes": limit}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that restores the limits of memory and swap. It also starts the container, if the lower limit
        killed it."""
        where, container = examined(ctx, self.service)
        memory, swap = _limits(container)
        action = Undo.by_action("docker.set_memory", service=self.service, memory=memory, swap=swap)
        return put_back(ctx, where, _MEMORY, (str(memory), str(swap)), action)

    def _shown(self, container: Any) -> bool:
        return _limits(container)[0] == int(self.to)


def _limits(container: Any) -> tuple[int, int]:
    """Return the limit of memory, and the limit of memory plus swap, in bytes. 0 means no limit, and -1 means unlimited
    swap.
    """
    config = container.attrs["HostConfig"]
    return int(config.get("Memory") or 0), int(config.get("MemorySwap") or 0)
