"""Drills of the suite `rehearsal-all`: each kind of backup is restored in a sandbox of a real lab, and nothing is left."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from drillbook.judge.result import Verdict
from drillbook.lab import control, layout
from drillbook.plan.spec import load
from drillbook.reference import backup_methods
from tests.e2e.conftest import ROOT
from tests.needs import need

PROGRAMS = {
    "rehearse-wal": ("pgbackrest",),
    "rehearse-shop-dump": ("mariadbd", "mariadb-dump"),
    "rehearse-shop-stream": ("mariadbd", "mariadb-backup"),
}
ELSEWHERE = {"rehearse-database", "rehearse-cache", "rehearse-files"}
"""Drills with separate test files."""
SUITE = load(ROOT / "drills" / "rehearsal-all.yml").drills


def need_programs(name):
    for program in PROGRAMS.get(name, ()):
        need(program)


def by_action(result):
    """Facts of the last step of each action."""
    return {step.action: step.facts for step in result.steps}


def nothing_left(bench):
    assert not list(bench.lab.glob("sandbox-*"))
    made = ("redis.logs", "site.archives", "guestbook.copies", "pgbackrest.repository", "shop.copies")
    assert [path for path in made if Path(bench.value(path)).exists()] == []
    running = {one.name for one in control.status(bench.lab).components if one.standby and one.up}
    assert running == set()


@pytest.mark.parametrize("name", [name for name in SUITE if name not in ELSEWHERE])
def test_each_kind_of_backup_is_rehearsed_and_nothing_is_left(bench, name):
    need_programs(name)
    _, view = bench.run(bench.plan(name))
    result = view.result
    assert result.verdict is Verdict.PASSED, (result.reason, [(one.title, one.measured) for one in result.findings])
    assert result.residue == ()
    facts = by_action(result)
    assert facts["backup.restore"]["seconds"]["total"] > 0
    assert facts["backup.restore"]["unreachable"]
    assert 0 <= facts["backup.measure"]["loss_s"] < 3600, "no hour of a time zone"
    assert facts["backup.measure"]["basis"]
    nothing_left(bench)
    [shown] = backup_methods.renewed(bench.project).results[name]
    assert (shown.run, shown.inventory, shown.verdict) == (result.run, "embedded", Verdict.PASSED)
    assert shown.seconds == facts["backup.restore"]["seconds"]
    assert (shown.loss_s, shown.basis) == (facts["backup.measure"]["loss_s"], facts["backup.measure"]["basis"])
    assert shown.rungs[:2] == ("Artefact", "Restore")
    assert len(shown.rungs) > 2


def test_the_log_leads_further_than_the_backup(bench):
    need_programs("rehearse-wal")
    _, view = bench.run(bench.plan("rehearse-wal"))
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    facts = by_action(view.result)
    # pgBackRest rounds the end of a backup to seconds, so that it may be later than the last commit of that second.
    ends = facts["backup.restore"]["last_commit"], facts["backup.restore"]["backup"]["taken_at"]
    assert max(ends) == facts["backup.measure"]["newest_moment"], ends
    assert ends[0] > ends[1] or ends[1].endswith(".000Z")
    assert facts["backup.restore"]["backup"]["until"] == facts["backup.measure"]["newest_moment"]
    assert facts["postgres.newest_moment"]["newest_moment"] <= facts["backup.restore"]["last_commit"]


@pytest.mark.parametrize(
    ("name", "package"),
    [("rehearse-wal", "pgbackrest"), ("rehearse-shop-dump", "mariadb-server"), ("rehearse-shop-stream", "mariadb-backup")],
)
def test_a_machine_without_the_programs_is_told_the_package(bench, monkeypatch, tmp_path, name, package):
    need_programs(name)
    assert bench.plan(name).lacking == {}
    monkeypatch.setattr(layout, "SYSTEM_PATH", str(tmp_path / "nothing"))
    lacking = bench.plan(name, inventory=bench.project.inventory("lab")).lacking
    assert lacking
    assert all(package in text for text in lacking.values())


def empty_an_entry(bench):
    with closing(sqlite3.connect(Path(bench.value("guestbook.copies")) / "guestbook.db")) as copy:
        copy.execute("UPDATE entry SET text = '' WHERE id = 7")
        copy.commit()


def remove_files(path, pattern):
    def act(bench):
        found = list(Path(bench.value(path)).rglob(pattern))
        assert found
        for one in found:
            one.unlink()

    return act


def nothing(bench):
    """The backup job itself is wrong."""


@pytest.mark.parametrize(
    ("name", "changes", "after", "act", "failed", "codes"),
    [
        ("rehearse-archives", [('-C "$1" .', '--exclude=7.html -C "$1" .')], "", nothing, "verify.1", {"file-missing"}),
        ("rehearse-guestbook", [], "backup.2", empty_an_entry, "verify.1", {"expectation"}),
        ("rehearse-cache-log", [], "backup.3", remove_files("redis.logs", "*.rdb"), "backup.4", {"backup-missing"}),
        ("rehearse-wal", [], "backup.2", remove_files("pgbackrest.repository", "0*-*.lz4"), "backup.3", {"wal-gap"}),
        (
            "rehearse-shop-dump",
            [("--routines", "--ignore-table=shop.turnover --routines")],
            "",
            nothing,
            "verify.1",
            {"table-missing"},
        ),
    ],
)
def test_what_a_backup_lacks_fails_its_rehearsal(bench, name, changes, after, act, failed, codes):
    need_programs(name)

    def observe(event):
        if event.kind == "done" and event.step == after:
            act(bench)

    _, view = bench.run(bench.plan(name, *changes), observer=observe)
    assert view.result.verdict is Verdict.FAILED, view.result.reason
    assert [step.id for step in view.result.steps if step.status == "failed"] == [failed]
    assert {one.code for one in view.result.findings} == codes
    nothing_left(bench)
