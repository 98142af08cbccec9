"""Undo of single changes from a hand-written journal: checks, commands, events, and residue."""

import threading

import pytest

from drillbook.engine import revert, unreachable
from drillbook.engine.revert import needs_restore, put_back, remove_scratch
from drillbook.hosts.fake import Reply
from drillbook.sdk.host import Deadline
from tests.contents import content
from tests.engine.test_recovery_machine import planned
from tests.machine.small import Small
from tests.machine.world import HALF, LOST, STOPPED, World
from tests.waiting import nothing_happens_for

COMMANDS = {"kind": "commands", "commands": [["mend", "1"]]}
ACTION = {"kind": "action", "action": "pretend.mend", "params": {"thing": "1"}}
RESTORE = {"kind": "restore", "why": "only a restore brings it back"}
NOTHING = {"kind": "nothing", "why": "it is kept"}


class Bench:
    """Stage with two in-memory hosts, and intents that a test writes: steps that break, lose and change a thing."""

    def __init__(self, folder):
        self.world = World()
        self.small = Small(folder, self.world.hosts)
        kinds = [
            {"action": action, "how": "commands", "hosts": ("a", "b"), "trouble": "", "beside": False}
            for action in ("break", "lose", "change")
        ]
        self.plan = planned(kinds, self.small.plan("restore:\n").inventory)
        self.stage = self.small.stage(self.plan, self.world.saw)
        self.journal = self.stage.journal

    def intent(self, number, undo, host="a", effect=None, there=True, phase="inject"):
        """Step 1 breaks, 2 loses and 3 changes the thing of its number."""
        step = next(one for one in self.plan.steps if one.id == f"{phase}.{number}")
        event = self.journal.append(
            content(
                "intent",
                {
                    "action": step.action,
                    "params": dict(step.params),
                    "undo": undo,
                    "effect": effect or str(step.effect.value),
                },
            ),
            step=step.id,
            host=host,
        )
        if there:
            self.world.hosts[host].files[step.params.get("thing", "door")] = b""
        self.world.announced.add((host, "1"))
        return event.seq

    def restored(self, status="done"):
        self.journal.append(content("phase.ended", {"phase": "restore", "status": status}))

    def failed(self, step, message="it broke"):
        self.journal.append(content("failed", {"message": message}), step=step, host="a")

    def put_back(self, **how):
        return put_back(self.stage, self.journal.decisive(), **how)

    def told(self, *kinds):
        return [
            (event.kind, event.step, event.host, event.data.get("message", ""))
            for event in self.small.events
            if event.kind in kinds
        ]

    def acts(self, host="a"):
        return [call.argv for call in self.world.hosts[host].calls]


@pytest.fixture
def bench(tmp_path, monkeypatch, pretended):
    monkeypatch.setattr(revert, "PROOF_S", 0.2)
    monkeypatch.setattr(unreachable, "AGAIN_S", 0.05)
    bench = Bench(tmp_path)
    yield bench
    bench.journal.close()


@pytest.mark.parametrize(
    ("number", "undo", "there", "how", "mended"),
    [
        (1, COMMANDS, True, "undone", True),
        (1, ACTION, True, "undone", True),
        (1, COMMANDS, False, "undone", True),
        (3, COMMANDS, True, "undone", True),
        (3, ACTION, True, "undone", True),
        (3, COMMANDS, False, "gone already", False),
        (3, ACTION, False, "gone already", False),
        (3, NOTHING, True, "it is kept", False),
    ],
)
def test_what_can_be_put_back_is(bench, number, undo, there, how, mended):
    stays = undo is NOTHING
    undo = {
        **undo,
        **({"commands": [["mend", str(number)]]} if undo is COMMANDS else {}),
        **({"params": {"thing": str(number)}} if undo is ACTION else {}),
    }
    bench.world.announced.add(("a", str(number)))
    intent = bench.intent(number, undo, there=there)
    assert bench.put_back() == []
    assert bench.told("undone", "undo.failed") == [("undone", f"inject.{number}", "a", how)]
    assert ("mend" in {argv[0] for argv in bench.acts()}) is mended
    assert (str(number) in bench.world.hosts["a"].files) is stays
    begun = [event for event in bench.small.events if event.kind == "undo"]
    assert [(event.data["intent"], event.data["kind"], event.step, event.host) for event in begun] == (
        [(intent, undo["kind"], f"inject.{number}", "a")] if mended else []
    )
    assert bench.put_back() == [], "it is settled"
    assert len(bench.told("undone")) == 1


