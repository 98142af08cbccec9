"""Reports as Markdown (GitHub's flavour), for merge requests, wikis and mail."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drillbook.exits import Exit
from drillbook.findings import Finding
from drillbook.judge.outlook import Outlook
from drillbook.judge.result import Result, RunView, SuiteResult
from drillbook.report import (
    changes,
    clock_rows,
    dead_runs,
    diagnosis,
    earlier_findings,
    end_state,
    growth,
    headlines,
    later_outages,
    losses,
    markdown_record,
    markdown_steps,
    next_steps,
    open_findings,
    probe_notes,
    recovery_rows,
    rehearsal_results,
    residue_state,
    rows,
    run_record,
    suite_steps,
    tolerated,
    wording,
)
from drillbook.report.figures import seconds, utc, utc_time
from drillbook.report.markdown_syntax import block, code, escape, prose, table
from drillbook.report.moments import clock_note, course, ends
from drillbook.report.objective_figures import LATEST_NOTE
from drillbook.report.rows import ObjectiveRow
from drillbook.report.suites import suite_contradictions, suite_rows, suite_sentence


def render(view: RunView) -> str:
    """Render ``report.md`` of one run."""
    result = view.result
    parts = [
        f"# {escape(result.title)}",
        _verdict(dead_runs.word_of(result), wording.residue(result), result.exit, rehearsal_results.beside_verdict(result)),
        *map(escape, _first(view)),
        "" if view.recoveries else escape(end_state.details(view)),
        escape(wording.explained(result)),
        *_tolerated(view),
        *_contradictions(rows.contradictions(view)),
        *_residue(view),
        "## Findings",
        *_findings(view),
        "## Next",
        *_next(view),
        *changes.markdown(view),
        _facts(view),
        *recovery_rows.section(view),
        *_figures(view),
        *_diagnosis(view),
        *capacity(result.capacity),
        *losses.section(view),
        *_notes(view),
        "## Phases and steps",
        *markdown_steps.phases(view),
        "## Contacts",
        _contacts(view),
        "## Plan",
        table(("What", "Value"), [(name, code(value)) for name, value in run_record.plan_rows(view)]),
        "## Evidence and journal",
        *markdown_record.section(view),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _first(view: RunView) -> list[str]:
    """Return the first paragraphs: the reason for a failure, or else the state at the end of the run, comes first."""
    reason, story, state = headlines.reason(view), headlines.story(view, beside=True), end_state.lead(view)
    return [reason, story, state] if reason else [state, story]


def render_suite(suite: SuiteResult, views: Sequence[RunView]) -> str:
    """Render ``report.md`` of a suite."""
    drills, findings_of = suite_rows(suite, views), dead_runs.told_once(views, rows.findings_beside_residue)
    parts = [
        f"# {escape(suite.title)}",
        _verdict(suite.verdict, "residue" if suite.exit == Exit.RESIDUE else "", suite.exit),
        escape(suite_sentence(drills)),
        *_contradictions(suite_contradictions(suite, drills)),
        table(
            ("What", "Value"),
            [
                ("Suite", code(suite.suite)),
                (
                    "Environment",
                    escape(wording.environment(suite.environment, [view.plan.get("inventory") for view in views])),
                ),
                ("Begun", utc(suite.started)),
                ("Ended", utc(suite.finished)),
                ("Run", code(suite.run)),
            ],
        ),
    ]
    suggestions = suite_steps.grouped(suite_steps.in_suite(suite, views))
    steps = [f"- {prose(what)}: {', '.join(map(code, commands))}" for what, commands in suggestions]
    parts += ["## Next", "\n".join(steps)] if steps else []
    parts += _confusion(views)
    for row in drills:
        parts += [f"## {row.number}. {escape(row.drill)}: {escape(row.verdict)}", escape(row.sentence)]
        parts += [f"**{row.tolerated}.**"] if row.tolerated else []
        parts += [f"**{text}**" for text in (row.beside, escape(row.lost), row.not_routine) if text]
        parts += [objectives(row.objectives)] if row.view else []
        parts += _residue(row.view) if row.view else []
        parts += _suite_findings(row.view, findings_of) if row.view else []
        parts += [f"Exit status {escape(row.exit)}. {f'[Report]({row.href})' if row.href else code(row.run)}"]
    return "\n\n".join(parts) + "\n"


def _suite_findings(view: RunView, findings_of: Callable[[Result], list[Finding]]) -> list[str]:
    """Return lines about one drill of a suite: its owner, and its findings. Each finding has its measured value and its
    remedy."""
    said = run_record.owner(view)
    findings = [
        f"- **{finding.severity}** {escape(finding.title)}"
        + (f": {escape(finding.measured)}" if finding.measured else "")
        + (f". Remedy: {prose(finding.remedy)}" if finding.remedy else "")
        for finding in residue_state.findings(view, findings_of(view.result))
    ]
    return [f"Owner: {escape(said)}." if said else "The drill has no owner.", *(["\n".join(findings)] if findings else [])]


def _verdict(verdict: str, residue: str, status: int, beside: str = "") -> str:
    word = f"**{verdict.capitalize()}{f', with {residue}' if residue else ''}**"
    return f"{word}{f' {beside}' if beside else ''} (exit status {status})"


def _tolerated(view: RunView) -> list[str]:
    """Return retries and allowed failures as text. The result is empty when there were none."""
    details = tolerated.details(view)
    return [f"**{tolerated.summary(view)}:**", "\n".join(f"- {escape(text)}" for text in details)] if details else []


def _next(view: RunView) -> list[str]:
    """Return the owner of the drill, and the suggested commands."""
    said = run_record.owner(view)
    steps = [f"- {what}: {code(command)}" for what, command in next_steps.in_report(view)]
    return [f"Owner: {escape(said)}." if said else "The drill has no owner.", "\n".join(steps)]


def _figures(view: RunView) -> list[str]:
    """Return sections with objectives, timeline and clocks.

    When nothing was measured, return only one sentence that says so.
    """
    nothing = rows.nothing_measured(view)
    if nothing:
        return ["## Objectives", escape(nothing)]
    return [
        "## Objectives",
        objectives(rows.rows_of(view.result)),
        "## Timeline",
        escape(course(view)),
        _moments(view),
        *map(escape, later_outages.later_outages(view)),
        _probes(view),
        *map(prose, probe_notes.probe_notes(view)),
        *rehearsal_results.markdown(view.result),
        "## Clocks",
        _clocks(view),
        escape(clock_rows.left_out(view.result)),
        _glossary(view),
    ]


def _diagnosis(view: RunView) -> list[str]:
    result = view.result.diagnosis
    if result is None:
        return []
    causes = [
        (escape(row.cause), escape(row.subject), str(row.score), escape(diagnosis.causes_text(row)), escape(row.remedy))
        for row in diagnosis.cause_rows(result)
    ]
    return [
        "## Diagnosis",
        escape(diagnosis.lead(result)),
        table(("Cause", "Where", "Weight", "Evidence", "Remedy"), causes)
        if causes
        else "\n".join(f"- {escape(question)}" for question in result.why),
    ]


def _confusion(views: Sequence[RunView]) -> list[str]:
    confusion = diagnosis.confusion(views)
    if confusion is None:
        return []
    body = [(escape(injected), *(escape(diagnosis.cell_text(cell)) for cell in cells)) for injected, cells in confusion.rows]
    return [
        "## Injected and diagnosed",
        escape(confusion.sentence),
        table(("Injected", *(escape(column) for column in confusion.columns)), body),
    ]


def _notes(view: RunView) -> list[str]:
    listed = rows.note_rows(view)
    lines = [f"- {at}: {f'**{escape(text)}**' if loud else escape(text)}" for at, text, loud in listed]
    return ["## Locks, leases and guards", "\n".join(lines)] if listed else []


def capacity(outlooks: Sequence[Outlook], head: str = "## Capacity") -> list[str]:
    """Return a section about the growth of the measured services. The result is empty when no service was measured."""
    if not outlooks:
        return []
    return [
        head,
        table(
            ("Service", "Holds", "Grows", "Disk full", "Restore outgrows the RTO"),
            [
                (escape(row.service), escape(row.holds), escape(row.growth), escape(row.full), escape(row.outgrows))
                for row in growth.growth_rows(outlooks)
            ],
        ),
        *([escape(note)] if (note := growth.note(outlooks)) else []),
    ]


def _facts(view: RunView) -> str:
    result = view.result
    values = [
        ("Service", result.service),
        ("Environment", wording.environment(result.environment, [view.plan.get("inventory")])),
        ("Drill", result.drill),
        ("Begun", utc(result.started)),
        *ends(view),
        ("Operator", f"{result.operator} on {view.controller}"),
        ("Made with", result.tool),
        ("Run", result.run),
    ]
    return table(("What", "Value"), [(name, escape(value)) for name, value in values])


def _contradictions(contradictions: Sequence[str]) -> list[str]:
    lines = [f"- {escape(text)}" for text in contradictions]
    return (
        ["## This record contradicts itself", "\n".join(lines), "Do not count this run as passed."] if contradictions else []
    )


def _residue(view: RunView) -> list[str]:
    closed = view.result.settled
    paragraphs = [f"## {residue_state.heading(view)}"] if view.result.residue or closed else []
    if closed:
        paragraphs += [
            f"**{escape(rows.settled_sentence(closed))}**",
            "\n".join(f"- {escape(text)}" for text in rows.settled_rows(closed)),
            "Residue before a person closed it:",
        ]
    elif paragraphs:
        paragraphs.append(
            f"{residue_state.meaning(view)}\n\n"
            f"**{residue_state.RECOVER}:** {code(f'{view.program} drill.recover {view.result.run}')}\n\n"
            f"{residue_state.OTHERWISE}:"
        )
    for residue in view.result.residue:
        place, told = residue_state.place(view, residue), residue_state.by_hand(view, residue)
        paragraphs += [
            f"**{escape(residue.what)}** on {escape(place)} (step {escape(residue.step)}): {prose(residue.why)}",
            block(told) if residue_state.is_commands(told) else prose(told),
        ]
    return paragraphs


def objectives(goals: Sequence[ObjectiveRow]) -> str:
    """Return a table of the objectives, or a sentence which says that there are none."""
    if not goals:
        return "The drill sets no objectives."
    return table(
        ("Objective", "Target", "Measured", "Result", "Clock"),
        [
            (
                escape(row.name),
                f"at most {row.target}",
                escape("; ".join(filter(None, (row.measured, row.writes, row.remark)))),
                f"**{escape(row.said.partition(': ')[0])}**"
                + (escape(row.said.removeprefix(rows.DOES_NOT_COUNT)) if row.uncounted else "")
                + (f": {escape(row.reason)}" if row.reason else ""),
                escape(row.clock) or "not named",
            )
            for row in goals
        ],
    )


def _moments(view: RunView) -> str:
    known = rows.moment_rows(view)
    if not known:
        return "No moment of the run was measured."
    return table(
        ("Moment", "Time of day", "Since the start"),
        [(f"{name}: {meaning}", escape(utc_time(view.zero, at)), seconds(at, 3)) for name, meaning, at in known],
    )


def _probes(view: RunView) -> str:
    if not view.timeline.probes:
        return "No probe ran."
    return table(
        ("Probe", "Every", "Samples", "Bad", "Late", "State"),
        [
            (
                code(track.name),
                seconds(track.every_s),
                str(track.samples),
                str(track.bad),
                str(track.late),
                f"not verified: {escape(track.error)}" if track.error else "worked",
            )
            for track in view.timeline.probes
        ],
    )


def _clocks(view: RunView) -> str:
    return table(
        ("Clock", "Figure", "From, to"),
        [
            (
                row.clock.name,
                (row.figure + (" (no sampling error)" if row.exact else ""))
                if row.figure
                else f"not measured: {escape(row.reason)}",
                row.clock.span,
            )
            for row in clock_rows.of_run(view)
        ],
    )


def _findings(view: RunView) -> list[str]:
    paragraphs = []
    for finding in residue_state.findings(view, rows.findings_of(view.result)):
        measured_name, measured = open_findings.measured(finding)
        where = " on ".join(escape(part) for part in (finding.step and f"step {finding.step}", finding.host) if part)
        lines = [
            (open_findings.wanted_name(finding.code).capitalize(), prose(finding.wanted)),
            (measured_name.capitalize(), prose(measured)),
            ("Remedy", prose(finding.remedy)),
            ("Where", where),
            ("Evidence", ", ".join(markdown_record.evidence_link(file) for file in finding.evidence)),
        ]
        paragraphs += [
            f"### {finding.severity}: {escape(finding.title)} ({code(finding.code)})",
            "\n".join(f"- {name}: {text}" for name, text in lines if text),
        ]
    return [*(paragraphs or ["The run recorded no findings."]), prose(earlier_findings.sentence(view))]


def _contacts(view: RunView) -> str:
    contacts = rows.contact_rows(view)
    if not contacts:
        return "The inventory names no contacts."
    return table(
        ("Contact", "Role", "Answers for", "Address"),
        [
            (
                escape(name) + (" (owner)" if owner else ""),
                escape(contact.get("role") or "not stated"),
                escape(contact.get("duty") or "not stated"),
                escape(" ".join(filter(None, (contact.get("email"), contact.get("phone")))) or "not stated"),
            )
            for name, contact, owner in contacts
        ],
    )


def _glossary(view: RunView) -> str:
    lead = (
        f"{clock_note(view)} Times of day are in UTC. The true value differs from a figure by no more than its error (±). Errors "
        "are rounded up. A figure that begins with “at most” is the upper end of the true value, because the error is as large "
        "as the figure. "
        f"{LATEST_NOTE} The objective of a figure that could not be measured is not verified."
    )
    errors: dict[str, list[str]] = {}
    for row in clock_rows.of_run(view):
        errors.setdefault(row.clock.error, []).append(row.clock.name)
    listed = "\n".join(f"- Error of {', '.join(names)}: {error}" for error, names in errors.items())
    return f"{lead}\n\n{listed}" if listed else lead
