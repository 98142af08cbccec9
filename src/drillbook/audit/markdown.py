"""The audit as Markdown (GitHub's flavour). Its content is the same as in HTML."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.audit import (
    covered_days,
    kept_schedules,
    limits,
    markdown_proven,
    numbers,
    retired,
    services,
    summary,
    summary_terms,
    terms,
    wording,
)
from drillbook.audit.alert_causes import listed
from drillbook.audit.chain import Problem
from drillbook.audit.content import Audit
from drillbook.audit.coverage import LEFT_OUT, NO_RUN, CoverageRow
from drillbook.audit.objective_states import told_marks
from drillbook.audit.problem_groups import ProblemGroup, grouped
from drillbook.audit.run_rows import RECOVERED, RunRow
from drillbook.installation.program_name import as_called
from drillbook.report.figures import size, utc
from drillbook.report.markdown import capacity
from drillbook.report.markdown_syntax import code, escape, table
from drillbook.report.remarks import NOT_ROUTINE


def render(audit: Audit) -> str:
    """Render the audit as Markdown for the file ``audit.md``."""
    bodies = {
        "record": _record,
        "attention": _attention,
        "coverage": _coverage,
        "missed": _missed,
        "proven": markdown_proven.section,
        "trend": _trend,
        "not-passed": _not_passed,
        "findings": _findings,
        "runs": _runs,
        "plans": _plans,
        "operators": _operators,
        "evidence": _evidence,
        "controls": _controls,
        "sign-off": _sign_off,
    }
    rows = summary.service_rows(audit)
    parts = [
        f"# {escape(covered_days.title(audit))}",
        f"**{escape(summary.headline(rows))}**",
        escape(summary.standing(rows)),
        escape(f"{wording.record_state(audit)}. {wording.signing_step(audit)}".rstrip()),
        escape(" ".join(f"{term}: {text}" for term, text in terms.terms(audit, summary_terms.rules(rows)))),
        escape(numbers.sentences(audit) + ("" if audit.whole else f" {wording.MORE_RUNS}")),
        table(("What", "Value"), [(name, escape(value)) for name, value in wording.facts(audit)]),
    ]
    for key, title in wording.SECTIONS:
        parts += [f"## {escape(title)}", escape(wording.LEADS.get(key, "")), *bodies[key](audit)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _record(audit: Audit) -> list[str]:
    breaking = [problem for problem in audit.problems if problem.breaking]
    doubts = "\n".join(f"- {escape(sentence)}" for sentence in wording.assurance(audit))
    paragraphs = [
        *filter(
            None, (_problems(breaking), doubts, _problems([problem for problem in audit.problems if not problem.breaking]))
        ),
        ""
        if audit.problems
        else "No journal of the period is damaged, every run that is named by a later run is present, and the chain does not fork.",
        escape(limits.CHAIN),
        "\n".join(f"- {escape(sentence)}" for sentence in limits.limits(audit)),
    ]
    if audit.unanchored:
        paragraphs += [f"{limits.unconfirmed(audit)}:", "\n".join(f"- {escape(line)}" for line in audit.unanchored)]
    return [*paragraphs, "Outside the period:", _problems(audit.elsewhere)] if audit.elsewhere else paragraphs


def _attention(audit: Audit) -> list[str]:
    return ["\n".join(f"- {escape(alert.text)}. {escape(alert.action)}." for alert in listed(audit)) or wording.NO_ALERT]


def _problems(problems: Sequence[Problem]) -> str:
    return "\n".join(_problem(group) for group in grouped(problems))


def _problem(group: ProblemGroup) -> str:
    """Return a group of problems as an item of a list, with its runs and its next step."""
    lines = [f"- **{'Defect of the record' if group.breaking else 'Note'}** ({code(group.code)}): {escape(group.text)}"]
    lines += [f"  {as_called(group.next)}"] if group.next else []
    said = [f": {escape(reason)}" for reason in group.reasons] or [""] * len(group.runs)
    return "\n".join([*lines, *(f"  - {code(run)}{text}" for run, text in zip(group.runs, said, strict=True))])


def _coverage(audit: Audit) -> list[str]:
    if not audit.coverage:
        return ["No run is known, so no service is known.", escape(covered_days.begin(audit))]
    lead = [f"**{escape(wording.missing(audit))}**"] if not audit.whole else []
    unit = audit.period.unit.capitalize()
    head = ["Service", "Environment", *map(escape, covered_days.heads(audit)), "Passed", f"{unit}s without a run"]
    return [
        *lead,
        *([services.EXEMPT_LEAD] if services.exempt(audit.coverage) else []),
        table(
            head,
            [
                [
                    escape(row.service),
                    escape(row.environment),
                    *(
                        f"{cell.shown}, {cell.count}{', with residue' if cell.residue else ''}"
                        if cell.runs
                        else f"**{cell.last}**"
                        if cell.last == NO_RUN
                        else "exempt"
                        if cell.last == LEFT_OUT
                        else cell.last
                        for cell in row.cells
                    ),
                    row.share_of_runs if row.runs else _left_out(row) if row.left_out else "never drilled in the period",
                    str(len(row.gaps)),
                ]
                for row in audit.coverage
            ],
        ),
        escape(covered_days.begin(audit)),
        *map(escape, kept_schedules.sentences(audit)),
    ]


def _left_out(row: CoverageRow) -> str:
    evidence = services.evidence_of(row)
    return f"exempt: {escape(row.left_out)}{f'; {evidence}' if evidence else ''}"


def _missed(audit: Audit) -> list[str]:
    damage = (
        [f"**The record of missed drills is damaged**: {escape(audit.schedule_damage)}"] if audit.schedule_damage else []
    )
    damage += [f"The record of missed drills: {escape(audit.schedule_torn)}."] if audit.schedule_torn else []
    lead = [*damage, escape(wording.never_passed(audit))]
    if not audit.missed_beside_failures:
        return [*lead, as_called(wording.none_overdue(audit)), *retired.markdown(audit.retired)]
    return [
        *lead,
        table(
            ("Drill", "Service", "Environment", "Kind", "Due", "Since", "Until", "Details"),
            [
                (
                    escape(row.named),
                    escape(row.service),
                    escape(row.environment),
                    f"**{row.kind}**{' (suite)' if row.suite else ''}",
                    utc(row.due) if row.due else "at once",
                    wording.since(row),
                    wording.ended(row),
                    escape(row.why or (f"last passed: {row.run}" if row.run else "")),
                )
                for row in audit.missed_beside_failures
            ],
        ),
        *retired.markdown(audit.retired),
    ]


def _trend(audit: Audit) -> list[str]:
    lines = [f"- **{escape(plot.title)}**: {escape(plot.description)}" for plot in audit.plots]
    return [
        "\n".join(lines) or "No run of the period sets RTO or RPO.",
        *markdown_proven.legend((plot.title for plot in audit.plots), told_marks(audit.proven)),
        *capacity([row.outlook for row in audit.capacity], "### Capacity, by the newest run that measured it"),
    ]


def _ended(row: RunRow) -> str:
    if row.recovered:
        return f"{RECOVERED}, {utc(row.recovered)}"
    return utc(row.finished) if row.finished else "the journal contains no event that ends the run"


def _verdict(row: RunRow, *, counted: bool = True) -> str:
    """Return the verdict of a run. ``counted``: False to leave out the number of its findings, in a table with the reasons."""
    left = ", with residue, closed" if row.closed else ", with residue" if row.residue else ""
    sign = f" {row.beside_verdict}" if row.beside_verdict else ""
    return f"**{row.shown}**{sign}{left}{f', {row.beside}' if counted and row.beside else ''}"


def _not_passed(audit: Audit) -> list[str]:
    if not audit.not_passed and not audit.absent:
        return [escape(wording.all_passed(audit))]
    return [
        table(
            ("Run", "Drill", "Environment", "Begun", "Verdict", "Why", "Not undone"),
            [
                (
                    code(row.run),
                    escape(row.drill),
                    escape(row.environment),
                    utc(row.started) if row.started else "not known",
                    _verdict(row, counted=False),
                    escape(as_called("; ".join(filter(None, [row.reason or "no reason is recorded", row.loss, row.later])))),
                    escape(as_called("; ".join(row.left))) or "nothing",
                )
                for row in audit.not_passed
            ]
            + [
                (
                    code(row.run) if row.run else "name not known",
                    escape(row.drill or "not known"),
                    "",
                    utc(row.at) if row.at else "not known",
                    f"**{row.kind}**",
                    escape(row.why),
                    "not known",
                )
                for row in audit.absent
            ],
        )
    ]


def _findings(audit: Audit) -> list[str]:
    if not audit.shown_findings:
        return ["The readable runs of the period recorded no findings."]
    return [
        table(
            (
                "Severity",
                "Code",
                "Finding",
                "Drill",
                "Environment",
                "Seen",
                "First",
                "Last",
                "State",
                "Last wanted and measured",
            ),
            [
                (
                    row.severity,
                    code(row.code),
                    escape(row.title),
                    escape(row.drill),
                    escape(row.environment),
                    row.seen,
                    row.first_seen[:10],
                    row.last_seen[:10],
                    f"**{escape(row.state)}**",
                    escape(as_called(row.told)),
                )
                for row in audit.shown_findings
            ],
        )
    ]


def _runs(audit: Audit) -> list[str]:
    if not audit.runs:
        return ["No run began in this period."]
    return [
        table(
            ("Folder", "Drill", "Service", "Environment", "Begun", "Ended", "Verdict", "RTO", "RPO", "Operator"),
            [
                (
                    code(row.folder),
                    escape(row.drill),
                    escape(row.service),
                    escape(row.environment),
                    utc(row.started) if row.started else "not known",
                    _ended(row),
                    _verdict(row),
                    row.rto,
                    row.rpo_told,
                    escape(row.operator),
                )
                for row in audit.runs
            ],
        ),
        *markdown_proven.legend(
            (row.rpo_mark for row in audit.runs), [*told_marks(audit.proven), *(plot.title for plot in audit.plots)]
        ),
        *([escape(NOT_ROUTINE)] if any(row.beside_verdict for row in audit.runs) else []),
    ]


def _plans(audit: Audit) -> list[str]:
    if not audit.plans:
        return ["No run of this period has a plan that differs from the plan of the previous run of its drill."]
    return [
        table(
            ("Drill", "Environment", "When", "First run with this plan", "What differs", "Digest before", "Digest then"),
            [
                (
                    escape(row.drill),
                    escape(row.environment),
                    row.at[:10],
                    code(row.run),
                    escape(", ".join(row.changed)),
                    code(row.before),
                    code(row.after),
                )
                for row in audit.plans
            ],
        )
    ]


def _operators(audit: Audit) -> list[str]:
    if not audit.operators:
        return ["No operator is known."]
    return [
        table(
            ("Operator", "Runs", "Recoveries", "First", "Last"),
            [
                (escape(row.operator), str(row.runs), str(row.recoveries), utc(row.first), utc(row.last))
                for row in audit.operators
            ],
        )
    ]


def _evidence(audit: Audit) -> list[str]:
    lead = f"{wording.EVIDENCE_DIGEST}: {code(audit.evidence_digest)}"
    if not audit.evidence:
        return [lead, "No journal of the period was found."]
    return [
        lead,
        table(
            ("Journal", "State", "Events", "Size", "Last hash", "SHA-256 of the file", "Run before it", "Vouched for by"),
            [
                (
                    code(f"{row.folder}/journal.jsonl"),
                    escape(as_called(row.told)),
                    "not counted" if row.state == "damaged" else str(row.events),
                    size(row.size),
                    code(row.head),
                    code(row.sha256),
                    escape(row.before),
                    escape(row.anchor),
                )
                for row in audit.evidence
            ],
        ),
    ]


def _controls(audit: Audit) -> list[str]:
    return [
        table(
            ("Standard", "Control", "Title", "Evidence in this report", "See", "Not covered by this report"),
            [
                (
                    escape(control.standard),
                    code(control.id),
                    escape(control.title),
                    escape(" ".join(filter(None, (control.shows, control.lacks)))),
                    escape(", ".join(wording.TITLES[key] for key in control.sections)),
                    escape(control.not_shown),
                )
                for control in audit.controls
            ],
        )
    ]


def _sign_off(audit: Audit) -> list[str]:
    blank = "\\_" * 16
    return [
        f"{wording.EVIDENCE_DIGEST}: {code(audit.evidence_digest)}",
        table(("Role", "Name", "Date", "Signature"), [(role, blank, blank, blank) for role in wording.SIGNERS]),
    ]
