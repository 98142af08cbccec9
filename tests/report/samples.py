"""Runs for tests of reports, from the journals of real runs, which ``recording.py`` recorded.

Only these are made by hand: steps that tests add to a run, a run stopped by its guard, and the index of half a year.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

from drillbook.findings import finding
from drillbook.journal.journal import read
from drillbook.judge.changes import Comparison, FigureChange, FindingChange, StepChange
from drillbook.judge.judge import judge
from drillbook.judge.result import (
    CommandView,
    Note,
    Objective,
    Result,
    RunView,
    StepResult,
    StepView,
    SuiteResult,
    Verdict,
)
from drillbook.report.index_entries import IndexEntry

JOURNALS = Path(__file__).parent / "journals"
HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m {{ 7*7 }} {% raw %} \u202egnp.exe | `x` [b]bold[/b] \x00 ]]> & \"'"
DECIDED = frozenset(
    {"verdict", "status", "code", "severity", "started", "finished", "kind", "injection", "proof", "schema", "zero"}
)
"""Fields of a view with a fixed set of values."""


def command(*argv: str, exit: int = 0, seconds: float = 0.04, out: str = "", err: str = "", **more: Any) -> CommandView:  # noqa: A002
    return CommandView(
        argv=argv,
        exit=exit,
        signal=None,
        seconds=seconds,
        stdout=out,
        stderr=err,
        stdout_bytes=len(out.encode(errors="replace")),
        stderr_bytes=len(err.encode(errors="replace")),
        **more,
    )


def step(
    id_: str,
    action: str,
    host: str = "db-1",
    *,
    status: str = "done",
    seconds: float | None = 0.2,
    start: float | None = 0.0,
    effect: str = "read",
    facts: dict[str, Any] | None = None,
    params: dict[str, Any] | None = None,
    undo: str = "nothing: reads only",
    undone: str = "",
    message: str = "",
    name: str = "",
    commands: tuple[CommandView, ...] = (),
) -> StepView:
    result = StepResult.model_validate(
        {"id": id_, "action": action, "host": host, "status": status, "seconds": seconds, "facts": facts or {}}
    )
    return StepView(
        result=result,
        name=name,
        phase=id_.partition(".")[0],
        effect=effect,
        start=start,
        params=params or {},
        undo=undo,
        undone=undone,
        message=message,
        commands=commands,
    )


@cache
def recorded(name: str) -> RunView:
    """Run of ``recording.py``, from its journal."""
    return judge(read(JOURNALS / f"{name}.jsonl"))


passed, failed, inconclusive, long_run = (
    partial(recorded, name) for name in ("passed", "failed", "inconclusive", "long_run")
)


def result(**more: Any) -> Result:
    """Result of the passed run, with some values replaced."""
    return passed().result.model_copy(update=more)


def view(result_: Result, **more: Any) -> RunView:
    """View of the passed run, with another result and some values replaced."""
    return passed().model_copy(update={"result": result_, **more})


def overwritten() -> RunView:
    """Run with hostile text: this text replaces each free text of a view, including those that no journal can set."""
    data = _overwritten(recorded("hostile").model_dump(mode="json", by_alias=True))
    for number, step in enumerate(data["steps"]):
        step["result"]["id"] += str(number)  # no journal has one step twice on one host
    return RunView.model_validate(data)


def _overwritten(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        free = key in ("facts", "params", "contacts", "plan")
        texts = {name: _overwritten(item, name) for name, item in value.items()}
        return (
            {**texts, HOSTILE: HOSTILE if key != "contacts" else dict.fromkeys(("role", "duty", "email"), HOSTILE)}
            if free
            else texts
        )
    if isinstance(value, list):
        return [_overwritten(item, key) for item in value]
    return HOSTILE if isinstance(value, str) and key not in DECIDED else value


def guarded() -> RunView:
    """Run that took over a lock, was approved, and was stopped by its guard; meanwhile a target had reverted by itself."""
    notes = (
        Note(at=0.02, kind="approval", host="", step="", text="approved by zhang.min until 2026-01-03", loud=False),
        Note(
            at=0.05,
            kind="lock.taken",
            host="db-1",
            step="",
            text="lock on database taken, over from run 20251231T220000Z-postgres-lost-0001 of li.wei",
            loud=True,
        ),
        Note(at=7.9, kind="lease.armed", host="db-1", step="inject.1", text="lease armed: network.drop", loud=False),
        Note(at=11.2, kind="guard.tripped", host="", step="", text="guard tripped: http.responds, measured 503", loud=True),
        Note(
            at=12.4,
            kind="lease.lapsed",
            host="db-1",
            step="inject.1",
            text="lease lapsed: the target heard nothing from the controller and reverted by itself",
            loud=True,
        ),
    )
    found = (
        finding("guard-tripped", wanted="http.responds", measured="503"),
        finding("lease-lapsed", measured=notes[4].text, host="db-1"),
        finding("aborted", measured="a guard tripped: http.responds"),
        finding("lock-taken-over", measured=notes[1].text, host="db-1"),
    )
    base = recorded("died")
    line = base.timeline.model_copy(
        update={"marks": {**base.timeline.marks, "guard_tripped": 11.2, "lease_lapsed": 12.4}, "seconds": 14.0}
    )
    return base.model_copy(
        update={
            "result": base.result.model_copy(
                update={"residue": (), "exit": 4, "findings": found, "reason": "a guard tripped: http.responds"}
            ),
            "notes": notes,
            "timeline": line,
        }
    )


def repeated() -> RunView:
    """Run that passed only with a retry and an allowed failure, and that differs from the previous run."""
    steps = tuple(
        one.model_copy(update={"attempts": 3})
        if one.result.id == "backup.1"
        else one.model_copy(update={"attempts": 12, "every_s": 0.5})
        if one.result.id == "ready.1"
        else one.model_copy(
            update={
                "result": one.result.model_copy(update={"status": "allowed"}),
                "allowed": "the mirror is rebuilt in January",
                "message": "the store did not answer",
            }
        )
        if one.result.id == "backup.2"
        else one
        for one in passed().steps
    )
    compared = Comparison(
        run="20251002T100000Z-postgres-lost-2b2b",
        started="2025-10-02T10:00:00.000000Z",
        verdict="failed",
        exit=1,
        tool="drillbook 0.0.9",
        same_plan=False,
        figures=(
            FigureChange(key="rto", before_s=5.1, before_error_s=0.1, now_s=7.41, now_error_s=0.1, change="longer"),
            FigureChange(key="rpo", before_s=2.02, before_error_s=0.05, now_s=2.05, now_error_s=0.05, change="same"),
            FigureChange(
                key="detection", before_s=None, before_error_s=None, now_s=0.091, now_error_s=0.1, change="unknown"
            ),
        ),
        added=("verify.2 http.responds on controller",),
        removed=("verify.3 files.matches on app-1",),
        paced=(
            StepChange(step="backup.1 postgres.dump on db-1", slower=True, now_s=4.81, low_s=1.9, high_s=2.2, runs=5),
            StepChange(step="restore.1 postgres.restore on db-1", slower=False, now_s=1.1, low_s=3.0, high_s=3.0, runs=1),
        ),
        new_findings=(FindingChange(code="acknowledged-writes-lost", title="Acknowledged writes were lost"),),
        gone_findings=(FindingChange(code="table-content", title="public.chunks"),),
    )
    made = view(result(steps=tuple(one.result for one in steps)), steps=steps, inventory="staging", program="drillbook")
    return made.model_copy(update={"comparison": compared})


RECORDED = sorted(path.stem for path in JOURNALS.glob("*.jsonl"))
ALL = {
    "guarded": guarded,
    "overwritten": overwritten,
    "repeated": repeated,
    **{name: partial(recorded, name) for name in RECORDED},
}


def suite() -> tuple[SuiteResult, list[RunView]]:
    """Suite of three drills; the record of the last one is unreadable."""
    views = [passed(), failed(), recorded("died")]
    runs = [
        {
            "run": one.result.run,
            "drill": one.result.drill,
            "folder": f"{number:02}-{one.result.drill}",
            "verdict": str(one.result.verdict),
            "exit": one.result.exit,
            "objectives": {key: value.model_dump() for key, value in one.result.objectives.items()},
        }
        for number, one in enumerate(views, 1)
    ]
    runs.append(
        {
            "run": "gone",
            "drill": "redis-lost",
            "folder": "../outside",
            "verdict": "inconclusive",
            "exit": 3,
            "objectives": {},
        }
    )
    return SuiteResult(
        run="20260106T090000Z-quarterly-9a9a",
        suite="quarterly",
        title="Quarterly drill of the document service",
        environment="lab",
        verdict=Verdict.ABORTED,
        exit=5,
        started="2026-01-06T09:00:00Z",
        finished="2026-01-06T09:04:12Z",
        runs=tuple(runs),
    ), views


def entries() -> list[IndexEntry]:
    """Runs of half a year, unsorted."""
    found = [
        IndexEntry(
            run=f"2026{month:02}02T100000Z-postgres-lost",
            kind="drill",
            name="postgres-lost",
            title="Lose the primary database and recover it",
            environment="lab",
            verdict=verdict,
            exit=code,
            started=f"2026-{month:02}-02T10:00:00Z",
            seconds=20.5 + month,
            objectives={
                "rto": Objective(target_s=300, measured_s=rto, error_s=0.1, met=met),
                "rpo": Objective(target_s=10, measured_s=rpo, error_s=0.05, met=None if rpo is None else rpo <= 10),
            },
            href=f"2026{month:02}02T100000Z-postgres-lost/report.html",
        )
        for month, verdict, code, rto, met, rpo in (
            (1, "passed", 0, 7.4, True, 2.0),
            (2, "passed", 0, 8.1, True, 2.2),
            (3, "inconclusive", 3, None, None, None),
            (4, "passed", 0, 9.9, True, 4.5),
            (5, "failed", 1, 12.0, True, 11.2),
            (6, "passed", 0, 6.1, True, 1.1),
        )
    ]
    children = tuple(
        IndexEntry(
            run=f"child-{n}",
            kind="drill",
            name=name,
            title=f"Drill {n}",
            environment="staging",
            verdict="passed",
            exit=0,
            started="2026-06-30T09:00:00Z",
            seconds=30.0,
            objectives={},
            href=f"q/0{n}/report.html",
        )
        for n, name in enumerate(("redis-lost", "postgres-lost"), 1)
    )
    suite_entry = IndexEntry(
        run="20260630T090000Z-quarterly",
        kind="suite",
        name="quarterly",
        title="Quarterly",
        environment="staging",
        verdict="passed",
        exit=0,
        started="2026-06-30T09:00:00Z",
        seconds=75.0,
        objectives={},
        href="q/report.html",
        children=children,
    )
    evil = IndexEntry(
        run="x",
        kind="drill",
        name="evil",
        title=HOSTILE,
        environment=HOSTILE,
        verdict="passed",
        exit=5,
        started="not a time",
        seconds=None,
        objectives={},
        href="javascript:alert(1)",
    )
    return [found[2], suite_entry, *found[:2], *found[3:], evil]
