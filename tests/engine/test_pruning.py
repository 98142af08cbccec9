"""Pruning after a run, on a real store: removed backups, kept backups, and the state after a death in the middle."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from drillbook.cli import show_plan
from drillbook.cli.orchestration import Orchestrator
from drillbook.engine import pruning
from drillbook.errors import Unreported
from drillbook.inventory import inventory
from drillbook.journal import journal
from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from drillbook.plan import planner, spec
from drillbook.project.project import Project
from drillbook.sdk import deadline
from drillbook.sdk.host import Deadline
from drillbook.sdk.object_reference import Reference
from drillbook.values import canonical, digest
from tests.processes import entries
from tests.systems.postgres.site import BUCKET, readable, site

HOSTS = """\
environment: lab
hosts: {controller: {local: true, scratch: SCRATCH, lease: {boot: none}}}
services:
  app: {STORE, bucket: originals-for-tests}
  other: {STORE, bucket: others-for-tests}
  backups: {STORE, bucket: backups-for-tests, keep: KEEP}
"""
STORE = """\
kind: s3, host: controller, endpoint: "ENDPOINT", access_key: !env TEST_S3_KEY, secret_key: !env TEST_S3_SECRET"""
DRILL = """\
drill: sample
title: A sample
service: app
backup:
  - s3.copy: {service: SERVICE, to: "s3://{{ services.backups.bucket }}/{{ run.id }}/files"}
    hosts: controller
    save: made
  - s3.backup_intact: {service: SERVICE, from: "{{ made.location }}"}
    hosts: controller
verify:
  - command.run: {argv: ['true'], effect: read}
    hosts: controller
"""
RUN = """
import os, signal, sys
from pathlib import Path
from drillbook.sdk.store import Store
from tests.engine.test_pruning import Bench

delete, calls = Store.delete, []

def dying(self, keys):
    delete(self, keys)
    calls.append(keys)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

Store.delete = dying
Bench(Path(sys.argv[1]), "{last: 1}").run()
"""


STOP = """
import os, signal, sys
from pathlib import Path
from tests.engine.test_pruning import Bench

def stopping(event):
    if event.kind == "pruning.started":
        os.kill(int(sys.argv[2]), signal.SIGSTOP)
        os.kill(os.getpid(), signal.Signals[sys.argv[3]])