def test_a_fault_that_nothing_puts_back_is_left_and_told(bench):
    intent = bench.intent(1, NOTHING)
    (left,) = bench.put_back()
    assert (left.step, left.host, left.what, left.why) == ("inject.1", "a", "pretend.break (inject)", "it is kept")
    (failed,) = [event for event in bench.small.events if event.kind == "undo.failed"]
    assert (failed.data["intent"], failed.data["message"], failed.step, failed.host) == (
        intent,
        "it is kept",
        "inject.1",
        "a",
    )
    assert bench.told("undo", "undone") == []


def test_a_fault_without_an_undo_that_is_gone_by_itself_is_put_back(bench):
    bench.intent(1, NOTHING, there=False)
    assert bench.put_back() == []
    assert bench.told("undone") == [("undone", "inject.1", "a", "gone already")]


@pytest.mark.parametrize(
    ("tell", "there", "why"),
    [
        (lambda bench: bench.restored(), False, None),
        (lambda bench: bench.restored(), True, "it is not proven that the fault is gone"),
        (lambda bench: None, False, "no restore was run"),
        (lambda bench: None, True, "no restore was run"),
        (
            lambda bench: (bench.failed("restore.1", "no room"), bench.restored("failed")),
            False,
            "the restore failed: no room",
        ),
        (lambda bench: (bench.restored(), bench.restored("failed")), False, "no restore was run"),
        (lambda bench: (bench.restored("failed"), bench.restored()), False, None),
        (
            lambda bench: (bench.failed("restore.1"), bench.failed("verify.1", "rows are missing")),
            False,
            "the verification after the restore failed: rows are missing",
        ),
        (
            lambda bench: (
                bench.failed("verify.1"),
                bench.failed("restore.1", "no room"),
                bench.failed("inject.2", "other"),
            ),
            False,
            "the restore failed: no room",
        ),
        (lambda bench: bench.failed("backup.1"), False, "no restore was run"),
    ],
)
def test_what_only_a_restore_mends_is_back_when_it_is_gone_and_the_last_restore_ended_well(bench, tell, there, why):
    bench.intent(2, RESTORE, there=there)
    tell(bench)
    left = bench.put_back()
    assert [one.why for one in left] == ([f"only a restore brings it back; {why}"] if why else [])
    assert bench.told("undone") == ([] if why else [("undone", "inject.2", "a", "gone already")])
    assert "mend" not in {argv[0] for argv in bench.acts()}


def test_a_step_that_a_recovery_added_is_a_restore_too(bench):
    bench.intent(2, RESTORE)
    step = next(one for one in bench.plan.steps if one.id == "restore.1")
    added = {**step.model_dump(mode="json"), "id": "restore.9"}
    bench.journal.append(content("step.added", {"step": added}))
    bench.failed("restore.9", "no room")
    (left,) = bench.put_back()
    assert left.why.endswith("the restore failed: no room")
    bench.journal.append(content("step.started", {}), step="restore.9", host="a")
    assert needs_restore(bench.stage, bench.journal.decisive())


def test_only_after_a_restore_is_waited_for_what_it_brings_back(bench, monkeypatch):
    """A service that has just been restored may need a moment until its check succeeds; no other check is repeated."""
    monkeypatch.setattr(revert, "PROOF_S", 30.0)
    answers = iter([0, 0, 1])
    bench.world.hosts["a"].on("is", lambda call: Reply(next(answers, 1)))
    bench.intent(2, RESTORE)
    bench.restored()
    assert bench.put_back() == []
    assert [argv[0] for argv in bench.acts()] == ["is"] * 3


