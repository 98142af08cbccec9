"""Reports as Markdown (GitHub's flavour), for merge requests, wikis and mail."""

from __future__ import annotations

from collections.abc import Sequence

from drillbook.exits import Exit
from drillbook.judge.outlook import Outlook
from drillbook.judge.result import CommandView, RunView, StepView, SuiteResult
from drillbook.report import diagnosis, growth, losses, record, rehearsal, rows, wording
from drillbook.report.figures import link, one_line, seconds, took, utc, utc_time
from drillbook.report.markdown_syntax import block, code, escape, table
from drillbook.report.rows import ObjectiveRow
from drillbook.report.suites import suite_contradictions, suite_rows, suite_sentence

MOST_FACTS, MOST_CHARACTERS = 8, 100
"""Limits for the list of facts in a report: number of facts of a step, and length of the text of a fact."""


def render(view: RunView) -> str:
    """Render ``report.md`` of one run."""
    result = view.result
    parts = [
        f"# {escape(result.title)}",
        _verdict(str(result.verdict), wording.residue(result), result.exit),
        escape(wording.sentence(view)),
        escape(wording.explained(result)),
        _facts(view),
        *_contradictions(rows.contradictions(view)),
        *_residue(view),
        *_figures(view),
        *_diagnosis(view),
        "## Findings",
        *_findings(view),
        *capacity(result.capacity),
        *losses.section(view),
        *_notes(view),
        "## Phases and steps",
        *_phases(view),
        "## Contacts",
        _contacts(view),
        "## Plan",
        table(("What", "Value"), [(name, code(value)) for name, value in record.plan_rows(view)]),
        "## Evidence and journal",
        *_record(view),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_suite(suite: SuiteResult, views: Sequence[RunView]) -> str:
    """Render ``report.md`` of a suite."""
    found = suite_rows(suite, views)
    parts = [
        f"# {escape(suite.title)}",
        _verdict(suite.verdict, "residue" if suite.exit == Exit.RESIDUE else "", suite.exit),
        escape(suite_sentence(found)),
        *_contradictions(suite_contradictions(suite, found)),
        table(
            ("What", "Value"),
            [
                ("Suite", code(suite.suite)),
                ("Environment", code(suite.environment)),
                ("Begun", utc(suite.started)),
                ("Ended", utc(suite.finished)),
                ("Run", code(suite.run)),
            ],
        ),
    ]
    parts += _confusion(views)
    for row in found:
        parts += [f"## {row.number}. {escape(row.drill)}: {escape(row.verdict)}", escape(row.sentence)]
        parts += [objectives(row.objectives)] if row.view else []
        parts += _residue(row.view) if row.view else []
        parts += [f"Exit status {escape(row.exit)}. {f'[Report]({row.href})' if row.href else code(row.run)}"]
    return "\n\n".join(parts) + "\n"


def _verdict(verdict: str, residue: str, status: int) -> str:
    return f"**{verdict.capitalize()}{f', with {residue}' if residue else ''}** (exit status {status})"


def _figures(view: RunView) -> list[str]:
    """Sections with objectives, timeline and clocks; only one sentence when nothing was measured."""
    nothing = rows.nothing_measured(view)
    if nothing:
        return ["## Objectives", escape(nothing)]
    return [
        "## Objectives",
        objectives(rows.objective_rows(view.result.objectives)),
        "## Timeline",
        _moments(view),
        _probes(view),
        *rehearsal.markdown(view.result),
        "## Clocks",
        _clocks(view),
        _glossary(view),
    ]


def _diagnosis(view: RunView) -> list[str]:
    found = view.result.diagnosis
    if found is None:
        return []
    causes = [
        (escape(row.cause), escape(row.subject), str(row.score), escape(diagnosis.causes_text(row)), escape(row.remedy))
        for row in diagnosis.cause_rows(found)
    ]
    return [
        "## Diagnosis",
        escape(diagnosis.sentence(found)),
        table(("Cause", "Where", "Weight", "Evidence", "Remedy"), causes)
        if causes
        else "\n".join(f"- {escape(one)}" for one in found.why),
    ]


def _confusion(views: Sequence[RunView]) -> list[str]:
    found = diagnosis.confusion(views)
    if found is None:
        return []
    body = [(escape(injected), *(escape(diagnosis.cell_text(cell)) for cell in cells)) for injected, cells in found.rows]
    return [
        "## Injected and diagnosed",
        escape(found.sentence),
        table(("Injected", *(escape(column) for column in found.columns)), body),
    ]


def _notes(view: RunView) -> list[str]:
    found = rows.note_rows(view)
    lines = [f"- {at}: {f'**{escape(text)}**' if loud else escape(text)}" for at, text, loud in found]
    return ["## Locks, leases and guards", "\n".join(lines)] if found else []


def capacity(found: Sequence[Outlook], head: str = "## Capacity") -> list[str]:
    """Section about the growth of the measured services; empty when no service was measured."""
    if not found:
        return []
    return [
        head,
        table(
            ("Service", "Holds", "Grows", "Disk full", "Restore outgrows the RTO"),
            [
                (escape(row.service), escape(row.holds), escape(row.growth), escape(row.full), escape(row.outgrows))
                for row in growth.growth_rows(found)
            ],
        ),
        escape(growth.NOTE),
    ]


def _facts(view: RunView) -> str:
    result = view.result
    values = [
        ("Service", result.service),
        ("Environment", result.environment),
        ("Drill", result.drill),
        ("Begun", utc(result.started)),
        ("Ended", utc(result.finished) if result.finished else "the journal contains no end"),
        ("Operator", f"{result.operator} on {view.controller}"),
        ("Made with", result.tool),
        ("Run", result.run),
    ]
    return table(("What", "Value"), [(name, escape(value)) for name, value in values])


def _contradictions(found: Sequence[str]) -> list[str]:
    lines = [f"- {escape(one)}" for one in found]
    return ["## This record contradicts itself", "\n".join(lines), "Do not take this run for a pass."] if found else []


def _residue(view: RunView) -> list[str]:
    closed = view.result.settled
    found = [f"## Changes that could not be undone ({len(view.result.residue)})"] if view.result.residue or closed else []
    if closed:
        found += [
            f"**{escape(rows.settled_sentence(closed))}**",
            "\n".join(f"- {escape(text)}" for text in rows.settled_rows(closed)),
            "Residue before it was closed:",
        ]
    elif found:
        found.append(f"First try {code(f'{view.program} drill.recover {view.result.run}')}. If that does not help, by hand:")
    for one in view.result.residue:
        found += [
            f"**{escape(one.what)}** on {escape(one.host)} (step {escape(one.step)}): {escape(one.why)}",
            block(one.by_hand),
        ]
    return found


def objectives(found: Sequence[ObjectiveRow]) -> str:
    """Table of the objectives, or a sentence that there are none."""
    if not found:
        return "The drill sets no objectives."
    return table(
        ("Objective", "Target", "Measured", "Result", "Clock"),
        [
            (
                escape(row.name),
                f"at most {row.target}",
                row.measured + (f"; {row.writes}" if row.writes else ""),
                f"**{row.state}**" + (f": {escape(row.reason)}" if row.reason else ""),
                escape(row.clock) or "not named",
            )
            for row in found
        ],
    )


def _moments(view: RunView) -> str:
    known = rows.moment_rows(view)
    if not known:
        return "No moment was measured."
    return table(
        ("Moment", "Time of day", "Since the start"),
        [(f"{name}: {meaning}", escape(utc_time(view.result.started, at)), seconds(at, 3)) for name, meaning, at in known],
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
            for row in rows.clock_rows(view.result)
        ],
    )


