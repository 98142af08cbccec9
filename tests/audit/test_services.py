"""Services of an audit: each is counted once, and the stated reason of an exempt one is checked against the runs."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest

from drillbook.audit import coverage, html, markdown, run_evidence, services, summary
from drillbook.audit.alert_causes import alerts
from drillbook.audit.period import Period
from drillbook.judge.result import Verdict
from tests.audit import stories
from tests.audit.made_records import RESTORED, record
from tests.audit.test_chain import audited
from tests.plan.test_planner import HOSTS
from tests.report.test_agreement import plain

REASON = "a backup; it is rehearsed with its service"
SERVICES = {
    "site": {"kind": "folder"},
    "site_archives": {"kind": "tar", "service": "site", "not_drilled": REASON},
    "relay": {"kind": "relay", "not_drilled": "it keeps nothing"},
}
PLAN = {
    "drill": "rehearse",
    "service": "site",
    "inventory": {"environment": "lab", "services": SERVICES},
    "steps": [{"id": "restore.1", "action": "backup.restore", "params": {"service": "copy", "from": "site_archives"}}],
}
OTHER = {**PLAN, "steps": [{**PLAN["steps"][0], "params": {"from": "another"}}]}
PERIOD = Period.parse("2026-11-01", "2026-11-30")


def run(day, plan=PLAN, **more):
    """A run on that day of November, which restored a backup."""
    one = record(RESTORED, plan=plan, **more)
    return replace(one, folder=day, first=one.first.model_copy(update={"at": f"2026-11-{day}T09:00:00.000000Z"}))


def failed(day, plan=PLAN):
    return run(day, plan, verdict=Verdict.FAILED)


def rows(*runs):
    return {row.service: row for row in coverage.coverage(runs, [], PERIOD, date(2026, 12, 1))}


def test_the_backup_that_a_run_restored_is_named_by_its_plan():
    assert run_evidence.sources_restored(run("01")) == {"site_archives"}
    assert run_evidence.sources_restored(failed("01")) == frozenset()
    assert run_evidence.sources_planned(failed("01")) == {"site_archives"}
    assert run_evidence.sources_restored(record(RESTORED)) == frozenset()


@pytest.mark.parametrize(
    ("runs", "restored"),
    [
        ([run("01")], "2026-11-01"),
        ([run("01", OTHER)], ""),
        ([failed("01")], ""),
        ([run("01"), failed("02")], ""),
        ([run("01"), failed("02", OTHER)], "2026-11-01"),
        ([failed("01"), run("02")], "2026-11-02"),
    ],
)
def test_a_backup_counts_as_rehearsed_only_while_the_newest_run_that_restores_it_passed(runs, restored):
    row = rows(*runs)["site_archives"]
    assert (row.restored[:10], row.doubtful) == (restored, not restored)
    text = services.evidence_of(row)
    assert text.startswith(f"confirmed (a run that began on {restored}" if restored else "NOT confirmed")
    assert services.evidence_of(rows(*runs)["relay"]) == ""


TOOK = "backup that the drill site-lost took"
BY_DRILL = ("restore.1", "backup.restore", {"backup": {"id": "20261101T083000.000Z-site-lost-0001/www.tar"}})
WHILE = ("restore.1", "backup.restore", {"backup": {"id": "www.tar", "taken_during": "site-lost"}})
NOW = ("restore.1", "backup.restore", {"backup": {"id": "www.tar", "taken_at": "2027-01-01T00:00:00.000Z"}})
LOG = ("restore.1", "backup.restore", {"backup": {**NOW[2]["backup"], "until": "2027-01-01T00:00:00.000Z"}})
SAVES = {**PLAN, "steps": [{"id": "backup.1", "action": "command.run", "effect": "write", "params": {}}, *PLAN["steps"]]}


def restored(day, step, plan=PLAN):
    one = run(day, plan)
    return replace(one, result=record(step).result)


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        (
            [restored("02", BY_DRILL)],
            f"NOT confirmed (a run that began on 2026-11-02 restored the backup and passed, but with a {TOOK}, so",
        ),
        (
            [restored("02", WHILE)],
            "passed, but with a backup that was taken while the drill site-lost ran, so no routine backup was proven)",
        ),
        ([restored("02", NOW, SAVES)], "passed, but with a backup taken during this run, so no routine backup was proven)"),
        (
            [restored("02", NOW)],
            "confirmed (a run that began on 2026-11-02 restored the backup and passed, with a backup taken during this run)",
        ),
        (
            [restored("02", LOG, SAVES)],
            "confirmed (a run that began on 2026-11-02 restored the backup and passed, with a backup taken",
        ),
        ([run("01"), restored("02", BY_DRILL)], "confirmed (a run that began on 2026-11-01 restored the backup and passed)"),
        ([failed("01"), restored("02", WHILE)], "NOT confirmed (a run that began on 2026-11-02"),
        ([run("01"), failed("02"), restored("03", WHILE)], "NOT confirmed (a run that began on 2026-11-03"),
        ([restored("01", WHILE), run("02")], "confirmed (a run that began on 2026-11-02 restored the backup and passed)"),
    ],
)
def test_a_backup_that_a_drill_took_confirms_no_routine_backup(book, runs, text):
    row = rows(*runs)["site_archives"]
    evidence = services.evidence_of(row)
    assert text in evidence
    assert evidence.startswith(text) or not text.startswith(("confirmed", "NOT"))
    assert row.doubtful is row.by_drill is evidence.startswith("NOT")
    book.run("2026-01-10T09:00:00").good().close()
    shown = replace(audited(book), coverage=tuple(rows(*runs).values()))
    told = [one.step for one in alerts(shown) if "exempt from drills" in one.text]
    assert told == ["rehearse site_archives again after the next routine backup"] * row.doubtful
    more = replace(shown, coverage=(*shown.coverage, rows(failed("01"))["site_archives"]))
    steps = [one.step for one in alerts(more) if "exempt from drills" in one.text]
    assert [step.endswith("; for site_archives, repeat it after the next routine backup") for step in steps] == [
        row.doubtful
    ]


def test_each_page_tells_if_the_statement_is_confirmed(book):
    book.run("2026-01-10T09:00:00").good().close()
    audit = audited(book)
    for runs, text in (((run("01"),), "confirmed (a run that"), ((failed("01"),), "NOT confirmed (no run")):
        shown = replace(audit, coverage=tuple(rows(*runs).values()))
        for page in (html.render(shown), markdown.render(shown)):
            words = plain(page)
            assert words.count(text) == 1
            assert "Drillbook checks this statement only if the service is a backup" in words
        told = [one.text for one in alerts(shown) if one.text.startswith("No run of the period confirms a restore of")]
        expected = "No run of the period confirms a restore of a backup exempt from drills: site_archives"
        assert told == [expected] * text.startswith("NOT")


def test_the_numbers_of_services_are_added_up_and_the_backups_without_a_restore_are_a_part_of_the_exempt_ones(book):
    book.run("2026-01-10T09:00:00").good().close()
    known = rows(failed("01"))
    covered = (*known.values(), replace(known["site_archives"], service="site_dumps"))
    audit = replace(audited(book), coverage=covered)
    told = services.total(covered)
    assert told == (
        "Of 4 services, 1 is to be drilled, and 3 are exempt from drills by a statement in the inventory; "
        "2 of these 3 are backups of other services, and no run of the period confirms their restore."
    )
    one = services.total(tuple(known.values()))
    assert one.endswith("1 of these 2 is a backup of another service, and no run of the period confirms its restore.")
    assert "of 1 service" in summary.headline(summary.service_rows(audit))
    (text,) = [one.text for one in alerts(audit) if "exempt from drills" in one.text]
    assert text == "No run of the period confirms a restore of 2 backups exempt from drills: site_archives and site_dumps"
    for page in (html.render(audit), markdown.render(audit), summary.render(audit)):
        assert plain(page).count(told) == 1
    (one,) = [row for row in covered if row.service == "relay"]
    assert (
        services.total([one])
        == "Of 1 service, 0 are to be drilled, and 1 is exempt from drills by a statement in the inventory."
    )
    assert services.total([replace(one, left_out="")]) == ""


def test_backups_with_the_same_evidence_share_one_sentence():
    one = rows(failed("01"))["site_archives"]
    covered, names = [one, replace(one, service="other")], ["site_archives", "other"]
    assert services.by_evidence(covered, names) == [(services.evidence_of(one), names)]


@pytest.mark.parametrize("story", [stories.year, stories.hostile])
def test_the_services_are_counted_once_and_the_numbers_add_up(book, story):
    """The head has one number of proven services, with one meaning: by the newest run of each drill."""
    audit = audited(story(book))
    rows = summary.service_rows(audit)
    total = int(re.search(r"of (\d+) services?", summary.headline(rows))[1])
    assert sum(int(number) for number in re.findall(r" (\d+) \(", summary.standing(rows))) == total
    exempt = sum(bool(row.left_out) and not row.runs for row in audit.coverage)
    assert total + exempt == len(audit.coverage)
    for page in (html.render(audit), markdown.render(audit)):
        head = plain(page).replace("\\", "").partition("Completeness of the record")[0]
        assert set(re.findall(r"(\d+) services?", head)) == {str(total)}, "also in the title of the window"
        assert "best run" not in head


def test_exempt_services_are_listed_by_reason_and_not_in_the_matrix(book):
    left = HOSTS.replace("backups: {", "backups: {not_drilled: kept elsewhere, ")
    book.run("2026-01-10T09:00:00", hosts=left).good().close()
    page = html.render(audited(book, until="2026-03-31"))
    matrix, listed = page.split('id="coverage"')[1].split("Exempt from drills")
    assert "<bdi>backups</bdi>" not in matrix
    assert "<bdi>backups</bdi>" in listed.split("</section>")[0]
