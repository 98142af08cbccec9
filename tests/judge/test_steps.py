"""Phases and steps of a run: outcome, hosts, undo."""

import pytest

from tests.judge.story import COMMANDS, DRILL, started, view

EVERYWHERE = DRILL.replace(
    "restore:\n", "restore:\n  - command.run: {argv: [look], effect: read}\n    hosts: [app-1, db-1]\n    name: Look\n"
)


def test_a_step_is_shown_on_the_hosts_on_which_it_began_and_on_all_where_it_did_not(tmp_path):
    story = started(tmp_path, EVERYWHERE).step(11.0, 11.5, "restore.1", "db-1", stdout="there")
    assert [(one.result.id, one.result.host, one.result.status) for one in story.judge().steps] == [
        ("inject.1", "app-1", "done"),
        ("restore.1", "db-1", "done"),
        ("restore.2", "app-1", "skipped"),
        ("verify.1", "controller", "skipped"),
    ]
    story.events = story.events[:-2]
    assert [one.result.host for one in story.judge().steps if one.result.id == "restore.1"] == ["app-1", "db-1"]


def test_what_a_step_did_on_one_host_is_not_told_of_another(tmp_path):
    story = started(tmp_path, EVERYWHERE).step(11.0, 11.5, "restore.1", "db-1", stdout="there")
    story.add(
        11.2, "step.started", "restore.1", "app-1", action="command.run", phase="restore", name="", effect="read", params={}
    )
    ran = {"exit": 0, "signal": None, "seconds": 0.1, "stdout": "", "stderr": "", "stdout_bytes": 0, "stderr_bytes": 0}
    for host, word in (("db-1", "one"), ("app-1", "two"), ("db-1", "three")):
        story.add(11.3, "command", "restore.1", host, argv=[word], **ran)
    one, other = view(story, "restore.1", "db-1"), view(story, "restore.1", "app-1")
    assert (one.result.status, one.result.seconds, one.result.facts, one.start) == ("done", 0.5, {"stdout": "there"}, 11.0)
    assert [command.argv for command in one.commands] == [("one",), ("three",)]
    assert (other.result.status, other.result.seconds, other.result.facts, other.start) == ("unknown", None, {}, 11.2)
    assert [command.argv for command in other.commands] == [("two",)]
    assert (one.name, one.phase, str(one.effect), one.params) == (
        "Look",
        "restore",
        "read",
        {"argv": ["look"], "effect": "read"},
    )


@pytest.mark.parametrize(
    ("outcome", "allowed", "status"),
    [
        ("done", None, "done"),
        ("failed", None, "failed"),
        ("unverified", None, "unverified"),
        ("cancelled", None, "cancelled"),
        ("failed", "never mind", "allowed"),
        ("error", "never mind", "allowed"),
    ],
)
def test_how_a_step_ended(tmp_path, outcome, allowed, status):
    story = started(tmp_path).step(11.0, 12.0, "restore.1", "app-1", outcome, **({"allowed": allowed} if allowed else {}))
    assert (one := view(story, "restore.1", "app-1")).result.status == status
    assert one.message == ("" if outcome == "done" else "it broke")


def test_a_step_that_was_left_out_says_why_and_one_that_failed_what_broke(tmp_path):
    story = started(tmp_path).add(11.0, "skipped", "restore.1", why="when: false")
    assert (view(story, "restore.1", "app-1").message, view(story, "verify.1", "controller").message) == ("when: false", "")


@pytest.mark.parametrize(
    ("undo", "text"),
    [
        (COMMANDS, "start api; wait"),
        (
            {**COMMANDS, "kind": "action", "action": "service.start", "params": {"service": "api"}},
            "service.start {'service': 'api'}",
        ),
        ({**COMMANDS, "kind": "restore", "why": "the data is gone"}, "only by a restore: the data is gone"),
        ({**COMMANDS, "kind": "nothing", "why": "it stays"}, "nothing: it stays"),
        (None, ""),
    ],
)
def test_how_a_step_can_be_put_back(tmp_path, undo, text):
    story = started(tmp_path).step(11.0, 12.0, "restore.1", "app-1", effect="write", undo=undo)
    assert view(story, "restore.1", "app-1").undo == text


def test_how_a_step_was_put_back_in_the_run_or_later(tmp_path):
    story = started(tmp_path)
    intent = next(event.seq for event in story.events if event.kind == "intent")
    assert view(story, "inject.1", "app-1").undone == ""
    story.add(15.0, "undo.failed", "inject.1", "app-1", intent=intent, message="it is stuck")
    assert view(story, "inject.1", "app-1").undone == "not undone: it is stuck"
    story.end().add(0.0, "recovery.started", operator="me", tool="drillbook")
    story.add(1.0, "undone", "inject.1", "app-1", intent=intent, message="undone")
    story.add(2.0, "undone", "inject.1", "db-1", intent=99, message="of another host")
    assert view(story, "inject.1", "app-1").undone == "put back: undone"
    assert view(story, "restore.1", "app-1").undone == ""


def test_phases_with_their_times_and_the_one_in_which_a_controller_died(tmp_path):
    story = started(tmp_path).phase(11.0, 12.5, "restore", "failed").add(13.0, "phase.started", phase="verify")
    assert [(one.phase, one.status, one.seconds) for one in story.judge().result.phases] == [
        ("inject", "done", pytest.approx(0.3)),
        ("restore", "failed", 1.5),
        ("verify", "interrupted", 0.0),
    ]


def test_what_an_action_found_stands_at_its_step_and_host(tmp_path):
    noted = {"code": "step-failed", "severity": "low", "title": "Found", "remedy": "Look."}
    story = (
        started(tmp_path)
        .add(11.0, "phase.started", phase="restore")
        .step(11.0, 12.0, "restore.1", "app-1", findings=[noted])
    )
    (found,) = [one for one in story.judge().result.findings if one.title == "Found"]
    assert (found.step, found.host, found.remedy) == ("restore.1", "app-1", "Look.")
