"""A plan as a value: what will be done where, its guard, and the digest that names it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from drillbook.diagnosis.tree import Tree
from drillbook.errors import PlanError
from drillbook.inventory.inventory import CONTROLLER, Inventory, service_names
from drillbook.inventory.kinds import JOURNAL
from drillbook.language import template
from drillbook.plan.window import Window
from drillbook.sdk.action import Effect
from drillbook.sdk.identity import HOST, LockName
from drillbook.sdk.probe import Canary, find_probe
from drillbook.values import canonical, digest

FORMAT = "drillbook/plan/2"
WITH_LINES = "drillbook/plan/1"
"""The format whose digest also covered the lines of the drill's file."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedStep(_Value):
    """One step: what will be done where. Its parameters may hold expressions over earlier steps."""

    id: str
    phase: str
    group: int | None
    action: str
    name: str
    params: dict[str, Any]
    effect: Effect
    restore_only: bool
    proves_backup: bool
    hosts: tuple[str, ...]
    save: str | None
    when: str | None
    expect: tuple[str, ...]
    timeout_s: float
    retries: int
    every_s: float | None
    allow_failure: str | None
    line: str

    def services(self) -> tuple[str, ...]:
        """The services that it names: the one that it works on, and the one that it says it restores."""
        said = self.params.get("restores")
        return tuple(
            str(params["service"]) for params in (self.params, said) if isinstance(params, dict) and params.get("service")
        )


class PlannedProbe(_Value):
    """One probe that runs beside the whole drill."""

    id: str
    name: str
    params: dict[str, Any]
    line: str


class PlannedCondition(_Value):
    """What must stay good during the whole run: a probe, or a step that reads."""

    id: str
    name: str
    step: PlannedStep | None = None
    probe: PlannedProbe | None = None
    every_s: float
    for_s: float
    tries: int

    @property
    def what(self) -> str:
        """Name of the action or probe."""
        return self.step.action if self.step else self.probe.name if self.probe else ""

    @property
    def title(self) -> str:
        """The condition in a few words."""
        return self.name or self.what


class PlannedGuard(_Value):
    """When the run may begin, how far it may reach, what ends it at once, and how long a target waits for its controller."""

    windows: tuple[Window, ...] = ()
    max_hosts: dict[str, int] = {}
    max_percent: dict[str, int] = {}
    conditions: tuple[PlannedCondition, ...] = ()
    hosts: tuple[str, ...] = ()
    lease_s: float = 30.0
    approval: bool = False


class Plan(_Value):
    """Everything that a run will do; its digest names it."""

    format: str = FORMAT
    drill: str
    title: str
    description: str
    service: str
    owner: str
    objectives: dict[str, float]
    environments: tuple[str, ...]
    guard: PlannedGuard = PlannedGuard()
    inventory: Inventory
    probes: tuple[PlannedProbe, ...]
    steps: tuple[PlannedStep, ...]
    diagnosis: tuple[Tree, ...] = ()
    """The trees that its steps may use, so that a run does what was planned whatever becomes of their files."""
    plugins: dict[str, str] = {}
    """The plugins that it needs, by origin, each with the version or the digest of its files."""

    @property
    def digest(self) -> str:
        """Two plans with one digest do the same; see ``digest_of``."""
        return digest_of(self.model_dump(mode="json"))

    def phase(self, name: str) -> tuple[PlannedStep, ...]:
        """Steps of one phase, in order."""
        return tuple(step for step in self.steps if step.phase == name)

    def only_restores(self) -> bool:
        """Does it break nothing, and change nothing but what it restores?

        Such a drill mends what an earlier run left. Writes of its verification count as part of the restore: they let the
        clients in.
        """
        changing = [step for step in self.steps if step.effect is not Effect.READ]
        sure = [step for step in changing if step.when is None and step.allow_failure is None]
        return (
            not self.phase("inject")
            and any(step.phase == "restore" for step in sure)
            and all(step.phase in ("restore", "verify") for step in changing)
            and not any(issubclass(find_probe(probe.name), Canary) for probe in self.probes)
        )

    def hosts(self) -> tuple[str, ...]:
        """Names of all hosts that the plan needs, in the order of the inventory."""
        watching = [one.step for one in self.guard.conditions if one.step]
        asking = [one.probe for one in self.guard.conditions if one.probe]
        steps, probes = (*self.steps, *watching), (*self.probes, *asking)
        named = {*self.guard.hosts, *(host for step in steps for host in step.hosts)}
        services = [name for step in steps for name in step.services()]
        services += [str(probe.params.get("service")) for probe in probes]
        named |= {self.inventory.services[name].host for name in services if name in self.inventory.services}
        return self.inventory.expand(tuple(named))

    def locks(self) -> tuple[LockName, ...]:
        """The locks that a run takes, in one order for every run.

        They are of the drill's own service, of every service that a step changes, and, by the name ``host``, of every
        host that a fault hits as a whole, or without a service of it being locked. A lock bears the name of what the
        service is: another name for the same thing, in this inventory or in another one, has the same lock.
        """
        services = self.inventory.services
        changing = [step for step in self.steps if step.effect is not Effect.READ]
        named = {self.service, *(name for step in changing for name in step.services())}
        found: dict[tuple[str, str], list[str]] = {}
        for name in sorted(named & services.keys()):
            found.setdefault((self.inventory.thing(name).name, services[name].host), []).append(name)
        faults = [step for step in changing if step.effect is Effect.FAULT]
        whole = {host for step in faults if step.params.get("service") not in services for host in step.hosts}
        stray = {host for step in faults for host in step.hosts} - {host for _, host in found}
        found |= {(HOST, host): [] for host in (whole | stray) - {CONTROLLER}}
        return tuple(LockName(name, host, tuple(of)) for (name, host), of in sorted(found.items()))

    @property
    def lacking(self) -> dict[str, str]:
        """Services that its steps need and that are not there, each with what has to be installed."""
        used = [*self.steps, *self.probes, *(one.step or one.probe for one in self.guard.conditions)]
        named = {self.service} | {name for one in used if one for name in _services(one.params)}
        return {name: one.missing for name, one in self.inventory.services.items() if one.missing and name in named}

    def names(self, run: dict[str, str]) -> dict[str, Any]:
        """What expressions can refer to before any step has run."""
        return {
            "run": run,
            "environment": self.inventory.environment,
            "drill": self.drill,
            "services": service_names(self.inventory.services),
            "hosts": {name: {"name": name, "address": target.address} for name, target in self.inventory.hosts.items()},
        }