def test_what_was_not_restored_is_not_waited_for(bench, monkeypatch):
    monkeypatch.setattr(revert, "PROOF_S", 30.0)
    bench.intent(2, RESTORE)
    assert len(bench.put_back()) == 1
    assert [argv[0] for argv in bench.acts()] == ["is"]


def done(bench, step, host):
    bench.journal.append(content("done", {"facts": {}}), step=step, host=host)


def begin(bench, phase):
    bench.journal.append(content("phase.started", {"phase": phase}))


@pytest.mark.parametrize("compares", ["app", "other", ""])
@pytest.mark.parametrize(
    ("told", "counts"),
    [
        # R and V: restore and verify begin; r, a and b: completed steps; f: the comparison failed.
        ("R r", False),
        ("R r V a", False),
        ("R r V a b", True),
        ("R r a b", True),
        ("R r f", False),
        # Only comparisons after the beginning of the last restore count, and this restore itself.
        ("R a b R r", False),
        ("R r R", None),
        ("R", None),
        ("", None),
    ],
)
def test_what_a_free_step_restored_counts_when_a_comparison_has_confirmed_it_since(bench, compares, told, counts):
    free = {
        "action": "command.run",
        "hosts": ("a",),
        "params": {"argv": ["look"], "effect": "write", "restores": {"service": "app", "from": "s3://backups/run"}},
    }
    verify = {"action": "redis.matches", "params": {"service": compares}} if compares else {}
    changed = {"restore.1": free, "verify.1": verify}
    looks = bench.plan.steps[-1].model_copy(update={"id": "verify.2"})
    bench.stage.plan = bench.plan.model_copy(
        update={"steps": (*(one.model_copy(update=changed.get(one.id, {})) for one in bench.plan.steps), looks)}
    )
    bench.intent(2, RESTORE, there=False)
    for word in told.split():
        if word in "RV":
            bench.journal.append(content("phase.started", {"phase": "restore" if word == "R" else "verify"}))
        elif word == "f":
            for host in ("a", "b"):
                bench.journal.append(content("failed", {"message": "it differs"}), step="verify.1", host=host)
        else:
            bench.journal.append(
                content("done", {"facts": {}}),
                step="restore.1" if word == "r" else "verify.1",
                host="b" if word == "b" else "a",
            )
    bench.restored()
    left = bench.put_back()
    assert (left == []) is (counts is None or (counts and compares == "app")), "a step that was left out restored nothing"
    assert all(
        one.why.endswith("no comparison has proven that restore.1 command.run restored the content of app") for one in left
    )


@pytest.mark.parametrize("restored", [True, False])
def test_what_can_be_undone_is_looked_at_once(bench, monkeypatch, restored):
    monkeypatch.setattr(revert, "PROOF_S", 5.0)
    bench.intent(3, {"kind": "commands", "commands": [["mend", "3"]]})
    bench.world.announced.add(("a", "3"))
    if restored:
        bench.restored()
    assert bench.put_back() == []
    assert [argv[0] for argv in bench.acts()] == ["is", "mend"]


def test_before_a_restore_only_faults_with_an_undo_are_put_back(bench):
    for number, undo in ((1, COMMANDS), (2, RESTORE), (3, COMMANDS)):
        bench.intent(number, undo)
    assert bench.put_back(restores=False) == []
    assert bench.told("undone", "undo.failed") == [("undone", "inject.1", "a", "undone")]


def test_an_older_change_waits_for_a_newer_one_on_another_host(bench):
    order = []

    def slowly(call):
        nothing_happens_for(0.4, lambda: "a" in order)
        order.append("b")
        bench.world.hosts["b"].files.clear()
        return Reply(0)

    bench.world.hosts["a"].on("mend", lambda call: (order.append("a"), bench.world.hosts["a"].files.clear(), Reply(0))[2])
    bench.world.hosts["b"].on("mend", slowly)
    bench.intent(1, COMMANDS, "a")
    bench.world.announced.add(("b", "3"))
    bench.intent(3, {"kind": "commands", "commands": [["mend", "3"]]}, "b")
    assert bench.put_back() == []
    assert order == ["b", "a"]


