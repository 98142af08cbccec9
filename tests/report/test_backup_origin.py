"""Reports of a run that restored a backup which was taken while a drill ran: they say so wherever its age stands."""

import pytest

from drillbook.cli.run_output import Manner, Teller
from drillbook.report import backup_origin, headlines, html, index, markdown, next_steps, rehearsal_results, remarks
from drillbook.report.terminal import summary
from tests.report import renderings, samples
from tests.report.rehearsed import BACKUP, RESTORED, view
from tests.report.test_agreement import plain

SAID = "a backup that was taken while the drill cache-lost ran"


def during():
    """A rehearsal whose backup was taken before the run, and while another drill ran."""
    known = view()
    facts = RESTORED | {"backup": BACKUP | {"taken_during": "cache-lost"}}
    restored = known.result.steps[1].model_copy(update={"facts": facts})
    steps = (known.result.steps[0], restored, known.result.steps[2])
    result = known.result.model_copy(update={"steps": steps, "started": "2026-01-02T10:00:00.000Z"})
    return known.model_copy(update={"result": result})


def test_every_report_says_that_the_backup_is_of_the_time_of_a_drill():
    told = during()
    sentence = (
        f"12 s ± 1 s of data would be lost, with {SAID}, so no routine backup was proven, and this is not the age of one."
    )
    assert sentence in headlines.sentence(told)
    for text in (renderings.printed(summary.ending(told)), *renderings.formats(told).values()):
        assert sentence in plain(text)
    for text in (html.render(told), markdown.render(told)):
        assert f"The run restored {SAID}, so no routine backup was proven, and this is not the age of one." in plain(text)


def test_every_report_has_the_words_of_the_index_beside_the_verdict():
    words = "‖ no routine backup"
    told = during()
    assert f'Passed</span><span class="state unverified" style="white-space:normal">{words}</span></p>' in html.render(told)
    assert f"**Passed** {words} (exit status 0)" in markdown.render(told)
    assert f"✓ PASSED  exit 0  {words}  postgres-lost: " in renderings.printed(summary.ending(told), 200)
    for text in renderings.formats(view()).values():
        assert words not in plain(text), "a routine backup"
    failed = told.model_copy(update={"result": told.result.model_copy(update={"verdict": "failed"})})
    assert rehearsal_results.beside_verdict(failed.result) == ""


def test_the_next_step_is_a_repetition_after_the_next_routine_backup():
    steps = [what for what, _ in next_steps.in_report(during())]
    assert "repeat the drill after the next routine backup" in steps
    assert "repeat the drill" in [what for what, _ in next_steps.in_report(view())]


def by_drill():
    """A rehearsal of a backup that an earlier run of a drill took."""
    backup = BACKUP | {"id": "20260101T100000.000Z-cache-lost-8433/dump.rdb"}
    known = during()
    steps = [step.model_copy(update={"facts": RESTORED | {"backup": backup}}) for step in known.result.steps[1:2]]
    steps = (known.result.steps[0], *steps, known.result.steps[2])
    return known.model_copy(update={"result": known.result.model_copy(update={"steps": steps})})


@pytest.mark.parametrize("told", [during(), by_drill()])
def test_the_terminal_suggests_this_repetition_too(told, capsys):
    assert rehearsal_results.beside_verdict(told.result)
    steps = [("read the report", "x report.open")]
    repeated = ("repeat the drill after the next routine backup", "drillbook drill postgres-lost")
    assert repeated in next_steps.in_report(told)
    assert next_steps.on_terminal(told, steps) == [*steps, repeated]
    assert next_steps.on_terminal(view(), steps) == steps, "a routine backup"
    Teller(Manner.BRIEF).end(told, "reports/x/report.html", newest=True)
    assert repeated[0] in " ".join(capsys.readouterr().out.split())


def test_lists_say_it_in_short():
    told = during()
    listed = plain(index.render([index.entry(told.result.model_dump(mode="json", by_alias=True))]))
    assert f"would be lost, with {SAID}; no RPO" in listed
    assert listed.count("‖ no routine backup") == 2, "beside the verdict in both tables"
    assert f" {remarks.NOT_ROUTINE} " in listed
    suite, _ = samples.suite()
    suite = suite.model_copy(update={"runs": suite.runs[:1]})
    screen = plain(renderings.printed(summary.suite_ending(suite, [told]), 80))
    assert "12 s ± 1 s ‖" in screen
    assert "‖ an earlier run of a drill took the restored backup, or ran when it was taken" in screen


def test_another_backup_restored_beside_it_may_be_a_routine_backup():
    restored = during().result.steps[1]
    routine = restored.model_copy(update={"id": "restore.2", "facts": RESTORED | {"backup": BACKUP}})
    assert backup_origin.not_routine([restored]) == SAID
    assert backup_origin.not_routine([restored, routine]) == ""
    assert backup_origin.taken_by_drill([restored]) == "", "it is not known that the drill itself took it"
    assert rehearsal_results.brief([restored], "2026-01-02T10:00:00Z", broken=False).taken == SAID


def test_only_such_a_backup_is_marked_in_lists():
    other = plain(index.render([index.entry(view().result.model_dump(mode="json", by_alias=True))]))
    assert "no routine backup" not in other
