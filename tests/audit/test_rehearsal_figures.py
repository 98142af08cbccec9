"""Figures of rehearsals: shown with their clock and error, and never counted as a proven objective."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.audit import content, html, markdown, rehearsal_figures, summary, summary_terms
from drillbook.audit.alert_causes import alerts
from drillbook.audit.content import as_data
from drillbook.audit.service_groups import Group
from drillbook.catalog import entries
from drillbook.cli import audit as desk
from drillbook.report.remarks import NOT_ROUTINE
from drillbook.sdk.backup import UNKNOWN_S
from tests.audit import stories
from tests.audit.stories import BASIS, REHEARSE, SITE, Book
from tests.audit.test_chain import audited
from tests.audit.test_told_of_runs import kept
from tests.report.test_agreement import plain
from tests.report.test_browser import chrome
from tests.report.test_reading_on_duty import opened

__all__ = ["chrome"]


def rehearse(book, day="2026-03-10", drill="rehearse", text=REHEARSE, **how):
    run = book.run(f"{day}T09:00:00", drill=drill, text=text.replace("drill: rehearse", f"drill: {drill}"), hosts=SITE)
    return run.rehearsal(**how).close()


def only(audit):
    (row,) = audit.rehearsed
    return row


def test_the_newest_rehearsal_that_passed_has_its_figures_with_clock_and_error(book):
    rehearse(book, "2026-03-10", seconds=9.0)
    newest = rehearse(book, "2026-04-10")
    row = only(audited(book))
    assert (row.service, row.drill, row.source, row.kind) == ("site", "rehearse", "nightly", "folder")
    assert (row.run, row.at[:10], row.share) == (newest.id, "2026-04-10", "2 of 2 runs passed")
    assert (row.restored, row.lost, row.basis) == ("4.25 s, 3.0 MiB on disk", "2 min 9 s \u00b1 2 s", BASIS)
    assert row.notes == ()


def test_a_rehearsal_proves_no_objective(book):
    rehearse(book)
    audit = audited(book)
    (row,) = [one for one in summary.service_rows(audit) if one.service == "site"]
    assert audit.proven == ()
    assert (row.state_name, row.good, row.rank, row.rto, row.rpo) == ("rehearsed only", False, Group.REHEARSED, None, None)
    assert summary.standing([row]).startswith("Services by their newest runs: rehearsed only 1 (")


def test_a_run_that_failed_later_takes_no_figure_away_but_is_told(book):
    rehearse(book)
    rehearse(book, "2026-04-10", restore="failed")
    row = only(audited(book))
    assert (row.at[:10], row.share, row.restored) == ("2026-03-10", "1 of 2 runs passed", "4.25 s, 3.0 MiB on disk")
    assert row.notes == ("the newest run ended failed on 2026-04-10",)


def test_the_figures_of_a_run_that_failed_do_not_count(book):
    rehearse(book, restore="failed")
    row = only(audited(book))
    assert (row.restored, row.lost, row.run) == ("not measured", "not measured", "")
    assert row.notes == ("no rehearsal of the period passed",)
    (shown,) = [one for one in summary.service_rows(audited(book)) if one.service == "site"]
    assert (shown.restored, shown.would_lose) == ("", "")


def test_the_loss_of_a_backup_that_was_not_restored_does_not_count(book):
    rehearse(book, backup="www-2.tar.gz")
    row = only(audited(book))
    assert (row.lost, row.basis) == ("not measured", "")
    assert row.notes == ("2 min 9 s \u00b1 2 s was measured for www-2.tar.gz, but www-1.tar.gz was restored",)


def test_an_rpo_with_a_reservation_keeps_it_after_a_rehearsal_and_its_note_says_so(book):
    """A rehearsal shows the age of a routine backup. It restores into a sandbox, so it proves no RPO."""
    passed = kept(book, "passed")
    (goal,) = [row for row in passed.proven if row.reserved]
    rehearsal = rehearsal_figures.RehearsedRow(
        goal.environment, goal.service, "routine", "dumps", "postgres", 1, 1, "r", "", 4.0, None, 484.0, 1.0, "", ()
    )
    noted = tuple(rehearsal_figures.noted(passed.proven, [rehearsal]))
    (row,) = [row for row in noted if row.reserved]
    note = f"routine restored a routine backup, 8 min 4 s \u00b1 1 s old; {rehearsal_figures.STAYS}"
    assert row.notes == (*goal.notes, note)
    older = replace(rehearsal, basis=f"end of the dump; {UNKNOWN_S}")
    assert older.figure == older.lost == "at least 8 min 3 s"
    assert [row for row in noted if not row.reserved] == [row for row in passed.proven if not row.reserved]
    known = replace(passed, proven=noted, rehearsed=(rehearsal,))
    assert not [one for one in alerts(known) if "the drill itself took" in one.text]
    for page in (html.render(known), markdown.render(known)):
        assert plain(page).replace("\N{NO-BREAK SPACE}", " ").count(note) == 1
    for other in (
        replace(rehearsal, taken="a backup of a drill"),
        replace(rehearsal, loss_s=None),
        replace(rehearsal, service="x"),
    ):
        assert tuple(rehearsal_figures.noted(passed.proven, [other])) == passed.proven


TAKES = """\
drill: site-lost
title: The site is saved and lost
service: site
objectives: {}
guard: {environments: [lab]}
backup:
  - command.run: {argv: ["save", "it"], effect: write}
    hosts: app-1