def test_a_host_that_hangs_keeps_the_others_waiting_for_a_while_only(bench, monkeypatch):
    monkeypatch.setattr(revert, "TURN_S", 0.2)
    go_on, done = threading.Event(), []
    bench.world.hosts["b"].on(
        "mend", lambda call: (done.append(("b", go_on.wait(300))), bench.world.hosts["b"].files.clear(), Reply(0))[2]
    )
    bench.world.hosts["a"].on(
        "mend", lambda call: (done.append("a"), bench.world.hosts["a"].files.clear(), go_on.set(), Reply(0))[3]
    )
    bench.intent(1, COMMANDS, "a")
    bench.world.announced.add(("b", "3"))
    bench.intent(3, {"kind": "commands", "commands": [["mend", "3"]]}, "b")
    assert bench.put_back() == []
    assert done == ["a", ("b", True)], "a had its turn while b was hanging"


def test_the_hosts_of_one_step_are_undone_at_the_same_time(bench):
    """Each undo ends only after the other one has begun."""
    both = threading.Barrier(2)

    def mend(host):
        def work(call):
            both.wait(60)
            bench.world.hosts[host].files.clear()
            return Reply(0)

        return work

    for host in ("a", "b"):
        bench.world.hosts[host].on("mend", mend(host))
        bench.intent(1, COMMANDS, host)
    assert bench.put_back() == []


def away_for(bench, host, seconds):
    bench.world.hosts[host].unreachable = True
    back = threading.Timer(seconds, lambda: setattr(bench.world.hosts[host], "unreachable", False))
    back.start()
    return back


@pytest.mark.parametrize(("number", "undo", "there"), [(1, COMMANDS, True), (2, RESTORE, False), (3, COMMANDS, True)])
def test_a_host_that_is_away_for_a_while_is_tried_again(bench, number, undo, there):
    undo = {"kind": "commands", "commands": [["mend", "3"]]} if number == 3 else undo
    bench.world.announced.add(("a", "3"))
    bench.intent(number, undo, there=there)
    bench.restored()
    back = away_for(bench, "a", 0.3)
    assert bench.put_back(reach=Deadline.after(30)) == []
    back.join()
    assert [kind for kind, *_ in bench.told("undone", "undo.failed")] == ["undone"]


@pytest.mark.parametrize(("number", "undo"), [(1, COMMANDS), (2, RESTORE), (3, COMMANDS)])
def test_a_host_that_stays_away_is_told_once_the_patience_is_over(bench, number, undo):
    bench.intent(number, undo)
    bench.world.hosts["a"].unreachable = True
    (left,) = bench.put_back(reach=Deadline.after(0.2))
    assert "set to unreachable" in left.why
    (left,) = bench.put_back()
    assert "set to unreachable" in left.why
    assert [kind for kind, *_ in bench.told("undone", "undo.failed")] == ["undo.failed"] * 2


