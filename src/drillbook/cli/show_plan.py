"""The work of ``drill.plan``. It shows the steps of a drill, its likely duration, and the reasons to refuse it now. No
host is contacted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from drillbook.cli import orchestration, permitted_inventory, suite_plan
from drillbook.cli.console import console, print_json
from drillbook.cli.earlier_durations import Earlier, earlier, last_of_suite, median
from drillbook.cli.suite_plan import SuiteRow
from drillbook.cli.undo_words import undo_words
from drillbook.errors import UsageError
from drillbook.exits import Exit
from drillbook.findings import Finding
from drillbook.installation.program_name import program
from drillbook.inventory.inventory import CONTROLLER
from drillbook.judge.verdicts import EXIT, Verdict
from drillbook.plan import approval, guard, permitted, privilege
from drillbook.plan.plan import Plan
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.spec import Drill, Suite
from drillbook.plan.step_roles import data_host
from drillbook.project import planning
from drillbook.project.project import Project
from drillbook.report.figures import count, one_line, seconds, took
from drillbook.report.next_steps import before_run, in_permitted
from drillbook.report.restore_steps import restores_source
from drillbook.report.terminal.next_steps import shown_steps
from drillbook.report.terminal.prose import Prose
from drillbook.report.wording import SHORT
from drillbook.sdk.action import Effect, find
from drillbook.sdk.host import shown
from drillbook.sdk.service import S3
from drillbook.signing.texts import Look
from drillbook.values import Duration


@dataclass(frozen=True, slots=True)
class Undo:
    """Description of a step's undo, as far as it is known before a host is contacted. ``leased``: True when the target
    can run the undo without the controller.
    """

    kinds: tuple[str, ...]
    leased: bool
    text: str


def plans(project: Project, name: str, inventory: str, *, as_json: bool = False) -> int:
    """Show the plan of a drill, or the plans of all drills of a suite. Returns 3 when a drill cannot run on this
    machine, 4 when a drill would be refused, and otherwise 0.
    """
    plannable, made = _plans(project, name, inventory)
    now = datetime.now(UTC)
    views = [
        _View(
            plan,
            earlier(project, plan.drill),
            orchestration.look(project, plan, now),
            now,
            instead=permitted_inventory.instead(project, plan),
        )
        for plan in made
    ]
    if as_json:
        values = [view.value() for view in views]
        print_json(values[0] if isinstance(plannable, Drill) else values)
    else:
        out = console()
        if isinstance(plannable, Suite):
            durations = [next(iter(view.earlier.runs), None) for view in views]
            suite_plan.heading(plannable, made, last_of_suite(project, name), out, durations)
        for number, view in enumerate(views):
            out.print(end="\n" * bool(number))
            view.show(out)
        if isinstance(plannable, Suite):
            suite_plan.table([view.row() for view in views], out)
        confirm = next((plan.inventory.environment for plan in made if guard.needs_approval(plan)), "")
        refused = any(view.exit for view in views)
        elsewhere = next(filter(None, (in_permitted(program(), view.refusals) for view in views)), None)
        steps = [elsewhere] if elsewhere else before_run(program(), name, inventory, confirm=confirm, refused=refused)
        out.print(shown_steps(steps))
    return max((view.exit for view in views), default=Exit.OK)


def _plans(project: Project, name: str, inventory: str) -> tuple[Drill | Suite, list[Plan]]:
    plannable = planning.load(project, name, inventory)
    names = plannable.drills if isinstance(plannable, Suite) else (name,)
    loaded = project.inventory(inventory)
    drills = [planning.load(project, drill, loaded) for drill in names]
    return plannable, [planning.plan(project, drill, loaded) for drill in drills if isinstance(drill, Drill)]


def approve(project: Project, name: str, inventory: str, until: str, key: str) -> int:
    """Show the plan of a drill, and sign an approval of this plan. For a suite, do this for each of its drills. Raises
    UsageError for an invalid duration, and when an approval cannot be signed.
    """
    span = span_of(until)
    _, made = _plans(project, name, inventory)
    out, now = console(), datetime.now(UTC)
    for plan in made:
        _View(plan, earlier(project, plan.drill), None, now, asked=False).show(out)
        out.print()
        given, files = approval.approve(plan, project.root, now=now, until=span, key=Path(key) if key else None)
        if signed := given.approval:
            place, end = plan.inventory.environment, f"{signed.until:%Y-%m-%d %H:%M} UTC"
            out.print(Text(f"✓ {signed.principal} approves {plan.drill} on {place} until {end}", style="green"))
            out.print(Text(f"  key {given.fingerprint}"), soft_wrap=True)
            text = files.text.relative_to(project.root)
            out.print(Text(f"  {text} and its .sig: give both files to the operator, or commit them"), soft_wrap=True)
    return Exit.OK


def span_of(until: str) -> timedelta:
    """Return the duration of an approval. Raises UsageError when ``until`` is not a duration."""
    try:
        return timedelta(seconds=Duration.parse(until))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--until: {error}", hint="such as --until 24h") from None


def show_without_refusals(project: Project, plans: Sequence[Plan]) -> None:
    """Print plans for a person who is asked to approve them. The reasons for which the drills would be refused now are left
    out.
    """
    out, now = console(), datetime.now(UTC)
    for plan in plans:
        _View(plan, earlier(project, plan.drill), None, now, asked=False).show(out)
        out.print()


def undo_of(step: PlannedStep) -> Undo:
    """Describe the undo of ``step``. Normally the controller runs the undo. If the undo of a fault consists of
    commands, the target can also run them itself when the lease expires.
    """
    if step.effect is Effect.READ:
        return Undo(("nothing",), False, "nothing: the step is read-only")
    if step.restore_only:
        return Undo(("restore",), False, "restore only, by the drill's restore phase")
    action = find(step.action)
    kinds, leased = action.undo_kinds(), action.may_lease(step.effect)
    if isinstance(declared := step.params.get("undo"), list | tuple):
        return Undo(("commands",), leased, shown(tuple(str(part) for part in declared), limit=300))
    if action.UNDO_BY and not (decides := step.params.get(action.UNDO_BY)):
        return Undo(("nothing",), False, f"nothing: the step sets no `{action.UNDO_BY}`")
    if action.UNDO_BY and "{{" not in str(decides):
        kinds = tuple(kind for kind in kinds if kind != "nothing")
    return Undo(kinds, leased, undo_words(action, kinds))


@dataclass(frozen=True, slots=True)
class _View:
    """Output of one plan, as JSON or on a terminal."""

    plan: Plan
    earlier: Earlier
    approval: Look | None
    now: datetime
    asked: bool = True
    instead: str = permitted.ANY_PERMITTED
    """Sentence that tells how to run the drill in a permitted environment."""

    @property
    def refusals(self) -> list[Finding]:
        """Findings that tell why the plan would be refused now."""
        if not self.asked:
            return []
        return guard.check(self.plan, now=self.now, approval=self.approval, instead=self.instead)

    @property
    def lacking(self) -> list[Finding]:
        """Findings that tell why the plan cannot run on this machine."""
        return guard.lacking(self.plan)

    @property
    def exit(self) -> int:
        """Exit status that a run would have now, as far as this is known without contacting a host."""
        return EXIT[Verdict.REFUSED if self.refusals else Verdict.NOT_RUN if self.lacking else Verdict.PASSED]

    def _without_controller(self) -> dict[str, str]:
        """Return a text for each host, in the order of the inventory: the changes that the host undoes by itself when the
        controller has died, and the faults that only `drill.recover` can undo. A host undoes a change by itself if the change
        has a lease, which is a timer with the undo commands. Hosts without such changes or faults are left out. A fault that
        reaches a service from the controller is told for the host of the service.
        """
        undone = [(step, undo) for step in self.plan.steps if (undo := undo_of(step)).leased or step.effect is Effect.FAULT]
        told = {}
        places = {step.id: {data_host(self.plan.inventory, step, host) for host in step.hosts} for step, _ in undone}
        for host in dict.fromkeys([*self.plan.hosts(), *(place for hosts_of in places.values() for place in hosts_of)]):
            leased = [step for step, undo in undone if host in step.hosts and undo.leased]
            bound = [step for step, undo in undone if host in places[step.id] and _needs_recover(undo)]
            verb = "restores" if all(step.restore_only for step in bound) else "undoes"
            names, them = ", ".join(step.id for step in bound), "it" if len(bound) == 1 else "them"
            by_itself = (
                "it dies, nothing undoes" if host == CONTROLLER else "the controller dies, nothing on this host undoes"
            )
            unable = f"if {by_itself} {names}: `{program()} drill.recover` {verb} {them}" if bound else ""
            able = self._reboot(host, leased, named=bool(bound)) if leased else ""
            if text := "; ".join(filter(None, (unable, able))):
                told[host] = text
        return told

    def value(self) -> dict[str, Any]:
        """Return the plan as a value for JSON output."""
        made = self.plan.model_dump(mode="json")
        for written, step in zip(made["steps"], self.plan.steps, strict=True):
            undo = undo_of(step)
            written["undo"] = {
                "kinds": list(undo.kinds),
                "text": undo.text,
                "lease_s": self.plan.guard.lease_s if undo.leased else None,
            }
            written["estimate"] = self.earlier.about(step)
            accounts = {host: privilege.of_step(self.plan.inventory, step, host) for host in step.hosts}
            written["accounts"] = {host: become.user for host, become in accounts.items() if become}
        return {
            "digest": self.plan.digest,
            **made,
            "estimate": median(self.earlier.runs),
            "locks": [{"name": lock.name, "host": lock.host, "services": list(lock.services)} for lock in self.plan.locks()],
            "reboot": self._without_controller(),
            "approved": self.approval.facts() if self.approval else None,
            "refusals": [refusal.model_dump(mode="json") for refusal in self.refusals],
            "lacking": [finding.model_dump(mode="json") for finding in self.lacking],
        }

    def row(self) -> SuiteRow:
        """Return the row of this plan in the table at the end of the plan of a suite."""
        faults = [step for step in self.plan.steps if step.effect is Effect.FAULT]
        touched = {f"{name} on {lock.host}": None for lock in self.plan.locks() for name in lock.services or (lock.title,)}
        return SuiteRow(
            self.plan.drill,
            tuple(touched),
            tuple(dict.fromkeys(step.action for step in faults)),
            tuple(step.id for step in faults if _needs_recover(undo_of(step))),
            took(self.earlier.runs[0]) if self.earlier.runs else "",
            "" if not self.exit else "refused now" if self.refusals else "not run here",
        )

    def show(self, out: Console) -> None:
        """Print the plan. The output needs a terminal with at least 80 columns."""
        plan = self.plan
        out.print(Text(f"{plan.drill}: {one_line(plan.title)}", style="bold"))
        for line in self._head():
            _line(out, line, 2)
        phase = ""
        for step in plan.steps:
            if step.phase != phase:
                phase = step.phase
                _line(out, Text(phase, style="bold cyan"), 2)
            self._step(step, out)
        for refusal in (*self.refusals, *self.lacking):
            wanted = f"; wanted: {refusal.wanted}" if refusal.wanted else ""
            word = "REFUSED now" if refusal in self.refusals else "NOT RUN here"
            _line(out, Text(f"✗ {word}: {refusal.title}: {refusal.measured}{wanted}", style="bold red"), 2)
            _line(out, Text(refusal.remedy), 4)

    def _head(self) -> Iterator[Text]:
        plan = self.plan
        goals = (
            ", ".join(f"{SHORT.get(key, key)} at most {seconds(value)}" for key, value in plan.objectives.items()) or "none"
        )
        probes = ", ".join(probe.name for probe in plan.probes) or "none"
        place = plan.inventory.environment, plan.inventory.lab
        allowed = permitted.permits(plan.environments, *place)
        protected = " (protected)" if plan.inventory.is_protected else ""
        yield Text(
            f"on {plan.inventory.environment}{protected}; {permitted.only_in(permitted.named(plan.environments, *place))}",
            style="" if allowed else "bold red",
        )
        yield Text(f"plan {plan.digest}")
        yield Text(f"objectives: {goals}; probes: {probes}")
        yield from (Text(f"needs the plugin of {name}, {version}") for name, version in plan.plugins.items())
        yield Text(_about(median(self.earlier.runs)))
        yield from (Text(line) for line in self._guard())
        held = ", ".join(f"{lock.title} on {lock.host}" for lock in plan.locks())
        yield Text(f"locks {held}")
        yield from (Text(f"{host}: {text}") for host, text in self._without_controller().items())
        yield from (Text(line) for line in self._kept())

    def _kept(self) -> Iterator[str]:
        """Yield a line for each store that has a retention rule (`keep`) and receives a backup from a step of the plan."""
        targets = [str(step.params.get("to", "")) for step in self.plan.steps if step.effect is Effect.WRITE]
        for name, service in self.plan.inventory.services.items():
            if not isinstance(service, S3) or service.keep is None:
                continue
            if any(f"services.{name}." in to or to.startswith(f"s3://{service.bucket}/") for to in targets):
                rest = "a passed run removes older backups, except those that an unfinished run may need"
                yield f"{name} keeps {service.keep}; {rest}"

    def _guard(self) -> Iterator[str]:
        yield from map(one_line, self.plan.guard.sentences())
        if guard.needs_approval(self.plan):
            signed = self.approval.approval if self.approval and self.approval.refusal is None else None
            said = f"approved by {signed.principal} until {signed.until:%Y-%m-%d %H:%M} UTC" if signed else "an approval"
            yield f"needs --confirm {self.plan.inventory.environment} and {said}"

    def _reboot(self, host: str, leased: Sequence[PlannedStep], *, named: bool) -> str:
        """Return a text that says how ``host`` undoes the steps ``leased`` when it loses contact with the controller, and
        when it is rebooted. ``named``: True to list the ids of the steps.
        """
        does, stays = "undoes its changes", "the changes stay"
        if any(step.effect is Effect.FAULT for step in leased):
            does, stays = "undoes faults", "the fault stays"
        elif all(restores_source(step.action) for step in leased):
            does, stays = "removes the sandbox", "the sandbox stays"
        does = f"undoes {', '.join(step.id for step in leased)}" if named else does
        silent = f"{does} by itself {self.plan.guard.lease_s:g} s after the last contact with the controller"
        boot = self.plan.inventory.target(host).lease.boot
        if boot == "none":
            return f"{silent}; after a reboot {stays} until `{program()} drill.recover` (`boot: none` in the inventory)"
        how = "if `drill.check` finds systemd or cron on the host" if boot == "auto" else f"by {boot}"
        return f"{silent}, and at boot {how}"

    def _place(self, step: PlannedStep, host: str) -> str:
        """Return the name of a step's host, with the account in `become` that the step uses on this host."""
        become = privilege.of_step(self.plan.inventory, step, host)
        return f"{host} as {become.user} (sudo{' with a password' if become.password else ''})" if become else host

    def _step(self, step: PlannedStep, out: Console) -> None:
        """Print one step with its action, its hosts, its duration and its undo."""
        colour = {"fault": "red", "write": "yellow"}.get(step.effect, "dim")
        side = f", in parallel with the other steps of group {step.group}" if step.group is not None else ""
        times = (
            f"timeout {step.timeout_s:g} s"
            + (f", {count(step.retries, 'retry', 'retries')}" if step.retries else "")
            + (f", every {step.every_s:g} s" if step.every_s else "")
        )
        _line(out, Text(f"{step.id}  {step.action}" + (f"  {one_line(step.name)}" if step.name else "")), 4)
        _line(
            out,
            Text.assemble(
                (step.effect.value, colour),
                f" on {one_line(step.works_on(', '.join(self._place(step, host) for host in step.hosts)))}; {times}{side}"
                + (f"; {_about(self.earlier.about(step), len(self.earlier.runs))}" if self.earlier.runs else ""),
            ),
            8,
        )
        if step.when:
            _line(out, Text(f"only when {step.when}"), 8)
        if step.effect is not Effect.READ:
            undo = undo_of(step)
            lease = f"; also by its lease, after {self.plan.guard.lease_s:g} s without renewal" if undo.leased else ""
            _line(out, Text(f"undo: {undo.text}{lease}"), 8)


def _needs_recover(undo: Undo) -> bool:
    """Return True when no host can run the undo by itself. If the controller dies, such an undo needs `drill.recover`."""
    return not undo.leased and undo.kinds != ("nothing",)


def _line(out: Console, text: Text, indent: int) -> None:
    out.print(Prose(text, indent))


def _about(estimate: dict[str, Any], told: int = 0) -> str:
    """Return a text with the time that a step took in earlier runs, such as ``earlier runs took 4.2 s (median of 5 runs)``.
    ``told``: number of runs that the output has already shown. The text repeats the number of runs only if it differs from
    ``told``.
    """
    runs, seconds = estimate["runs"], estimate["seconds"]
    if not runs:
        return "time unknown: no run yet"
    shown_s = f"{seconds:.{2 if seconds < 1 else 1 if seconds < 10 else 0}f} s"
    number = "" if runs == told else f" (median of {runs} runs)"
    return f"took {shown_s} last time" if runs == 1 else f"earlier runs took {shown_s}{number}"
