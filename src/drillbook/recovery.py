"""Recovering from a run that died: put back what it left, from its journal alone, newest first; safe to run twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbook import template
from drillbook.host import Host
from drillbook.intents import intents
from drillbook.journal import FILE, History, Journal, Observer, read
from drillbook.plan import Plan, PlannedProbe, checked
from drillbook.probe import Canary, find_probe
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
    """Recovers one run."""

    folder: Path
    history: History
    open_host: Callable[[Plan, str], Host]
    observer: Observer

    def run(self, header: dict[str, Any]) -> list[Residue]:
        """Put everything back; returns what is still left. Raises JournalError while the run is alive."""
        first = self.history.events[0]
        plan = checked(first.data["plan"])
        redactor = Redactor(secret.reveal() for secret in plan.inventory.secrets())
        journal = Journal(self.folder, redactor, origin=time.monotonic(), after=self.history, observer=self.observer)
        hosts: dict[str, Host] = {}

        def host(name: str) -> Host:
            if name not in hosts:
                hosts[name] = self.open_host(plan, name)
            return hosts[name]

        run = {"id": first.data["run"], "started": first.at, "operator": first.data["operator"]}
        stage = Stage(plan, journal, host, self.folder, run, redactor.data, saved=saved_facts(plan, self.history.events))
        try:
            journal.append("recovery.started", header, sync=True)
            residue = self._put_back(stage)
            journal.append("recovery.finished", {"residue": [one.model_dump(mode="json") for one in residue]}, sync=True)
            return residue
        finally:
            for opened in hosts.values():
                opened.close()
            journal.close()

    def _put_back(self, stage: Stage) -> list[Residue]:
        found = intents(self.history.events, stage.plan.steps)
        if any(intent.undo.kind == "restore" and not intent.settled for intent in found):
            self._restore(stage)
        residue = put_back(stage, read(self.folder / FILE).events)
        for planned in self._canaries(stage.plan):
            probe = find_probe(planned.name).model_validate(template.evaluate(planned.params, stage.names()))
            residue += clean_canary(stage, planned.id, probe)
        touched = sorted({intent.host for intent in found})
        return residue + remove_scratch(stage, touched)

    def _canaries(self, plan: Plan) -> list[PlannedProbe]:
        """The canaries that had started to write."""
        started = {event.data["probe"] for event in self.history.events
                   if event.kind == "probe.started" and event.data["kind"] == Canary.KIND}
        return [planned for planned in plan.probes if planned.id in started]

    def _restore(self, stage: Stage) -> None:
        """Replay the drill's restore and verify phases, unless what they mend is whole already."""
        for phase in ("restore", "verify"):
            stage.journal.append("phase.started", {"phase": phase})
            done = all(carry_out(stage, group) for group in groups(stage.plan.phase(phase)))
            stage.journal.append("phase.ended", {"phase": phase, "status": "done" if done else "failed"}, sync=True)
            if not done:
                return
