"""Faults that only a team's own backup can undo: it is verified, compared with the objective, and restored into the
service.
"""

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from drillbook.errors import PlanError
from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from tests.e2e.controllers import start, wait_for

DRILL = """
drill: site-lost
title: The site's files are deleted, and come back from the nightly archive
service: site
owner: oncall
objectives: {{rpo: {rpo}}}
guard:
  environments: [lab]
backup:
  - backup.check: {{service: {source}}}
inject:
  - files.lose: {{service: site, path: "{path}"}}
restore:
  - backup.restore: {{service: site, from: {source}}}
    save: restored
verify:
  - command.run: {{argv: [test, -s, "{path}/pages/7.html"], effect: read}}
    hosts: app-1
"""


class Site:
    """The site of the lab, and its nightly archive."""

    def __init__(self, bench, folder):
        self.bench, self.path, self.place = bench, Path(bench.value("site.path")), folder / "archives"
        self.place.mkdir()
        self.source = {"kind": "tar", "host": "app-1", "service": "site", "at": str(self.place), "pattern": "*.tar.gz"}
        self.before = self.digests()

    def digests(self):
        return {
            str(path.relative_to(self.path)): (path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in self.path.rglob("*")
            if path.is_file()
        }

    def archive(self, *words, name="site-1.tar.gz"):
        words = words or ("-C", str(self.path), ".")
        subprocess.run(["tar", "-czf", self.place / name, *words], check=True)
        return self.place / name

    def write(self, text, **sources):
        """Write a drill and the inventory with the sources. Return the path of the drill."""
        inventory = self.bench.project.root / "inventory" / "lab.yml"
        lines = "".join(f"  {name}: {json.dumps(source)}\n" for name, source in {"nightly": self.source, **sources}.items())
        inventory.write_text(inventory.read_text().replace("\nbackups:\n", f"\nbackups:\n{lines}", 1))
        self.bench.inventory = self.bench.project.inventory("lab")
        path = self.bench.project.root / "drills" / "site-lost.yml"
        path.write_text(text)
        return path

    def drill(self, *, rpo="1h", source="nightly", path=""):
        return DRILL.format(rpo=rpo, source=source, path=path or self.path)

    def run(self, text, **options):
        return self.bench.run(self.bench.made(self.write(text)), **options)

    def rebuild(self):
        """Restore the site for the next test."""
        if self.digests() != self.before:
            subprocess.run(["rm", "-rf", self.path], check=True)
            self.bench.spoiled = True


@pytest.fixture
def site(bench, tmp_path):
    made = Site(bench, tmp_path)
    yield made
    made.rebuild()


def kinds(folder, kind):
    return [event for event in read(folder / FILE).events if event.kind == kind]


def refused(site, folder, view, code, *texts):
    """Assert that the run ended right before the fault with this finding, and changed nothing."""
    assert view.result.verdict is Verdict.INCONCLUSIVE
    [found] = view.result.findings
    assert found.code == code, found
    for text in texts:
        assert text in f"{found.wanted} {found.measured}", found
    assert not kinds(folder, "intent")
    assert site.digests() == site.before


@pytest.mark.parametrize("form", ["dot", "folder", "path"])
def test_the_deleted_folder_comes_back_from_the_nightly_archive(site, form):
    parent, name = site.path.parent, site.path.name
    site.archive(
        *{
            "dot": ("-C", str(site.path), "."),
            "folder": ("-C", str(parent), name),
            "path": ("-C", "/", str(site.path).lstrip("/")),
        }[form]
    )
    mode = site.path.stat().st_mode
    folder, view = site.run(site.drill())
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    assert site.digests() == site.before
    assert site.path.stat().st_mode == mode
    [proven] = kinds(folder, "source.proven")
    rpo = view.result.objectives["rpo"]
    assert (rpo.met, rpo.clock, rpo.error_s) == (True, "newest moment of the restored backup", 1.0)
    ended = read(folder / FILE).events[-1].clock
    assert 0 <= rpo.measured_s - proven.data["loss_s"] <= ended, "it grew during the run alone"
    facts = {step.id: step.facts for step in view.result.steps}["restore.1"]
    assert facts["in_place"]
    assert facts["made"]["kind"] == "files"
    assert facts["files"] == len(site.before)
    assert not list(site.path.parent.glob("*.drillbook-*"))


def test_a_newest_moment_beyond_the_objective_is_refused_before_the_fault(site):
    old = site.archive()
    os.utime(old, (old.stat().st_mtime - 100, old.stat().st_mtime - 100))
    folder, view = site.run(site.drill(rpo="90s"))
    refused(site, folder, view, "backup-too-old", "a loss of at most 90 s", "site-1.tar.gz", "with an error of 1 s")


def test_a_backup_that_was_changed_after_its_verification_is_refused(site):
    path = site.archive()

    def change(event):
        if event.kind == "done" and event.step == "backup.1":
            with path.open("ab") as file:
                file.write(b"0")

    folder, view = site.run(site.drill(), observer=change)
    refused(site, folder, view, "backup-unproven", "was changed after its verification")


def test_the_backup_that_was_verified_is_restored_though_a_newer_one_has_come(site, tmp_path):
    site.archive()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "another.html").write_text("not verified")

    def arrive(event):
        if event.kind == "done" and event.step == "inject.1":
            site.archive("-C", str(tmp_path / "other"), ".", name="site-2.tar.gz")

    _, view = site.run(site.drill(), observer=arrive)
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
    assert {step.id: step.facts for step in view.result.steps}["restore.1"]["backup"]["id"] == "site-1.tar.gz"
    assert site.digests() == site.before


