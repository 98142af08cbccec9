"""The model of a plan: the steps with their hosts, the guard, the inventory, and the digest that identifies the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drillbook.diagnosis.tree import Tree
from drillbook.errors import PlanError
from drillbook.inventory.inventory import CONTROLLER, Inventory, service_names
from drillbook.inventory.kinds import JOURNAL
from drillbook.language import template
from drillbook.plan.limits import PlannedGuard
from drillbook.plan.planned_step import PlannedProbe, PlannedStep, PlanPart
from drillbook.sdk.action import Effect
from drillbook.sdk.identity import HOST, LockName
from drillbook.sdk.probe import Canary, find_probe
from drillbook.values import canonical, digest

FORMAT = "drillbook/plan/2"
WITH_LINES = "drillbook/plan/1"
"""Name of the older format of plans. In this format, the digest of a plan also depends on line numbers in the drill's
file.
"""


class Plan(PlanPart):
    """The complete plan of a run. The digest of the plan identifies it."""

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
    """Diagnosis trees that the steps use.

    The plan holds copies of the trees, so that later changes of their files do not affect the run.
    """
    plugins: dict[str, str] = {}
    """Plugins that the plan needs. Each key is the origin of a plugin. Each value is the plugin's version, or the digest of
    its files.
    """

    @property
    def digest(self) -> str:
        """Digest of the plan. Plans with equal digests execute the same steps and checks; see ``digest_of``."""
        return digest_of(self.model_dump(mode="json"))

    def phase(self, name: str) -> tuple[PlannedStep, ...]:
        """Return the steps of the phase ``name`` in their order."""
        return tuple(step for step in self.steps if step.phase == name)

    def only_restores(self) -> bool:
        """Return True when the plan only repairs data that an earlier run destroyed.

        Such a plan has no steps in the phase `inject`, and no canary. It writes only in the phases `restore` and `verify`,
        and at least one step of `restore` always writes. Steps of `verify` may write because they let clients connect again.
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
        watching = [condition.step for condition in self.guard.conditions if condition.step]
        asking = [condition.probe for condition in self.guard.conditions if condition.probe]
        steps, probes = (*self.steps, *watching), (*self.probes, *asking)
        named = {*self.guard.hosts, *(host for step in steps for host in step.hosts)}
        services = [name for step in steps for name in (*step.services(), str(step.params.get("from")))]
        services += [str(probe.params.get("service")) for probe in probes]
        named |= {str(probe.params.get("host")) for probe in probes} & self.inventory.hosts.keys()
        named |= {self.inventory.services[name].host for name in services if name in self.inventory.services}
        return self.inventory.expand(tuple(named))

    def locks(self) -> tuple[LockName, ...]:
        """Locks that a run of this plan takes. All runs take locks in the same order.

        The run takes a lock for the drill's own service, and for every service that a step changes. It takes the lock named
        ``host`` of each host that a fault affects as a whole. For a fault that affects only a part of a host, the run takes
        the host's lock only if it takes no lock of a service on this host. The lock of a service is named after the server
        or data behind the service. If several inventories name one server differently, all these names share one lock.
        """
        services = self.inventory.services
        changing = [step for step in self.steps if step.effect is not Effect.READ]
        named = {self.service, *(name for step in changing for name in step.services())}
        by_lock: dict[tuple[str, str], list[str]] = {}
        for name in sorted(named & services.keys()):
            by_lock.setdefault((self.inventory.thing(name).name, services[name].host), []).append(name)
        faults = [step for step in changing if step.effect is Effect.FAULT]
        whole = {host for step in faults if step.params.get("service") not in services for host in step.hosts}
        stray = {host for step in faults for host in step.hosts} - {host for _, host in by_lock}
        by_lock |= {(HOST, host): [] for host in (whole | stray) - {CONTROLLER}}
        return tuple(LockName(name, host, tuple(of)) for (name, host), of in sorted(by_lock.items()))

    @property
    def lacking(self) -> dict[str, str]:
        """Return the services that the plan uses and whose software is not installed on this machine. Each key is the name
        of a service, and each value names the software to install.
        """
        used = [*self.steps, *self.probes, *(condition.step or condition.probe for condition in self.guard.conditions)]
        named = {self.service} | {name for planned in used if planned for name in _services(planned.params)}
        return {name: listed.missing for name, listed in self.inventory.services.items() if listed.missing and name in named}

    def names(self, run: dict[str, str]) -> dict[str, Any]:
        """Return the names that expressions may use before any step has run, with their values."""
        return {
            "run": run,
            "environment": self.inventory.environment,
            "drill": self.drill,
            "services": service_names(self.inventory.services),
            "hosts": {name: {"name": name, "address": target.address} for name, target in self.inventory.hosts.items()},
        }


