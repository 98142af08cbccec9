"""Rules for restores in place.

A restore in place writes a backup into the service from which the backup was taken. It does not use a sandbox.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drillbook.inventory.inventory import Inventory
from drillbook.language.mistakes import Mistakes
from drillbook.language.strict import Place as FilePlace
from drillbook.language.strict import did_you_mean
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.spec import Drill
from drillbook.plan.step_roles import of_source, same_service, verified_origin
from drillbook.plan.step_rules import Fail
from drillbook.sdk.action import find
from drillbook.sdk.backup_source import BackupSource
from drillbook.sdk.in_place import RestoresSource
from drillbook.sdk.service import is_sandbox, kind_of

LATEST = "latest"


def restores_in_place(inventory: Inventory, step: PlannedStep) -> bool:
    """Return True when ``step`` restores a backup from a backup source into a service that is no sandbox."""
    service = inventory.services.get(str(step.params.get("service") or ""))
    return issubclass(find(step.action), RestoresSource) and service is not None and not is_sandbox(service)


def moment_of(step: PlannedStep) -> str:
    """Return the parameter `at` of ``step``, or ``latest`` if it is missing. This parameter selects a backup by its
    time or its id.
    """
    return str(step.params.get("at") or LATEST)


@dataclass(frozen=True)
class SourceRules:
    """Checks of those steps of a drill that restore a backup over the existing data of a service.

    ``fail``: function that makes the error for a position in the drill's file.
    """

    drill: Drill
    inventory: Inventory
    steps: Sequence[PlannedStep]
    fail: Fail

    def check(self) -> None:
        """Raise PlanError when a restore in place is not possible. If the restore is the only undo of a fault, it must also
        use a verified backup.
        """
        mistakes = Mistakes()
        for step in self.steps:
            if restores_in_place(self.inventory, step):
                mistakes.of(self._step, step)
        mistakes.report()

    def _step(self, step: PlannedStep) -> None:
        """Check one restore in place. Raises one PlanError for all mistakes."""
        source, mistakes = self._source(step), Mistakes()
        mistakes.of(self._fits, step, source)
        mistakes.report()
        for fault in self._mended(step):
            mistakes.of(self._verified, step, fault)
            mistakes.of(self._all_of_it, step, fault)
            mistakes.of(self._bounded, step, source)
        mistakes.report()

    def _source(self, step: PlannedStep) -> BackupSource:
        name, place = str(step.params.get("from")), (*self._place(step), "from")
        source = self.inventory.services.get(name)
        if isinstance(source, BackupSource):
            return source
        sources = [key for key, service in self.inventory.services.items() if isinstance(service, BackupSource)]
        hint = f"{did_you_mean(name, sources)}backup sources: {', '.join(sources) or 'none'}"
        raise self.fail(place, f"there is no backup source {name!r} in the inventory's `backups`", hint)

    def _fits(self, step: PlannedStep, source: BackupSource) -> None:
        """Check that a restore in place is possible: the backups of ``source`` are backups of the step's service, their
        kind can be restored into this service, and the step is in the phase `restore`. Raises PlanError when it is not
        possible.
        """
        named, place = str(step.params["service"]), self._place(step)
        kind = kind_of(self.inventory.services[named])
        if kind not in source.RESTORES_IN_PLACE:
            raise self.fail(
                (*place, "from"),
                f"backups of kind {kind_of(source)} can only be restored into a sandbox, not into {named!r} of kind {kind}",
                "restore the backup into a service with `sandbox: {}`, or use a source whose kind can be restored in place",
            )
        if not same_service(self.inventory, source.service, named):
            saved = f"a backup of {source.service!r}" if source.service else "a backup without a `service` in the inventory"
            raise self.fail(
                (*place, "from"),
                f"{source.name!r} is {saved}, not a backup of {named!r}",
                f"name a backup source whose `service` is {named}",
            )
        if step.phase != "restore":
            raise self.fail(
                place,
                f"{step.action} restores into the service {named!r} itself; this is not allowed in the phase {step.phase}",
                "move the step to the phase `restore`",
                key=True,
            )

    def _mended(self, step: PlannedStep) -> Iterator[PlannedStep]:
        """Yield the faults of the service that ``step`` restores, if they can be undone only by a restore."""
        for fault in self.steps:
            if fault.restore_only and same_service(self.inventory, fault.params.get("service"), step.params["service"]):
                yield fault

    def _verified(self, step: PlannedStep, fault: PlannedStep) -> None:
        """Check that a step of the phase `backup` is certain to verify the backup that ``step`` restores.

        A step with `when` or `allow_failure` is not certain to verify a backup. Raises PlanError when no step is certain to
        verify this backup.
        """
        name = step.params["from"]
        verifying = [
            candidate
            for candidate in self.steps
            if candidate.phase == "backup" and of_source(candidate) and verified_origin(candidate) == name
        ]
        sure = [candidate for candidate in verifying if candidate.when is None and candidate.allow_failure is None]
        if any(moment_of(candidate) == moment_of(step) for candidate in sure):
            return
        why = f"no step of the phase `backup` verifies {name}"
        if sure:
            why = (
                f"{sure[0].id} verifies the backup {moment_of(sure[0])} of {name}, but this step restores the "
                f"backup {moment_of(step)}"
            )
        elif verifying:
            why = f"{verifying[0].id}, which verifies {name}, may be skipped or fail"
        at = f", at: {step.params['at']!r}" if step.params.get("at") else ""
        raise self.fail(
            (*self._place(step), "from"),
            f"{fault.id} {fault.action} destroys data that only this restore brings back, but {why}",
            f"add `backup.check: {{service: {name}{at}}}` to the phase `backup`, without `when` and `allow_failure`",
        )

    def _all_of_it(self, step: PlannedStep, fault: PlannedStep) -> None:
        """Check that a fault with a `path` destroys exactly the folder that ``step`` restores. Raises PlanError when the
        two folders differ.
        """
        data, path = self.inventory.services[str(step.params["service"])].data, fault.params.get("path")
        if path is not None and str(path).rstrip("/") != data.rstrip("/"):
            raise self.fail(
                self._place(step),
                f"{fault.id} {fault.action} destroys {path}, but {step.action} restores {data}",
                f"write `path: {data}` in the fault, or name another service",
                key=True,
            )

    def _bounded(self, step: PlannedStep, source: BackupSource) -> None:
        """Check that the age of the backups is known, and that an objective limits the loss of data. Raises PlanError when
        the age is unknown or the objective is missing.
        """
        if not source.tells_age:
            raise self.fail(
                (*self._place(step), "from"),
                f"the command of {source.name} prints data of unknown age, so that the loss of data cannot be limited",
                "use a backup source whose `at` is a place of files and not a command, or restore into a service with `sandbox: {}`",
            )
        if not any(key == "rpo" and value is not None for key, value in self.drill.head.objectives):
            raise self.fail(
                self._place(step),
                (
                    f"{step.action} restores a backup that this drill did not take, but no objective limits how much data "
                    "may be lost"
                ),
                (
                    "add `rpo` to `objectives`; the run is then refused before the fault if the newest "
                    "backup is older than this limit"
                ),
                key=True,
            )

    def _place(self, step: PlannedStep) -> FilePlace:
        return (*self.drill.phases[step.phase][int(step.id.rpartition(".")[2]) - 1].place, step.action)
