"""Objectives in an audit: in every format, the newest run that tested an objective decides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drillbook.audit import content, html, markdown, objective_states, summary
from drillbook.audit.alert_causes import alerts
from drillbook.judge.objective_proof import RULE
from drillbook.report.remarks import MARK, RESERVED
from tests.audit import stories
from tests.audit.stories import DOWN
from tests.audit.test_chain import audited
from tests.report.test_agreement import plain


def goal(audit, key="rto", drill="sample"):
    (row,) = [row for row in audit.proven if (row.key, row.drill) == (key, drill)]
    return row


def marked(monkeypatch, *days):
    """Record that the runs of these days measured their RPO with a fresh backup."""
    whole = objective_states.row_of

    def row_of(one, key):
        row = whole(one, key)
        return replace(row, mark=f" {MARK}", state=RESERVED) if row and key == "rpo" and one.started[:10] in days else row

    monkeypatch.setattr(objective_states, "row_of", row_of)


def test_a_miss_takes_an_older_proof_back_and_its_date_stands_beside(book):
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-02-10T09:00:00").slow().close()
    audit = audited(book)
    row = goal(audit)
    assert (row.state, row.proven, row.missed, row.met) == ("missed", False, True, False)
    assert (row.at[:10], row.measured, row.last_proof[:10]) == ("2026-02-10", "6.41 s +0/−0.11 s", "2026-01-10")
    assert row.notes == ("last proven: 2.41 s +0/−0.11 s on 2026-01-10",)
    told = next(one for one in content.as_data(audit)["proven"] if one["key"] == "rto")
    assert (told["proven"], told["missed"], told["last_proof"][:10]) == (False, True, "2026-01-10")
    for text in (html.render(audit), markdown.render(audit)):
        words = plain(text.split("Missed or not proven")[1])
        assert RULE in plain(text)
        assert "6.41 s +0/−0.11 s" in words
        assert "last proven: 2.41 s +0/−0.11 s on 2026-01-10" in words
        assert "1 missed" in plain(text)
    assert "RTO last proven on 2026-01-10" in " ".join(one.text for one in alerts(audit))
    (service,) = [row for row in summary.service_rows(audit) if row.service == "api"]
    assert (service.rto, service.proven, [row.key for row in service.unmet]) == (None, 1, ["rto"])
    assert "✗ missed: sample" in plain(summary.render(audit))
    assert summary.standing([service]) == "Services by their newest runs: did not pass 1 (api)"
    book.run("2026-02-20T09:00:00").refused().close()
    assert goal(audited(book)).state == "missed"
    (service,) = [row for row in summary.service_rows(audited(book)) if row.service == "api"]
    assert (service.state, service.good) == ("failed", False), "a refused run gives nothing back"
    book.run("2026-03-10T09:00:00").good().close()
    (service,) = [row for row in summary.service_rows(audited(book)) if row.service == "api"]
    assert service.good
    assert goal(audited(book)).state == "met"


def test_a_run_that_failed_before_it_could_measure_takes_the_proof_back(book):
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-02-10T09:00:00").fault().availability(*stories.SAMPLES).canary(stories.ACKS, [[1, 400]]).recovery(
        verify="failed"
    ).end().close()
    row = goal(audited(book))
    assert (row.state, row.at[:10]) == ("not proven", "2026-02-10")
    assert row.notes == ("last proven: 2.41 s +0/−0.11 s on 2026-01-10",)
    assert (row.uncounted.measured, row.uncounted.at[:10]) == ("2.41 s +0/−0.11 s", "2026-02-10")
    assert row.uncounted.said == "does not count: the verification did not pass (verify.1)"
    told = next(one for one in content.as_data(audited(book))["proven"] if one["key"] == "rto")
    assert (told["uncounted"]["run"], told["uncounted"]["why"]) == (row.run, row.uncounted.why)
    for text in (html.render(audited(book)), markdown.render(audited(book))):
        words = plain(text.split("Missed or not proven")[1])
        assert "2.41 s +0/−0.11 s" in words.partition("the verification did not pass (verify.1)")[0]
        assert "does not count" in words
        assert row.uncounted.run in words
    page = html.render(audited(book)).split("Missed or not proven")[1]
    assert f'href="../{row.uncounted.run}/report.html"' in page


def test_a_run_that_failed_without_a_figure_leaves_that_of_an_older_run(book):
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-02-10T09:00:00").fault().recovery(verify="failed").end().close()
    row = goal(audited(book))
    assert (row.state, row.uncounted.at[:10]) == ("not proven", "2026-01-10")
    assert row.uncounted.said == "does not count: a later run failed without verifying the objective"
    assert row.notes[0] == "the run of 2026-02-10 failed, and did not verify this objective"


@pytest.mark.parametrize("how", ["refused", "unproven"])
def test_a_run_that_could_not_tell_leaves_the_proof(book, how):
    book.run("2026-01-10T09:00:00").good().close()
    getattr(book.run("2026-02-10T09:00:00"), how)().close()
    row = goal(audited(book))
    assert (row.state, row.at[:10]) == ("met", "2026-01-10")
    assert row.notes[0].startswith("the newest run ended ")


def test_a_reservation_leaves_an_older_proof_and_stands_beside_it(book, monkeypatch):
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-02-10T09:00:00").good().close()
    marked(monkeypatch, "2026-02-10")
    row = goal(audited(book), "rpo")
    assert (row.state, row.at[:10], row.mark) == ("met", "2026-01-10", "")
    (note,) = row.notes
    assert note.startswith("the run of 2026-02-10 met this objective with a reservation: ")
    assert MARK in row.marks
    marked(monkeypatch, "2026-01-10", "2026-02-10")
    row = goal(audited(book), "rpo")
    assert (row.state, row.at[:10], row.notes, row.last_proof) == ("met with a reservation", "2026-02-10", (), "")


def test_a_miss_before_the_period_is_told_with_the_proof_before_it(book):
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-02-10T09:00:00").slow().close()
    book.run("2026-03-10T09:00:00").refused().close()
    row = goal(audited(book, since="2026-03-01"))
    assert (row.state, row.measured) == ("not proven", "not proven in the period")
    assert row.notes == ("before the period: 2.41 s +0/−0.11 s on 2026-01-10; no longer proven since the run of 2026-02-10",)
    assert row.uncounted.measured == "6.41 s +0/−0.11 s"
    assert row.uncounted.said == "does not count: the run was before the period, and missed the objective"


def test_a_figure_above_a_new_target_does_not_count(book):
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-02-10T09:00:00", text=stories.DRILL.replace("rto: 5s", "rto: 1s")).refused().close()
    row = goal(audited(book))
    assert (row.state, row.uncounted.said) == (
        "not proven",
        "does not count: the figure is above the present target of 1 s",
    )


def test_another_drill_of_the_service_has_its_own_answer(book):
    book.run("2026-01-10T09:00:00").good().close()
    book.run("2026-02-10T09:00:00", drill="api-down", text=DOWN).slow().close()
    audit = audited(book)
    assert (goal(audit).state, goal(audit, drill="api-down").state) == ("met", "missed")
