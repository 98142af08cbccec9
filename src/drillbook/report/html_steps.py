"""Section about phases and steps in the HTML report.

A run may have ten thousand steps, and a template would be too slow for so many. So functions make this section. They escape
each value as a template does, because they put values into the page only by ``_text``, or by a function that uses ``_text``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import groupby
from typing import Any

from markupsafe import Markup

from drillbook.findings import Finding
from drillbook.judge.result import CommandView, StepView
from drillbook.report import cut_short, end_state, listed_rows, long_texts, pages, run_record, step_texts, wording
from drillbook.report.figures import count, pretty, readable, seconds, took, utc_time
from drillbook.report.phases import PhaseRow
from drillbook.sdk.answer_limits import told_once

Where = tuple[str | None, str | None]
"""Key for a step on one host: the id of the step, and the name of the host."""
REMEMBERED = 4096
"""Size of the cache of HTML. The cache saves time, because the steps on many hosts have the same texts and commands."""
LONGEST = 500
"""Maximum length, in characters, of a text whose HTML is put into the cache."""
CUT = "Cut on paper; the page itself and the journal have the whole text."
LAST_COMMANDS, LAST_FAILURES = 3, 2
"""Largest numbers of commands of a step that are printed on paper: ``LAST_COMMANDS`` for the last commands of the step, and
``LAST_FAILURES`` for the last failed commands before these. The numbers are limited because a step that waits for a
condition may run hundreds of commands.
"""
HEAD = (
    '<section aria-labelledby="steps">\n<h2 id="steps">Phases and steps</h2>\n'
    '<p class="lead paper">On paper, steps that succeeded have one line each; the page itself and the journal have their '
    "details.</p>\n"
)


def section(
    started: str,
    phases: Sequence[PhaseRow],
    anchors: Mapping[Where, str],
    findings: Mapping[Where, Sequence[Finding]],
    *,
    stop: str,
) -> Markup:
    """Return the section as HTML.

    ``started``: start of the run. ``anchors``: ids of the steps in the page, as safe HTML. ``findings``: findings of the steps.
    ``stop``: sentence about steps that were stopped; see ``cut_short.stop_of``.
    """
    parts = [HEAD]
    for phase in phases:
        parts.append(_phase_head(phase))
        for number, step in enumerate(phase.steps, 1):
            where = (step.result.id, step.result.host)
            if phase.repeated:  # the links lead to the same step after the early end
                parts += _step(step, f"before-{pages.escaped(phase.phase)}-{number}", (), started, stop)
            else:
                parts += _step(step, anchors[where], findings.get(where, ()), started, stop)
        if not phase.steps and phase.state != wording.NO_STEPS:
            parts.append('<p class="soft" style="margin-top:10px">No steps.</p>\n')
        parts.append("</div>\n")
    if not phases:
        parts.append("<p>The run has no phases.</p>\n")
    parts.append("</section>\n")
    return Markup("".join(parts))  # noqa: S704  every value in the parts was escaped


class _Known(dict[str, str]):
    """Cache of escaped texts. The key of each entry is a text, and the value is its HTML. Only short texts are stored."""

    def __missing__(self, text: str) -> str:
        escaped = pages.escaped(text)
        if len(text) <= LONGEST:
            if len(self) >= REMEMBERED:
                self.clear()
            self[text] = escaped
        return escaped


_known = _Known()


def _text(value: object) -> str:
    """Return ``value`` as a template prints it: escaped, with invisible characters made visible."""
    return _known[value] if type(value) is str else pages.escaped(value)


@cache
def _part(macro: str) -> Callable[[str], str]:
    """Return the macro ``macro`` from ``parts.html.j2``, the template of the parts that several pages share."""
    part: Callable[[str], str] = getattr(pages.environment().get_template("parts.html.j2").module, macro)
    return part


@cache
def _state(word: str) -> str:
    """Return the HTML of a state, with its symbol. The results are cached, because there are only a few states."""
    return str(_part("state")(word))


def _phase_head(phase: PhaseRow) -> str:
    duration = f'<span class="soft num">{_text(phase.took)}</span>' if phase.took else ""
    return (
        '<div class="phase-block">\n'
        f'<div class="phase-head"><h3><bdi>{_text(phase.name)}</bdi></h3>{_state(phase.state)}{duration}</div>\n'
    )


def _step(step: StepView, anchor: str, findings: Iterable[Finding], started: str, stop: str) -> Iterator[str]:
    """Yield the HTML of one step, in parts. A step that succeeded is folded."""
    result = step.result
    closed = result.status in ("done", "skipped")
    yield f'<details class="step" id="{anchor}"{"" if closed else " open"}>\n'
    yield _summary(step)
    yield f'<div class="more">\n<dl class="pairs">\n<dt>Outcome</dt><dd>{_text(wording.STEP_WORDS[result.status])}</dd>\n'
    if short := cut_short.note(step, stop, step.commands):
        yield f'<dt>Note</dt><dd class="text">{_text(short)}</dd>\n'
    yield from _course(step)
    yield f"<dt>Effect</dt><dd>{_text(step.effect)}{_begun(step, started)}</dd>\n"
    if rows := listed_rows.of_facts(result.facts):
        yield f'<dt>Result</dt><dd class="text">{_text(rows.number)}: <bdi>{_text(rows.values)}</bdi></dd>\n'
    for finding in findings:
        yield _finding(finding)
    for file in run_record.evidence_of(step):
        yield (
            f'<dt>Evidence</dt><dd>{_part("evidence_link")(file.file)!s} <span class="soft">{_text(file.size)}, SHA-256 '
            f'<span class="mono">{_text(file.sha256)}</span></span></dd>\n'
        )
    yield f"<dt>Undo</dt><dd><bdi>{_text(step_texts.undo_of(step))}</bdi></dd>" if step.undo else ""
    yield f"<dt>In the end</dt><dd><bdi>{_text(end_state.of_step(step))}</bdi></dd>" if step.undone else ""
    yield "</dl>\n"
    yield _values("Parameters", step.params)
    yield _values("Facts", told_once(result.facts))
    yield from _commands(step.commands)
    yield "</div>\n</details>\n"


def _summary(step: StepView) -> str:
    """Return the line of a step that is also visible while its details are folded."""
    result = step.result
    action = f' <bdi class="mono soft">{_text(result.action)}</bdi>' if step.name else ""
    tries = f'<span class="state unverified tries">{step.attempts:d} attempts</span>' if step.retried else ""
    duration = "no time" if result.seconds is None else _text(took(result.seconds))
    return (
        f'<summary><span>{_state(step_texts.state(result.status))}</span><span class="what"><code>{_text(result.id)}</code> '
        f"<b><bdi>{_text(step.name or result.action)}</bdi></b>{action}</span>{tries}"
        f'<bdi class="host soft">{_text(result.host)}</bdi><span class="took num soft">{duration}</span></summary>\n'
    )


def _course(step: StepView) -> Iterator[str]:
    """Yield the HTML of the number of attempts of a step, of their outcomes, of the reason why its failure was allowed, and
    of its message. A part that the step does not have is left out.
    """
    if attempts := step_texts.attempts_of(step):
        yield f"<dt>Attempts</dt><dd>{_text(attempts)}</dd>"
    if outcomes := step_texts.outcomes_of(step):
        lines = "<br>".join(f"{number:d} × <bdi>{_text(outcome)}</bdi>" for outcome, number in outcomes)
        yield f'<dt>Outcomes</dt><dd class="text">{lines}</dd>'
    if step.allowed:
        yield f'<dt>Allowed, because</dt><dd class="text"><bdi>{_text(step.allowed)}</bdi></dd>'
    if step.message:
        yield f'<dt>Message</dt><dd class="text"><bdi>{pages.prose(readable(step_texts.message_of(step)))}</bdi></dd>'


def _begun(step: StepView, started: str) -> str:
    if step.start is None:
        return ", never begun"
    return f", begun {_text(utc_time(started, step.start))} ({_text(seconds(step.start, 2))})"


def _finding(finding: Finding) -> str:
    severity = _text(finding.severity)
    return (
        f'<dt>Finding</dt><dd><span class="state {severity}">{severity}</span> <code>{_text(finding.code)}</code> '
        f'<a href="#findings"><bdi>{_text(finding.title)}</bdi></a></dd>\n'
    )


def _values(name: str, values: Mapping[str, Any]) -> str:
    return f'<p class="head">{name}</p>{_block(pretty(values))}' if values else ""


def _block(text: str, kind: str = "") -> str:
    """Return the HTML of preformatted text. A long text, such as the answer of a service, is folded below its first part.

    ``kind``: CSS class of the text.
    """
    if not text:
        return ""
    opening = f'<pre class="{kind}">' if kind else "<pre>"
    if not long_texts.is_long(text):
        return f"{opening}{_text(text)}</pre>"
    return (
        f'<pre class="first">{_text(long_texts.first_part(text))}\n…</pre><p class="paper cut">{CUT}</p>'
        f'<details class="fold whole-text not-on-paper"><summary>Show all {long_texts.size(text)}</summary>'
        f"{opening}{_text(text)}</pre></details>"
    )


def _commands(commands: Sequence[CommandView]) -> Iterator[str]:
    """Yield the commands of a step as HTML. If a step has many commands, its last commands and its last failed commands stay
    visible, and all others are folded. On paper, the folded commands are left out, and a note says so.
    """
    early = range(len(commands) - LAST_COMMANDS)
    failures = [number for number in early if commands[number].exit != 0 or commands[number].error][-LAST_FAILURES:]
    hidden = {number for number in early if number not in failures}
    if hidden:
        chosen = "the last commands, and the last failed commands before them" if failures else "the last commands"
        yield (
            f'<p class="paper cut">On paper, {len(commands) - len(hidden)} of the {len(commands)} commands are shown: {chosen}. The '
            "page itself and the journal have all of them.</p>\n"
        )
    for folded, group in groupby(range(len(commands)), key=hidden.__contains__):
        numbers = list(group)
        if folded:
            earlier = count(len(numbers), "earlier command")
            yield f'<details class="fold whole-text not-on-paper"><summary>Show {earlier}</summary>\n'
        for number in numbers:
            yield from _command(commands[number])
        yield "</details>\n" if folded else ""


def _command(command: CommandView) -> Iterator[str]:
    """Yield a command with its outcome and its output."""
    outcome = _text(run_record.command_outcome(command))
    yield (f'<p class="head">Command, {outcome}, {_text(took(command.seconds))}</p>\n{_command_line(command.argv)}\n')
    for name, text, total in (
        ("Standard output", command.stdout, command.stdout_bytes),
        ("Standard error", command.stderr, command.stderr_bytes),
    ):
        if text or total:
            cut = run_record.cut(text, total)
            yield f'<p class="head">{name}{f", {_text(cut)}" if cut else ""}</p>\n{_block(text)}\n'


@lru_cache(REMEMBERED)
def _command_line(argv: tuple[str, ...]) -> str:
    return _block(run_record.shell_line(argv), "command")