def _findings(view: RunView) -> list[str]:
    found = []
    for one in view.result.findings:
        where = " on ".join(escape(part) for part in (one.step and f"step {one.step}", one.host) if part)
        lines = [
            ("Wanted", escape(one.wanted)),
            ("Measured", escape(one.measured)),
            ("Remedy", escape(one.remedy)),
            ("Where", where),
            ("Evidence", ", ".join(_evidence(file) for file in one.evidence)),
        ]
        found += [
            f"### {one.severity}: {escape(one.title)} ({code(one.code)})",
            "\n".join(f"- {name}: {text}" for name, text in lines if text),
        ]
    return found or ["The run recorded no findings."]


def _evidence(file: str) -> str:
    href = link(file)
    return f"[{escape(file)}]({href})" if href else code(file)


def _phases(view: RunView) -> list[str]:
    """Tables of phases and steps, a list of short facts, and details of the steps that did not succeed."""
    phases = rows.phase_rows(view)
    if not phases:
        return ["The run has no phases."]
    found = [
        table(
            ("Phase", "Status", "Took", "Steps"),
            [
                (
                    escape(phase.phase),
                    phase.status,
                    took(phase.seconds) if phase.seconds is not None and phase.status != "interrupted" else "no time",
                    str(len(phase.steps)),
                )
                for phase in phases
            ],
        )
    ]
    steps = [step for phase in phases for step in phase.steps]
    if steps:
        found.append(table(("Step", "Action", "Host", "Status", "Took"), [_step(step) for step in steps]))
    facts = [line for step in steps if (line := _short(step))]
    if facts:
        found += ["Facts of the steps, shortened; all are in `result.json` and in the journal:", "\n".join(facts)]
    return found + [part for step in steps for part in _details(step)]