verify:
  - command.run: {argv: ["true"], effect: read}
    hosts: app-1
"""


@pytest.mark.parametrize(
    ("text", "taken_at", "during"),
    [
        (TAKES, "2026-03-10T08:00:05+00:00", True),
        (TAKES, "2026-03-10T07:59:59+00:00", False),
        (TAKES, "2026-03-10T08:30:00+00:00", False),
        (TAKES.replace("effect: write", "effect: read"), "2026-03-10T08:00:05+00:00", False),
        (TAKES.replace("service: site", "service: copy"), "2026-03-10T08:00:05+00:00", False),
    ],
    ids=["during", "before", "after", "a drill that only reads", "another service"],
)
def test_a_backup_that_was_taken_while_a_drill_saved_the_service_is_no_routine_backup(book, text, taken_at, during):
    other = book.run("2026-03-10T08:00:00", drill="site-lost", text=text, hosts=SITE)
    other.phase(0.0, 9.0, "backup").phase(9.0, 10.0, "verify").end().close()
    rehearse(book, taken_at=taken_at)
    audit = audited(book)
    row = only(audit)
    words = "a backup that was taken while the drill site-lost ran" if during else ""
    assert (row.taken, row.during, row.tells_age) == (words, during, not during)
    (covered,) = [row for row in audit.coverage if row.service == "nightly"]
    assert covered.taken == words
    assert plain(html.render(audit)).count(f"with {words}" if during else "while the drill") == (2 if during else 0)
    shows = {control.id: control.shows for control in audit.controls}
    counted = " In 1 of them, the restored backup was taken while a drill ran, so no routine backup was proven: rehearse."
    assert shows["A.8.13"].endswith(counted) is during
    assert counted not in shows["CP-4"]
    assert [run.beside_verdict for run in audit.runs] == ["", "‖ no routine backup" if during else ""]
    for render in (html.render, markdown.render):
        runs = plain(render(audit)).split("All runs")[-1]
        assert runs.count("‖ no routine backup") == during
        assert runs.count(NOT_ROUTINE) == during


def test_a_drill_with_a_fault_is_no_rehearsal(book):
    stories.quiet(book)
    audit = audited(book)
    assert audit.rehearsed == ()
    for page in (html.render(audit), markdown.render(audit)):
        assert rehearsal_figures.TITLE not in page
    assert "ehearsed" not in plain(summary.render(audit))


@pytest.mark.parametrize("render", [html.render, markdown.render])
def test_the_audit_shows_the_figures_below_the_proven_objectives(book, render):
    rehearse(book)
    page = plain(render(audited(book))).replace("\\", "").replace("\N{NO-BREAK SPACE}", " ")
    part = page.split(rehearsal_figures.TITLE)[1]
    for text in (rehearsal_figures.LEAD, "4.25 s, 3.0 MiB on disk", "2 min 9 s \u00b1 2 s", BASIS, "1 of 1 run passed"):
        assert text in part
    assert as_data(audited(book))["rehearsed"][0]["restore_s"] == 4.25


def test_the_summary_shows_them_as_rehearsed_and_says_what_they_are(book):
    rehearse(book)
    rehearse(book, "2026-04-10", drill="weekly", seconds=80.0, loss=10.0)
    page = plain(summary.render(audited(book))).replace("\N{NO-BREAK SPACE}", " ")
    assert "rehearsed: restored in 1 min 20 s" in page, "the longest"
    assert "rehearsed: 2 min 9 s \u00b1 2 s would be lost" in page, "the largest"
    assert summary_terms.REHEARSED_NOTE in page
    assert "Rehearsed onlyBackups were restored or examined, but no service was broken" in page


def test_the_screen_shows_the_figures(book, capsys):
    rehearse(book)
    rehearse(book, "2026-04-10", restore="failed")
    desk._print(audited(book), Path("out"))
    out = " ".join(capsys.readouterr().out.split())
    assert "rehearse, nightly 4.25 s, 3.0 MiB on disk 2 min 9 s \u00b1 2 s 2026-03-10" in out
    assert "rehearse: the newest run ended failed on 2026-04-10. Rehearsals restore backups into a sandbox" in out


def test_the_name_of_a_backup_stays_on_one_line(book, chrome, tmp_path):
    """A long basis of the loss beside it takes no space from the names, even in the narrowest table with columns."""
    rehearse(book)
    made = audited(book)
    long = replace(
        made.rehearsed[0], drill="rehearse-database", service="database", source="database_dumps", basis=f"{BASIS}; " * 9
    )
    page = opened(chrome, tmp_path, html.render(replace(made, rehearsed=(long,))), 740)
    (name,) = page.run(
        "[...document.querySelectorAll('tbody th bdi')].filter((one) => one.textContent === 'database_dumps')"
        ".map((one) => one.getClientRects().length)"
    )
    assert name == 1


def steps(audit):
    return {one.text: one.step for one in alerts(audit)}


def test_a_service_that_was_only_rehearsed_gets_a_step_that_can_be_taken(book):
    rehearse(book)
    found = steps(audited(book))
    assert not [text for text in found if "recovery point" in text]
    (step,) = [step for text, step in found.items() if text.startswith("site in lab: backups were only rehearsed")]
    assert "no shipped drill breaks a service of the kind folder: write one" in step
    kinds = {row.kind for row in audited(book).rehearsed}
    assert kinds == {"folder"}
    other = replace(audited(book), rehearsed=tuple(replace(row, kind="postgres") for row in audited(book).rehearsed))
    (step,) = [step for text, step in steps(other).items() if "backups were only rehearsed" in text]
    own = "; for your own server, see 'Break your own PostgreSQL' in the documentation)"
    assert f"(`drillbook catalog --for postgres --faults` lists shipped drills{own}" in step
    assert "Break your own PostgreSQL: own-postgres.md" in (Path(__file__).parents[2] / "mkdocs.yml").read_text(
        encoding="utf-8"
    )
    assert {entry.breaks for entry in entries.selected("postgres", faults=True)} == {True}
    assert not [text for text in found if "did not measure" in text]


def test_a_rehearsal_without_a_measured_loss_is_told_how_to_measure_it(book):
    rehearse(book, text=REHEARSE.replace("backup.measure", "backup.check"), measured=False)
    found = steps(audited(book))
    assert found["rehearse in lab did not measure how much data would be lost"].startswith("add a step `backup.measure`")


def test_a_service_with_a_drill_beside_its_rehearsal_is_asked_for_an_rpo(book):
    rehearse(book)
    audit = audited(book)
    broken = replace(audit, runs=(*audit.runs, replace(audit.runs[0], drill="site-lost")))
    assert (
        steps(broken)["No drill of site in lab measures the recovery point (RPO)"]
        == "set `rpo` in a drill, with a canary for the kind of service, or else with `http.canary` or `command.canary`"
    )


@pytest.mark.parametrize(
    ("taken_at", "fresh"), [("2026-03-09T03:00:00.000Z", False), ("2026-03-10T09:00:00.500Z", True)], ids=["nightly", "own"]
)
def test_every_page_says_when_the_run_took_the_rehearsed_backup_itself(book, capsys, taken_at, fresh):
    rehearse(book, taken_at=taken_at)
    audit = audited(book)
    desk._print(audit, Path("out"))
    screen = " ".join(capsys.readouterr().out.split())
    found = [plain(render(audit)).replace("\N{NO-BREAK SPACE}", " ") for render in (html.render, markdown.render)]
    assert ("rehearse: the loss was measured with a backup taken during this run." in screen) is fresh
    for text in found:
        assert ("2 min 9 s \u00b1 2 s, with a backup taken during this run" in text) is fresh
    page = plain(summary.render(audit)).replace("\N{NO-BREAK SPACE}", " ")
    assert ("rehearsed: 2 min 9 s \u00b1 2 s would be lost, with a backup taken during this run" in page) is fresh
    confirmed = "restored the backup and passed, with a backup taken during this run)"
    counted = "In 1 of them, the restored backup was taken during the run: rehearse."
    for text in found:
        assert (confirmed in text.replace("\\", "")) is fresh
        assert (counted in text) is fresh


def test_the_heads_of_the_figures_also_hold_for_what_is_not_proven(tmp_path):
    """An objective that is met with a reservation is not proven, and a rehearsal may never have passed."""
    book = Book(tmp_path)
    book.run("2026-01-10T09:00:00").good().close()
    for page in (html.render(audited(book)), markdown.render(audited(book))):
        assert "Last figures of RTO and RPO" in page
        assert "Last figure" in page
        assert "Last proven" not in page
    assert "passed, or says that none did." in rehearsal_figures.LEAD


NEWEST = """\
drill: newest
title: The newest stored backup restores on the spare
service: database
objectives: {}
guard: {environments: [lab]}
backup:
  - postgres.newest_backup: {service: database, store: backups}
    save: newest
