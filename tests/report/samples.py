"""Runs as reports meet them: from journals that real runs left, and made by hand.

``recording.py`` records the journals. By hand are runs of hours, with hostile text, with a database and its canary, or
stopped by a guard.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from drillbook.findings import finding
from drillbook.journal.journal import read
from drillbook.judge.judge import judge
from drillbook.judge.result import (
    CommandView,
    Note,
    Objective,
    PhaseResult,
    ProbeTrack,
    Residue,
    Result,
    RunView,
    Span,
    StepResult,
    StepView,
    SuiteResult,
    Timeline,
    Verdict,
)
from drillbook.report.index import IndexEntry

JOURNALS = Path(__file__).parent / "journals"
CONTACTS = {
    "oncall": {"role": "值班工程师", "duty": "一线响应", "email": "oncall@example.com", "phone": ""},
    "architect": {"role": "系统架构师", "duty": "架构问题", "email": "arch@example.com", "phone": ""},
    "dba": {"role": "DBA", "duty": "数据库问题", "email": "dba@example.com", "phone": "+86 10 5550 0100"},
    "security": {"role": "安全团队", "duty": "安全事件", "email": "security@example.com", "phone": ""},
}
HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m {{ 7*7 }} {% raw %} \u202egnp.exe | `x` [b]bold[/b] \x00 ]]> & \"'"


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


DUMP = "s3://dr-backups/20260102T100000Z-postgres-lost-7f3a/dpa/"
STEPS = (
    step(
        "ready.1",
        "postgres.healthy",
        start=0.12,
        seconds=0.09,
        name="The primary serves",
        params={"service": "database"},
        facts={"version": "18.1", "in_recovery": False, "connections": 14},
        commands=(command("psql", "-XAtq", "-c", "select 1", out="1\n"),),
    ),
    step("ready.2", "s3.writable", "controller", start=0.22, seconds=0.06, params={"service": "backups"}),
    step(
        "backup.1",
        "postgres.dump",
        start=0.51,
        seconds=4.81,
        effect="write",
        name="Dump with a manifest",
        params={"service": "database", "to": DUMP, "password": "!env DPA_DB_PASSWORD"},
        facts={
            "location": DUMP + "dpa.dump",
            "bytes": 48211968,
            "sha256": "9c1185a5c5e9fc54612808977ee8f548b2258d31",
            "tables": 23,
            "manifest": {"file": "evidence/backup.1.db-1.manifest.json", "sha256": "ab12", "bytes": 9120},
        },
        undo="nothing: the backup is kept in the run's own folder",
        commands=(
            command(
                "pg_dump", "-Fc", "-Z", "zstd:3", "--dbname=dpa", seconds=4.2, err="pg_dump: last built-in OID is 16383\n"
            ),
            command("sha256sum", "/var/tmp/drillbook-7f3a/dpa.dump", seconds=0.31, out="9c1185a5c5e9fc54  dpa.dump\n"),
        ),
    ),
    step(
        "backup.2",
        "s3.verify_backup",
        "controller",
        start=5.33,
        seconds=0.7,
        params={"manifest": "{{ dump.manifest }}"},
        facts={"files": 3, "bytes": 48211968},
    ),
    step(
        "inject.1",
        "postgres.lose_data",
        start=8.02,
        seconds=0.36,
        effect="fault",
        name="Remove the data directory",
        params={"service": "database"},
        undo="only by a restore: the data directory is gone",
        undone="put back: restored",
        facts={"removed": "/var/lib/postgresql/18/main", "files": 1843},
        commands=(
            command("systemctl", "kill", "-s", "KILL", "postgresql@18-main"),
            command("sh", "-c", 'find "$1" -mindepth 1 -delete', "sh", "/var/lib/postgresql/18/main", seconds=0.21),
        ),
    ),
    step(
        "detect.1",
        "prometheus.firing",
        "controller",
        start=8.5,
        seconds=1.2,
        params={"alert": "PostgresDown", "within": "1m"},
    ),
    step(
        "restore.1",
        "postgres.init",
        start=9.8,
        seconds=1.1,
        effect="write",
        undo="nothing: the restore itself",
        commands=(
            command(
                "initdb", "-D", "/var/lib/postgresql/18/main", seconds=0.9, out="Success. You can now start the server.\n"
            ),
        ),
    ),
    step(
        "restore.2",
        "postgres.restore",
        start=10.9,
        seconds=3.6,
        effect="write",
        params={"from": "{{ dump.location }}"},
        undo="nothing: the restore itself",
        facts={"tables": 23, "rows": 118204},
    ),
    step(
        "restore.3",
        "service.start",
        start=14.5,
        seconds=0.8,
        effect="write",
        params={"unit": "dpa-api"},
        undo="systemctl stop dpa-api",
    ),
    step(
        "verify.1",
        "postgres.matches",
        start=16.9,
        seconds=1.4,
        params={"manifest": "{{ dump.manifest }}"},
        facts={"tables": 23, "different": 0},
    ),
    step(
        "verify.2",
        "http.responds",
        "controller",
        start=18.3,
        seconds=0.05,
        params={"url": "http://127.0.0.1:8000/api/v1/documents", "status": 200},
        facts={"status": 200, "bytes": 8114},
    ),
    step(
        "verify.3",
        "sql.equals",
        start=18.4,
        seconds=0.02,
        name="No orphaned documents",
        facts={"rows": 0},
        params={"query": "select count(*) from documents d left join chunks c on d.id = c.document_id where c.id is null"},
    ),
)
PHASES = (
    ("ready", 0.1, 0.4),
    ("backup", 0.5, 6.1),
    ("inject", 8.0, 8.4),
    ("detect", 8.4, 9.8),
    ("restore", 9.8, 15.4),
    ("verify", 16.9, 18.5),
    ("cleanup", 18.5, 18.6),
)
PLAN: dict[str, Any] = {
    "format": "drillbook/plan/1",
    "drill": "postgres-lost",
    "title": "Lose the primary database and recover it",
    "description": "The primary's data directory is removed while clients write.\n"
    "It is restored from the backup of this run.",
    "service": "database",
    "owner": "dba",
    "objectives": {"rto": 300.0, "rpo": 10.0, "detect": 60.0},
    "environments": ["lab", "staging"],
    "inventory": {
        "environment": "lab",
        "lab": "embedded",
        "groups": {"db": ["db-1"]},
        "contacts": CONTACTS,
        "hosts": {"db-1": {"name": "db-1", "address": "127.0.0.1", "port": 2202, "user": "drill"}},
        "services": {
            "database": {"name": "database", "kind": "postgres", "host": "db-1", "port": 5432},
            "api": {"name": "api", "kind": "http", "host": "db-1", "url": "http://127.0.0.1:8000"},
            "backups": {"name": "backups", "kind": "s3", "host": "controller", "bucket": "dr-backups"},
        },
    },
    "probes": [
        {
            "id": "probe.1",
            "name": "http.available",
            "line": "postgres-lost.yml:9",
            "params": {"url": "http://127.0.0.1:8000/health", "every": "100ms"},
        },
        {"id": "probe.2", "name": "postgres.canary", "line": "postgres-lost.yml:10", "params": {"service": "database"}},
    ],
    "steps": [
        {
            "id": one.result.id,
            "phase": one.phase,
            "action": one.result.action,
            "name": one.name,
            "effect": one.effect,
            "hosts": [one.result.host],
            "params": one.params,
            "timeout_s": 60.0,
            "retries": 0,
            "line": "postgres-lost.yml:12",
        }
        for one in STEPS
    ],
}
CLOCKS: dict[str, float | None] = {
    "disruption_s": 8.02,
    "disruption_error_s": 0.0,
    "detection_s": 0.091,
    "detection_error_s": 0.1,
    "outage_s": 7.32,
    "outage_error_s": 0.2,
    "rto_s": 7.41,
    "rto_error_s": 0.1,
    "restore_s": 5.6,
    "restore_error_s": 0.0,
    "verified_s": 10.48,
    "verified_error_s": 0.0,
    "waiting_s": 0.0,
    "waiting_error_s": 0.0,
    "rpo_s": 2.05,
    "rpo_error_s": 0.05,
}
OBJECTIVES = {
    "rto": Objective(target_s=300, measured_s=7.41, error_s=0.1, met=True, clock="disruption to sustained recovery"),
    "rpo": Objective(
        target_s=10,
        measured_s=2.05,
        error_s=0.05,
        met=True,
        clock="acknowledged writes",
        lost_writes=41,
        acknowledged_writes=388,
    ),
    "detect": Objective(target_s=60, measured_s=0.091, error_s=0.1, met=True, clock="disruption to first bad probe"),
}
MARKS = {
    "disruption": 8.02,
    "first_bad": 8.11,
    "recovered": 15.43,
    "verified": 18.5,
    "recovery_point": 5.96,
    "last_acknowledged": 8.01,
}
PROBES = (
    ProbeTrack(
        probe="probe.1",
        name="http.available",
        kind="availability",
        every_s=0.1,
        timeout_s=2.0,
        samples=205,
        bad=73,
        late=0,
        latency_p50_s=0.0031,
        latency_p99_s=0.0114,
        stretches=(
            Span(start=0.05, end=8.11, label="good", count=81),
            Span(start=8.11, end=15.43, label="bad", count=73),
            Span(start=15.43, end=20.5, label="good", count=51),
        ),
    ),
    ProbeTrack(
        probe="probe.2",
        name="postgres.canary",
        kind="canary",
        every_s=0.05,
        timeout_s=1.0,
        samples=513,
        bad=125,
        late=0,
        latency_p50_s=0.0018,
        latency_p99_s=0.0093,
        stretches=(
            Span(start=0.1, end=5.98, label="kept", count=118),
            Span(start=5.98, end=8.02, label="lost", count=41),
            Span(start=8.02, end=14.5, label="refused", count=125),
            Span(start=14.5, end=20.5, label="kept", count=229),
        ),
    ),
)


def result(**more: Any) -> Result:
    values: dict[str, Any] = {
        "run": "20260102T100000Z-postgres-lost-7f3a",
        "drill": "postgres-lost",
        "title": PLAN["title"],
        "service": "database",
        "environment": "lab",
        "operator": "li.wei",
        "tool": "drillbook 0.1.0",
        "verdict": Verdict.PASSED,
        "reason": "every step done, every objective measured and met, every verification passed",
        "residue": (),
        "exit": 0,
        "started": "2026-01-02T10:00:00.000000Z",
        "finished": "2026-01-02T10:00:20.610000Z",
        "plan_digest": "sha256:4f0c1b8f6f5e0c0f4e6a9d9b2b60b7a8d1b0a4a1c8c2f1f0c3f7d3a9e1d2c3b4",
        "objectives": OBJECTIVES,
        "clocks": CLOCKS,
        "phases": tuple(PhaseResult(phase=p, status="done", seconds=e - s) for p, s, e in PHASES),
        "steps": tuple(one.result for one in STEPS),
        "findings": (
            finding("acknowledged-writes-lost", wanted="at most 10 s of writes", measured="41 of 388 acknowledged writes"),
        ),
    }
    return Result(**{**values, **more})


def view(result_: Result, **more: Any) -> RunView:
    values: dict[str, Any] = {
        "plan": PLAN,
        "contacts": CONTACTS,
        "owner": "dba",
        "steps": STEPS,
        "journal_events": 214,
        "torn": False,
        "journal_head": "sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c",
        "controller": "ops-laptop",
        "timeline": Timeline(
            seconds=20.6, phases=tuple(Span(start=s, end=e, label=p) for p, s, e in PHASES), probes=PROBES, marks=MARKS
        ),
    }
    return RunView(result=result_, **{**values, **more})


def passed() -> RunView:
    return view(result())


def failed() -> RunView:
    evidence = ("evidence/verify.1.db-1.documents.diff", "javascript:alert(1)")
    found = (
        finding(
            "table-content",
            title="public.chunks",
            wanted="sha256:11aa over 90211 rows",
            evidence=evidence,
            measured="sha256:77ee over 90198 rows",
            step="verify.1",
            host="db-1",
        ),
        finding("objective-missed", title="RPO", wanted="at most 10 s", measured="10.004 s"),
    )
    message = "1 of 23 tables differs from the manifest:\n  public.chunks: 90198 rows, expected 90211"
    steps = tuple(
        one
        if one.result.id != "verify.1"
        else step(
            "verify.1",
            "postgres.matches",
            start=16.9,
            seconds=1.4,
            status="failed",
            message=message,
            facts={"tables": 23, "different": 1},
        )
        for one in STEPS
    )
    objectives = {
        "rto": OBJECTIVES["rto"].model_copy(update={"met": None, "reason": "the verification did not pass (verify.1)"}),
        "rpo": OBJECTIVES["rpo"].model_copy(update={"met": False, "measured_s": 10.004, "lost_writes": 200}),
        "detect": OBJECTIVES["detect"],
    }
    phases = tuple(PhaseResult(phase=p, status="failed" if p == "verify" else "done", seconds=e - s) for p, s, e in PHASES)
    return view(
        result(
            run="20260103T100000Z-postgres-lost-1111",
            verdict=Verdict.FAILED,
            exit=1,
            findings=found,
            phases=phases,
            reason="verify.1 postgres.matches failed: 1 of 23 tables differs from the manifest",
            objectives=objectives,
            clocks={**CLOCKS, "rpo_s": 10.004},
            steps=tuple(one.result for one in steps),
        ),
        steps=steps,
    )


def inconclusive() -> RunView:
    reasons = {
        "rto_s": "the drill has no availability probe that worked",
        "outage_s": "probe.1 broke after 31 samples",
        "detection_s": "no probe saw the fault",
        "rpo_s": "the canary could not be read back: connection refused",
    }
    objectives = {
        key: one.model_copy(
            update={
                "measured_s": None,
                "error_s": None,
                "met": None,
                "reason": reason,
                "lost_writes": None,
                "acknowledged_writes": None,
            }
        )
        for (key, one), reason in zip(
            OBJECTIVES.items(), [reasons["rto_s"], reasons["rpo_s"], reasons["detection_s"]], strict=True
        )
    }
    clocks = {key: None if key.startswith(("rto", "outage", "detection", "rpo")) else value for key, value in CLOCKS.items()}
    probes = (
        PROBES[0].model_copy(
            update={
                "error": "RuntimeError: can't start new thread",
                "samples": 31,
                "bad": 0,
                "stretches": (Span(start=0.05, end=3.1, label="good", count=31),),
            }
        ),
        PROBES[1].model_copy(
            update={
                "error": "connection refused",
                "stretches": (
                    Span(start=0.1, end=8.02, label="kept", count=159),
                    Span(start=8.02, end=None, label="refused", count=240),
                ),
            }
        ),
    )
    found = (
        finding("probe-failed", step="probe.1", measured="RuntimeError: can't start new thread"),
        finding("objective-not-verified", title="RTO", wanted="at most 300 s", measured="not measured"),
    )
    return view(
        result(
            run="20260104T100000Z-postgres-lost-2222",
            verdict=Verdict.INCONCLUSIVE,
            exit=3,
            reason="a probe could not measure",
            objectives=objectives,
            clocks=clocks,
            unmeasured=reasons,
            findings=found,
        ),
        timeline=Timeline(
            seconds=20.6, phases=passed().timeline.phases, probes=probes, marks={"disruption": 8.02, "verified": 18.5}
        ),
    )


def hostile() -> RunView:
    bad = finding(
        "step-failed",
        title=HOSTILE,
        wanted=HOSTILE,
        measured=HOSTILE,
        evidence=("../../etc/passwd", HOSTILE),
        remedy=HOSTILE,
        step=HOSTILE,
        host=HOSTILE,
    )
    steps = (
        step(
            "ready.1",
            HOSTILE,
            HOSTILE,
            status="failed",
            name=HOSTILE,
            message=HOSTILE + "\n\n| a | b |\n# head",
            facts={HOSTILE: [HOSTILE]},
            params={HOSTILE: HOSTILE},
            undo=HOSTILE,
            undone=HOSTILE,
            commands=(
                command("sh", "-c", HOSTILE, exit=1, out=HOSTILE * 3 + "\n```\nfence\n", err="\ud800 lone", error=HOSTILE),
            ),
        ),
    )
    contacts = {HOSTILE: {"role": HOSTILE, "duty": HOSTILE, "email": HOSTILE, "phone": HOSTILE}}
    plan = {**PLAN, "title": HOSTILE, "description": HOSTILE, HOSTILE: HOSTILE}
    line = Timeline(
        seconds=3.0,
        phases=(Span(start=0.0, end=2.0, label=HOSTILE),),
        marks={},
        probes=(
            PROBES[0].model_copy(
                update={"name": HOSTILE, "error": HOSTILE, "stretches": (Span(start=0.0, end=1.0, label=HOSTILE),)}
            ),
        ),
    )
    left = Residue(step=HOSTILE, host=HOSTILE, what=HOSTILE, why=HOSTILE, by_hand=HOSTILE)
    return view(
        result(
            title=HOSTILE,
            drill="hostile",
            service=HOSTILE,
            environment=HOSTILE,
            operator=HOSTILE,
            tool=HOSTILE,
            verdict=Verdict.FAILED,
            exit=5,
            reason=HOSTILE,
            residue=(left,),
            findings=(bad,),
            steps=(steps[0].result,),
            objectives={
                "rto": Objective(target_s=1, measured_s=None, error_s=None, met=None, reason=HOSTILE, clock=HOSTILE)
            },
            clocks={},
            unmeasured={"rto": HOSTILE},
            phases=(PhaseResult(phase=HOSTILE, status="failed", seconds=1.0),),
        ),
        steps=steps,
        contacts=contacts,
        owner=HOSTILE,
        plan=plan,
        timeline=line,
        controller=HOSTILE,
    )


def long_run() -> RunView:
    marks = {
        "disruption": 3601.0,
        "first_bad": 3601.2,
        "recovered": 3745.5,
        "verified": 3790.0,
        "recovery_point": 3300.0,
        "last_acknowledged": 3600.9,
    }
    flapping = tuple(
        Span(start=3601.2 + n * 0.5, end=3601.7 + n * 0.5, label="good" if n % 2 else "bad", count=5) for n in range(288)
    )
    probes = (
        PROBES[0].model_copy(
            update={
                "samples": 72001,
                "bad": 720,
                "late": 12,
                "stretches": (
                    Span(start=0.0, end=3601.2, label="good", count=36012),
                    *flapping,
                    Span(start=3745.2, end=7200.0, label="good", count=34548),
                ),
            }
        ),
        PROBES[1].model_copy(
            update={
                "samples": 140000,
                "stretches": (
                    Span(start=0.1, end=3300.0, label="kept", count=66000),
                    Span(start=3300.0, end=3601.0, label="lost", count=6018),
                    Span(start=3601.0, end=3745.0, label="refused", count=2880),
                    Span(start=3745.0, end=7200.0, label="kept", count=69100),
                ),
            }
        ),
    )
    spans = (
        ("ready", 0.0, 30.0),
        ("backup", 30.0, 3300.0),
        ("inject", 3600.5, 3602.0),
        ("detect", 3602.0, 3630.0),
        ("restore", 3630.0, 3745.0),
        ("verify", 3745.0, 3790.0),
        ("cleanup", 3790.0, 3791.0),
    )
    objectives = {
        "rto": OBJECTIVES["rto"].model_copy(update={"measured_s": 144.5, "error_s": 0.61}),
        "rpo": OBJECTIVES["rpo"].model_copy(
            update={"target_s": 600.0, "measured_s": 300.9, "lost_writes": 6018, "acknowledged_writes": 72018}
        ),
        "detect": OBJECTIVES["detect"],
    }
    clocks = {
        **CLOCKS,
        "disruption_s": 3601.0,
        "rto_s": 144.5,
        "rto_error_s": 0.61,
        "outage_s": 144.3,
        "rpo_s": 300.9,
        "waiting_s": 412.25,
    }
    return view(
        result(
            run="20260107T100000Z-postgres-lost-5555",
            objectives=objectives,
            clocks=clocks,
            finished="2026-01-02T12:00:00Z",
            phases=tuple(PhaseResult(phase=p, status="done", seconds=e - s) for p, s, e in spans),
        ),
        timeline=Timeline(
            seconds=7200.0, phases=tuple(Span(start=s, end=e, label=p) for p, s, e in spans), probes=probes, marks=marks
        ),
    )


def guarded() -> RunView:
    """A run that took a lock over, was approved, and was stopped by its guard while a target had reverted by itself."""
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


def recorded(name: str) -> RunView:
    """A run of ``recording.py``, from its journal."""
    return judge(read(JOURNALS / f"{name}.jsonl"))


ALL = {
    "passed": passed,
    "failed": failed,
    "inconclusive": inconclusive,
    "hostile": hostile,
    "long_run": long_run,
    "guarded": guarded,
    **{path.stem: partial(recorded, path.stem) for path in sorted(JOURNALS.glob("*.jsonl"))},
}


def suite() -> tuple[SuiteResult, list[RunView]]:
    """A suite of three drills, the last of which left no record that can be read."""
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
            title=PLAN["title"],
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