Bench(Path(sys.argv[1]), "{last: 1}").run(observer=stopping)
"""


class Bench:
    """A project whose drill copies the objects of a bucket."""

    def __init__(self, root, keep=""):
        self.root, self.folder = root, root
        self.project = Project(root)
        self.keep = keep
        """Rule of the store; empty without a rule."""

    def run(self, drill=DRILL, observer=lambda event: None, service="app", scratch="scratch"):
        """Run the drill.

        Another folder ``scratch`` acts as another machine, on which unfinished runs block no other run.
        """
        path = self.root / "drills" / "sample.yml"
        path.write_text(drill.replace("SERVICE", service))
        hosts = self.root / "inventory.yml"
        store = STORE.replace("ENDPOINT", (self.root / "endpoint").read_text())
        text = HOSTS.replace("STORE", store).replace(", keep: KEEP", f", keep: {self.keep}" if self.keep else "")
        hosts.write_text(text.replace("SCRATCH", str(self.root / scratch)))
        given = inventory.load(hosts)
        self.folder, view = Orchestrator(self.project, given, observer).run(planner.make(spec.load(path), given))
        return view

    def events(self, kind, folder=None):
        return [event.data for event in read((folder or self.folder) / FILE).events if event.kind == kind]

    def passed(self, **given):
        """Run the drill, which passes. Return the name of the run."""
        view = self.run(**given)
        assert view.result.verdict is Verdict.PASSED, (view.result.reason, view.result.findings)
        return view.result.run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with site(tmp_path_factory.mktemp("site")) as made:
        for bucket in ("originals-for-tests", "others-for-tests"):
            made.s3().create_bucket(Bucket=bucket)
            for name in ("first", "second/one"):
                made.s3().put_object(Bucket=bucket, Key=name, Body=name.encode() * 100)
        yield made


@pytest.fixture
def bench(tmp_path, place):
    (tmp_path / "drills").mkdir()
    (tmp_path / "endpoint").write_text(place.store.endpoint)
    made = Bench(tmp_path)
    made.s3 = place.s3()
    yield made
    for page in made.s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
        for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            made.s3.delete_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])


def keys(bench):
    return {one["Key"] for one in bench.s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())}


def there(bench):
    """Names of the runs whose backup is complete in the store."""
    found = keys(bench)
    return [run for run in sorted({key.split("/")[0] for key in found}) if f"{run}/files/manifest.json" in found]


def test_without_a_rule_everything_stays(bench):
    runs = [bench.passed() for _ in range(3)]
    assert there(bench) == runs
    assert bench.events("pruning.finished") == []


@pytest.mark.long(55)
def test_of_eight_runs_the_last_five_stay_and_so_does_all_that_is_anothers(bench):
    bench.s3.put_object(Bucket=BUCKET, Key="anybody/manifest.json", Body=b"{}")
    runs = [bench.passed() for _ in range(7)]
    extra = f"{runs[0]}/files/notes.txt"
    bench.s3.put_object(Bucket=BUCKET, Key=extra, Body=b"of a person")
    theirs = [bench.passed(service="other") for _ in range(2)]
    sizes = {one["Key"]: one["Size"] for one in bench.s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    bench.keep = "{last: 5}"
    runs.append(bench.passed())
    assert there(bench) == sorted(runs[3:] + theirs), "another service's backups are counted for themselves"
    assert {extra, "anybody/manifest.json"} <= keys(bench)
    assert keys(bench) - {extra} == {key for key in keys(bench) if key.split("/")[0] in (*runs[3:], *theirs, "anybody")}
    (ended,) = bench.events("pruning.finished")
    assert [one.split("/")[3] for one in ended["pruned"]] == runs[:3]
    assert (ended["kept"], ended["left"]) == (7, [])
    assert ended["bytes"] == sum(size for key, size in sizes.items() if key.split("/")[0] in runs[:3] and key != extra)
    assert bench.events("pruning.started")[0]["backups"] == ended["pruned"]
    assert "removed 3 older backups from backups" in (bench.folder / "report.md").read_text()
    assert bench.passed() not in (bench.events("pruning.finished")[0]["pruned"])
    assert len(bench.events("pruning.finished")[0]["pruned"]) == 1, "those that are gone are not asked for again"


def test_a_run_that_did_not_pass_removes_nothing(bench):
    runs = [bench.passed() for _ in range(2)]
    bench.keep = "{last: 1}"
    view = bench.run(DRILL.replace("['true']", "['false']"))
    assert view.result.verdict is Verdict.FAILED
    assert there(bench) == [*runs, view.result.run]
    assert bench.events("pruning.started") == bench.events("pruning.finished") == []


def test_a_backup_that_an_unfinished_run_may_need_stays(bench):
    """The run that wrote the backup died, or another run that refers to it."""
    runs = [bench.passed(scratch="elsewhere"), *(bench.passed() for _ in range(3))]
    unfinish(bench.root / "reports" / runs[0])
    location = bench.events("done", bench.root / "reports" / runs[1])[0]["facts"]["location"]
    bench.run(DRILL.replace("['true']", f"['echo', '{location}']"), scratch="yonder")
    unfinish(bench.folder)
    runs.append(bench.folder.name)
    bench.keep = "{last: 1}"
    runs.append(bench.passed())
    assert there(bench) == [runs[0], runs[1], runs[4], runs[5]]
    (ended,) = bench.events("pruning.finished")
    assert [(one["location"].split("/")[3], one["why"]) for one in ended["left"]] == [
        (written, f"the run {unfinished} is unfinished and may need the backup")
        for written, unfinished in ((runs[0], runs[0]), (runs[1], runs[4]), (runs[4], runs[4]))
    ]


def unfinish(folder):
    """Remove the end of a run, as if its controller had died before."""
    path = folder / FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if json.loads(line)["seq"] < ending(lines)))
    (folder / "result.json").unlink()


def ending(lines):
    return next(json.loads(line)["seq"] for line in lines if json.loads(line)["kind"] == "run.finished")


def test_a_run_whose_journal_is_damaged_and_not_settled_keeps_all(bench):
    runs = [bench.passed(scratch="elsewhere"), bench.passed()]
    folder = bench.root / "reports" / runs[0]
    (folder / FILE).write_bytes((folder / FILE).read_bytes().replace(b'"kind":"phase.ended"', b'"kind":"phase.ENDED"', 1))
    (folder / "result.json").unlink()
    bench.keep = "{last: 1}"
    runs.append(bench.passed())
    assert there(bench) == runs
    assert "unknown which backups" in bench.events("pruning.finished")[0]["message"]


def test_a_backup_that_is_not_the_recorded_one_stays(bench):
    runs = [bench.passed() for _ in range(3)]
    key = f"{runs[0]}/files/manifest.json"
    body = bench.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    bench.s3.put_object(Bucket=BUCKET, Key=key, Body=body + b" ")
    shutil.rmtree(bench.root / "reports" / runs[1])
    bench.keep = "{last: 1}"
    runs.append(bench.passed())
    assert there(bench) == [runs[0], runs[1], runs[3]], "another's manifest, and a run that this project does not know"
    (left,) = bench.events("pruning.finished")[0]["left"]
    assert "is not the manifest that was written" in left["why"]


@pytest.mark.parametrize("deletions", [1, 2, 3], ids=["manifest", "files", "next-manifest"])
def test_a_controller_that_is_killed_leaves_no_half_that_looks_whole_and_the_next_goes_on(bench, deletions):
    runs = [bench.passed() for _ in range(3)]
    bench.keep = "{last: 1}"
    done = subprocess.run([sys.executable, "-c", RUN, str(bench.root), str(deletions)], cwd=Path.cwd(), check=False)
    assert done.returncode == -signal.SIGKILL
    (killed,) = [one.name for one in bench.project.runs() if one.name not in runs]
    half = [run for run in runs if {key for key in keys(bench) if key.startswith(f"{run}/")} and run not in there(bench)]
    assert half == {1: runs[:1], 2: [], 3: runs[1:2]}[deletions]
    ended = read(bench.root / "reports" / killed / FILE).events[-1]
    assert (ended.kind, ended.data["backups"][0].split("/")[3]) == ("pruning.started", runs[0])
    runs += [killed, bench.passed()]
    assert {key.split("/")[0] for key in keys(bench)} == {runs[-1]}
    pruned = [one.split("/")[3] for one in bench.events("pruning.finished")[0]["pruned"]]
    assert sorted(pruned) == [run for run in runs[:-1] if run in pruned]
    assert set(half) <= set(pruned)
    assert bench.events("pruning.finished")[0]["kept"] == 1


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_a_pruning_whose_store_hangs_and_is_recorded(bench, name):
    runs = [bench.passed() for _ in range(2)]
    bench.keep = "{last: 1}"
    store = server(bench)
    try:
        command = [sys.executable, "-c", STOP, str(bench.root), str(store), name]
        done = subprocess.run(command, cwd=Path.cwd(), check=False, timeout=100)
    finally:
        os.kill(store, signal.SIGCONT)
    assert done.returncode == 0, "the run itself passed"
    folder = bench.project.reports / unknown(bench, runs)
    assert [event["name"] for event in bench.events("signal", folder)] == [name]
    (ended,) = bench.events("pruning.finished", folder)
    assert ended["message"] == "the removal ended early, and the next run will continue it: a signal stopped the pruning"
    assert "a signal stopped the pruning" in (folder / "report.md").read_text()
    run = bench.passed()
    assert there(bench) == [run]


def test_a_request_to_stop_reaches_the_threads_that_look_for_manifests():
    """A store that hangs would otherwise keep each of them until the limit of its library."""
    seen, stop = [], threading.Event()

    class Asked:
        def size(self, key):
            seen.append((key, deadline.current().cancel))

    where = SimpleNamespace(location=Reference.parse("s3://backups/run-1/files"))
    with deadline.under(Deadline.after(60, stop)):
        assert pruning._there(Asked(), [where] * 3) == []
    assert seen == [("run-1/files/manifest.json", stop)] * 3


def server(bench):
    """Process ID of the store."""
    port = (bench.root / "endpoint").read_text().rpartition(":")[2]
    (found,) = [int(one.parent.name) for one in entries("cmdline") if f"-s3.port={port}\0" in readable(one)]
    return found


@pytest.mark.parametrize(("hours", "gone"), [(0, 1), (24 * 400, 0)], ids=["right", "ahead"])
def test_a_backup_from_while_the_clock_was_ahead_pushes_no_other_out(bench, hours, gone):
    runs = [bench.passed() for _ in range(2)]
    shift(bench.root / "reports" / runs[1], hours)
    bench.keep = "{last: 2}"
    runs.append(bench.passed())
    assert there(bench) == runs[gone:]


def test_with_a_clock_that_is_wrong_now_nothing_is_removed(bench, monkeypatch):
    runs = [bench.passed() for _ in range(2)]
    bench.keep = "{days: 30}"
    wrong = (datetime.now(UTC) + timedelta(days=400)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    monkeypatch.setattr(journal, "_now", lambda: wrong)
    runs.append(bench.passed())
    assert there(bench) == runs
    assert "s ahead of the clock of the store" in bench.events("pruning.finished")[0]["message"]


def shift(folder, hours):
    """Rewrite the journal as by a clock that is ``hours`` fast."""
    path, prev, lines = folder / FILE, None, []
    for number, line in enumerate(path.read_bytes().splitlines()):
        event = json.loads(line)
        moment = datetime.fromisoformat(event["at"]) + timedelta(hours=hours)
        event |= {"at": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), **({"prev": prev} if number else {})}
        del event["hash"]
        prev = digest(canonical(event))
        lines.append(canonical(event | {"hash": prev}) + b"\n")
    path.write_bytes(b"".join(lines))


def test_a_bucket_with_versions_says_what_remains(bench):
    bench.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    try:
        [bench.passed() for _ in range(2)]
        bench.keep = "{last: 1}"
        run = bench.passed()
    finally:
        bench.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    assert there(bench) == [run]
    (ended,) = bench.events("pruning.finished")
    assert ended["older_versions"] == ended["bytes"] > 0
    assert f"holds {ended['bytes']} bytes of these backups as older versions" in (bench.folder / "report.md").read_text()


def test_a_run_whose_journal_is_lost_removes_nothing_and_says_so(bench):
    runs = [bench.passed() for _ in range(2)]
    bench.keep = "{last: 1}"

    def lose(event):
        if event.kind == "run.finished":
            (bench.project.reports / unknown(bench, runs) / FILE).unlink()

    with pytest.raises(Unreported, match="is lost"):
        bench.run(observer=lose)
    assert there(bench)[:2] == runs


def unknown(bench, known):
    """Name of the run that is not in ``known``."""
    return next(one.name for one in bench.project.runs() if one.name not in known)


def test_the_dry_run_shows_the_rule(bench, monkeypatch):
    bench.keep = "{last: 5, days: 30}"
    bench.passed()
    (bench.root / "inventory").mkdir()
    (bench.root / "inventory.yml").rename(bench.root / "inventory" / "lab.yml")
    out = io.StringIO()
    monkeypatch.setattr(show_plan, "console", lambda: Console(file=out, width=200))
    show_plan.plans(bench.project, "sample", "lab")
    assert (
        "backups keeps the last 5 backups of each series (service, kind, folder) and all backups of the last 30 days; a passed run removes older"
        in out.getvalue()
    )
