"""service.* over SSH against the real service manager of the lab."""

from drillbook.judge.result import Verdict


def test_a_stopped_service_is_proven_down_and_started_again(bench):
    plan = bench.plan("api-down", ("- service.kill: {service: api}", "- service.stop: {service: api}"))
    _, view = bench.run(plan)
    assert view.result.verdict is Verdict.PASSED, view.result.reason


def test_without_a_restore_the_undo_starts_it(bench):
    text = bench.text("api-down")
    restore = text[text.index("restore:") : text.index("verify:")]
    _, view = bench.run(bench.plan("api-down", (restore, "")))
    assert view.result.residue == ()
    assert view.result.verdict is Verdict.FAILED, "the drill restored nothing; that the undo helped is no recovery"
    assert next(step for step in view.steps if step.result.id == "inject.1").undone == "put back: undone"
    _, again = bench.run(bench.plan("api-down"))
    assert again.result.verdict is Verdict.PASSED


def test_a_service_in_another_state_is_not_ready(bench):
    _, view = bench.run(bench.plan("api-down", ("service: api, state: running}", "service: cache, state: stopped}")))
    assert (view.result.verdict, view.result.exit) == (Verdict.REFUSED, 4)
    assert "service-state" in {one.code for one in view.result.findings}


def test_a_unit_that_the_manager_does_not_know_is_told(bench):
    text = (bench.project.root / "inventory" / "lab.yml").read_text()
    (bench.project.root / "inventory" / "odd.yml").write_text(text.replace("unit: api\n", "unit: apii\n"))
    odd = bench.project.inventory("odd")
    _, view = bench.run(bench.plan("api-down", inventory=odd), inventory=odd)
    assert view.result.verdict is not Verdict.PASSED
    assert any("apii" in one.measured for one in view.result.findings)