def _services(params: Any) -> set[str]:
    """Return the names of the services in ``params``: values of the key ``service``, and services in expressions."""
    if isinstance(params, Mapping):
        own = {params["service"]} if isinstance(params.get("service"), str) else set()
        return own.union(*(_services(value) for value in params.values()))
    if isinstance(params, list | tuple):
        return set().union(*(_services(value) for value in params))
    references = template.references(params) if template.is_template(params) else ()
    return {reference[1] for reference in references if reference[0] == "services" and len(reference) > 1}


def faulted(steps: Iterable[PlannedStep], inventory: Inventory) -> set[str]:
    """Return the hosts that the faults of ``steps`` affect.

    A fault of a service affects the host of the service, and the hosts on which the step runs. The controller is not
    included.
    """
    hit: set[str] = set()
    for step in steps:
        if step.effect is Effect.FAULT:
            service = inventory.services.get(str(step.params.get("service", "")))
            hit |= {service.host} | (set(step.hosts) - {CONTROLLER}) if service else set(step.hosts)
    return hit


def digest_of(plan: Mapping[str, Any]) -> str:
    """Return the digest of a plan in JSON form. The plan may come from a journal.

    The digest covers everything that decides what a run does. This includes the drill with its texts, objectives, guard
    and probes, and every step with its parameters and times. For each needed plugin, it includes the version or, for a
    plugin of the project, the digest of its files. It also includes the whole inventory with addresses, ports, users,
    and the sources of secrets.

    Some fields do not change the run, and may differ between two copies of one project. The digest does not cover these
    fields: line numbers, the folder of a secret's file, and the path of the file of approvers. The digest covers
    neither a time nor the host name of the controller. Therefore one person can approve a plan that another person runs
    on another machine.
    """
    if plan.get("format") == WITH_LINES:
        return digest(canonical(plan))
    return digest(canonical(_essence(plan)))


def _essence(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that the digest of the plan covers. A field of an unexpected type is copied unchanged."""
    guard, inventory = plan.get("guard"), plan.get("inventory")
    if isinstance(guard, dict):
        guard = {**guard, "conditions": [_unplaced(condition) for condition in _list(guard.get("conditions"))]}
    if isinstance(inventory, dict):
        inventory = _unrooted(
            {key: value for key, value in inventory.items() if key != "approvers" and (key, value) != ("protected", None)}
        )
    kept = {key: value for key, value in plan.items() if key not in ("diagnosis", "plugins") or value}
    return {
        **kept,
        "guard": guard,
        "inventory": inventory,
        **{part: [_unplaced(planned) for planned in _list(plan.get(part))] for part in ("steps", "probes")},
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _unplaced(value: Any) -> Any:
    """Remove line numbers of the drill's file from ``value``. The value is a step, a probe, or a mapping that contains
    steps and probes.

    Parameters of steps and probes are not changed.
    """
    if not isinstance(value, dict):
        return value
    if "line" in value and "params" in value:
        return {key: inner for key, inner in value.items() if key != "line"}
    return {key: _unplaced(inner) for key, inner in value.items()}


def _unrooted(value: Any) -> Any:
    """Copy ``value``. In the copy, the path of each file with a secret is replaced by the name of the file."""
    if isinstance(value, list):
        return [_unrooted(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"source", "name"} and value["source"] == "file":
        return {"source": "file", "name": str(value["name"]).rpartition("/")[2]}
    return {key: _unrooted(item) for key, item in value.items()}


def checked(data: Any) -> Plan:
    """Validate a plan from a journal. The plan is also accepted when it needs plugins that are not installed. Raises
    PlanError when the plan is invalid.
    """
    try:
        return Plan.model_validate(data, context=JOURNAL)
    except ValueError as error:
        raise PlanError(f"the plan in the journal is invalid: {str(error).splitlines()[0]}") from None
