"""Undo on in-memory hosts: order, continuing after failures, and the reported residue."""

import psycopg
import pytest

from drillbook.engine import revert
from drillbook.engine.revert import clean_canary, put_back, remove_scratch
from drillbook.engine.runner import Runner
from drillbook.errors import CouldNotVerify
from drillbook.hosts.fake import Reply
from drillbook.sdk import target_folders
from tests.contents import content
from tests.engine.test_recovery_machine import planned
from tests.machine.small import Small
from tests.machine.world import LOST, World


def fault(thing, *, undo="[mend, {}]", proof="[is, {}]", hosts="a", effect="fault"):
    ending = f", undo: {undo.format(thing)}" if undo else ""
    ending += f", proof: {proof.format(thing)}" if proof else ""
    return f"  - command.run: {{argv: [make, {thing}], effect: {effect}{ending}}}\n    hosts: {hosts}\n"


class Things(Small):
    """Hosts with things that steps create and undos remove; the undo of a stuck thing fails."""

    def __init__(self, folder):
        super().__init__(folder)
        self.there, self.stuck = set(), set()
        for name, host in self.hosts.items():
            host.on("make", lambda call, name=name: self._make(name, call))
            host.on("mend", lambda call, name=name: self._mend(name, call))
            host.on("is", lambda call, name=name: Reply(0 if (name, call.argv[1]) in self.there else 1))

    def _make(self, name, call):
        self.there.add((name, call.argv[1]))
        return Reply(0)

    def _mend(self, name, call):
        if call.argv[1] in self.stuck:
            return Reply(1, stderr=b"stuck")
        self.there.discard((name, call.argv[1]))
        return Reply(0)

    def told(self, kind):
        return [(event.step, event.host, event.data["message"]) for event in self.events if event.kind == kind]


@pytest.fixture
def things(tmp_path):
    return Things(tmp_path)


def test_everything_is_put_back_newest_first(things):
    assert things.run("inject:\n" + fault("one") + fault("two", hosts="b") + fault("three", hosts="[a, b]")) == []
    assert things.there == set()
    order = [step for step, _, _ in things.told("undone")]
    assert order == ["inject.3", "inject.3", "inject.2", "inject.1"]
    assert {message for _, _, message in things.told("undone")} == {"undone"}


def test_an_undo_that_fails_keeps_no_other_from_being_done_and_is_told(things):
    things.stuck.add("two")
    (left,) = things.run("inject:\n" + fault("one") + fault("two", hosts="b") + fault("three"))
    assert things.there == {("b", "two")}
    assert (left.step, left.host) == ("inject.2", "b")
    assert "stuck" in left.why
    assert "mend two" in left.by_hand
    assert [(step, host) for step, host, _ in things.told("undo.failed")] == [("inject.2", "b")]
    assert [step for step, _, _ in things.told("undone")] == ["inject.3", "inject.1"]
    assert things.result.exit == 5


def test_what_is_changed_on_purpose_and_gone_already_is_not_undone_again(things):
    text = (
        "restore:\n" + fault("one", effect="write") + "  - command.run: {argv: [mend, one], effect: write}\n    hosts: a\n"
    )
    assert things.run(text) == []
    assert things.told("undone")[-1] == ("restore.1", "a", "gone already")
    assert things.acts().count("mend") == 1


def test_a_write_that_is_still_there_is_undone(things):
    assert things.run("restore:\n" + fault("one", effect="write")) == []
    assert things.there == set()
    assert things.told("undone") == [("restore.1", "a", "undone")]


def test_a_write_without_undo_is_left_as_it_is(things):
    assert things.run("restore:\n" + fault("one", effect="write", undo="", proof="")) == []
    ((step, host, message),) = things.told("undone")
    assert (step, host) == ("restore.1", "a")
    assert "no undo" in message
    assert things.there == {("a", "one")}


def test_a_fault_is_undone_although_it_does_not_show(things):
    """A fault that is not active may become active later."""
    things.hosts["a"].on("is", Reply(1))
    things.run("inject:\n" + fault("one"))
    assert "mend" in things.acts()
    assert things.there == set()


def test_a_host_that_does_not_answer_is_told_and_the_others_are_put_back(things):
    def observe(event):
        if event.kind == "phase.ended" and event.data["phase"] == "verify":
            things.hosts["b"].unreachable = True
            things.stop.hurry.set()

    left = things.run("inject:\n" + fault("one", hosts="[a, b]"), observe)
    assert things.there == {("b", "one")}
    assert {(one.step, one.host) for one in left} == {("inject.1", "b"), ("cleanup", "b")}
    assert "unreachable" in left[0].why


