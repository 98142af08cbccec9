"""Compose project as its engine reports it: the container of each service, in the order of their dependencies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from drillbook.errors import CouldNotVerify
from drillbook.systems.docker.client import NEEDS, OF_PROJECT, ONE_OFF, PROJECT, Engine, status_of


@dataclass(frozen=True, slots=True)
class Project:
    """Compose project. It has a name, and a container for each service."""

    name: str
    containers: Mapping[str, Any]

    @classmethod
    def of(cls, engine: Engine, container: str) -> Project:
        """Return the project of ``container``. Containers of ``docker compose run`` are ignored.

        Raises CouldNotVerify when the container belongs to no project. Also raises it when a service of the project has
        several containers.
        """
        name = engine.container(container).labels.get(PROJECT, "")
        if not name:
            raise CouldNotVerify(
                f"{engine.where}: {container!r} was not created by Docker Compose",
                hint=("use `docker.*` for a single container"),
            )
        listed = engine.client.containers.list(all=True, filters={"label": f"{PROJECT}={name}"})
        containers: dict[str, Any] = {}
        for candidate in listed:
            if candidate.labels.get(ONE_OFF, "").lower() == "true":
                continue
            service = candidate.labels.get(OF_PROJECT, candidate.name)
            if service in containers:
                raise CouldNotVerify(
                    f"{engine.where}: the service {service!r} of {name} has more than one container",
                    hint=("scale the service to one container for the drill, or use `docker.*` for each of its containers"),
                )
            containers[service] = candidate
        return cls(name, containers)

    def chosen(self, only: Collection[str]) -> list[str]:
        """Return the services in ``only``, in the order of their dependencies. If ``only`` is empty, return all services.

        Raises CouldNotVerify when ``only`` names an unknown service.
        """
        if unknown := sorted(set(only) - set(self.containers)):
            raise CouldNotVerify(
                f"the project {self.name} has no service {unknown[0]!r}",
                hint=f"services of the project: {', '.join(sorted(self.containers))}",
            )
        order: list[str] = []
        for name in sorted(self.containers):
            self._after_needs(name, order, ())
        return [name for name in order if not only or name in only]

    def _after_needs(self, name: str, order: list[str], above: tuple[str, ...]) -> None:
        if name in order or name in above or name not in self.containers:
            return
        for need in self.containers[name].labels.get(NEEDS, "").split(","):
            self._after_needs(need.partition(":")[0], order, (*above, name))
        order.append(name)

    def states(self) -> dict[str, dict[str, Any]]:
        """Return state, health and exit status of every service."""
        return {name: told(container) for name, container in sorted(self.containers.items())}


def told(container: Any) -> dict[str, Any]:
    """Return facts about a container: state, exit status, health, start time, number of restarts, and ``oom_killed``.

    ``oom_killed`` is true when the container was killed for lack of memory.
    """
    state = container.attrs["State"]
    return {
        "container": container.name,
        "state": status_of(container),
        "exit": state.get("ExitCode"),
        "health": (state.get("Health") or {}).get("Status"),
        "oom_killed": bool(state.get("OOMKilled")),
        "started_at": state.get("StartedAt"),
        "restarts": container.attrs.get("RestartCount", 0),
    }
