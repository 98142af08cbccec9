"""End of a run: waiting for services, giving locks back within a time limit, and the events about it."""

import pytest

from drillbook.engine import revert, unreachable
from drillbook.engine.teardown import Ending, release
from drillbook.sdk.host import Deadline
from tests.contents import content
from tests.engine.test_revert_cases import COMMANDS, Bench, Held
from tests.engine.test_teardown import Recorded


@pytest.fixture
def bench(tmp_path, monkeypatch, pretended):
    monkeypatch.setattr(revert, "PROOF_S", 0.2)
    monkeypatch.setattr(unreachable, "AGAIN_S", 0.05)
    bench = Bench(tmp_path)
    bench.small.hosts["controller"] = bench.small.hosts["a"]
    yield bench
    bench.journal.close()


class Giving(Held):
    """Hold that returns the given result."""

    lease_s = 20.0

    def __init__(self, logs=None, failed=None):
        super().__init__()
        self.logs, self.failed = logs or {}, failed or {}

    def end(self, *, keep=None, reach=None):
        self.asked.append(("end", keep, reach))
        return self.logs, self.failed


def ending(bench, calls, **parts):
    return Ending(bench.stage, Recorded(calls), bench.small.stop, **{"cleanup": None, **parts})


@pytest.mark.parametrize(
    ("before", "at_the_end", "stuck", "settled"),
    [
        (False, True, False, True),
        (True, True, False, True),
        (True, False, False, False),
        (False, False, False, False),
        (False, True, True, False),
    ],
)
def test_a_service_is_waited_for_when_an_undo_at_the_end_was_carried_out_and_nothing_is_left(
    bench, before, at_the_end, stuck, settled
):
    calls = []
    if before:
        bench.intent(1, COMMANDS)
        assert bench.put_back() == []
    if at_the_end:
        bench.intent(1, COMMANDS)
    if stuck:
        bench.world.stuck.add(("a", "1"))
    left = ending(bench, [], settle=lambda: calls.append("settle")).run()
    assert (calls, bool(left)) == (["settle"] if settled else [], stuck)
    assert ending(bench, []).run() == left, "without somebody who waits it is the same"


@pytest.mark.parametrize("hurry", [False, True])
@pytest.mark.parametrize("replay", [False, True])
def test_the_parts_come_in_their_order(bench, replay, hurry):
    calls = []
    bench.intent(1, COMMANDS)
    bench.world.hosts["a"].on(
        "mend", lambda call: (calls.append("undo"), bench.world.hosts["a"].files.pop("1", None), b"")[2]
    )
    if hurry:
        bench.small.stop.hurry.set()
    more = {"replay": lambda: calls.append("restore")} if replay else {}
    assert ending(bench, calls, cleanup=lambda: calls.append("cleanup"), **more).run() == []
    measured = [] if hurry else ["stop", "read back", "cleanup"]
    assert calls == [*(["undo", "restore"] if replay else []), *measured, *([] if replay else ["undo"]), "stop", "clean"]
    assert bench.journal.patient is True


def test_a_restore_that_breaks_keeps_nothing_from_being_put_back(bench):
    def breaks():
        raise ValueError("no backup")

    calls = []
    bench.intent(3, {"kind": "commands", "commands": [["mend", "3"]]})
    bench.world.announced.add(("a", "3"))
    (left,) = ending(bench, calls, replay=breaks).run()
    assert (left.step, left.host, left.why, left.by_hand) == (
        "restore",
        "controller",
        "ValueError: no backup",
        "invoke drill.recover",
    )
    assert "part `restore`" in left.what
    assert bench.told("undone") == [("undone", "inject.3", "a", "undone")]
    assert calls[-1] == "clean"


def test_a_restore_waits_for_hosts_that_are_away_while_there_is_patience(bench, monkeypatch):
    monkeypatch.setattr("drillbook.engine.teardown.REACH_S", 0.3)
    seen = []
    bench.world.hosts["b"].unreachable = True
    ending(bench, [], replay=lambda: seen.append([call.argv for call in bench.world.hosts["a"].calls])).run()
    assert seen == [[("true",)]], "it is begun all the same, and the host that answers was asked"


def test_the_patience_is_that_of_the_leases_and_some_more(bench):
    bench.stage.hold = Giving()
    assert 29 < ending(bench, []).reach.remaining() <= 30
    bench.stage.hold = None
    assert 9 < ending(bench, []).reach.remaining() <= 10


def test_scratch_is_removed_where_a_step_began_and_nowhere_else(bench):
    bench.journal.append(content("step.started", {}), step="restore.1", host="b")
    bench.journal.append(content("step.started", {}), step="restore.1")
    bench.journal.append(content("done", {"facts": {}}), step="inject.1", host="a")
    ending(bench, []).run()
    assert [(name, call.argv[0]) for name in "ab" for call in bench.world.hosts[name].calls] == [("b", "sh")]


def test_what_an_undo_still_has_to_mend_stays_armed_and_hosts_that_are_away_are_tried_again(bench):
    bench.world.stuck.add(("a", "1"))
    open_one = bench.intent(1, COMMANDS)
    closed = bench.intent(1, COMMANDS, "b")
    bench.stage.hold = Giving()
    end = ending(bench, [])
    (left,) = end.run()
    assert left.step == "inject.1"
    assert [one for one in bench.stage.hold.asked if one[0] == "end"] == [("end", [open_one], end.reach)]
    assert ("undone", closed, "b") in bench.stage.hold.asked


def test_the_log_of_a_lease_is_kept_as_evidence_and_what_stays_is_told(bench):
    bench.stage.hold = Giving({"a": b"reverted"}, {"b": "cannot connect"})
    reach = Deadline.after(9)
    (left,) = release(bench.stage, reach)
    assert bench.stage.hold.asked[0] == ("end", [], reach)
    assert (left.step, left.host, left.what, left.why) == ("hold", "b", "the run's lock or lease", "cannot connect")
    assert left.by_hand.startswith("the lock or lease expires by itself after 20 s")
    (log,) = [event for event in bench.small.events if event.kind == "lease.log"]
    assert (log.host, (bench.small.folder / log.data["file"]).read_bytes()) == ("a", b"reverted")
    assert bench.stage.hold.asked[1:] == []


def test_a_log_that_cannot_be_kept_is_told_and_nothing_else_is_lost(bench):
    (bench.small.folder / "evidence").write_text("no folder")
    bench.stage.hold = Giving({"a": b"reverted", "b": b"nothing"})
    assert release(bench.stage) == []
    logs = [event for event in bench.small.events if event.kind == "lease.log"]
    assert [event.host for event in logs] == ["a", "b"]
    assert all("error" in event.data for event in logs)


def test_without_a_hold_there_is_nothing_to_give_back(bench):
    bench.stage.hold = None
    assert release(bench.stage) == []
