"""Next steps after a suite: what its drills left, what several drills have in common, and how to run it again."""

from __future__ import annotations

from drillbook.findings import finding
from drillbook.judge.result import Verdict
from drillbook.report import html, markdown, suite_steps
from tests.report import samples
from tests.report.test_agreement import plain


def test_a_suite_names_what_its_drills_left_and_how_to_run_it_again() -> None:
    suite, views = samples.suite()
    found = suite_steps.in_suite(suite, views)
    assert found[-2:] == [
        ("then repeat the suite", "drillbook drill quarterly"),
        ("verify this record", "drillbook report.verify 20260106T090000Z-quarterly-9a9a"),
    ]
    failed = list(dict.fromkeys(view.result.drill for view in views if view.result.verdict != Verdict.PASSED))
    assert [command for _, command in found[:-2]] == [
        *(f"drillbook drill.recover {view.result.run}" for view in views if view.result.residue),
        *(f"drillbook drill {name}" for name in failed),
    ]
    for text in (html.render_suite(suite, views), markdown.render_suite(suite, views)):
        assert all(command in plain(text) for _, command in found)
    assert suite_steps.in_suite(suite, []) == []


def test_a_failed_suite_that_left_nothing_is_run_again_after_the_problem_is_corrected() -> None:
    suite, views = samples.suite()
    clean = [view for view in views if not view.result.open_residue]
    steps = suite_steps.in_suite(suite.model_copy(update={"verdict": Verdict.FAILED}), clean)
    assert [text for text, _ in steps] == [
        "after the correction",
        "then repeat the suite",
        "verify this record",
    ]


def test_the_terminal_names_the_drills_of_a_suite_that_did_not_pass() -> None:
    suite, views = samples.suite()
    found = suite_steps.after_suite("invoke", suite, views, "staging")
    assert ("after the correction", "invoke drill sample --inventory staging") in found
    assert [text for text, _ in found] == [
        "undo what sample left",
        "read the report",
        "after the correction",
        "after the correction",
        "then repeat the suite",
    ]
    assert found[-1][1] == "invoke drill quarterly --inventory staging"
    good = suite.model_copy(update={"verdict": Verdict.PASSED})
    assert suite_steps.after_suite("invoke", good, [samples.passed()], "") == [("read the report", "invoke report.open")]


def drill(name, code="alert-missing", owner="dba", verdict=Verdict.PASSED):
    """Drill with a finding. ``code``: code of the finding."""
    result = samples.result(run=f"run-{name}", drill=name, verdict=verdict, findings=(finding(code),))
    return samples.view(result, owner=owner)


def after(*views, verdict=Verdict.PASSED):
    return suite_steps.after_suite("invoke", samples.suite()[0].model_copy(update={"verdict": verdict}), views, "")


def test_drills_with_the_same_remedy_share_a_suggestion() -> None:
    steps = after(drill("one"), drill("two"))
    (what,) = {text for text, _ in steps if "Prometheus" in text}
    assert what.startswith("for one and two (owner dba): check in Prometheus ")
    assert what.endswith("; then repeat the drills")
    assert dict(suite_steps.grouped(steps))[what] == ["invoke drill one", "invoke drill two"]
    apart = after(drill("one"), drill("two", owner="ops"))
    assert [text for text, _ in apart if text.startswith("for one (owner dba) and two (owner ops): check in Prometheus ")]


def test_many_drills_with_the_same_remedy_are_repeated_by_their_suite() -> None:
    steps = after(*(drill(name) for name in ("one", "two", "three")))
    ((what, command),) = [step for step in steps if "Prometheus" in step[0]]
    assert what.startswith("for one, two and three (owner dba): ")
    assert (what.rpartition("; ")[2], command) == ("then repeat the suite", "invoke drill quarterly")


def test_a_terminal_shows_one_of_many_remedies_and_where_the_others_are() -> None:
    views = [drill("one"), drill("two", "wal-behind"), drill("three", "lock-lost")]
    steps = after(*views)
    assert steps[0] == ("read the report, also the remedies for two and three", "invoke report.open")
    assert [text for text, _ in steps if text.startswith("for ")] == [
        text for text, _ in steps if text.startswith("for one ")
    ]
    page = suite_steps.in_suite(samples.suite()[0], views)
    assert len([text for text, _ in page if text.startswith("for ")]) == 3, "a report has room"
    assert len([text for text, _ in after(*views[:2]) if text.startswith("for ")]) == 2


def test_if_most_drills_did_not_pass_the_whole_suite_is_repeated() -> None:
    views = [drill(name, verdict=Verdict.FAILED) for name in ("one", "two", "three", "four")]
    assert after(*views, verdict=Verdict.FAILED)[-1] == ("after the correction, repeat the suite", "invoke drill quarterly")
    assert not [command for _, command in after(*views, verdict=Verdict.FAILED) if command.endswith("one")]
    few = after(*views[:2], *(drill(name, "file-mode") for name in ("five", "six")), verdict=Verdict.FAILED)
    assert dict(suite_steps.grouped(few))["after the correction"] == ["invoke drill one", "invoke drill two"]


def test_a_page_says_once_what_several_commands_are_for() -> None:
    suite, _ = samples.suite()
    views = [drill("one"), drill("two")]
    for text in (html.render_suite(suite, views), markdown.render_suite(suite, views)):
        assert plain(text).casefold().count("for one and two (owner dba): check in prometheus") == 1
        assert all(command in plain(text) for command in ("drillbook drill one", "drillbook drill two"))
