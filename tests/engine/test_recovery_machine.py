"""Random drills, controllers that die after any event, and undos that fail for a while: recovery is complete and
idempotent. Hypothesis drives the real runner, journal and recovery over in-memory hosts: 300 examples, in CI 600,
after a change of packages that undo faults 1,200, and with `invoke test --all` 10,000. Each commit draws other
examples; DRILLBOOK_SEED selects those of another commit.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from drillbook.engine import revert
from drillbook.inventory import inventory
from drillbook.inventory.inventory import Inventory
from drillbook.journal import journal, lines
from drillbook.journal.intents import intents
from drillbook.journal.journal import History, read
from drillbook.journal.run_state import needs_recovery
from drillbook.plan.planned_step import PlannedStep
from drillbook.plan.planner import Plan
from tests import tiers
from tests.machine.world import HOSTS, LOST, Controller, Ran, World

EXAMPLES = int(
    os.environ.get("DRILLBOOK_EXAMPLES", "1200" if tiers.CI and tiers.killing() else "600" if tiers.CI else "300")
)
SEED = tiers.seed()
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
PARTS = 4
"""Number of tests among which the examples are divided, each with a separate seed, so that several cores can share them."""
NEVER = "it never happened"


@pytest.fixture
def remembering(monkeypatch, pretended):
    """Cache the parsed lines of journals, because ten thousand examples would mostly read the same lines again."""
    parse = journal._event
    parsed = lru_cache(1 << 15)(lambda number, line: parse(Path("its journal"), number, line))
    monkeypatch.setattr(journal, "_event", lambda path, number, line: parsed(number, line))
    monkeypatch.setattr(lines, "_event", lru_cache(1 << 15)(lines._event))


@pytest.fixture
def no_host_hangs(monkeypatch):
    """The order of undos is only guaranteed while no host hangs.

    A process that a busy machine stops for ten seconds looks like a hanging host.
    """
    monkeypatch.setattr(revert, "TURN_S", 600.0)


DRILLS = 100
"""Number of drills in each part.

