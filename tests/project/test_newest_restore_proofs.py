"""Newest proofs of restores, from real results: the audit and `drill.due` decide the same of every run."""

from datetime import UTC, datetime

import pytest

from drillbook.audit import records, run_evidence
from drillbook.journal.run_state import RunStates
from drillbook.plan.schedule import State
from drillbook.project import due, newest_restore_proofs
from drillbook.project.project import Project
from tests.audit.stories import REHEARSE, SITE, Book, render_all, year

NOW = datetime(2027, 2, 1, tzinfo=UTC)


@pytest.fixture
def book(tmp_path):
    made = year(Book(tmp_path))
    made.run("2026-03-10T04:00:00", drill="rehearse", text=REHEARSE, hosts=SITE).rehearsal().close()
    made.run("2026-03-11T04:00:00", drill="rehearse", text=REHEARSE, hosts=SITE).rehearsal(restore="failed").close()
    render_all(made)
    return made


def test_the_audit_and_the_proofs_agree_on_every_run(book):
    found, _ = records.find(book.reports)
    told = {one.run: run_evidence.recovered(one) or run_evidence.restored(one) for one in found if not one.residue}
    proven = {one.name for one in Project(book.root).runs() if newest_restore_proofs.read([one], RunStates())}
    assert proven == {run for run, proof in told.items() if proof}
    assert 0 < len(proven) < len(told)


def test_the_newest_proof_of_each_drill_is_found(book):
    found = newest_restore_proofs.read(list(Project(book.root).runs()), RunStates())
    assert {key: one.started[:10] for key, one in found.items()} == {
        ("sample", "lab"): "2027-01-11",
        ("api-down", "lab"): "2026-02-10",
        ("rehearse", "lab"): "2026-03-10",
    }


def test_a_rehearsal_proves_the_service_whose_backup_it_restored(tmp_path):
    book = Book(tmp_path)
    for how, expected in (({"restore": "failed"}, [("site", State.NEVER)]), ({}, [])):
        book.run(f"2026-03-1{len(book.runs)}T04:00:00", drill="rehearse", text=REHEARSE, hosts=SITE).rehearsal(**how).close()
        render_all(book)
        assert [(row.service, row.state) for row in due.read(Project(tmp_path), NOW).rows] == expected


def test_a_service_whose_newest_proofs_restored_only_backups_of_drills_is_named(tmp_path):
    """An own backup proves a restore of the service, but none of a routine backup. A proof by another drill is enough."""
    book = Book(tmp_path)
    own = "20260310T033000.000Z-site-lost-0001/www-1.tar.gz"
    runs = (("rehearse", own, [("lab", "site")]), ("other", own, [("lab", "site")]), ("other", "www-1.tar.gz", []))
    for day, (drill, backup, expected) in enumerate(runs, 10):
        text = REHEARSE.replace("drill: rehearse", f"drill: {drill}")
        book.run(f"2026-03-{day}T04:00:00", drill=drill, text=text, hosts=SITE).rehearsal(restored=backup).close()
        render_all(book)
        found = due.read(Project(tmp_path), NOW)
        assert (list(found.of_drills), found.unproven) == (expected, ())
        names = [{"environment": place, "service": name} for place, name in expected]
        assert found.as_data()["proven_without_routine"] == names


def test_a_result_that_cannot_be_read_proves_nothing(book):
    for text in ("[]", "{", '{"made":', '{"verdict": "passed", "backup": 1, "steps": 3}'):
        for folder in Project(book.root).runs():
            (folder / "result.json").write_text(text)
        assert newest_restore_proofs.read(list(Project(book.root).runs()), RunStates()) == {}
