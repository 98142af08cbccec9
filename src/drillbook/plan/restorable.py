"""Rules for drills with faults that destroy data. Such a drill must verify a backup of the data, and restore the data from
this backup. The backup is made by a step of the drill, or comes from a backup source.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from drillbook.errors import SourceError
from drillbook.inventory.inventory import CONTROLLER, Inventory
from drillbook.language import template
from drillbook.language.mistakes import Mistakes
from drillbook.language.strict import Place as FilePlace
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.recorded_content import compares_recorded, sure
from drillbook.plan.spec import Drill
from drillbook.plan.step_roles import (
    _family,
    _names,
    compares,
    is_free,
    of_one_system,
    of_source,
    proves,
    restorers,
    same_service,
    source_of,
    verified_origin,
    verified_service,
)
from drillbook.sdk.action import Effect, Place, find, known_names
from drillbook.sdk.identity import host_place
from drillbook.sdk.object_reference import Reference
from drillbook.sdk.service import S3

RUN_NAMES = ("id", "started", "operator")


@dataclass(frozen=True)
class Restorable:
    """Checks the faults of one drill that destroy data.

    ``fail``: function that makes the error for a position in the drill's file.
    """

    drill: Drill
    inventory: Inventory
    static: Mapping[str, Any]
    steps: Sequence[PlannedStep]
    fail: Callable[..., SourceError]

    def check(self) -> None:
        """Raise PlanError unless all data that a fault destroys is certain to be restored. Before the fault, a step must be
        certain to verify a backup of the data. After the fault, a step must be certain to restore the data from this backup.

        If only custom commands restore the data, another step must compare the restored data with the backup, or with content
        that was recorded before the fault.
        """
        mistakes = Mistakes()
        for fault in [step for step in self.steps if step.restore_only]:
            mistakes.of(self._undone, fault)
        mistakes.report()

    def _undone(self, fault: PlannedStep) -> None:
        """Check that steps are certain to restore the data that ``fault`` destroys. Raises one PlanError for all mistakes."""
        mistakes = Mistakes()
        for phase in [name for name in ("backup", "restore", "verify") if not self.drill.phases[name]]:
            mistakes.of(self._no_phase, fault, phase)
        mistakes.report()
        mistakes.of(self._written, fault)
        written = not mistakes.errors
        if proofs := mistakes.of(self._proofs, fault):
            mistakes.of(self._kept_elsewhere, fault, proofs)
            if written:
                mistakes.of(self._restored, fault, proofs)
        mistakes.report()

    def _no_phase(self, fault: PlannedStep, phase: str) -> None:
        """Raise a PlanError which says that the drill has no phase ``phase``, although ``fault`` needs it."""
        raise self.fail(
            (fault.phase,),
            f"{fault.action} can only be undone by a restore, and the drill has no {phase} phase",
            f"add `{phase}:` with its steps",
            key=True,
        )

    def _written(self, fault: PlannedStep) -> None:
        """Raise PlanError unless some step of the phase `restore` is certain to write data. A step is not certain to write if
        it may be skipped, may fail, or only reads.
        """
        if not self._writes():
            message = (
                f"{fault.action} can only be undone by a restore, but no step of `restore` is certain to write: each "
                "may be skipped, may fail, or only reads"
            )
            raise self.fail(
                ("restore",), message, "add a restore step that writes, without `when` and `allow_failure`", key=True
            )

    def _writes(self) -> list[PlannedStep]:
        return [step for step in self._sure("restore") if step.effect is Effect.WRITE]

    def _sure(self, phase: str) -> list[PlannedStep]:
        return [step for step in self.steps if step.phase == phase and sure(step)]

    def _kept_elsewhere(self, fault: PlannedStep, proofs: Sequence[PlannedStep]) -> None:
        """Raise PlanError when a step of the phase `backup` writes to the bucket that ``fault`` damages."""
        broken = self.inventory.services.get(self._lost(fault, proofs))
        if not isinstance(broken, S3):
            return
        for step in [step for step in self.steps if step.phase == "backup" and step.effect is Effect.WRITE]:
            for key, value in step.params.items():
                place = self._known(value)
                if place.startswith((f"s3://{broken.bucket}/", f"s3://{broken.bucket}#")):
                    raise self.fail(
                        ("backup",),
                        f"{step.action} stores its backup in {place.partition('#')[0]}, but {fault.action} damages that "
                        "same bucket",
                        f"set `{key}` to another bucket",
                        key=True,
                    )

    def _proofs(self, fault: PlannedStep) -> list[PlannedStep]:
        """Return the steps that are certain to verify a backup of the data that ``fault`` destroys. The backup must be from
        a backup source, or from a step of this drill that is certain to run.

        Raises PlanError when there is no such step.
        """
        wrong: list[tuple[PlannedStep, str]] = []
        proofs: list[PlannedStep] = []
        for proof in [step for step in self.steps if step.phase == "backup" and step.proves_backup]:
            if not proves(self.inventory, proof, fault) and proof.action not in find(fault.action).PROVEN_BY:
                continue
            if why := self._why_no_proof(proof, fault):
                wrong.append((proof, f"{proof.action} {why}"))
            else:
                proofs.append(proof)
        if not proofs:
            raise self._unproven(fault, wrong)
        return proofs

    def _why_no_proof(self, proof: PlannedStep, fault: PlannedStep) -> str:
        """Return the reason why the step ``proof`` does not verify a backup for ``fault``. The result is empty when it
        verifies such a backup.
        """
        if not proves(self.inventory, proof, fault):
            return (
                f"verifies a backup of {verified_service(self.inventory, proof)!r}, but {fault.id} destroys "
                f"{fault.params.get('service')!r}"
            )
        if not sure(proof):
            return "may be skipped or fail"
        if of_source(proof):
            return ""
        meant = _names(*fault.params.values()) & self._saved.keys()
        read = _names(*proof.params.values()) & {step.save for step in self._sure("backup") if step.effect is Effect.WRITE}
        if read & (meant or read):
            return ""
        saved = "does not read a backup that a step of this drill is certain to make"
        return f"{saved}, and that {fault.id} reads too" if meant else saved

    def _unproven(self, fault: PlannedStep, wrong: Sequence[tuple[PlannedStep, str]]) -> SourceError:
        message = (
            f"{fault.action} can only be undone by a restore, but no step verifies a backup that this run makes, or a backup "
            "of a backup source"
        )
        if is_free(fault) and not wrong:
            such = [step for step in self.steps if step.phase == "backup" and step.proves_backup]
            return self.fail(
                (*self._place(fault), fault.action, "proven_by"),
                f"{fault.params['proven_by']!r} is not a step of `backup` that verifies a backup",
                "such steps: " + (", ".join(f"{step.save or step.id} ({step.action})" for step in such) or "none"),
            )
        proofs = " or ".join(f"`{name}`" for name in find(fault.action).PROVEN_BY)
        hint = (
            f"add {proofs or 'a step'} without `when` and `allow_failure`; it must verify a backup of the service that "
            "the fault names: a backup that an earlier step of this drill makes, or a backup of a backup source"
        )
        if not wrong:
            return self.fail(("backup",), message, hint, key=True)
        step, why = wrong[0]
        return self.fail((*self._place(step), step.action), f"{message}: {why}", hint, key=True)

    def _restored(self, fault: PlannedStep, proofs: Sequence[PlannedStep]) -> None:
        """Check that the drill restores, in every run, the data that ``fault`` destroys.

        ``proofs``: steps that verify backups. The restore must use a backup that one of them verifies.
        """
        good: list[PlannedStep] = []
        wrong: list[tuple[PlannedStep, str]] = []
        for step in [step for step in self.steps if step.phase == "restore" and step.effect is Effect.WRITE]:
            why = self._why_not(step, fault, proofs)
            if not why and sure(step):
                good.append(step)
            elif why or not good:
                wrong.append((step, why or "the step may be skipped or fail"))
            self._from_proven(step, fault, proofs)
        if good and self._where_lost(fault, good):
            self._compared(fault, good, proofs)
            return
        if good:
            wrong = [
                (
                    good[0],
                    f"the step restores on {', '.join(good[0].hosts)}, but the data is lost on {', '.join(fault.hosts)}",
                )
            ]
        step, why = next((pair for pair in wrong if source_of(pair[0])), wrong[0])
        raise self.fail(
            (*self._place(step), step.action),
            f"{step.action} does not restore the data that {fault.id} {fault.action} destroys: {why}",
            self._right(fault, proofs[0]),
            key=True,
        )

    def _where_lost(self, fault: PlannedStep, good: Sequence[PlannedStep]) -> bool:
        """Return True when ``fault`` destroys data on a set of hosts, and the restore steps ``good`` restore data on all of
        them.

        The hosts are not compared for a custom fault, for a restore by a custom command, and for a restore that runs on the
        controller. The result is then True.
        """
        lost, restored = (
            {host_place(host, self.inventory.hosts) for host in hosts}
            for hosts in (set(fault.hosts) - {CONTROLLER}, {host for step in good for host in step.hosts})
        )
        return (
            lost <= restored
            or is_free(fault)
            or any("restores" in step.params or find(step.action).PLACE is Place.CONTROLLER for step in good)
        )

    def _why_not(self, step: PlannedStep, fault: PlannedStep, proofs: Sequence[PlannedStep]) -> str:
        """Return the reason why ``step`` does not restore the data that ``fault`` destroys. The result is empty when it
        restores this data.
        """
        source, service = source_of(step), self._lost(fault, proofs)
        if source is None:
            return "the step does not declare `restores`"
        known = proofs if source.free else [proof for proof in proofs if step.action in restorers(proof, fault)]
        if not known:
            return (
                f"the step cannot restore from the backup that {' or '.join(sorted({proof.action for proof in proofs}))} "
                "verifies"
            )
        if not same_service(self.inventory, source.service, service):
            return f"the step restores {source.service!r}, but the lost data belongs to {service!r}"
        if not any(self._same_backup(source.origin, proof) for proof in known):
            return f"no step verifies the backup {source.origin}"
        return "" if source.free else self._narrower(step, fault)

    def _lost(self, fault: PlannedStep, proofs: Sequence[PlannedStep]) -> str:
        """Return the name of the service whose data ``fault`` destroys."""
        return str(fault.params.get("service") or verified_service(self.inventory, proofs[0]))

    def _narrower(self, step: PlannedStep, fault: PlannedStep) -> str:
        """Return the reason why ``step`` does not restore the same data that ``fault`` destroys. For example, it
        restores another table.

        The result is empty if the step restores the same data.
        """
        kinds = [find(planned.action).model_fields for planned in (step, fault)]
        fields = [{info.alias or name: info for name, info in kind.items()} for kind in kinds]
        for key in (fields[0].keys() & fields[1].keys() & step.params.keys()) - {"service", "from"}:
            given = str(step.params[key] or "")
            lost = str(fault.params.get(key, fields[1][key].get_default()) or "")
            same = {"prefix": lost.startswith(given), "table": _qualified(given) == _qualified(lost)}.get(key, given == lost)
            if not same:
                return f"the step has the {key} {given!r}, but {fault.id} destroys the {key} {lost!r}"
        return ""

    def _from_proven(self, step: PlannedStep, fault: PlannedStep, proofs: Sequence[PlannedStep]) -> None:
        """Check that every backup from which ``step`` restores the lost data is verified in this drill."""
        source = source_of(step)
        known = [proof for proof in self.steps if proof.phase == "backup" and proof.proves_backup and sure(proof)]
        if (
            source
            and same_service(self.inventory, source.service, self._lost(fault, proofs))
            and any(of_one_system(step, proof) for proof in proofs)
            and not any(self._same_backup(source.origin, proof) for proof in known)
        ):
            key = ("restores", "from") if source.free else ("from",)
            raise self.fail(
                (*self._place(step), step.action, *key),
                f"{step.action} restores {source.service!r} from a backup that no step of this drill verifies: "
                f"{source.origin}",
                self._right(fault, proofs[0]),
            )

    def _compared(self, fault: PlannedStep, good: Sequence[PlannedStep], proofs: Sequence[PlannedStep]) -> None:
        """Raise PlanError when nothing is certain to compare the data after a restore by custom steps.

        If only custom steps restore the data, a step of `verify` must be certain to compare the data, either with the backup or
        with content that was recorded before the fault. Otherwise nothing is required.
        """
        free = [step for step in good if (source := source_of(step)) and source.free]
        service = self._lost(fault, proofs)
        if len(free) < len(good) or any(
            compares_recorded(step, self._saved, partial(same_service, self.inventory, service))
            or (
                compares(self.inventory, step, service, fault)
                and any(self._same_backup(step.params.get("manifest"), proof) for proof in proofs)
            )
            for step in self._sure("verify")
        ):
            return
        named = [name for name in known_names() if name.startswith(f"{_family(proofs[0])}.") and find(name).COMPARES]
        comparison = next(iter(named), "content.matches")
        raise self.fail(
            (*self._place(free[0]), free[0].action, "restores"),
            f"{free[0].action} declares that it restores {service!r}, but no step of `verify` is certain to compare the "
            "restored content with the backup",
            f"add `{comparison}` for that service, with the `manifest` of this backup, without `when` and `allow_failure`",
            key=True,
        )

    def _right(self, fault: PlannedStep, proof: PlannedStep) -> str:
        """Return a hint that shows a correct restore step for ``fault``."""
        service, ends = self._lost(fault, [proof]), f'from: "{verified_origin(proof)}"}}`'
        ways = [f"a custom command with `restores: {{service: {service}, {ends}, and compare the content in `verify`"]
        for name in restorers(proof, fault)[:1]:
            given = {**fault.params, "service": service}
            needed = [key for key, info in find(name).model_fields.items() if info.is_required() and key in given]
            ways.insert(0, f"`{name}: {{{''.join(f'{key}: {given[key]}, ' for key in needed)}{ends}")
        return f"write {', or '.join(ways)}"

    def _same_backup(self, said: Any, proof: PlannedStep) -> bool:
        """Return True when another step uses the backup that the step ``proof`` reads. ``said``: value of the parameter of
        this other step that names its backup, such as `from`. The value may refer to the result of an earlier step. Then
        the backup is the same if the step ``proof`` refers to the result of this earlier step, too.
        """
        mine = verified_origin(proof)
        if said == mine:
            return True
        if named := _names(said) & self._saved.keys():
            return bool(named & _names(mine))
        made = [self._saved[name].params.get("to") for name in _names(mine) & self._saved.keys()]
        places = {_folder(self._known(value)) for value in (mine, *made)} - {""}
        return _folder(self._known(said)) in places

    @cached_property
    def _saved(self) -> dict[str, PlannedStep]:
        return {step.save: step for step in self.steps if step.save}

    def _known(self, value: Any) -> str:
        """Evaluate the text ``value`` with the names that are known before the run.

        The result is empty when the text depends on results of steps.
        """
        with contextlib.suppress(ValueError):
            return str(template.evaluate(value, {**self.static, "run": dict.fromkeys(RUN_NAMES, "run")}))
        return ""

    def _place(self, step: PlannedStep) -> FilePlace:
        return self.drill.phases[step.phase][int(step.id.rpartition(".")[2]) - 1].place


def _qualified(table: str) -> str:
    return table if "." in table else f"public.{table}"


def _folder(place: str) -> str:
    try:
        reference = Reference.parse(place)
    except ValueError:
        return ""
    return f"{reference.bucket}/{reference.key.removesuffix('/manifest.json')}"
