from __future__ import annotations

from drillbook.report import html, index, markdown, tolerated
from drillbook.report.terminal import summary
from tests.program import Folder
from tests.report import renderings, samples
from tests.report.test_agreement import plain

SAID = "1 step was retried, and 1 failure was allowed"


def test_retries_and_allowed_failures_stand_beside_the_verdict() -> None:
    view = samples.repeated()
    assert tolerated.summary(view) == SAID
    assert tolerated.details(view) == [
        "backup.1 on db-1 took 3 attempts and ended as done",
        "backup.2 on db-1 failed, and the drill allows this failure: the mirror is rebuilt in January",
    ]
    page = html.render(view)
    assert page.index("retried, and 1 failure was allowed") < page.index('id="findings"')
    for text in (page, markdown.render(view)):
        assert all(one in plain(text) for one in tolerated.details(view))
    assert SAID in plain(renderings.printed(summary.ending(view)))
    assert SAID in plain(renderings.printed(summary.line(view), 200))


def test_the_index_and_the_report_of_a_suite_show_them_beside_the_verdict() -> None:
    view = samples.repeated()
    page = index.render([index.entry(view.result.model_dump(mode="json", by_alias=True))])
    for head in ("Last verdict", "Verdict"):
        cell = page.split(f'data-head="{head}"')[1].split("</td>")[0]
        assert "passed" in cell
        assert "1 allowed failure" in cell
    suite, (first, *others) = samples.suite()
    named = view.model_copy(update={"result": view.result.model_copy(update={"run": first.result.run})})
    cell = html.render_suite(suite, [named, *others]).split('data-head="Verdict"')[1].split("</td>")[0]
    assert SAID in plain(cell)


def test_a_pass_with_an_allowed_failure_does_not_claim_that_every_step_succeeded() -> None:
    assert "Every step succeeded or was allowed to fail, and every verification passed. Every objective" in html.render(
        samples.repeated()
    )
    assert "Every step succeeded, and every verification passed. Every objective" in html.render(samples.passed())


def test_a_retry_of_a_real_run_stands_beside_its_verdict(tmp_path) -> None:
    """The step fails at the first attempt, and its second attempt succeeds."""
    folder = Folder(tmp_path)
    once = "test -e DIR/tried || { touch DIR/tried; exit 1; }"
    folder.write(
        f"restore:\n  - command.run: {{argv: [sh, -c, '{once}'], effect: write, undo: ['true']}}\n"
        "    hosts: controller\n    retries: 3\n    every: 10ms\n    timeout: 20s\n"
    )
    done = folder.run("drill", "sample")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 step was retried" in plain(done.stdout)
    (run,) = (path for path in folder.root.glob("reports/*-sample-*") if path.is_dir())
    for name in ("report.html", "report.md"):
        assert "restore.1 on controller took 2 attempts and ended as done" in plain((run / name).read_text())


def test_waiting_for_a_condition_is_no_retry() -> None:
    (ready,) = [step for step in samples.repeated().steps if step.result.id == "ready.1"]
    assert (ready.attempts, ready.retried) == (12, False)
    assert "12, one every 0.5 s until the condition was met" in plain(html.render(samples.repeated()))


def test_a_condition_that_was_never_met_is_not_called_met() -> None:
    view = samples.repeated()
    steps = tuple(
        one.model_copy(update={"result": one.result.model_copy(update={"status": "failed", "seconds": 45.2})})
        if one.result.id == "ready.1"
        else one
        for one in view.steps
    )
    text = plain(html.render(view.model_copy(update={"steps": steps})))
    assert "12 in 45.2 s, one every 0.5 s; the condition was never met" in text
    assert "until the condition was met" not in text


def test_a_run_without_them_says_nothing() -> None:
    assert tolerated.summary(samples.passed()) == ""
    assert tolerated.of_statuses(["done", "failed"]) == ""
    assert tolerated.of_statuses(["done", "allowed", "allowed"]) == "2 allowed failures"
