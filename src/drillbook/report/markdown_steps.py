"""Section about phases and steps in the Markdown report."""

from __future__ import annotations

from drillbook.judge.result import CommandView, RunView, StepView
from drillbook.report import cut_short, end_state, listed_rows, long_texts, run_record, step_texts, wording
from drillbook.report.figures import one_line, took
from drillbook.report.markdown_syntax import block, code, escape, table
from drillbook.report.phases import phase_rows

MOST_FACTS = 8
"""Largest number of facts of a step in the list of facts."""


def phases(view: RunView) -> list[str]:
    """Return tables of phases and steps, a list of short facts, and details of the steps that did not succeed."""
    known = phase_rows(view)
    if not known:
        return ["The run has no phases."]
    parts = [
        table(
            ("Phase", "Status", "Took", "Steps"),
            [
                (
                    escape(phase.name),
                    phase.state,
                    phase.took or "no time",
                    str(len(phase.steps)),
                )
                for phase in known
            ],
        )
    ]
    steps = [step for phase in known for step in phase.steps]
    if steps:
        parts.append(table(("Step", "Action", "Host", "Status", "Took"), [_step(step) for step in steps]))
    facts = [line for step in steps if (line := _short(step))]
    if facts:
        parts += [
            "Facts of the steps, shortened. The complete facts are in `result.json` and in the journal:",
            "\n".join(facts),
        ]
    attempts = [line for step in steps if (line := _attempts(step))]
    parts += ["Attempts of the steps that needed more than one:", "\n".join(attempts)] if attempts else []
    stop = cut_short.stop_of(view.result)
    return parts + [part for step in steps for part in _details(step, stop)]


def _attempts(step: StepView) -> str:
    """Return a list item with the attempts of a step and their outcomes. The result is empty for a step with one attempt."""
    outcomes = ", ".join(f"{number} × {outcome}" for outcome, number in step_texts.outcomes_of(step))
    fields = {"attempts": step_texts.attempts_of(step), "outcomes": outcomes}
    told = "; ".join(f"{name}: {escape(one_line(text))}" for name, text in fields.items() if text)
    return f"- {code(step.result.id)} on {escape(step.result.host)}: {told}" if told else ""


def _step(step: StepView) -> tuple[str, ...]:
    result = step.result
    return (
        code(result.id),
        escape(step.name or result.action),
        escape(result.host),
        step_texts.state(result.status),
        "no time" if result.seconds is None else took(result.seconds),
    )


def _short(step: StepView) -> str:
    """Return a list item with the short facts of a step, and the outcome of its undo. The result is empty if there are neither."""
    shown, others = step_texts.short_facts(listed_rows.others(step.result.facts), MOST_FACTS)
    parts = [f"{escape(fact.name)} {code(fact.value)}{fact.unit}" for fact in shown]
    parts += [f"and {others} more"] if others else []
    parts += [f"{escape(rows.number)} {code(rows.values)}"] if (rows := listed_rows.of_facts(step.result.facts)) else []
    parts += [escape(step_texts.cut(end_state.of_step(step)))] if step.undone else []
    return f"- {code(step.result.id)} on {escape(step.result.host)}: {', '.join(parts)}" if parts else ""


def _details(step: StepView, stop: str) -> list[str]:
    """Return the message of a step. For a step that did not succeed, add its failed commands. ``stop``: sentence about steps that
    were stopped; see ``cut_short.stop_of``.
    """
    parts = []
    if step.message:
        parts += [
            f"{code(step.result.id)} on {escape(step.result.host)}: {wording.STEP_WORDS[step.result.status]}",
            block(step_texts.message_of(step)),
        ]
    if step.result.status in ("done", "skipped"):
        return parts
    bad = [command for command in step.commands if command.exit != 0 or command.error]
    short = cut_short.note(step, stop, bad)
    parts += [f"{code(step.result.id)}: {escape(short)}"] if short else []
    return parts + [line for command in bad for line in _command(step, command)]


def _command(step: StepView, command: CommandView) -> list[str]:
    text, cut = run_record.command_line(command), ""
    if long_texts.is_long(text):
        cut = f" (the beginning of {long_texts.size(text)}; the HTML report has all of them)"
        text = f"{long_texts.first_part(text)}\n\N{HORIZONTAL ELLIPSIS}"
    parts = [
        f"{code(step.result.id)} command, {escape(run_record.command_outcome(command))}, {took(command.seconds)}{cut}:",
        block(text),
    ]
    for name, output in (("standard output", command.stdout), ("standard error", command.stderr)):
        parts += [f"{name}:", block(output)] if output else []
    return parts
