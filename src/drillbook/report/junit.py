"""Reports as JUnit XML for Jenkins and GitLab.

A state that was not verified is an error, and never counts as passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as Tree

from drillbook.exits import Exit
from drillbook.judge.result import Result, RunView, StepView, SuiteResult
from drillbook.judge.verdicts import Verdict
from drillbook.report import cut_short, headlines, open_findings, residue_state, rows, step_texts, stop_words, wording
from drillbook.report.figures import shown
from drillbook.report.remarks import RESERVED
from drillbook.report.suites import SuiteRow, suite_contradictions, suite_rows, suite_sentence

OUTCOMES = {
    "done": None,
    "failed": "failure",
    "error": "error",
    "unverified": "error",
    "unknown": "error",
    "cancelled": "error",
    "skipped": "skipped",
    "allowed": "skipped",
    "met": None,
    RESERVED: None,
    "missed": "failure",
    "not verified": "error",
    "passed": None,
    "inconclusive": "error",
    "refused": "error",
    "aborted": "error",
    "not run here": "skipped",
}
"""XML element for each state of a step or an objective, and for each verdict, or None for success. A state that is not
listed becomes an error."""
COUNTS = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def render(view: RunView) -> str:
    """Render ``junit.xml`` of one run as a test suite.

    It has a test case for each step, each objective, each change that could not be undone, and the verdict.
    """
    return _document([_suite_of(view)], view.result.title)


def render_suite(suite: SuiteResult, views: Sequence[RunView]) -> str:
    """Render ``junit.xml`` of a suite.

    Each drill becomes a test suite in the XML. One more test suite has the verdict of the whole suite of drills.
    """
    drills = suite_rows(suite, views)
    suites = [_suite_of(row.view) if row.view else _missing(row) for row in drills]
    own = _suite(suite.suite, suite.started, {"verdict": suite.verdict, "exit": str(suite.exit), "run": suite.run})
    wrong = suite_contradictions(suite, drills)
    reason = "; ".join([*wrong, suite_sentence(drills)])
    _verdict_case(own, suite.suite, "contradictory" if wrong else suite.verdict, suite.exit, reason)
    return _document([*suites, _counted(own)], suite.title)


def _document(suites: Sequence[Tree.Element], name: str) -> str:
    root = Tree.Element("testsuites", {"name": shown(name)})
    for key in ("tests", *COUNTS.values()):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in suites)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in suites):.3f}")
    root.extend(suites)
    Tree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Tree.tostring(root, encoding="unicode")}\n'


def _suite(name: str, started: str, properties: dict[str, str]) -> Tree.Element:
    suite = Tree.Element("testsuite", {"name": shown(name), "timestamp": shown(started[:19])})
    group = Tree.SubElement(suite, "properties")
    for key, value in properties.items():
        Tree.SubElement(group, "property", {"name": key, "value": shown(value)})
    return suite


def _suite_of(view: RunView) -> Tree.Element:
    result = view.result
    suite = _suite(
        result.drill,
        result.started,
        {
            "verdict": result.verdict,
            "exit": str(result.exit),
            "run": result.run,
            "plan_digest": result.plan_digest,
            "environment": result.environment,
            "service": result.service,
            "operator": result.operator,
            "tool": result.tool,
            "journal_head": view.journal_head,
            **{f"objective.{row.key}": row.said for row in rows.rows_of(result)},
        },
    )
    stop = cut_short.stop_of(result)
    for step in view.steps:
        _step_case(suite, result.drill, step, stop)
    _objective_cases(suite, result)
    closed = f"\n{rows.settled_sentence(result.settled)}" if result.settled else ""
    for residue in result.residue:
        _case(
            suite,
            f"{result.drill}.residue",
            f"{residue.step} {residue.what} [{residue.host}]",
            "error",
            f"{residue_state.state(view, residue)}: {residue.why}\nby hand: {residue_state.by_hand(view, residue)}{closed}",
        )
    reason = "; ".join([*rows.contradictions(view), stop_words.in_words(result.reason)])
    trusted = "contradictory" if rows.contradictions(view) else result.verdict
    _verdict_case(suite, result.drill, trusted, result.exit, reason)
    Tree.SubElement(suite, "system-out").text = shown(_findings(view))
    return _counted(suite)


def _objective_cases(suite: Tree.Element, result: Result) -> None:
    for row in rows.rows_of(result):
        text = f"{row.name}: {row.measured}, target at most {row.target}, {row.said}"
        text += f": {row.reason}" if row.reason else ""
        text += f" ({row.remark})" if row.remark else ""
        state = result.verdict if result.verdict is Verdict.NOT_RUN else row.state
        case = _case(suite, f"{result.drill}.objectives", row.short, state, text)
        Tree.SubElement(case, "system-out").text = shown(text)


def _missing(row: SuiteRow) -> Tree.Element:
    suite = _suite(row.drill, "", {"verdict": row.verdict, "run": row.run})
    del suite.attrib["timestamp"]
    _case(suite, row.drill, "record", "unknown", row.sentence)
    return _counted(suite)


def _step_case(suite: Tree.Element, drill: str, step: StepView, stop: str) -> None:
    result = step.result
    text = step_texts.message_of(step) or wording.STEP_WORDS[result.status]
    short = cut_short.note(step, stop, step.commands)
    text = "\n".join(filter(None, (text, short)))
    case = _case(suite, f"{drill}.{step.phase}", f"{result.id} {result.action} [{result.host}]", result.status, text)
    case.set("time", f"{result.seconds or 0.0:.3f}")
    output = "\n".join(part for command in step.commands for part in (command.stdout, command.stderr) if part)
    if output:
        Tree.SubElement(case, "system-out").text = shown(output)


def _verdict_case(suite: Tree.Element, name: str, verdict: str, status: int, reason: str) -> None:
    """Add the verdict as a test case, so that a run that did not pass is visible even when no step failed."""
    state = "residue" if status == Exit.RESIDUE and verdict == Verdict.PASSED else verdict
    case = _case(suite, f"{name}.verdict", "verdict", state, f"{state}: {reason}")
    Tree.SubElement(case, "system-out").text = shown(f"{state}: {reason}")


def _case(suite: Tree.Element, group: str, name: str, state: str, text: str) -> Tree.Element:
    case = Tree.SubElement(suite, "testcase", {"classname": shown(group), "name": shown(name), "time": "0.000"})
    outcome = OUTCOMES.get(state, "error")
    if outcome:
        lines = shown(text).strip().splitlines()
        child = Tree.SubElement(case, outcome, {"message": lines[0] if lines else state})
        child.text = "\n".join(lines)
        if outcome != "skipped":
            child.set("type", shown(state))
    return case


def _counted(suite: Tree.Element) -> Tree.Element:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for element, key in COUNTS.items():
        suite.set(key, str(sum(case.find(element) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
    return suite


def _findings(view: RunView) -> str:
    lines = [headlines.sentence(view)]
    for finding in residue_state.findings(view, rows.findings_of(view.result), alone=True):
        label, measured = open_findings.measured(finding)
        lines += [
            f"{finding.severity} {finding.code}: {finding.title}",
            f"  wanted: {finding.wanted}",
            f"  {label}: {measured}",
            f"  remedy: {finding.remedy}",
        ]
    return "\n".join(lines)