def test_what_breaks_an_undo_is_told_by_its_kind(bench):
    bench.world.hosts["a"].on("mend", lambda call: 1 // 0)
    bench.intent(1, COMMANDS)
    (left,) = bench.put_back()
    assert left.why.startswith("ZeroDivisionError: ")


@pytest.mark.parametrize(
    ("state", "done", "started", "needed", "how"),
    [
        (None, False, False, False, ["it never happened"]),
        (b"", False, False, True, []),
        (HALF, False, False, True, []),
        (None, True, False, True, []),
        (None, False, True, True, []),
        ("away", False, False, True, []),
        ("broken", False, False, True, []),
    ],
)
def test_a_fault_that_is_proven_to_have_changed_nothing_needs_no_restore(bench, state, done, started, needed, how):
    bench.intent(2, RESTORE, there=False)
    host = bench.world.hosts["a"]
    if state in (b"", HALF):
        host.files[f"{LOST}2"] = state
    host.unreachable = state == "away"
    if state == "broken":
        host.on("is", lambda call: 1 // 0)
    if done:
        bench.journal.append(content("done", {"facts": {}}), step="inject.2", host="a")
    if started == "left out":
        bench.journal.append(content("skipped", {"why": "when: false"}), step="restore.1")
    elif started:
        bench.journal.append(content("step.started", {}), step="verify.1" if started == "other" else "restore.1", host="b")
    assert needs_restore(bench.stage, bench.small.events) is needed
    assert [message for *_, message in bench.told("undone")] == how


@pytest.mark.parametrize("stuck", [False, True])
def test_a_fault_that_only_stopped_something_is_started_again_or_needs_a_restore(bench, stuck):
    bench.intent(2, RESTORE, there=False)
    bench.world.hosts["a"].files[f"{LOST}2"] = STOPPED
    bench.world.stuck |= {("a", f"{LOST}2")} if stuck else set()
    assert needs_restore(bench.stage, bench.journal.decisive()) is stuck
    assert [message for *_, message in bench.told("undone")] == ([] if stuck else ["it never happened"])
    assert (f"{LOST}2" in bench.world.hosts["a"].files) is stuck


@pytest.mark.parametrize(("done", "begun"), [(True, False), (False, True)])
def test_nothing_is_started_again_once_a_fault_ended_or_a_restore_began(bench, done, begun):
    bench.intent(2, RESTORE, there=False)
    if done:
        bench.journal.append(content("done", {"facts": {}}), step="inject.2", host="a")
    if begun:
        bench.journal.append(content("step.started", {}), step="restore.1", host="b")
    assert needs_restore(bench.stage, bench.journal.decisive())
    assert "start" not in {argv[0] for argv in bench.acts()}


def test_of_several_faults_only_those_that_happened_need_a_restore(bench):
    bench.intent(1, COMMANDS)
    assert not needs_restore(bench.stage, bench.journal.decisive()), "an undo mends it"
    bench.intent(2, RESTORE, "a", there=False)
    lost = bench.intent(2, RESTORE, "b")
    assert needs_restore(bench.stage, bench.journal.decisive())
    assert bench.told("undone") == [("undone", "inject.2", "a", "it never happened")]
    bench.journal.append(content("undone", {"intent": lost, "message": "gone already"}), step="inject.2", host="b")
    assert not needs_restore(bench.stage, bench.journal.decisive()), "both are settled"


class Held:
    """Hold that counts its calls."""

    def __init__(self):
        self.asked = []

    def check(self, host=""):
        self.asked.append(("check", host))

    def undone(self, intent, host):
        self.asked.append(("undone", intent, host))

    def disarm(self, reach=None):
        self.asked.append(("disarm",))

    def promise(self, intent, host):
        return f"{host} puts {intent} back by itself"

    def fence(self, host, *, fault=False):
        return None


def test_an_undo_begins_only_while_the_hold_lasts_and_takes_the_change_off_the_lease(bench):
    held = bench.stage.hold = Held()
    intent = bench.intent(1, COMMANDS)
    assert bench.put_back() == []
    assert held.asked == [("check", "a"), ("undone", intent, "a"), ("disarm",)]
    bench.world.stuck.add(("a", "1"))
    intent = bench.intent(1, COMMANDS)
    (left,) = bench.put_back()
    assert left.why.endswith(f"; a puts {intent} back by itself")
    assert "stuck" in left.why


def test_scratch_is_looked_for_nowhere_where_no_step_began(bench):
    assert remove_scratch(bench.stage, []) == []
    bench.world.hosts["a"].on("sh", Reply(1, stderr=b"read-only"))
    (left,) = remove_scratch(bench.stage, ["a", "b"])
    assert (left.step, left.host, left.what, left.by_hand) == (
        "cleanup",
        "a",
        "temporary files in /var/tmp/drillbook/runs/run",
        "on a: rm -rf /var/tmp/drillbook/runs/run",
    )


def test_scratch_of_a_host_that_is_away_for_a_while_is_removed_when_it_is_back(bench):
    away_for(bench, "b", 0.3).join(0)
    assert remove_scratch(bench.stage, ["a", "b"], Deadline.after(30)) == []
    bench.world.hosts["b"].unreachable = True
    (left,) = remove_scratch(bench.stage, ["a", "b"])
    assert (left.host, "set to unreachable" in left.why) == ("b", True)