restore:
  - postgres.restore: {service: spare, from: "{{ newest.location }}", temporary: true}
verify:
  - postgres.healthy: {service: database}
"""
CLUSTERS = """\
environment: lab
hosts:
  db-1: {address: 127.0.0.1, port: 2201}
  spare-1: {address: 127.0.0.1, port: 2203}
services:
  database: {kind: postgres, host: db-1, database: d, user: d, admin: {user: a}, data_directory: /d}
  spare: {kind: postgres, host: spare-1, database: d, user: d, admin: {user: a}, data_directory: /d, not_drilled: a spare}
  backups: {kind: s3, host: spare-1, endpoint: http://x, bucket: b, access_key: !env A, secret_key: !env B, not_drilled: a store}
"""


def restore_newest(book, day="2026-03-10", *, restore="done", age=833.584, place="nightly", **facts):
    """Add a run that restored to a spare service a backup which was stored before. ``place``: folder of the backup.
    ``facts``: other facts of the step that finds it."""
    address = f"s3://backups/{place}/dpa/manifest.json#sha256=aa"
    known = {"manifest": address, "snapshot_at": "2026-03-10T08:46:06Z"}
    run = book.run(f"{day}T09:00:00", drill="newest", text=NEWEST, hosts=CLUSTERS).add(0.5, "phase.started", phase="backup")
    hosts = {step.id: step.hosts[0] for step in run.plan.steps}
    run.step(
        0.5,
        1.0,
        "backup.1",
        hosts["backup.1"],
        found=True,
        location=address.removesuffix("/manifest.json"),
        age_s=age,
        **known,
        **facts,
    )
    run.add(1.0, "phase.ended", phase="backup", status="done").add(1.0, "phase.started", phase="restore")
    told = {"made": {"kind": "postgres", "manifest": "aa"}, "other_service": "spare", "seconds": {"total": 9.463}}
    run.step(1.0, 11.0, "restore.1", hosts["restore.1"], restore, effect="write", database_bytes=3 << 20, **known, **told)
    run.add(11.0, "phase.ended", phase="restore", status=restore)
    if restore == "done":
        run.add(11.0, "phase.started", phase="verify").step(11.5, 12.0, "verify.1", hosts["verify.1"])
        run.add(12.0, "phase.ended", phase="verify", status="done")
    return run.end().close()


def test_a_stored_backup_that_was_restored_to_a_spare_counts_as_rehearsed(book, capsys):
    run = restore_newest(book)
    restore_newest(book, "2026-04-10", restore="failed")
    audit = audited(book)
    row = only(audit)
    assert (row.service, row.drill, row.source, row.kind, row.run) == ("database", "newest", "backups", "postgres", run.id)
    assert (row.share, row.restored, row.lost) == (
        "1 of 2 runs passed",
        "9.46 s, 3.0 MiB on disk",
        "13 min 54 s (no sampling error)",
    )
    assert row.notes == ("the newest run ended failed on 2026-04-10",)
    for page in (html.render(audit), markdown.render(audit), summary.render(audit)):
        assert "13 min 54 s" in plain(page).replace("\N{NO-BREAK SPACE}", " ")
    desk._print(audit, Path("out"))
    assert "newest, backups 9.46 s, 3.0 MiB on disk 13 min 54 s 2026-03-10" in " ".join(capsys.readouterr().out.split())


def test_a_restored_older_backup_does_the_next_step_of_a_reservation(book):
    restore_newest(book)
    audit = audited(book)
    goal = replace(stories_goal(book), environment="lab", service="database", drill="table-dropped", key="rpo")
    goal = replace(goal, mark=" \N{DAGGER}", proven=False, reserved=True)
    reserved = replace(audit, proven=(goal,))
    asked = "The RPO of table-dropped in lab is met with a reservation: the drill itself took the restored backup"
    assert asked in steps(replace(reserved, rehearsed=()))
    assert asked in steps(replace(reserved, rehearsed=(replace(only(audit), taken="a backup taken during this run"),)))
    assert asked not in steps(reserved)


BY_DRILL = "20260310T083000.000Z-table-dropped-0001"
"""Folder of a backup that a run of a drill took."""


def test_a_backup_that_another_drill_took_is_told_and_is_no_routine_backup(book, capsys):
    """Every page names the origin, and the next step to look at a routine backup stays open."""
    taken = "a backup that the drill table-dropped took"
    restore_newest(book, place=BY_DRILL)
    audit = audited(book)
    assert audit.runs[0].beside_verdict == "‖ no routine backup"
    assert (only(audit).taken, only(audit).lost) == (taken, f"13 min 54 s (no sampling error), with {taken}")
    assert (only(audit).error_s, only(audit).figure) == (0.0, "13 min 54 s")
    (run,) = audit.runs
    assert f"would be lost (no sampling error), with {taken}; no objective" in run.rpo
    for page in (html.render(audit), markdown.render(audit), summary.render(audit)):
        assert f"with {taken}" in plain(page)
    desk._print(audit, Path("out"))
    screen = " ".join(capsys.readouterr().out.split())
    assert f"newest: the loss was measured with {taken}." in screen
    assert "A loss without ± has no sampling error" in screen
    assert content.as_data(audit)["rehearsed"][0]["taken"] == taken
    shows = [control.shows for control in audit.controls if "an earlier run of a drill had taken" in control.shows]
    assert shows
    assert all(
        text.endswith(" In 1 of them, an earlier run of a drill had taken the restored backup: newest.") for text in shows
    )
    goal = replace(stories_goal(book), environment="lab", service="database", drill="table-dropped", key="rpo")
    goal = replace(goal, mark=" \N{DAGGER}", proven=False, reserved=True)
    asked = "The RPO of table-dropped in lab is met with a reservation: the drill itself took the restored backup"
    assert asked in steps(replace(audit, proven=(goal,)))
    reserved = replace(audit, proven=(replace(goal, run=run.run),), runs=(replace(run, routine=("newest",)),))
    assert "drill newest" not in steps(reserved)[asked], "it restored no routine backup"
    assert ": `drillbook drill newest`" in steps(replace(reserved, rehearsed=()))[asked]


def test_a_backup_of_the_drill_that_takes_the_routine_backups_is_a_routine_backup(book):
    """The step that searched the store tells this; the address is that of any drill."""
    restore_newest(book, place=BY_DRILL, taken_by="table-dropped", routine=True)
    assert (only(audited(book)).taken, only(audited(book)).lost) == ("", "13 min 54 s (no sampling error)")


def test_the_step_that_found_a_backup_tells_whose_it_is(book):
    restore_newest(book, taken_by="weekly", routine=False)
    assert only(audited(book)).taken == "a backup that the drill weekly took"


def stories_goal(book):
    other = Book(book.root)
    other.run("2026-01-10T09:00:00").good().close()
    return next(row for row in audited(other).proven if row.key == "rpo")