def _step(step: StepView) -> tuple[str, ...]:
    one = step.result
    return (
        code(one.id),
        escape(step.name or one.action),
        escape(one.host),
        one.status,
        "no time" if one.seconds is None else took(one.seconds),
    )


def _short(step: StepView) -> str:
    """List item with short facts of a step (texts, numbers and truth values) and its undo; empty if it has neither."""
    short = [
        f"{escape(name)} {code(_cut(value))}"
        for name, value in sorted(step.result.facts.items())
        if isinstance(value, str | int | float | bool) and value != ""
    ]
    parts = short[:MOST_FACTS] + ([f"and {len(short) - MOST_FACTS} more"] if len(short) > MOST_FACTS else [])
    parts += [escape(_cut(step.undone))] if step.undone else []
    return f"- {code(step.result.id)} on {escape(step.result.host)}: {', '.join(parts)}" if parts else ""


def _cut(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else one_line(value)
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"


def _details(step: StepView) -> list[str]:
    """Message of a step; for a step that did not succeed, also its failed commands."""
    found = []
    if step.message:
        found += [
            f"{code(step.result.id)} on {escape(step.result.host)}: {wording.STEP_WORDS[step.result.status]}",
            block(step.message),
        ]
    if step.result.status in ("done", "skipped"):
        return found
    bad = [command for command in step.commands if command.exit != 0 or command.error]
    return found + [line for command in bad for line in _command(step, command)]


def _command(step: StepView, command: CommandView) -> list[str]:
    found = [
        f"{code(step.result.id)} command, {escape(record.command_outcome(command))}, {took(command.seconds)}:",
        block(record.command_line(command)),
    ]
    for name, text in (("standard output", command.stdout), ("standard error", command.stderr)):
        found += [f"{name}:", block(text)] if text else []
    return found


def _contacts(view: RunView) -> str:
    found = rows.contact_rows(view)
    if not found:
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
            for name, contact, owner in found
        ],
    )


def _record(view: RunView) -> list[str]:
    files = record.evidence_rows(view)
    lines = [
        ("Events", str(view.journal_events)),
        ("Last hash", code(view.journal_head)),
        ("Last line", "torn: left out" if view.torn else "whole"),
        ("To verify", code(f"{view.program} report.verify {view.result.run}")),
    ]
    listed = table(
        ("File", "Step", "Size", "SHA-256"),
        [(_evidence(row.file), escape(row.step), row.size, code(row.sha256)) for row in files],
    )
    return [table(("Journal", "Value"), lines), listed if files else "No step stored an evidence file."]


def _glossary(view: RunView) -> str:
    lead = (
        "Every figure was measured in this run on the controller's monotonic clock; times of day are UTC. The true "
        "value differs from a figure by no more than its error, which is rounded up. A clock that could not be measured "
        "has no figure, and its objective is not verified."
    )
    errors: dict[str, list[str]] = {}
    for clock in wording.clocks_of(view.result):
        errors.setdefault(clock.error, []).append(clock.name)
    return lead + "\n\n" + "\n".join(f"- Error of {', '.join(names)}: {error}" for error, names in errors.items())