A run takes longer than a recovery, so each drill is run once, and then dies at many moments.
"""
PLACES = st.tuples(st.sampled_from(HOSTS), st.sampled_from(["1", "2", "3", LOST, "door"]))


def step(phase: str, number: int, action: str, hosts=HOSTS, group=None, **params) -> PlannedStep:
    effect = {"prove": "read", "whole": "read", "break": "fault", "lose": "fault"}.get(action, "write")
    return PlannedStep(
        id=f"{phase}.{number}",
        phase=phase,
        group=group,
        action=f"pretend.{action}",
        name="",
        params=params,
        effect=effect,
        restore_only=action == "lose",
        proves_backup=action == "prove",
        hosts=hosts,
        save=None,
        when=None,
        expect=(),
        timeout_s=60,
        retries=0,
        every_s=None,
        allow_failure=None,
        line="drill.yml:1",
    )


def drawn(number: int):
    """Steps of the inject phase of drill ``number``, and the undos that fail during its run: drawn, and always the
    same for a seed. Each step has a kind, an undo, and hosts; it may fail, and it may run in parallel with the step
    before.
    """
    chance = random.Random(f"{SEED}/{number}")
    kinds = [
        {
            "action": action,
            "how": chance.choice(["commands", "action"]),
            "hosts": chance.choice([("a",), ("b",), HOSTS]),
            "trouble": chance.choice(["", "", "", "before", "after", *(["half"] if action == "lose" else [])]),
            "beside": chance.random() < 0.4,
        }
        for action in (chance.choice(["break", "lose", "change"]) for _ in range(1 + number % 4))
    ]
    stuck = chance.sample(
        [(host, name) for host in HOSTS for name in ("1", "2", "3", LOST, "door")], chance.choice([0, 0, 1, 2])
    )
    return kinds, set(stuck)


def injected(kinds) -> list[PlannedStep]:
    found: list[PlannedStep] = []
    for number, kind in enumerate(kinds, 1):
        lost = kind["action"] == "lose"
        group = found[-1].group if found and kind["beside"] else number
        params = {"thing": f"{LOST if lost else ''}{number}", "trouble": kind["trouble"]} | (
            {} if lost else {"how": kind["how"]}
        )
        found.append(step("inject", number, kind["action"], kind["hosts"], group, **params))
    return found


def planned(kinds, hosts: Inventory) -> Plan:
    origin = {"from": f"s3://backups/run#sha256={'0' * 64}"}
    steps = [
        step("backup", 1, "keep"),
        step("backup", 2, "prove", **origin),
        *injected(kinds),
        step("restore", 1, "restore", **origin),
        step("verify", 1, "whole"),
    ]
    return Plan(
        drill="sample",
        title="",
        description="",
        service="app",
        owner="",
        objectives={},
        environments=("lab",),
        inventory=hosts,
        probes=(),
        steps=tuple(steps),
    )


class Machine(RuleBasedStateMachine):
    """One drill that runs once, dies at a random moment, and is recovered repeatedly while undos fail and succeed again."""

    runs: ClassVar[dict[int, Ran]] = {}
    first: ClassVar[int]
    """Number of the first drill of this part."""
    inventory: ClassVar[Inventory]

    @initialize(number=st.integers(0, DRILLS - 1), moment=st.integers(0, 80))
    def a_run_that_died(self, number, moment):
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY, prefix="drillbook-machine-"))
        self.world = World()
        kinds, self.world.stuck = drawn(self.first + number)
        note(f"DRILLBOOK_SEED={SEED}: {kinds}, failing: {self.world.stuck}")
        self.controller = Controller(planned(kinds, self.inventory), self.world, self.folder)
        if number not in self.runs:
            self.runs[number] = self.controller.run()
        self.controller.died(moment, self.runs[number])

    @rule(place=PLACES)
    def an_undo_begins_to_fail(self, place):
        self.world.stuck.add(place)

    @precondition(lambda self: self.world.stuck)
    @rule()
    def every_undo_works_again(self):
        self.world.stuck.clear()

    @rule(bytes_=st.integers(1, 200))
    def the_last_line_is_torn(self, bytes_):
        """A power loss that keeps only the first line; without that line, nothing had been changed."""
        data = self.controller.journal.read_bytes()
        last = data.rstrip(b"\n").rfind(b"\n") + 1
        # Lines that were flushed before an act cannot be lost; an intent at the very end was not acted upon.
        if last and data.endswith(b"\n") and not self.settles(data[last:]):
            os.truncate(self.controller.journal, max(last, len(data) - bytes_))

    @staticmethod
    def settles(line: bytes) -> bool:
        return b'"kind":"undone"' in line or b'"kind":"run.finished"' in line or b'"kind":"recovery.finished"' in line

    @rule(moment=st.integers(0, 60))
    def a_recovery_that_dies(self, moment):
        self.controller.recover()
        self.controller.died(moment, self.controller.ran)

    @rule()
    def a_recovery(self):
        self.recovered()

    def recovered(self):
        before, was = self.history(), self.world.things()
        size = self.controller.journal.stat().st_size
        residue = self.controller.recover()
        after = self.history()
        if not needs_recovery(before):
            assert residue == []
            assert self.controller.journal.stat().st_size == size, "what needs no recovery is not touched"
            assert self.world.things() == set(), "and needs none"
            return
        self.check_residue(before, after, was, residue)
        self.check_order(after, len(before.events))
        assert needs_recovery(after) == bool(residue)

    def check_residue(self, before: History, after: History, was, residue):
        """Everything that could be undone is undone, and exactly the rest is reported as residue."""
        plan = self.controller.plan
        open_ = [
            intent
            for intent in intents(after.events, plan.steps)
            if intent.seq not in {event.data["intent"] for event in before.events if event.kind == "undone"}
        ]
        left = {(one.step, one.host) for one in residue}
        assert left <= {(intent.step.id, intent.host) for intent in open_}
        start, by_seq = len(before.events), {intent.seq: (intent.step.id, intent.host) for intent in open_}
        assert left == {by_seq[event.data["intent"]] for event in after.events[start:] if event.kind == "undo.failed"}
        restored = any(
            event.kind == "phase.ended" and (event.data["phase"], event.data["status"]) == ("restore", "done")
            for event in after.events
        )
        for intent in open_:
            if intent.undo.kind == "nothing":
                continue
            thing = intent.params.get("thing", "door")
            there = (intent.host, thing) in self.world.things()
            named_ = (intent.step.id, intent.host) in left
            where = f"{intent.step.id} {intent.step.action} {thing} on {intent.host}"
            assert named_ or not there, f"{where} is left and not told"
            if intent.undo.kind in ("commands", "action"):
                failing = (intent.host, thing) in self.world.stuck
                assert failing or not named_, f"{where} could be put back"
                if failing and ((intent.host, thing) in was or intent.step.effect == "fault"):
                    assert named_, f"the undo of {where} failed, which is not told"
            elif not any(place == LOST for _, place in self.world.stuck):
                assert not named_, f"{where} could be restored"
            elif not restored:
                never = (
                    any(
                        event.kind == "undone" and event.data == {"intent": intent.seq, "message": NEVER}
                        for event in after.events
                    )
                    and (intent.host, thing) not in was
                )
                assert named_ or never, f"nothing restored {where}, which is not told"
        if not residue:
            assert self.world.things() == set()

    def check_order(self, after: History, start: int):
        """Newest step first, each change once; before a restore, faults that may prevent it.

        The hosts of one step, or of a parallel group, are undone at the same time.
        """
        found = {intent.seq: intent for intent in intents(after.events, self.controller.plan.steps)}
        newest = {intent.step.group or intent.step.id: intent.seq for _, intent in sorted(found.items())}
        passes: list[list[int]] = [[]]
        for event in after.events[start:]:
            if event.kind in ("undone", "undo.failed") and event.data["message"] != NEVER:
                seq = event.data["intent"]
                step = newest[found[seq].step.group or found[seq].step.id]
                last = found[passes[-1][-1]].step if passes[-1] else None
                if last and (newest[last.group or last.id] < step or seq in passes[-1]):
                    passes.append([])
                passes[-1].append(seq)
        due = any(intent.undo.kind == "restore" for intent in found.values())
        assert len(passes) <= (2 if due else 1), passes
        for seq in passes[0] if len(passes) > 1 else ():
            assert found[seq].effect == "fault"
            assert found[seq].undo.kind in ("commands", "action")

    def history(self) -> History:
        return read(self.controller.journal)

    @invariant()
    def the_chain_is_whole_and_every_act_was_announced(self):
        events = self.history().events
        announced = {event.seq for event in events if event.kind == "intent"}
        for event in events:
            if event.kind in ("undo", "undone", "undo.failed"):
                assert event.data["intent"] in announced
        assert self.world.unannounced == []
        assert "somebody else's" in self.world.hosts["a"].files

    def teardown(self):
        try:
            if hasattr(self, "controller"):
                self.world.stuck.clear()
                self.recovered()
                assert self.world.things() == set()
                assert not needs_recovery(self.history())
                self.recovered()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


@pytest.mark.long(60)
@pytest.mark.parametrize("part", range(PARTS))
def test_recovery_is_complete_and_idempotent(remembering, no_host_hangs, tmp_path, part):
    path = tmp_path / "lab.yml"
    path.write_text(
        "environment: lab\nhosts: {a: {address: 127.0.0.1}, b: {address: 127.0.0.1}}\n"
        "services: {app: {kind: process, host: a}}\n"
    )
    Machine.inventory = inventory.load(path)
    Machine.runs.clear()
    Machine.first = part * DRILLS
    run_state_machine_as_test(
        seed(f"{SEED}/{part}")(Machine),
        settings=settings(
            max_examples=-(-EXAMPLES // PARTS),
            stateful_step_count=3,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
