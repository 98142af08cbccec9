"""The planner. It makes the plan of a drill on an inventory, and checks it before any step runs. It contacts no host,
and uses neither the clock nor files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from drillbook.diagnosis import scope
from drillbook.diagnosis.tree import Tree
from drillbook.errors import PlanError, SourceError
from drillbook.inventory.inventory import CONTROLLER, Inventory, service_names
from drillbook.language import template
from drillbook.language.mistakes import Mistakes
from drillbook.language.strict import Place as FilePlace
from drillbook.language.strict import did_you_mean
from drillbook.plan import fault_limits, needed_services, objective_rules, step_rules
from drillbook.plan.broken_entries import Unread, names_in, saved_elsewhere
from drillbook.plan.drill_keys import PHASES
from drillbook.plan.keywords import Keywords
from drillbook.plan.limits import PlannedCondition, PlannedGuard
from drillbook.plan.plan import Plan, checked
from drillbook.plan.planned_step import PlannedProbe, PlannedStep
from drillbook.plan.references import References
from drillbook.plan.restorable import RUN_NAMES, Restorable
from drillbook.plan.secret_references import secretive
from drillbook.plan.source_rules import SourceRules
from drillbook.plan.spec import DIAGNOSIS, Condition, Drill, Partial, ProbeUse, Step
from drillbook.sdk.action import Action, Effect, Fault, Place
from drillbook.sdk.service import kind_of
from drillbook.values import Duration

__all__ = ["Plan", "PlannedProbe", "PlannedStep", "checked", "make"]

POLL_S = 1.0
LOOK_S = 1.0
"""Default interval, in seconds, between two evaluations of a condition in `abort_if`."""
SHORTEST_LOOK_S = 0.1


def make(drill: Drill, inventory: Inventory) -> Plan:
    """Return the plan of ``drill`` on ``inventory``. Raises PlanError when this is impossible. The error contains the
    position in the drill's file.
    """
    return _Planner(drill, inventory).plan()


def mistakes_of(read: Partial, inventory: Inventory) -> tuple[SourceError, ...]:
    """Return the mistakes, such as an unknown service, that planning finds in ``read``, the readable parts of a drill."""
    planner, mistakes = _Planner(read.drill, inventory), Mistakes()
    own = {step.keywords.save or "" for steps in read.drill.phases.values() for step in steps}
    saved, planner.references.maybe = names_in(read.unread, own)
    planner.references.maybe |= saved_elsewhere(read.drill.document, PHASES)
    planner.saved |= dict.fromkeys(sorted(saved), "another step")
    mistakes.of(planner.parts)
    for entry in read.unread:
        mistakes.of(planner.unread, entry)
    mistakes.errors.sort(key=lambda error: (error.where.line, error.where.column) if error.where else (0, 0))
    try:
        mistakes.report()
    except SourceError as error:
        return (error, *error.others)
    return ()


class _Planner:
    """Makes the plan of one drill, step by step. It remembers the names under which steps save their facts. Expressions in
    later steps may use these names.
    """

    def __init__(self, drill: Drill, inventory: Inventory) -> None:
        self.drill, self.inventory = drill, inventory
        self.static: dict[str, Any] = {
            "run": dict.fromkeys(RUN_NAMES, ""),
            "environment": "",
            "drill": "",
            "services": service_names(inventory.services),
            "hosts": {name: {"name": "", "address": ""} for name in inventory.hosts},
        }
        self.saved: dict[str, str] = {}
        self.references = References(drill, self.static, self.saved, self.fail)
        self.mistakes = Mistakes()

    def fail(self, place: FilePlace, message: str, hint: str = "", *, key: bool = False) -> SourceError:
        error = self.drill.document.error(place, message, hint=hint, key=key)
        return PlanError(error.message, where=error.where, excerpt=error.excerpt, hint=hint)

    def parts(self) -> tuple[tuple[PlannedProbe, ...], PlannedGuard, tuple[PlannedStep, ...]]:
        """Plan probes, guard and steps. Raises one error for all mistakes."""
        head, of = self.drill.head, self.mistakes.of
        if head.service:  # it is missing where the file has mistakes
            of(self._service, head.service, ("service",), None)
        of(self._owner, head.owner)
        probes = tuple(
            probe for index, use in enumerate(self.drill.probes, 1) if (probe := of(self._probe, f"probe.{index}", use))
        )
        guard = self._guard()
        steps = tuple(step for phase, written in self.drill.phases.items() for step in self._phase(phase, written))
        self.mistakes.report()
        return probes, guard, steps

    def plan(self) -> Plan:
        head, (probes, guard, steps) = self.drill.head, self.parts()
        of = self.mistakes.of
        of(SourceRules(self.drill, self.inventory, steps, self.fail).check)
        of(Restorable(self.drill, self.inventory, self.static, steps, self.fail).check)
        of(objective_rules.check, self.drill, self.inventory, steps, probes, self.fail)
        of(fault_limits.check, self.drill, self.inventory, steps, self.fail)
        self.mistakes.report()
        objectives = {key: float(value) for key, value in head.objectives if value is not None}
        return Plan(
            drill=head.drill,
            title=head.title,
            description=head.description,
            service=head.service,
            owner=head.owner,
            objectives=objectives,
            environments=head.guard.environments,
            guard=guard,
            inventory=self.inventory,
            probes=probes,
            steps=steps,
            diagnosis=self._trees(steps),
            plugins=needed_services.plugins(steps, probes, guard, self.inventory),
        )

    def _owner(self, name: str) -> None:
        if name and name not in self.inventory.contacts:
            raise self.fail(
                ("owner",),
                f"there is no contact {name!r} in the inventory",
                f"{did_you_mean(name, self.inventory.contacts)}contacts: {', '.join(self.inventory.contacts) or 'none'}",
            )

    def _trees(self, steps: Sequence[PlannedStep]) -> tuple[Tree, ...]:
        """Return the diagnosis trees that are needed by the diagnosis steps in ``steps``."""
        return scope.used(
            self.drill.trees,
            self.inventory,
            dict.fromkeys(str(step.params.get("service", "")) for step in steps if step.action == DIAGNOSIS),
        )

    def _guard(self) -> PlannedGuard:
        """Plan the guard.

        The guard is planned before all steps. Therefore its conditions cannot use results of steps.
        """
        of, uses = self.mistakes.of, enumerate(self.drill.conditions, 1)
        conditions = tuple(condition for number, use in uses if (condition := of(self._condition, f"guard.{number}", use)))

        def hosts_of(pattern: str | tuple[str, ...], key: str) -> tuple[str, ...]:
            return of(self._expand, pattern, ("guard", key)) or ()

        return PlannedGuard.of(self.drill.head.guard, conditions, hosts_of)

    def _condition(self, condition_id: str, condition: Condition) -> PlannedCondition:
        words, use = condition.words, condition.use
        if isinstance(use, ProbeUse):
            own = use.params.get("every")
            written = Duration.parse(own) if isinstance(own, str) and not template.is_template(own) else LOOK_S
            return PlannedCondition(
                id=condition_id,
                name=words.name,
                probe=self._probe(condition_id, use),
                every_s=max(SHORTEST_LOOK_S, words.every or written),
                for_s=float(words.hold),
                tries=words.tries,
            )
        step = self._step(condition_id, "guard", use)
        return PlannedCondition(
            id=condition_id,
            name=words.name,
            step=step,
            every_s=float(words.every or LOOK_S),
            for_s=float(words.hold),
            tries=words.tries,
        )

    def _phase(self, phase: str, written: tuple[Step, ...]) -> Iterable[PlannedStep]:
        waiting: dict[str, str] = {}
        group: int | None = None
        for number, step in enumerate(written, 1):
            if step.group is None or step.group != group:
                self.saved |= waiting
                waiting = {}
            group = step.group
            planned = self.mistakes.of(self._step, f"{phase}.{number}", phase, step)
            if save := step.keywords.save:
                self.mistakes.of(self._new_name, save, {**self.saved, **waiting}, step)
                waiting[save] = f"{phase}.{number}"
            if planned:
                yield planned
        self.saved |= waiting

    def _new_name(self, name: str, taken: dict[str, str], step: Step) -> None:
        if name in taken or name in self.static or name == "result":
            by = taken.get(name, "Drillbook itself")
            raise self.fail((*step.place, "save"), f"the name {name!r} is already used by {by}", "choose another name")

    def _step(self, step_id: str, phase: str, step: Step) -> PlannedStep:
        words, name, mistakes = step.keywords, step.action.name(), Mistakes()
        mistakes.of(self._params, step.params, (*step.place, name), step.action.SECRETS)
        mistakes.of(self.references.expressions, step.place, {"when": _texts(words.when), "expect": _texts(words.expect)})
        mistakes.of(self._services, step.params, (*step.place, name), step.action)
        known = {key: value for key, value in step.params.items() if key not in step.dynamic}
        use = step.action.with_unknown(known, step.dynamic)
        effect = use.effect
        mistakes.of(step_rules.check, step, phase, effect, self.fail)
        hosts = mistakes.of(self._hosts, step) or ()
        mistakes.report()
        return PlannedStep(
            id=step_id,
            phase=phase,
            group=step.group,
            action=name,
            name=words.name,
            params=step.params,
            effect=effect,
            restore_only=isinstance(use, Fault) and use.restore_only,
            proves_backup=step.action.PROVES_BACKUP,
            hosts=hosts,
            save=words.save,
            when=words.when,
            expect=_texts(words.expect),
            timeout_s=float(words.timeout or step.action.TIMEOUT),
            retries=words.retries,
            every_s=float(words.every) if words.every else POLL_S if words.retries else None,
            allow_failure=words.allow_failure,
            line=self._line(step.place),
            become=words.become,
        )

    def unread(self, entry: Unread) -> None:
        """Check the readable parts of ``entry``, whose other parts have mistakes. Raises one error for all mistakes that are
        found in the readable parts.
        """
        mistakes, place, kind = Mistakes(), (*entry.place, entry.name), entry.kind
        mistakes.of(self.references.expressions, entry.place, {key: entry.texts(key) for key in ("when", "expect")})
        if hosts := entry.texts("hosts"):
            mistakes.of(self._expand, hosts, (*entry.place, "hosts"))
        mistakes.of(self.references.values, entry.params, place)
        action = kind if kind and issubclass(kind, Action) else None
        mistakes.of(self._services, entry.params, place, action)
        if kind and action is None and (host := entry.params.get("host")) and isinstance(host, str):
            mistakes.of(self._probe_host, host, (*place, "host"))
        if action:
            words = Keywords.model_construct(allow_failure=entry.words.get("allow_failure"))
            step = Step(action, entry.params, words, entry.place, None)
            declared = any((info.alias or key) == "effect" for key, info in action.model_fields.items())
            effects = (
                [effect for effect in Effect if effect.value == entry.params.get("effect")] if declared else [action.EFFECT]
            )
            for effect in effects:  # there is none if the declared effect is missing or wrong
                mistakes.of(step_rules.check, step, str(entry.place[0]), effect, self.fail)
        mistakes.report()

    def _services(self, params: dict[str, Any], place: FilePlace, action: type[Action] | None) -> None:
        """Check the services that are named in ``params``. Raises one error for all mistakes."""
        mistakes, service, restores = Mistakes(), params.get("service"), params.get("restores")
        if isinstance(service, str) and not template.is_template(service):
            mistakes.of(self._service, service, (*place, "service"), action)
        if isinstance(restores, dict) and isinstance(copied := restores.get("service"), str):
            mistakes.of(self._service, copied, (*place, "restores", "service"), None)
        mistakes.report()

    def _hosts(self, step: Step) -> tuple[str, ...]:
        if step.keywords.hosts is not None:
            return self._expand(step.keywords.hosts, (*step.place, "hosts"))
        if step.action.PLACE is Place.CONTROLLER:
            return (CONTROLLER,)
        service = self.inventory.services.get(str(step.params.get("service", "")))
        if step.action.PLACE is Place.SERVICE and step.params.get("service"):
            if service:
                return (service.host,)
            if not template.has_template(step.params["service"]):
                return ()  # it is reported as unknown
        raise self.fail(
            step.place,
            f"{step.action.name()} needs `hosts`",
            "write `hosts` with the names of hosts or groups next to the action",
        )

    def _expand(self, patterns: str | tuple[str, ...], place: FilePlace, *, key: bool = False) -> tuple[str, ...]:
        try:
            return self.inventory.expand(patterns)
        except PlanError as error:
            raise self.fail(place, error.message, error.hint, key=key) from None

    def _probe(self, probe_id: str, use: ProbeUse) -> PlannedProbe:
        name, mistakes = use.probe.name(), Mistakes()
        mistakes.of(self._params, use.params, (*use.place, name), use.probe.SECRETS)
        if isinstance(host := use.params.get("host"), str):
            mistakes.of(self._probe_host, host, (*use.place, name, "host"))
        if isinstance(service := use.params.get("service"), str):
            mistakes.of(self._service, service, (*use.place, name, "service"), None)
        mistakes.report()
        return PlannedProbe(id=probe_id, name=name, params=use.params, line=self._line(use.place))

    def _probe_host(self, name: str, place: FilePlace) -> None:
        if name not in {*self.inventory.hosts, CONTROLLER}:
            raise self.fail(
                place,
                f"there is no host {name!r} in the inventory",
                f"{did_you_mean(name, self.inventory.hosts)}hosts: {', '.join(self.inventory.hosts) or 'none'}",
            )

    def _service(self, name: str, place: FilePlace, action: type[Action] | None) -> None:
        services = self.inventory.services
        if name not in services:
            near, known = did_you_mean(name, services), ", ".join(services) or "none"
            error = self.fail(place, f"there is no service {name!r} in the inventory", f"{near}services: {known}")
            error.absent = "" if near else name  # a misspelt name is marked wherever it is written
            raise error
        wanted = action.SERVICE if action else None
        if wanted and not isinstance(services[name], wanted):
            fitting = [key for key, service in services.items() if isinstance(service, wanted)]
            raise self.fail(
                place,
                f"{name!r} has the kind {kind_of(services[name])}, but this action does not support this kind",
                f"suitable services: {', '.join(fitting) or 'none'}",
            )

    def _params(self, params: dict[str, Any], place: FilePlace, takes: frozenset[str]) -> None:
        mistakes = Mistakes()
        mistakes.of(self.references.values, params, place)
        mistakes.of(self._secrets, params, place, takes)
        mistakes.report()

    def _secrets(self, params: dict[str, Any], place: FilePlace, takes: frozenset[str]) -> None:
        """Check the secrets in parameters. A secret must be the whole value of a parameter, and the parameter must accept
        secrets. Raises PlanError when a secret breaks one of these rules.
        """
        for key, value in params.items():
            for where, name, whole in secretive(value, (*place, key), self.static["services"]):
                if not whole or key not in takes:
                    fits = (
                        f"use the secret as the whole value of {' or '.join(sorted(takes))}: `{{{{ {name} }}}}`"
                        if takes
                        else (
                            "if the action itself reads the secret of the service, remove the secret "
                            "here; otherwise pass it in `env` of a command.run"
                        )
                    )
                    raise self.fail(where, f"{name} is a secret; it would appear as `***` here", fits)
                if isinstance(params.get("undo"), list):
                    raise self.fail(
                        where,
                        f"{name} is a secret; it must not be stored on the target for the undo",
                        "let the command and its `undo` read the secret on the target",
                    )

    def _line(self, place: FilePlace) -> str:
        where = self.drill.document.where(place)
        return f"{where.file.rpartition('/')[2]}:{where.line}"


def _texts(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value or ()