def test_scratch_that_cannot_be_removed_is_told_by_its_host(things):
    stage = things.stage(things.plan("restore:\n"))
    try:
        assert remove_scratch(stage, ["a", "b"]) == []
        things.hosts["b"].on("sh", Reply(1, stderr=b"read-only"))
        (left,) = remove_scratch(stage, ["a", "b"])
        assert (left.host, left.step) == ("b", "cleanup")
        assert "read-only" in left.why
        assert left.by_hand.startswith("on b: rm -rf ")
        things.hosts["b"].unreachable = True
        (left,) = remove_scratch(stage, ["a", "b"])
        assert left.host == "b"
        assert [call.argv[:3] for call in things.hosts["a"].calls] == [("sh", "-c", target_folders.REMOVE)] * 3
    finally:
        stage.journal.close()


def test_before_a_restore_only_faults_that_commands_undo_are_put_back(things):
    made = things.plan("inject:\n" + fault("one") + "restore:\n" + fault("two", effect="write"))
    seen = []

    def observe(event):
        if event.kind == "phase.ended" and event.data["phase"] == "verify":
            seen.append(put_back(stage, things.events, restores=False))
            seen.append(set(things.there))

    stage = things.stage(made, observe)
    try:
        Runner(
            stage, lambda names: {}, things.stop, header={"tool": "test", "operator": "nobody", "controller": "here"}
        ).run()
    finally:
        stage.journal.close()
    assert seen == [[], {("a", "two")}]
    assert things.there == set()


def test_a_restore_that_failed_or_did_not_take_place_is_told_with_its_reason(tmp_path, monkeypatch, pretended):
    world = World()
    for host in world.hosts.values():
        host.on("look", Reply(0))
    small = Small(tmp_path, world.hosts)
    kinds = [{"action": "lose", "how": "commands", "hosts": ("a",), "trouble": "", "beside": False}]
    world.stuck.add(("a", LOST))
    (left,) = small.run(planned(kinds, small.plan("restore:\n").inventory), world.saw)
    assert (left.step, left.host) == ("inject.1", "a")
    assert "the restore failed: " in left.why
    assert "stuck" in left.why


def test_a_canary_whose_rows_cannot_be_removed_is_told(things):
    class Broken:
        def clean(self, context):
            raise ValueError("no server")

        def name(self):
            return "some.canary"

    class Whole(Broken):
        def clean(self, context):
            assert context.host.name == "controller"

    stage = things.stage(things.plan("restore:\n"))
    things.hosts["controller"] = things.hosts["a"]
    try:
        (left,) = clean_canary(stage, "probe.1", Broken())
        assert (left.step, left.host, left.why) == ("probe.1", "controller", "no server")
        assert "some.canary" in left.by_hand
    finally:
        stage.journal.close()


def test_the_rows_of_a_canary_are_removed_from_a_server_that_was_too_busy_to_answer_at_once(things):
    class Busy:
        asked = 0

        def clean(self, context):
            self.asked += 1
            if self.asked == 1:
                try:
                    raise psycopg.errors.ConnectionTimeout("connection timeout expired")
                except psycopg.Error as error:
                    raise CouldNotVerify("the canary's rows cannot be removed") from error

        def name(self):
            return "some.canary"

    stage, busy = things.stage(things.plan("restore:\n")), Busy()
    things.hosts["controller"] = things.hosts["a"]
    try:
        assert clean_canary(stage, "probe.1", busy) == []
    finally:
        stage.journal.close()
    assert busy.asked == 2


def test_an_undo_of_several_commands_ends_with_the_first_that_fails(things):
    made = things.plan("inject:\n" + fault("one"))
    first = {"kind": "commands", "commands": [["mend", "zero"], ["fail"], ["mend", "one"]]}
    things.hosts["a"].on("fail", Reply(1, stderr=b"it fails"))
    things.there.add(("a", "one"))
    stage = things.stage(made)
    try:
        stage.journal.append(
            content(
                "intent",
                {"action": "command.run", "params": dict(made.phase("inject")[0].params), "effect": "fault", "undo": first},
            ),
            step="inject.1",
            host="a",
        )
        (left,) = put_back(stage, stage.journal.decisive())
    finally:
        stage.journal.close()
    assert "it fails" in left.why
    assert things.acts() == ["mend", "fail"]
    assert things.there == {("a", "one")}


def test_an_undo_that_changes_nothing_is_told_as_not_proven(things, monkeypatch):
    monkeypatch.setattr(revert, "PROOF_S", 0.3)
    things.hosts["a"].on("mend", Reply(0))
    (left,) = things.run("inject:\n" + fault("one"))
    assert left.why == "the undo succeeded, but it is not proven that the fault is gone"
    assert things.told("undone") == []


def test_what_was_changed_on_purpose_needs_no_proof_that_it_is_gone(things):
    assert things.run("restore:\n" + fault("one", effect="write", proof="")) == []
    assert things.there == set()
    assert things.told("undone") == [("restore.1", "a", "undone")]