def test_an_archive_of_another_folder_is_refused(site, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pages").write_text("no folder of the site")
    site.archive("-C", str(tmp_path / "other"), ".")
    folder, view = site.run(site.drill())
    refused(site, folder, view, "backup-unproven", "the backup lacks 1 of the 2 entries", "images")


def test_archives_in_the_folder_that_is_deleted_are_refused(site):
    site.archive()
    inside = site.path / "archives"
    inside.symlink_to(site.place)
    site.source["at"] = str(site.path)
    site.source["pattern"] = "*.tar.gz"
    (site.path / "site-1.tar.gz").write_bytes((site.place / "site-1.tar.gz").read_bytes())
    inside.unlink()
    site.before = site.digests()
    try:
        folder, view = site.run(site.drill())
        refused(site, folder, view, "backup-unproven", "which the fault destroys")
    finally:
        (site.path / "site-1.tar.gz").unlink()
        site.before = site.digests()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "from: nightly",
            "from: cache_dumps",
            "'cache_dumps' is a backup of 'cache', not a backup of 'site'|restored into a sandbox",
        ),
        ("from: nightly", "from: weekly", "no step of the phase `backup` verifies weekly"),
        ("from: nightly", "from: nightlyy", "there is no backup source 'nightlyy'"),
        (
            "from: nightly",
            "from: database_dumps",
            "of kind pg_dump can only be restored into a sandbox, not into 'site'|into a",
        ),
        (
            "from: nightly}",
            "from: nightly, at: 2026-01-01T00:00:00Z}",
            "verifies the backup latest of nightly, but this step restores",
        ),
        (
            "backup.check: {service: nightly}",
            'backup.check: {service: nightly}\n    when: "1 == 1"',
            "may be skipped or fail",
        ),
        ("objectives: {rpo: 1h}", "objectives: {rto: 1h}", "no objective limits how much data may be lost"),
        ('/site"}\nrestore', '/site/pages"}\nrestore', "destroys .*/site/pages, but backup.restore restores"),
        ("inject:\n", "  - backup.restore: {service: site, from: nightly}\ninject:\n", "in the phase backup"),
    ],
)
def test_a_plan_without_a_restore_from_what_was_verified_is_refused(site, old, new, message):
    text = site.drill()
    assert old in text
    path = site.write(text.replace(old, new, 1), weekly=site.source)
    with pytest.raises(PlanError, match=message):
        site.bench.made(path)


@pytest.mark.parametrize("from_backup", [False, True], ids=["by-the-drill", "from-backup"])
def test_a_controller_killed_after_the_fault_is_recovered_from_the_source(site, from_backup):
    site.archive()
    slow = "restore:\n  - command.run: {argv: [sleep, '60'], effect: read}\n    hosts: app-1\n"
    site.write(site.drill().replace("restore:\n", slow.replace("'60'", "'60'" if from_backup else "'8'"), 1))
    process = start(site.bench, "drill", "site-lost")
    folder = wait_for(site.bench, process, "step.started", "restore.1")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not site.path.exists()
    arguments = ["--from-backup"] if from_backup else []
    recovered = start(site.bench, "drill.recover", folder.name, *arguments)
    output, _ = recovered.communicate(timeout=120)
    assert recovered.returncode == 0, output
    assert site.digests() == site.before
    assert json.loads((folder / "result.json").read_text())["residue"] == []
