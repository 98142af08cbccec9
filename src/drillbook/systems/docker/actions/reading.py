"""Read-only actions on a container: state, log, resource use, settings."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Read
from drillbook.sdk.host import printable
from drillbook.systems.docker.actions.fields import ServiceName, examined, seen
from drillbook.systems.docker.client import container_of, status_of
from drillbook.systems.docker.project import told
from drillbook.systems.docker.streams import log

LOG_LIMIT = 1 << 20
_ERROR = re.compile(rb"\b(error|exception|traceback|fatal|panic|critical|missing in the environment|refused|killed)\b", re.I)


class Running(Read):
    """Compare the state of a container with the wanted state.

    If the container has exited, the facts show its exit status, and whether the kernel killed it for lack of memory.
    """

    service: ServiceName
    state: Annotated[Literal["running", "paused", "stopped"], Field(description="Wanted state of the container.")] = (
        "running"
    )
    healthy: Annotated[
        bool,
        Field(
            description="True: the container's health check must report `healthy`. False: the health check may report anything."
        ),
    ] = False

    def ready(self, ctx: Context) -> None:
        """Check that the container exists."""
        examined(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``container``, ``state``, ``exit``, ``health``, ``oom_killed``, ``started_at``, ``restarts``.

        ``container`` is the name of the container, ``exit`` is its exit status, and ``restarts`` is the number of its
        restarts. ``oom_killed`` is true if the kernel killed the container for lack of memory.
        """
        with container_of(ctx, self.service) as container:
            facts = told(container)
        state = str(facts["state"])
        as_wanted = state == self.state or (self.state == "stopped" and state in ("exited", "dead", "created"))
        if as_wanted and (not self.healthy or facts["health"] == "healthy"):
            return facts
        measured = f"{state} ({facts['health'] or 'no health check'})" if as_wanted else state
        measured += f", status {facts['exit']}" if state == "exited" else ""
        measured += ", killed for lack of memory" if facts["oom_killed"] and state != "running" else ""
        wanted = self.state + (" (healthy)" if self.healthy else "")
        raise StepFailed(
            f"{facts['container']} is {measured}, not {wanted}",
            facts=facts,
            findings=[
                finding(
                    "service-state",
                    title=str(facts["container"]),
                    wanted=wanted,
                    measured=measured,
                    remedy=f"Read the log of the container: docker logs --tail 50 {facts['container']}",
                )
            ],
        )


class Logs(Read):
    """Read the last lines of a container's log, and find the lines among them that report errors."""

    service: ServiceName
    lines: Annotated[
        int, Field(ge=1, le=10_000, description="Number of lines to read. At most 1 MiB of the log is stored.")
    ] = 200

    def ready(self, ctx: Context) -> None:
        """Check that the container exists."""
        seen(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``lines`` (number of lines that were read), ``errors`` (the last 20 of these lines that contain an error),
        ``last`` (the last 10 lines), ``evidence`` (file with all lines that were read).
        """
        with container_of(ctx, self.service) as container:
            data = log(ctx, container, self.lines, LOG_LIMIT)
        found_lines = data.splitlines()
        errors = [_line(line) for line in found_lines if _ERROR.search(line)]
        return {
            "lines": len(found_lines),
            "errors": errors[-20:],
            "last": [_line(line) for line in found_lines[-10:]],
            "evidence": ctx.evidence("log.txt", data),
        }


def _line(line: bytes) -> str:
    return printable(line, limit=400)


class Stats(Read):
    """Measure the present resource use of a container: CPU (over about one second), memory, processes and network."""

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Check that the container exists and runs."""
        container = seen(ctx, self.service)
        if container is not None and (status := status_of(container)) != "running":
            ctx.lacking(
                NotReady(
                    f"{container.name} is {status}, so its resource use could not be measured",
                    hint=f"start the container, and find out why it was {status}: docker logs {container.name}",
                )
            )

    def run(self, ctx: Context) -> Facts:
        """Facts: ``cpu_percent``, ``memory_bytes``, ``limit_bytes``, ``memory_percent``, ``pids``, ``received_bytes``,
        ``sent_bytes``.

        ``cpu_percent`` is the share of one core. ``memory_bytes`` excludes cached files. ``pids`` is the number of
        processes. Received and sent bytes are counted on all networks since the start of the container.
        """
        with container_of(ctx, self.service) as container:
            if (status := status_of(container)) != "running":
                raise CouldNotVerify(f"{container.name} is {status}, so its resource use cannot be measured")
            return _figures(container.stats(stream=False))


def _figures(said: dict[str, Any]) -> Facts:
    now, before = said["cpu_stats"], said["precpu_stats"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    memory = said.get("memory_stats", {})
    details = memory.get("stats", {})
    cached = details.get("inactive_file", details.get("total_inactive_file", 0))
    taken, limit = max(0, memory.get("usage", 0) - cached), memory.get("limit", 0)
    networks = (said.get("networks") or {}).values()
    return {
        "cpu_percent": round(100 * now.get("online_cpus", 1) * used / passed, 1) if passed > 0 else None,
        "memory_bytes": taken,
        "limit_bytes": limit,
        "memory_percent": round(100 * taken / limit, 1) if limit else None,
        "pids": said.get("pids_stats", {}).get("current"),
        "received_bytes": sum(network["rx_bytes"] for network in networks),
        "sent_bytes": sum(network["tx_bytes"] for network in networks),
    }


class Inspect(Read):
    """Read the settings of a container: image, limits, restart policy, networks, volumes, and the names of its variables."""

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Check that the container exists."""
        seen(ctx, self.service)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``image``, ``restart`` (the restart policy), ``limit_bytes`` (memory limit, null if there is none),
        ``networks``, ``mounts``, ``variables`` (names of the environment variables).

        Also facts about the container's state: ``container``, ``state``, ``exit``, ``health``, ``oom_killed``,
        ``started_at``, ``restarts``. ``evidence`` is the file with all settings, in which `***` replaces the values of
        variables.
        """
        with container_of(ctx, self.service) as container:
            said = json.loads(json.dumps(container.attrs))
        config = said["Config"]
        names = [str(variable).partition("=")[0] for variable in config.get("Env") or []]
        config["Env"] = [f"{name}=***" for name in names]
        policy = said["HostConfig"]["RestartPolicy"].get("Name") or "no"
        return {
            "image": config.get("Image"),
            **told(container),
            "restart": policy,
            "limit_bytes": said["HostConfig"].get("Memory") or None,
            "variables": names,
            "networks": sorted(said["NetworkSettings"]["Networks"]),
            "mounts": {mount["Destination"]: mount.get("Name") or mount.get("Source") for mount in said.get("Mounts") or []},
            "evidence": ctx.evidence("inspect.json", json.dumps(said, indent=1, sort_keys=True)),
        }
