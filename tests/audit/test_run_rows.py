"""A run without an end in its journal: the audit and the summary say whether it is in progress, or its controller died, whether
it was recovered since, and what is left to undo.
"""

from __future__ import annotations

from drillbook.audit import content, html, markdown, summary
from drillbook.audit.alert_causes import alerts
from drillbook.audit.evidence_rows import NO_END
from drillbook.findings import finding
from tests.audit.stories import DRILL, LEFT, SAMPLES
from tests.audit.test_chain import audited
from tests.report.test_agreement import plain

TABLES = "Runs that did not pass or have no end", "All runs"
SINCE = "recovered since, 2026-02-11 09:00 UTC: nothing is left to undo"


def died(book, begun="2026-02-10T09:00:00", drill="sample"):
    """A run whose controller died while its fault was in place."""
    text = DRILL.replace("drill: sample", f"drill: {drill}")
    return book.run(begun, drill=drill, text=text).availability(*SAMPLES).fault().close()


def pages(book):
    audit = audited(book)
    return {
        "html": plain(html.render(audit)),
        "md": plain(markdown.render(audit).replace("\\", "")),
        "summary": plain(summary.render(audit)),
    }


def test_an_audit_says_beside_a_killed_run_that_it_was_recovered_since(book):
    died(book).resumed("2026-02-11T09:00:00").close()
    told = pages(book)
    for name in ("html", "md"):
        assert SINCE in told[name], "the table of the runs that did not pass"
        assert f"{NO_END}, recovered since, 2026-02-11 09:00 UTC" in told[name], "the table of the digests"
    for text in told.values():
        assert "died; recovered since, 2026-02-11: nothing is left to undo" in text
        assert "unfinished" not in text
        assert "drill.recover" not in text
    assert content.as_data(audited(book))["runs"][0]["recovered"] == "2026-02-11T09:00:02.000000Z"


def test_unfinished_is_only_a_run_that_still_needs_a_recovery(book):
    run = died(book)
    told = pages(book)
    command = f"drillbook drill.recover {run.id}"
    for name in ("html", "md"):
        words = told[name].replace("`", "")
        assert f"unfinished; recover it: {command}" in words
        assert f"{NO_END}, unfinished; recover it: {command}" in words
        assert "1 unfinished" in words, "as the index and the lists count it"
        assert "1 aborted" not in words
    assert "unfinished on 2026-02-10" in told["summary"].partition("Needs attention")[2]
    assert "**unfinished**" in markdown.render(audited(book))
    assert 'data-verdict="unfinished"' in html.render(audited(book))
    for name in ("html", "md", "summary"):
        assert "sample in lab was left unfinished on 2026-02-10" in told[name]
        assert "ended aborted" not in told[name]
    assert content.as_data(audited(book))["verdicts"] == {"aborted": 1}, "the JSON is unchanged"
    assert "drillbook drill.recover" in told["summary"]
    assert "recovered since" not in "".join(told.values())


def test_a_run_in_progress_is_not_called_dead_and_left_nothing(book):
    run = book.run("2026-02-10T09:00:00", drill="sample", text=DRILL).availability(*SAMPLES).fault()
    audit = audited(book)
    (alert,) = [alert for alert in alerts(audit) if alert.about == "sample in lab"]
    assert (
        alert.text == "sample in lab began on 2026-02-10: the run was in progress when its journal was read (never passed)"
    )
    assert alert.step == "repeat the audit after the run has ended"
    assert audit.whole
    told = pages(book)
    for name in ("html", "md"):
        assert "whole, in progress" in told[name], "the table of the digests"
    for text in told.values():
        assert not any(word in text for word in ("died", "drill.recover", "not undone:"))
    run.close()
    assert "died" in pages(book)["md"]


def test_a_recovery_that_died_too_does_not_count(book):
    run = died(book).resumed("2026-02-11T09:00:00")
    run.add(10.0, "recovery.started", operator="bob@ops", tool="drillbook 0").close()
    assert "recovered since" not in "".join(pages(book).values())


def test_a_recovery_that_could_not_undo_everything_says_what_is_left(book):
    died(book).resumed("2026-02-11T09:00:00").add(3.0, "recovery.finished", residue=[LEFT]).close()
    audit = audited(book)
    texts = [alert.text for alert in alerts(audit)]
    assert any("not undone, also not by the recovery of 2026-02-11: service.kill on app-1" in text for text in texts)
    assert "recovered since, 2026-02-11 09:00 UTC: 1 change is left to undo" in plain(html.render(audit))
    assert "not by the recovery of 2026-02-11" in plain(summary.render(audit))


def test_a_run_that_a_person_closed_is_not_called_recovered(book):
    run = died(book).resumed("2026-02-11T09:00:00")
    closed = {"changes": [], "approval": None, "intents": [], "residue": [LEFT]}
    run.add(3.0, "residue.settled", by="li.wei", reason="reinstalled", **closed).add(4.0, "recovery.finished", residue=[])
    run.close()
    told = pages(book)
    assert "recovered since" not in "".join(told.values())
    for name in ("html", "md"):
        assert f"{NO_END}, closed since, 2026-02-11 09:00 UTC" in told[name]
        assert "li.wei" in told[name]


def test_drills_that_share_an_alert_say_which_runs_were_recovered(book):
    for number in range(1, 9):
        died(book, f"2026-02-10T0{number}:00:00", f"api-{number}").resumed("2026-02-11T09:00:00").close()
    page = plain(summary.render(audited(book)))
    assert "8 drills must run again: api-1 in lab ended aborted on 2026-02-10, recovered since" in page


def test_the_number_of_findings_stands_beside_every_run_that_began(book):
    book.run("2026-01-10T09:00:00").slow().close()
    for day, why in (("11", "refused"), ("12", "not run here")):
        reasons = [finding("approval-not-verified").model_dump(mode="json")]
        run = book.run(f"2026-01-{day}T09:00:00")
        run.add(1.0, "ended.early", why=why, message="it cannot begin", findings=reasons).end().close()
    audit = audited(book)
    assert [(row.verdict, row.beside) for row in sorted(audit.runs, key=lambda row: row.started)] == [
        ("failed", "1 high finding"),
        ("refused", ""),
        ("not run here", ""),
    ], "the findings of a run that never began are the reasons for this"
    reasons, runs = (markdown.render(audit).split(f"## {title}\n")[1].split("\n## ")[0] for title in TABLES)
    assert runs.count("**failed**, 1 high finding |") == 1
    assert " finding |" not in reasons, "the table with the reasons needs no number"
    reasons, runs = (html.render(audit).split(f">{title}</h2>")[1].split("<h2")[0] for title in TABLES)
    assert runs.count("! 1 high finding<") == 1
    assert " finding<" not in reasons
