"""Recovering from a run that died: put back what it left, from its journal alone, newest first; safe to run twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook import template
from drillbook.host import Host
from drillbook.hosting import Hosts
from drillbook.intents import intents
from drillbook.journal import FILE, History, Journal, Observer, read
from drillbook.plan import Plan, PlannedProbe, checked
from drillbook.probe import find_probe
from drillbook.redact import Redactor
from drillbook.result import Residue
from drillbook.revert import clean_canary, put_back, remove_scratch
from drillbook.steps import Stage, carry_out, groups, saved_facts


def needs_recovery(history: History) -> bool:
    """True for a run that ended without its last word, or said that something is left."""
    last = next((event for event in reversed(history.events) if event.kind in ("run.finished", "recovery.finished")), None)
    return last is None or bool(last.data["residue"])


@dataclass(frozen=True, slots=True)
class Recovery:
    """Recovers one run; ``redactor_for`` gives what hides the secrets of its plan."""

    folder: Path
    open_host: Callable[[Plan, str], Host]
    redactor_for: Callable[[Plan], Redactor]
    observer: Observer

    def run(self, header: dict[str, Any]) -> list[Residue]:
        """Put everything back; returns what is still left. Raises JournalError while the run is alive."""
        plan = checked(read(self.folder / FILE).events[0].data["plan"])
        journal = Journal.resume(self.folder, self.redactor_for(plan), origin=time.monotonic(), observer=self.observer)
        hosts = Hosts(lambda name: self.open_host(plan, name))
        try:
            history = read(journal.path)
            if not needs_recovery(history):
                return []
            first = history.events[0]
            run = {"id": first.data["run"], "started": first.at, "operator": first.data["operator"]}
            stage = Stage(plan, journal, hosts.get, self.folder, run, journal.redactor,
                          saved=saved_facts(plan, history.events))
            journal.append("recovery.started", header, sync=True)
            residue = self._put_back(stage, history)
            journal.append("recovery.finished", {"residue": [one.model_dump(mode="json") for one in residue]}, sync=True)
            return residue
        finally:
            hosts.close()
            journal.close()

    def _put_back(self, stage: Stage, history: History) -> list[Residue]:
        found = intents(history.events, stage.plan.steps)
        done = any(event.kind == "phase.ended" and event.data == {"phase": "restore", "status": "done"}
                   for event in history.events)
        if not done and any(intent.undo.kind == "restore" and not intent.settled for intent in found):
            self._restore(stage)
        residue = put_back(stage, read(self.folder / FILE).events)
        for planned in _canaries(stage.plan, history):
            probe = find_probe(planned.name).model_validate(template.evaluate(planned.params, stage.names()))
            residue += clean_canary(stage, planned.id, probe)
        touched = sorted({str(event.host) for event in history.events if event.kind == "step.started"})
        return residue + remove_scratch(stage, touched)

    def _restore(self, stage: Stage) -> None:
        """Replay the drill's restore and verify phases, unless what they mend is whole already."""
        for phase in ("restore", "verify"):
            stage.journal.append("phase.started", {"phase": phase})
            done = all(carry_out(stage, group) for group in groups(stage.plan.phase(phase)))
            stage.journal.append("phase.ended", {"phase": phase, "status": "done" if done else "failed"}, sync=True)
            if not done:
                return


def _canaries(plan: Plan, history: History) -> list[PlannedProbe]:
    """The canaries that may have made their table."""
    prepared = {event.data["probe"] for event in history.events if event.kind == "probe.prepared"}
    return [planned for planned in plan.probes if planned.id in prepared]