def _services(params: Any) -> set[str]:
    """Names of services in parameters: under the key ``service``, and in expressions."""
    if isinstance(params, Mapping):
        own = {params["service"]} if isinstance(params.get("service"), str) else set()
        return own.union(*(_services(value) for value in params.values()))
    if isinstance(params, list | tuple):
        return set().union(*(_services(value) for value in params))
    found = template.references(params) if template.is_template(params) else ()
    return {reference[1] for reference in found if reference[0] == "services" and len(reference) > 1}


def faulted(steps: Iterable[PlannedStep], inventory: Inventory) -> set[str]:
    """Hosts that the faults of ``steps`` hit.

    A fault of a service hits the service's host, wherever the step runs: it may reach it through its own protocol.
    """
    hit: set[str] = set()
    for step in steps:
        if step.effect is Effect.FAULT:
            service = inventory.services.get(str(step.params.get("service", "")))
            hit |= {service.host} | (set(step.hosts) - {CONTROLLER}) if service else set(step.hosts)
    return hit


def digest_of(plan: Mapping[str, Any]) -> str:
    """Digest of a plan's JSON, as it stands in a journal too.

    It covers all that is done, where and with what: drill, texts, objectives, guard, probes, every step with its
    parameters and times, the version of each plugin that it needs (of a project's own: the digest of all their files), and
    the whole inventory with its addresses, ports, users and the sources of its secrets.
    It leaves out what does not change the run and differs between two copies of one project: lines of files, the
    folder that a secret's file lies in, and the path of the approvers' file. It holds no time and no host name of
    the controller, so that one person can approve what another person runs.
    """
    if plan.get("format") == WITH_LINES:
        return digest(canonical(plan))
    return digest(canonical(_essence(plan)))


def _essence(plan: Mapping[str, Any]) -> dict[str, Any]:
    """``plan`` without what its digest leaves out; what is no plan at all is taken as it is."""
    guard, inventory = plan.get("guard"), plan.get("inventory")
    if isinstance(guard, dict):
        guard = {**guard, "conditions": [_unplaced(one) for one in _list(guard.get("conditions"))]}
    if isinstance(inventory, dict):
        inventory = _unrooted(
            {key: value for key, value in inventory.items() if key != "approvers" and (key, value) != ("protected", None)}
        )
    kept = {key: value for key, value in plan.items() if key not in ("diagnosis", "plugins") or value}
    return {
        **kept,
        "guard": guard,
        "inventory": inventory,
        **{part: [_unplaced(one) for one in _list(plan.get(part))] for part in ("steps", "probes")},
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _unplaced(value: Any) -> Any:
    """A step or probe, or a mapping of them, without the line in the drill's file; parameters are left as they are."""
    if not isinstance(value, dict):
        return value
    if "line" in value and "params" in value:
        return {key: inner for key, inner in value.items() if key != "line"}
    return {key: _unplaced(inner) for key, inner in value.items()}


def _unrooted(value: Any) -> Any:
    """``value`` with each secret that lies in a file named by the file alone."""
    if isinstance(value, list):
        return [_unrooted(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"source", "name"} and value["source"] == "file":
        return {"source": "file", "name": str(value["name"]).rpartition("/")[2]}
    return {key: _unrooted(item) for key, item in value.items()}


def checked(data: Any) -> Plan:
    """A plan as a journal holds it, also one that needs a plugin that is not here. Raises PlanError when it is none."""
    try:
        return Plan.model_validate(data, context=JOURNAL)
    except ValueError as error:
        raise PlanError(f"the journal's plan cannot be read: {str(error).splitlines()[0]}") from None
