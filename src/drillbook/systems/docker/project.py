"""A Compose project as its engine shows it: the containers by the name of their service, in the order of their needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from drillbook.errors import CouldNotVerify
from drillbook.systems.docker.engine import NEEDS, OF_PROJECT, ONE_OFF, PROJECT, Engine, status_of


@dataclass(frozen=True, slots=True)
class Project:
    """A project: its name, and its containers."""

    name: str
    containers: Mapping[str, Any]

    @classmethod
    def of(cls, engine: Engine, container: str) -> Project:
        """The project of ``container``. Raises CouldNotVerify when it belongs to none, or a service has several containers.

        Containers of ``docker compose run`` are no service's.
        """
        name = engine.container(container).labels.get(PROJECT, "")
        if not name:
            raise CouldNotVerify(
                f"{engine.where}: {container!r} was not made by Compose", hint=("use `docker.*` for a single container")
            )
        found = engine.client.containers.list(all=True, filters={"label": f"{PROJECT}={name}"})
        containers: dict[str, Any] = {}
        for one in found:
            if one.labels.get(ONE_OFF, "").lower() == "true":
                continue
            service = one.labels.get(OF_PROJECT, one.name)
            if service in containers:
                raise CouldNotVerify(
                    f"{engine.where}: the service {service!r} of {name} has more than one container",
                    hint=("scale it to one for the drill, or use `docker.*` for each of its containers"),
                )
            containers[service] = one
        return cls(name, containers)

    def chosen(self, only: Collection[str]) -> list[str]:
        """The services of ``only``, or all, those first that others need. Raises CouldNotVerify for an unknown one."""
        if unknown := sorted(set(only) - set(self.containers)):
            raise CouldNotVerify(
                f"the project {self.name} has no service {unknown[0]!r}",
                hint=f"there are: {', '.join(sorted(self.containers))}",
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
        """State, health and exit status of every service."""
        return {name: told(one) for name, one in sorted(self.containers.items())}


def told(container: Any) -> dict[str, Any]:
    """What the engine says of a container's state: JSON for facts."""
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
