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
from drillbook.plan import needed, objective_rules, step_rules
from drillbook.plan.limits import PlannedCondition, PlannedGuard
from drillbook.plan.plan import Plan, checked, faulted
from drillbook.plan.planned_step import PlannedProbe, PlannedStep
from drillbook.plan.restorable import RUN_NAMES, Restorable
from drillbook.plan.secret_references import secretive
from drillbook.plan.source_rules import SourceRules
from drillbook.plan.spec import DIAGNOSIS, Condition, Drill, Partial, ProbeUse, Step
from drillbook.sdk.action import Action, Fault, Place
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
    """Return the mistakes that planning finds in the parts of a drill that could be read, such as an unknown service."""
    planner = _Planner(read.drill, inventory)
    planner.saved |= dict.fromkeys(read.names, "another step")
    try:
        planner.parts()
    except SourceError as error:
        return (error, *error.others)
    return ()


class _Planner:
    """Makes the plan of one drill, step by step. It remembers the names under which steps save their facts, because
    expressions in later steps may use these names.
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
        SourceRules(self.drill, self.inventory, steps, self.fail).check()
        Restorable(self.drill, self.inventory, self.static, steps, self.fail).check()
        objective_rules.check(self.drill, self.inventory, steps, probes, self.fail)
        self._limits(steps)
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
            plugins=needed.plugins(steps, probes, guard, self.inventory),
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

    def _limits(self, steps: Sequence[PlannedStep]) -> None:
        """Raise PlanError when the faults affect more hosts than the guard allows."""
        guard, hit = self.drill.head.guard, faulted(steps, self.inventory)
        for kind, limits in (("max_hosts", guard.max_hosts), ("max_percent", guard.max_percent)):
            written = isinstance((self.drill.document.value.get("guard") or {}).get(kind), dict)
            for group, most in limits.items():
                self._limit(hit, group, most, ("guard", kind, group) if written else ("guard", kind))

    def _limit(self, hit: set[str], group: str, most: int, place: FilePlace) -> None:
        members = hit | set(self.inventory.hosts) if group == "all" else set(self._expand(group, place, key=True))
        percent = place[1] == "max_percent"
        inside = sorted(hit & members)
        if len(inside) > (most * len(members) / 100 if percent else most):
            allowed = f"{most} % of its {len(members)} hosts" if percent else f"{most}"
            raise self.fail(
                place,
                f"the faults affect {len(inside)} hosts of {group!r} ({', '.join(inside)}); the guard allows {allowed}",
                "choose fewer hosts for the steps in `inject`, or raise the limit in `guard`",
                key=True,
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
        for key in ("when", "expect"):
            value = getattr(words, key)
            for text in [value] if isinstance(value, str) else value or ():
                extra = ("result",) if key == "expect" else ()
                mistakes.of(self._refer, text, (*step.place, key), bare=True, extra=extra)
        service = step.params.get("service")
        if isinstance(service, str) and not template.is_template(service):
            mistakes.of(self._service, service, (*step.place, name, "service"), step.action)
        if isinstance(restores := step.params.get("restores"), dict):
            mistakes.of(self._service, str(restores["service"]), (*step.place, name, "restores", "service"), None)
        mistakes.report()
        known = {key: value for key, value in step.params.items() if key not in step.dynamic}
        use = step.action.with_unknown(known, step.dynamic)
        effect = use.effect
        step_rules.check(step, phase, effect, self.fail)
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
            hosts=self._hosts(step),
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

    def _hosts(self, step: Step) -> tuple[str, ...]:
        if step.keywords.hosts is not None:
            return self._expand(step.keywords.hosts, (*step.place, "hosts"))
        if step.action.PLACE is Place.CONTROLLER:
            return (CONTROLLER,)
        service = self.inventory.services.get(str(step.params.get("service", "")))
        if step.action.PLACE is Place.SERVICE and service:
            return (service.host,)
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
        name = use.probe.name()
        self._params(use.params, (*use.place, name), use.probe.SECRETS)
        if isinstance(host := use.params.get("host"), str):
            self._probe_host(host, (*use.place, name, "host"))
        if isinstance(service := use.params.get("service"), str):
            self._service(service, (*use.place, name, "service"), None)
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
        self._references(params, place)
        self._secrets(params, place, takes)

    def _references(self, value: Any, place: FilePlace) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                self._references(item, (*place, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._references(item, (*place, index))
        elif template.is_template(value):
            self._refer(value, place)

    def _secrets(self, params: dict[str, Any], place: FilePlace, takes: frozenset[str]) -> None:
        """Check that every secret is the whole value of a parameter, and that this parameter accepts secrets. Raises
        PlanError otherwise.
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

    def _refer(self, text: str, place: FilePlace, *, bare: bool = False, extra: tuple[str, ...] = ()) -> None:
        try:
            references = list(template.references(text, bare=bare))
        except ValueError as error:
            raise self.fail(place, f"not an expression: {error}") from None
        for reference in references:
            if reference[0] in self.saved or reference[0] in extra:
                continue
            if reference[0] not in self.static:
                raise self._unknown(reference[0], place, extra)
            self._follow(reference, place)
        if not bare and all(reference[0] in self.static for reference in references):
            self._affordable(text, place)

    def _affordable(self, text: str, place: FilePlace) -> None:
        """Raise an error if the evaluation of an expression exceeds its budget. The expression is evaluated with the
        names that are known before the run.

        Other errors in the expression are reported only when the step begins.
        """
        try:
            template.evaluate(text, self.static)
        except template.OverBudget as error:
            raise self.fail(place, str(error)) from None
        except ValueError:
            return

    def _unknown(self, name: str, place: FilePlace, extra: tuple[str, ...]) -> SourceError:
        later = [step for steps in self.drill.phases.values() for step in steps if step.keywords.save == name]
        if later:
            where = self.drill.document.where(later[0].place)
            return self.fail(
                place,
                f"{name!r} has no value yet, because it is saved later, in line {where.line}",
                "refer only to steps that finish before this step begins",
            )
        known = [*self.static, *self.saved, *extra]
        return self.fail(
            place, f"no step saves the name {name!r}", f"{did_you_mean(name, known)}names known here: {', '.join(known)}"
        )

    def _follow(self, reference: template.Reference, place: FilePlace) -> None:
        value: Any = self.static[reference[0]]
        for index, part in enumerate(reference[1:], 1):
            if not isinstance(value, dict):
                return
            if part not in value:
                path = ".".join(reference[:index])
                raise self.fail(
                    place,
                    f"{path} has no {part!r}",
                    f"{did_you_mean(part, value)}its keys: {', '.join(map(str, value)) or 'nothing'}",
                )
            value = value[part]

    def _line(self, place: FilePlace) -> str:
        where = self.drill.document.where(place)
        return f"{where.file.rpartition('/')[2]}:{where.line}"


def _texts(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value or ()
