"""Progress lines of a run, and its records of locks, leases and guards."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from drillbook.events.holds import LeaseAdopted
from drillbook.journal.intents import Intent
from drillbook.journal.journal import Event
from drillbook.journal.manual_undo import by_hand
from drillbook.judge import notes
from drillbook.judge.samples import last_reasons
from drillbook.report.terminal.board import Board
from drillbook.report.terminal.event_lines import Progress, fitted
from drillbook.sdk.action import Effect, Undo
from tests.contents import filled

DATA: dict[str, dict[str, Any]] = {
    "lock.taken": {"name": "database", "token": 7, "host": "db-1", "taken_from": {"run": "r1", "operator": "li"}},
    "lease.armed": {"intent": 3, "what": "network.drop", "lease_s": 30},
    "lease.lapsed": {},
    "lease.log": {"file": "evidence/lease.db-1.log"},
    "guard.tripped": {"condition": "http.responds", "measured": "503"},
    "stop.requested": {"by": "wang", "from": "laptop"},
}


def event(kind: str, data: dict[str, Any] | None = None, **more: Any) -> Event:
    return Event(
        seq=0,
        at="2026-01-01T00:00:00Z",
        clock=more.pop("clock", 1.0),
        kind=kind,
        data=filled(kind, data),
        prev=None,
        hash="",
        **more,
    )


def printed(*events: Event, closing: bool = True, width: int = 100, **options: bool) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    progress = Progress(console, closing=closing, **options)
    for one in events:
        progress(one)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("data", ["full", "empty", "odd"])
def test_every_kind_is_told_whatever_it_holds(kind: str, data: str) -> None:
    values = {
        "full": DATA[kind],
        "empty": {},
        "odd": {key: f"{value}\x1b[2J" if isinstance(value, str) else value for key, value in DATA[kind].items()},
    }
    one = event(kind, values[data], host="db-1", step="inject.1")
    assert 0 < len(notes.told(one)) <= notes.MOST + 1
    assert notes.notes([one])[0].at == 1.0
    lines = printed(one)
    assert len(lines) in (1, 2, 3)
    assert "\x1b" not in "".join(lines)
    notes.findings([one], [])


def test_what_is_told() -> None:
    told = {kind: notes.told(event(kind, data)) for kind, data in DATA.items()}
    assert told["lock.taken"] == "lock on database taken, taken over from run r1 of li (token 7)"
    assert told["lease.armed"] == "lease armed: network.drop; the target undoes it by itself 30 s after the last renewal"
    assert told["guard.tripped"] == "guard tripped: http.responds, measured 503"
    assert told["stop.requested"] == "stop requested by wang from laptop"
    events = [event(kind, data) for kind, data in DATA.items()]
    assert [one.code for one in notes.findings(events, [])] == ["lock-taken-over", "lease-lapsed", "guard-tripped"]
    assert notes.findings(events, notes.findings(events, [])) == []
    assert set(notes.marks(events)) == {"guard_tripped", "lease_lapsed", "stop_requested"}


@pytest.mark.parametrize(("armed", "end"), [([], "rebooted"), ([4], "; 1 of them had not succeeded")])
def test_a_lease_that_undid_the_changes_says_no_more_than_is_known(armed: list[int], end: str) -> None:
    told = notes.told(event("lease.adopted", {"armed": armed, "reverted": True}, host="db-1"))
    assert "because the lease was not renewed or the target was rebooted" in told
    assert told.endswith(end)


def test_kinds_that_have_notes_are_the_listed_ones() -> None:
    """Events of other kinds are ignored."""
    by_function = [
        {value for name in function.__code__.co_names if isinstance(value := vars(notes).get(name), type)}
        for function in (notes._told, notes.loud, notes.findings)
    ]
    told_only = {LeaseAdopted}  # a line of a recovery on the terminal, and no note in a result
    assert by_function[0] == {*notes.NOTED, *told_only}
    assert all(issubclass(kind, (*notes.NOTED, *told_only)) for kinds in by_function for kind in kinds)


@pytest.mark.parametrize(
    "kind", ["lease.renewed", "line", "say", "step", "zero", "end", "call", "a.kind.of.later", "..", ""]
)
def test_unknown_kinds_break_nothing(kind: str) -> None:
    assert printed(event(kind)) == []
    Board().see(event(kind))
    assert notes.notes([event(kind)]) == ()


def test_the_proof_stands_below_its_step() -> None:
    where: dict[str, Any] = {"step": "inject.1", "host": "db-1"}
    lines = printed(
        event("step.started", {"action": "service.kill", "name": "Kill it"}, **where),
        event("fault.active", {"active": True, "detail": ""}, **where),
        event("done", {"facts": {}, "seconds": 0.1, "attempts": 1}, **where),
    )
    assert [line.split()[0] for line in lines] == ["✓", "the"]


def start(name: str) -> Event:
    plan = {"drill": name, "title": "T", "inventory": {"environment": "lab"}}
    return event("run.started", {"run": "r", "plan": plan, "plan_digest": "sha256:" + "0" * 64})


def test_a_blank_line_between_drills() -> None:
    lines = printed(start("one"), start("two"))
    assert lines[lines.index("two: T") - 1] == ""
    assert lines[0] == "one: T"


def run_of_a_suite() -> list[Event]:
    """A successful step, an unproven fault, an undo, and a failed step."""
    where: dict[str, Any] = {"step": "inject.1", "host": "db-1"}
    step = {"action": "service.kill", "name": "Kill the server of the database, and every process that it started"}
    return [
        start("one"),
        event("phase.started", {"phase": "inject"}),
        event("lease.armed", DATA["lease.armed"]),
        event("step.started", step, **where),
        event("done", {"facts": {}, "seconds": 0.1, "attempts": 1}, **where),
        event("step.started", step, **where),
        event("fault.active", {"active": False, "detail": ""}, **where),
        event("done", {"facts": {}, "seconds": 0.1, "attempts": 1}, **where),
        event("step.started", step, **where),
        event("failed", {"outcome": "failed", "message": "refused", "seconds": 0.1, "attempts": 1, "findings": []}, **where),
        event("undo.started", {}, **where),
        event("guard.tripped", DATA["guard.tripped"]),
    ]


def test_brief_output_has_no_line_for_what_went_well() -> None:
    lines = printed(*run_of_a_suite(), brief=True, phases=False)
    assert lines[0] == "one: T"
    assert lines[1] == "    inject.1: the fault is NOT proven active on db-1"
    assert lines[2].startswith("    ✗ Kill the server of the database, and every … db-1 ")
    assert [line.strip() for line in lines[3:]] == ["refused", "! guard tripped: http.responds, measured 503"]
    assert "  inject" in printed(*run_of_a_suite(), brief=True)
    assert len(printed(*run_of_a_suite())) > 2 * len(lines)


def test_brief_output_has_the_duration_of_a_phase_without_other_lines() -> None:
    where: dict[str, Any] = {"step": "ready.1", "host": "db-1"}
    quiet = [
        start("one"),
        event("phase.started", {"phase": "ready"}, clock=1.0),
        event("step.started", {"action": "service.status", "name": "It runs"}, **where),
        event("done", {"facts": {}, "seconds": 0.1, "attempts": 1}, **where),
        event("phase.ended", {"phase": "ready", "status": "done"}, clock=3.5),
        event("phase.started", {"phase": "verify"}, clock=4.0),
        event("phase.ended", {"phase": "verify", "status": "interrupted"}, clock=12.5),
    ]
    lines = printed(*quiet, brief=True)
    assert [line.split() for line in lines[1:]] == [["✓", "ready", "2.50", "s"], ["■", "verify", "8.50", "s"]]
    loud = [*quiet[:2], *run_of_a_suite()[-3:], quiet[-1]]
    assert "  ready" in printed(*loud, brief=True)
    assert not any("verify" in line for line in printed(*loud, brief=True))


def test_a_phase_without_steps_is_not_called_done() -> None:
    plan = {"drill": "one", "title": "T", "inventory": {"environment": "lab"}, "steps": [{"id": "ready.1"}]}
    events = [event("run.started", {"run": "r", "plan": plan, "plan_digest": "sha256:" + "0" * 64})]
    for phase, begin, end, status in (
        ("ready", 0.0, 0.0, "done"),
        ("detect", 1.0, 1.0, "done"),
        ("diagnose", 2.0, 4.5, "done"),
        ("restore", 5.0, 6.0, "interrupted"),
    ):
        events.append(event("phase.started", {"phase": phase}, clock=begin))
        events.append(event("phase.ended", {"phase": phase, "status": status}, clock=end))
    lines = [line.split() for line in printed(*events, brief=True)[1:]]
    assert lines == [
        ["✓", "ready", "0.00", "s"],
        ["–", "detect", "no", "steps"],
        ["–", "diagnose", "2.50", "s", "no", "steps"],
        ["■", "restore", "1.00", "s"],
    ]
    whole = printed(*events)
    assert "  detect: no steps" in whole
    assert "  ready" in whole


def test_findings_of_a_failed_step_are_left_to_the_summary_where_one_follows() -> None:
    where: dict[str, Any] = {"step": "verify.1", "host": "db-1"}
    found = [{"code": "expectation", "severity": "high", "title": "Not so", "wanted": "1", "measured": "answer"}]
    data = {"outcome": "failed", "seconds": 0.1, "attempts": 1, "message": "expected 1", "findings": found}
    assert "expected 1" in " ".join(printed(event("failed", data, **where)))
    assert "answer" not in " ".join(printed(event("failed", data, **where)))
    assert "answer" in " ".join(printed(event("failed", data, **where), closing=False))
    allowed = {**data, "allowed": "a known defect"}
    assert "answer" in " ".join(printed(event("failed", allowed, **where)))


def test_a_message_that_is_cut_says_so() -> None:
    where: dict[str, Any] = {"step": "verify.1", "host": "db-1"}
    data = {"outcome": "failed", "seconds": 0.1, "attempts": 1, "findings": []}
    long = "\n".join(["x" * 301, *map(str, range(1, 7))])
    lines = [line.strip() for line in printed(event("failed", {**data, "message": long}, **where)) if "x" not in line]
    assert lines[-4:] == ["1", "2", "3", "… and 3 more lines, in the report"]
    assert "…" in "".join(printed(event("failed", {**data, "message": "x " * 301}, **where)))
    short = printed(event("failed", {**data, "message": "x" * 300 + "\n1\n2\n3"}, **where))
    assert "…" not in "".join(short)


def test_every_line_names_the_program_that_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    where: dict[str, Any] = {"step": "inject.1", "host": "db-1"}
    for name, other in (("drillbook", "invoke"), ("invoke", "drillbook")):
        monkeypatch.setattr("sys.argv", [f"/usr/bin/{name}"])
        for said in (name, other):
            lines = printed(event("undo.failed", {"message": f"no answer; run `{said} drill.recover`"}, **where))
            assert f"`{name} drill.recover`" in " ".join(lines)
            assert other not in " ".join(lines)


@pytest.mark.parametrize("host", ["db-1", "orders-db-primary-1", "orders-db-primary-1.internal.example.org"])
@pytest.mark.parametrize(
    "name", ["postgres.restore_table_from_dump", "Restore the orders from the newest dump of the night"]
)
def test_the_line_of_a_step_cuts_neither_its_host_nor_its_action(host: str, name: str) -> None:
    data = {"facts": {}, "seconds": 0.1, "attempts": 2}
    where = {"step": "restore.1", "host": host}
    started = event("step.started", {"action": name, "name": ""}, **where)
    lines = printed(started, event("done", data, **where), width=80)
    assert max(map(len, lines)) <= 80
    words = " ".join(lines).split()
    assert {host, "0.10", "s", "attempt", "2"} <= set(words)
    assert " " in name or name in words
    assert len(lines) == (2 if len(host) > 30 else 1)


def test_a_title_that_is_too_long_is_cut_with_an_ellipsis_in_brief_output() -> None:
    plan = {"drill": "one", "title": "A long title. " * 12, "inventory": {"environment": "lab"}}
    begun = event("run.started", {"run": "r", "plan": plan, "plan_digest": "sha256:" + "0" * 64})
    (line,) = printed(begun, brief=True)
    assert line.startswith("one: A long title. ")
    assert line.endswith("…")
    assert "…" not in "".join(printed(begun))


@pytest.mark.parametrize(
    ("text", "width", "cut"), [("abc", 5, "abc  "), ("abcdef", 4, "abc…"), ("数据库", 4, "数 …"), ("ab", 2, "ab")]
)
def test_a_text_that_is_cut_ends_with_an_ellipsis(text: str, width: int, cut: str) -> None:
    assert fitted(text, width) == cut


def test_a_refusal_is_left_to_the_summary_where_one_follows() -> None:
    early = event("ended.early", {"why": "refused", "message": "not here", "findings": []})
    assert printed(early) == []
    assert printed(early, closing=False) == ["  refused: not here"]
    assert printed(event("ended.early", {"why": "failed", "message": "no", "findings": []})) == ["  failed: no"]


def test_a_finding_is_printed_even_if_another_one_measured_the_same() -> None:
    """A host and a probe that both refuse the connection are two findings: the line of the probe names the probe."""
    found = [{"title": "probe api is not good", "measured": "Connection refused", "remedy": ""}]
    early = {"why": "refused", "message": "not ready: web: Connection refused", "findings": found}
    assert printed(event("ended.early", early), closing=False)[1:] == ["    probe api is not good: Connection refused"]
    early["message"] = "probe api is not good: Connection refused"
    assert len(printed(event("ended.early", early), closing=False)) == 1


def test_the_reasons_of_a_probe_that_was_never_good() -> None:
    samples = [[0.0, 0.1, False, "connection refused"], [0.2, 0.3, False, "answered 404"], [0.4, 0.5, False, "answered 404"]]
    events = [event("probe.samples", {"probe": "probe.1", "samples": samples, "late": 0})]
    assert last_reasons(events, "probe.1") == "3 of 3 samples bad, the last: answered 404; before it: connection refused"
    assert last_reasons(events, "probe.2") == "the probe took no sample"


def test_by_hand_names_commands_and_never_the_tool_that_failed() -> None:
    def left(undo: Undo) -> str:
        return by_hand(Intent(1, SimpleNamespace(id="inject.1"), "db-1", {}, Effect.FAULT, undo, settled=False))  # type: ignore[arg-type]

    assert (
        left(Undo.by_commands(("iptables", "-D", "a b"), ("rm", "x"))) == "on db-1, in this order:\niptables -D 'a b'\nrm x"
    )
    assert "drill.recover" not in left(Undo.by_restore("the data is gone"))


def test_the_number_of_attempts_stays_on_the_line_of_its_step_at_80_columns() -> None:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    progress = Progress(console, closing=True)
    where = {"step": "detect.1", "host": "controller-with-a-long-name"}
    progress(
        event("step.started", {"name": "Every document is served again after the restore of all", "action": "a.b"}, **where)
    )
    progress(event("done", {"attempts": 1212, "seconds": 1044.88}, **where))
    (line,) = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert line.endswith("1044.88 s  attempt 1212")
