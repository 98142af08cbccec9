"""Entries of the summary that need attention: one for each drill; services that no run drilled are never hidden."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from drillbook.audit import briefing, html, markdown, summary
from drillbook.audit.alert import AT_ONCE, NEXT_RUN, Alert, Topic, urgency
from drillbook.audit.alert_causes import alerts, listed
from drillbook.audit.content import Audit
from drillbook.audit.findings import FindingRow
from drillbook.audit.missed_drills import NEVER_RAN, MissedRow
from drillbook.audit.summary_layout import LEAST_ALERTS, MOST_ALERTS
from drillbook.findings import finding
from drillbook.judge.verdicts import CONTROLLER_DIED
from drillbook.report.open_findings import LOST_WRITES
from drillbook.report.remarks import MARK, SHORT_MARK
from drillbook.report.shortened import shortened
from tests.audit.stories import DOWN, Book
from tests.audit.test_chain import audited
from tests.audit.test_told_of_runs import kept
from tests.report.test_agreement import plain

FAILING = ("api-a", "api-b", "api-c", "api-d", "api-e")


def with_never_drilled(audit: Audit) -> Audit:
    (row,) = [row for row in audit.coverage if row.runs]
    never = replace(row, service="vectors", runs=0, gaps=row.gaps or ("2026-01",))
    return replace(audit, coverage=(row, never))


def failed(tmp_path) -> Audit:
    book = Book(tmp_path)
    for minute, name in enumerate(FAILING):
        book.run(f"2026-02-10T09:{minute:02}:00", drill=name, text=DOWN.replace("api-down", name)).slow().close()
    return with_never_drilled(audited(book))


def test_a_drill_with_a_finding_has_no_second_entry_for_its_reservation(book):
    audit = with_never_drilled(replace(kept(book, "passed"), whole=True))
    found = replace(audit.findings[0], severity="high", title="Acknowledged writes were lost", state="open")
    audit = replace(audit, findings=(replace(found, drill="postgres-lost", environment="lab"),))
    texts = [alert.text for alert in briefing.of(audit, LEAST_ALERTS)]
    (text,) = [text for text in texts if "postgres-lost" in text]
    assert text.endswith("Acknowledged writes were lost; its RPO is met with a reservation")
    assert texts[1].startswith("The service vectors was never drilled"), "a severe finding comes first"
    assert sum("postgres-lost" in alert.text for alert in alerts(audit)) > 1, "the audit names each reservation"


def test_a_drill_with_a_finding_is_named_beside_the_others_that_took_their_backup_themselves(book):
    """The mark † stands beside the RPO of each of them, so the entry about this mark names all."""
    audit = with_never_drilled(replace(kept(book, "passed"), whole=True))
    (goal,) = [goal for goal in audit.proven if goal.reserved]
    other = replace(
        goal,
        drill="table-dropped",
        mark=f" {SHORT_MARK}{MARK}",
        within="met, but not measured for restored tables",
        lost="3 rows lost",
    )
    found = replace(audit.findings[0], severity="medium", code="removed-data-missing", state="open")
    audit = replace(
        audit,
        proven=(*audit.proven, other),
        findings=(replace(found, drill="table-dropped", environment="lab"),),
    )
    texts = [briefing.brief(alert) for alert in briefing.of(audit, LEAST_ALERTS)]
    joint = (
        "The RPO of postgres-lost and table-dropped in lab is not fully proven: the drill itself took the restored backup"
    )
    assert [text for text in texts if "postgres-lost" in text] == [joint]
    assert joint in [alert.text for alert in alerts(audit)], "the audit has the same entry"
    (own,) = [text for text in texts if "table-dropped" in text and text != joint]
    assert own.endswith("; its RPO is met, but not measured for restored tables")


def test_drills_that_failed_share_an_entry_so_that_services_without_a_drill_are_shown(tmp_path):
    audit = failed(tmp_path)
    assert sum(alert.topic is Topic.RUN_AGAIN for alert in alerts(audit)) == len(FAILING)
    again, never, *_ = [alert for alert in briefing.of(audit, LEAST_ALERTS) if alert.topic is not Topic.OTHER]
    assert again.text.startswith("5 drills must run again: api-a in lab ended failed on 2026-02-10 (RTO missed); api-b in")
    assert again.text.endswith("; and 3 more")
    assert never.text.startswith("The service vectors was never drilled")
    page = plain(summary.render(audit))
    assert "The service vectors was never drilled" in page.split("Needs attention")[1].split("Services")[0]


def test_a_few_failed_drills_keep_their_own_entries(tmp_path):
    book = Book(tmp_path)
    book.run("2026-02-10T09:00:00", drill="api-a", text=DOWN.replace("api-down", "api-a")).slow().close()
    audit = replace(with_never_drilled(audited(book)), whole=True)
    texts = [alert.text for alert in briefing.of(audit, LEAST_ALERTS)]
    assert texts[0].startswith("api-a in lab ended failed on 2026-02-10: ")
    assert any(text.startswith("The service vectors was never drilled") for text in texts[:2])


def test_services_without_a_drill_are_on_the_page_beside_damage_that_cannot_be_joined(tmp_path):
    audit = failed(tmp_path)
    runs = tuple(replace(run, residue=(f"change of {run.drill}",)) for run in audit.runs)
    texts = [alert.text for alert in briefing.of(replace(audit, runs=runs, whole=True), LEAST_ALERTS)]
    (first,) = [text for text in texts if text.startswith("api-a in lab")]
    assert "ended failed on 2026-02-10; left changes that are not undone: change of api-a" in first
    assert any(text.startswith("The service vectors was never drilled") for text in texts[:MOST_ALERTS])


def test_a_service_whose_newest_run_was_stopped_has_the_mark_of_an_aborted_run(tmp_path):
    book = Book(tmp_path)
    stopped = book.run("2026-01-10T09:00:00")
    stopped.add(1.0, "ended.early", why="aborted", message="the run was stopped by SIGINT", findings=[]).end().close()
    page = summary.render(audited(book))
    assert 'class="state aborted"' in page
    assert "■ did not pass" in plain(page)
    assert "✗ did not pass" not in plain(page)


def found(audit: Audit, drill: str, code: str, severity: str) -> FindingRow:
    known = audit.findings[0]
    title = "Acknowledged writes were lost" if code == LOST_WRITES else "A title"
    how = {"title": title, "environment": "lab", "state": "open", "in_newest": 1, "own_in_newest": None}
    return replace(known, drill=drill, code=code, severity=severity, **how)


def lossy(tmp_path, losses: int = 1, severe: int = 1, medium: int = 9) -> Audit:
    """Many alerts: drills that failed, findings of drills that passed, and services that no run drilled."""
    audit = failed(tmp_path)
    losses_, severe_, medium_ = (
        tuple(found(audit, f"{name}-{number}", code, severity) for number in range(many))
        for name, code, severity, many in (
            ("loss", LOST_WRITES, "high", losses),
            ("severe", "contradiction", "high", severe),
            ("medium", "contradiction", "medium", medium),
        )
    )
    return replace(audit, findings=(*audit.findings, *severe_, *losses_, *medium_), whole=True)


def on_paper(audit: Audit) -> list[str]:
    """Texts of the list that the printed page shows."""
    part = summary.render(audit).split('<ul class="problems">')[1].split("</ul>")[0]
    return [plain(f"<li{one}") for one in part.split("<li")[1:] if not one.startswith(' class="not-on-paper"')]


def test_open_loss_of_data_and_other_severe_findings_are_always_on_the_page(tmp_path):
    """Lost data is on the printed page, and never behind "and 7 more"."""
    texts = on_paper(lossy(tmp_path))
    assert texts[0].startswith("loss-0 in lab has 1 high finding, open since 2026-02-10: Acknowledged writes were lost")
    assert any(text.startswith("5 drills must run again: ") for text in texts)
    assert any(text.startswith("severe-0 in lab has 1 high finding") for text in texts)
    assert any(text.startswith("The service vectors was never drilled") for text in texts)
    last = r"and \d+ more, in the audit: \d+ with a medium finding \([^()]+\)(, [a-z RPO]+ \([^()]+; [^()]+; [^()]+\))+"
    assert re.fullmatch(last, texts[-1]), "with step, person and time limit, as the page has room"


@pytest.mark.parametrize(("losses", "severe"), [(9, 9), (2, 0), (0, 9)])
def test_drills_with_severe_findings_share_an_alert_if_they_are_many(tmp_path, losses, severe):
    texts = on_paper(lossy(tmp_path, losses, severe))
    assert len(texts) <= MOST_ALERTS + 1
    lost = f"{losses} drills passed, but lost data: loss-0 in lab (Acknowledged writes were lost); loss-1 in lab"
    assert texts[0].startswith(lost) is (losses > 0)
    assert any(text.startswith(f"{severe} drills passed with open findings: severe-0 in lab (high)") for text in texts) is (
        severe > 1
    )
    assert "high" not in texts[-1]
    assert "never ran" not in texts[-1], "it is to be done at once"
    assert any(text.startswith("The service vectors was never drilled") for text in texts)


def test_a_failed_drill_that_lost_data_stays_failed_beside_a_passed_one(tmp_path):
    """The loss must hide neither the verdict nor the missed objective, and each entry keeps its own time."""
    audit = lossy(tmp_path, 0, 0, 0)
    rows = [
        found(audit, drill, "removed-data-missing", "medium") for drill in ("api-b", "api-c", "table-dropped", "table-lost")
    ]
    shown = briefing.of(replace(audit, findings=(*audit.findings, *rows)), LEAST_ALERTS)
    (again,) = [alert for alert in shown if "must run again" in alert.text]
    assert again.text.startswith("5 drills must run again: api-b in lab ended failed on 2026-02-10 (RTO missed; lost data)")
    assert (again.when, again.topic) == (AT_ONCE, Topic.RUN_AGAIN)
    (lost,) = [alert for alert in shown if "drills passed, but lost data" in alert.text]
    assert lost.text == ("2 drills passed, but lost data: table-dropped in lab (A title); table-lost in lab (A title)")
    assert lost.when == AT_ONCE, "lost data is entered again at once, also if its finding is of medium severity"


def test_a_failed_drill_names_the_missed_objective_before_its_text_is_cut():
    lost = ("Acknowledged writes were lost", "Less data came back than the fault removed")
    text = f"table-dropped-at-night in lab ended failed on 2026-12-01: objective missed: RTO (1 high finding, {', '.join(lost)})"
    text += "; it has never passed in this environment"
    alert = Alert(text, "", about="table-dropped-at-night in lab", lost=lost, missed="RTO")
    assert briefing.brief(alert).startswith(
        "table-dropped-at-night in lab ended failed on 2026-12-01 (RTO missed), and lost data (Acknowledged writes were lost"
    )


def test_drills_share_an_entry_only_if_their_steps_are_due_at_the_same_time():
    low = Alert(
        "a", "", who="a", when=NEXT_RUN, severity="medium", lost=("A title",), about="a in lab", topic=Topic.FINDINGS
    )
    high = replace(low, about="b in lab", when=AT_ONCE, severity="high")
    shown = briefing._with_one_for_losses([replace(high, about="c in lab"), low, high])
    assert [(alert.text, alert.when) for alert in shown] == [
        ("2 drills passed, but lost data: c in lab (A title); b in lab (A title)", AT_ONCE),
        ("a", NEXT_RUN),
    ]


@pytest.mark.parametrize("many", [1, 7])
def test_changes_that_are_not_undone_stay_before_lost_data_with_their_next_step(tmp_path, many):
    audit = lossy(tmp_path, losses=9)
    (run, *_) = audit.runs
    left = [replace(run, drill=f"loss-{number}", run=f"r{number}", residue=("a file",)) for number in range(many)]
    texts = on_paper(replace(audit, runs=(*audit.runs, *left)))
    lead = f"{many} drills left changes that are not undone: loss-0 in lab" if many > 1 else "loss-0 in lab lost data ("
    assert texts[0].startswith(lead), texts
    assert "left changes that are not undone" in texts[0]
    assert "drill.recover" in texts[0]
    assert re.match(r"\d drills passed, but lost data: ", texts[1])
    assert "critical" not in texts[-1]
    assert len(texts) <= MOST_ALERTS + 1


def test_a_drill_that_failed_and_lost_data_says_so_before_its_text_is_cut():
    text = f"api in lab ended failed on 2026-12-01: {'word ' * 40}(1 high finding, Acknowledged writes were lost)"
    alert = Alert(text, "", about="api in lab", severity="high", lost=("Acknowledged writes were lost",))
    told = briefing.brief(alert)
    assert told.startswith("api in lab lost data (Acknowledged writes were lost); ended failed on 2026-12-01: word")
    assert len(told) <= briefing.MOST_LETTERS + 1
    short = replace(alert, text=text.replace("word ", ""))
    assert briefing.brief(short) == short.text


def test_the_amounts_of_earlier_runs_are_left_out_before_a_sentence_is_turned_around():
    earlier = "lost data in 3 earlier runs"
    text = f"rows in lab ended aborted on 2026-12-01, stopped by a person, with at least 18 rows lost; {earlier}"
    alert = Alert(
        f"{text}: {', '.join(['at least 24 rows lost'] * 4)}", "", lost=("at least 18 rows lost", "in 3 earlier runs")
    )
    assert briefing.brief(alert) == text
    beside = "; its RPO is met with a reservation"
    assert briefing.brief(replace(alert, text=f"{alert.text}{beside}")).startswith(f"{text}{beside[:20]}")
    short = replace(alert, text=f"{text}: at least 24 rows lost")
    assert briefing.brief(short) == short.text


def test_nothing_to_do_at_once_is_behind_something_less_urgent(tmp_path):
    """A drill that never ran is to be run at once, so it comes before services that were never drilled."""
    audit = failed(tmp_path)
    late = MissedRow(NEVER_RAN, "lab", "api", "api-slow", "", "", "", "", "drills/")
    audit = replace(audit, missed=(late,), whole=True)
    for order in (briefing.of(audit, LEAST_ALERTS), listed(audit)):
        urgent = [alert.when == AT_ONCE for alert in order]
        assert urgent == sorted(urgent, reverse=True)
        assert any(alert.topic is Topic.NEVER_RAN for alert in order)
    (text,) = [text for text in on_paper(audit) if "never ran, although the schedule asks for it: api-slow" in text]
    assert "run it: drillbook drill api-slow" in text


def test_the_audit_and_the_summary_have_the_same_order(tmp_path):
    audit = lossy(tmp_path)
    assert listed(audit)[0].text.startswith("loss-0 in lab has 1 high finding"), "lost data comes first"
    ranks = [urgency(alert) for alert in listed(audit)]
    assert ranks == sorted(ranks)
    ranks = [urgency(alert) for alert in briefing.of(audit, LEAST_ALERTS)]
    assert ranks == sorted(ranks)


def test_an_alert_tells_of_one_run_only(book):
    """The reservation of an earlier run has an alert of its own, because an aborted run has no figure."""
    audit = replace(kept(book, "passed"), whole=True)
    (run,) = audit.runs
    later = replace(run, run="20990101T000000.000Z-postgres-lost-ffff", verdict="aborted", reason=CONTROLLER_DIED)
    audit = replace(audit, runs=(run, replace(later, started="2099-01-01T00:00:00Z")))
    texts = [alert.text for alert in briefing.of(audit, LEAST_ALERTS)]
    (aborted,) = [text for text in texts if text.startswith("postgres-lost in lab ended aborted")]
    assert "RPO" not in aborted
    assert any(text.startswith("The RPO of postgres-lost in lab is met with a reservation") for text in texts)


def test_changes_that_another_run_left_have_the_day_of_this_run(tmp_path):
    audit = failed(tmp_path)
    first = audit.runs[0]
    left = replace(
        first, run="20260105T090000.000Z-api-a-aaaa", started="2026-01-05T09:00:00Z", residue=("a change",), verdict="passed"
    )
    audit = replace(audit, runs=(left, *audit.runs), whole=True)
    (text,) = [alert.text for alert in briefing.of(audit, 9) if alert.text.startswith("api-a in lab")]
    assert "ended failed on 2026-02-10; its run of 2026-01-05 left changes that are not undone: a change" in text


def test_a_text_is_cut_at_the_end_of_a_clause():
    lost = "Acknowledged writes were lost"
    text = f"postgres-lost in lab ended aborted on 2026-12-01: {CONTROLLER_DIED} (1 high finding, {lost})"
    alert = Alert(f"{text} and a further finding", "", about="postgres-lost in lab", severity="high", lost=(lost,))
    assert briefing.brief(alert) == (
        f"postgres-lost in lab lost data ({lost}); ended aborted on 2026-12-01: {CONTROLLER_DIED}\N{HORIZONTAL ELLIPSIS}"
    )
    long = (
        "api in lab has 1 high finding: the first of the two causes is the disk of the server, so the second has no effect"
    )
    assert shortened(long, 100, whole_words=True) == f"{long.partition(', so')[0]}\N{HORIZONTAL ELLIPSIS}"


def test_an_empty_project_has_a_next_step(book):
    (alert,) = alerts(audited(book))
    assert alert.text == "No run began in this period, so nothing is proven"
    assert "drill.list" in alert.action
    for page in (html.render(audited(book)), markdown.render(audited(book)), summary.render(audited(book))):
        assert "so nothing is proven" in page
        assert "drill.list" in page


def test_only_drills_that_were_stopped_need_no_correction(tmp_path):
    stopped = Alert("a in lab ended aborted", "", about="a in lab", topic=Topic.RUN_AGAIN, stopped=True)
    other = Alert("b in lab ended failed", "run it again: as a step may begin", about="b in lab", topic=Topic.RUN_AGAIN)
    (joined,) = briefing._with_one_for_all([stopped, replace(stopped)])
    assert joined.step == "run the drills again"
    (joined,) = briefing._with_one_for_all([stopped, other])
    assert joined.step.startswith("mend what the audit names")
    assert "no cause" not in joined.step, "its text does not say that somebody stopped it"


def test_a_drill_that_a_person_stopped_has_no_cause_to_mend_beside_one_that_failed(tmp_path):
    book = Book(tmp_path)
    stopped = book.run("2026-01-10T09:00:00")
    stopped.add(1.0, "ended.early", why="aborted", message="the run was stopped by SIGINT", findings=[]).end().close()
    book.run("2026-02-10T09:00:00", drill="api-a", text=DOWN.replace("api-down", "api-a")).slow().close()
    audit = audited(book)
    (alone,) = [alert for alert in alerts(audit) if alert.about.startswith("sample ") and "ended aborted" in alert.text]
    assert "the run was stopped by a person (Ctrl-C)" in alone.text
    (joined,) = [alert for alert in briefing.of(audit, 1) if "must run again" in alert.text]
    assert "sample in lab ended aborted on 2026-01-10 (stopped by a person)" in joined.text
    assert joined.step.startswith(f"{briefing.MEND} (those that were stopped need no correction)")


def test_an_alert_for_several_drills_names_whole_drills_and_counts_the_others():
    def made(name, text):
        return Alert(text, "", about=f"{name} in lab", topic=Topic.RUN_AGAIN)

    names = ("a-drill-with-a-long-name", "another-drill", "the-third-drill", "the-fourth-drill")
    failed_on = [made(name, f"{name} in lab ended aborted on 2026-12-01: it broke; badly") for name in names]
    (joined,) = briefing._with_one_for_all(failed_on)
    assert joined.text == (
        "4 drills must run again: a-drill-with-a-long-name in lab ended aborted on 2026-12-01; "
        "another-drill in lab ended aborted on 2026-12-01; and 2 more"
    )
    never = made("api-fast", "api-fast in lab has never passed; Recovery time (RTO) of api-fast in lab was not proven")
    goal = made(
        "api-slow", "Recovery point (RPO) of api-slow in lab was missed on 2026-12-01; Detection of api-slow in lab was"
    )
    (joined,) = briefing._with_one_for_all([never, goal])
    assert joined.text == (
        "2 drills must run again: api-fast in lab has never passed; api-slow in lab has an objective that is not proven"
    )


def test_a_long_alert_is_never_cut_inside_a_date_or_name():
    text = f"api in lab ended failed on 2026-12-01: {'word ' * 19}until 2026-12-01 in the database-of-the-shop and more words here"
    for most in range(100, len(text)):
        kept = shortened(text, most, whole_words=True).removesuffix("\N{HORIZONTAL ELLIPSIS}")
        assert text.startswith(f"{kept} "), kept


def test_a_drill_refused_because_of_a_dead_run_is_run_again_after_the_recovery(tmp_path):
    book = Book(tmp_path)
    dead = book.run("2026-02-10T09:00:00", drill="api-a", text=DOWN.replace("api-down", "api-a")).fault().close()
    way = [
        finding(
            "unfinished-run",
            title=dead.id,
            measured="unfinished",
            remedy=f"Recover that run first: drillbook drill.recover {dead.id}",
        )
    ]
    refused = book.run("2026-02-10T10:00:00", drill="api-b", text=DOWN.replace("api-down", "api-b"))
    refused.add(
        1.0,
        "ended.early",
        why="refused",
        message="a run is not finished",
        findings=[one.model_dump(mode="json") for one in way],
    )
    refused.end().close()

    def steps():
        found = [alert for alert in alerts(audited(book)) if alert.topic is Topic.RUN_AGAIN]
        return {
            alert.about: alert.step for alert in found if " ended " in alert.text or " was left unfinished " in alert.text
        }

    assert steps()["api-b in lab"].startswith(f"Recover that run first: drillbook drill.recover {dead.id}")
    recover = f"recover the run with `drillbook drill.recover {dead.id}`, then run it again: `drillbook drill api-a`"
    assert steps()["api-a in lab"] == recover
    dead.resumed("2026-02-11T09:00:00").close()
    assert steps() == {
        "api-a in lab": "run it again: `drillbook drill api-a`",
        "api-b in lab": "the unfinished run was recovered since; run the drill again: `drillbook drill api-b`",
    }


def test_open_findings_come_in_the_order_of_their_severity(tmp_path):
    """A medium finding about lost data is behind a drill that ended with a high finding."""
    lost = Alert("a", "", when="before its next run", severity="medium", lost=("rows",), topic=Topic.FINDINGS)
    high = Alert("b", "", when=AT_ONCE, severity="high", topic=Topic.RUN_AGAIN)
    order = [replace(lost, severity="high"), high, lost, replace(high, severity=""), replace(lost, lost=())]
    ranks = [urgency(alert) for alert in order]
    assert sorted(set(ranks)) == ranks
    assert briefing.needed([lost]) == 1, "lost data is always on the page"


def test_a_run_that_left_changes_says_that_its_controller_died(tmp_path):
    book = Book(tmp_path)
    book.run("2026-02-10T09:00:00", drill="api-a", text=DOWN.replace("api-down", "api-a")).fault().close()
    audit = audited(book)
    audit = replace(audit, runs=tuple(replace(run, residue=("a change",)) for run in audit.runs))
    (text,) = [alert.text for alert in briefing.of(audit, LEAST_ALERTS) if alert.text.startswith("api-a")]
    assert text.startswith("api-a in lab was left unfinished on 2026-02-10, because its controller died; left changes"), text


@pytest.mark.parametrize(("topic", "who"), [(Topic.RECORD, "record keeper"), (Topic.NO_RPO, "drill planner")])
def test_an_alert_without_a_contact_says_who_takes_its_step(topic, who):
    assert Alert("a", "do it", when=AT_ONCE, topic=topic).action == f"Next: do it. Who: {who}. When: at once"
    assert Alert("a", "do it", "dba", AT_ONCE, topic=topic).deadline == "Who: dba. When: at once"


def test_the_changes_of_a_run_are_undone_by_a_command_with_its_name(tmp_path):
    audit = failed(tmp_path)
    left = replace(audit.runs[0], run="20260105T090000.000Z-api-a-aaaa", residue=("a change",))
    steps = [alert.step for alert in alerts(replace(audit, runs=(left,))) if alert.topic is Topic.LEFT]
    assert steps == ["undo the changes with `drillbook drill.recover api-a-aaaa`"]
