"""`schedule.run`: starts due drills, does not repeat a drill endlessly, records drills that could not start, and
notifies contacts.
"""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from drillbook.cli import scheduled
from drillbook.project import schedule_record
from drillbook.project.project import Project
from tests.notify.listener import Handler, listening
from tests.program import PROOF, Folder, step
from tests.waiting import until

GOOD = PROOF
BAD = "restore:\n" + step(["false"])


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def started(folder):
    """Names of the drills that ran, in order."""
    results = sorted((folder.root / "reports").glob("*/result.json"))
    return [json.loads(path.read_text()).get("drill") for path in results if not path.parent.is_symlink()]


def record(folder):
    return [(one.kind, one.drill) for one in schedule_record.read(folder.root / "reports")[0]]


def test_what_is_due_is_started_once(folder):
    folder.write("every: 7d\n" + GOOD)
    folder.write(GOOD, "unscheduled")
    assert "would start sample" in folder.run("schedule.run", "--dry").stdout
    assert folder.run("drill.due").returncode == 1
    done = folder.run("schedule.run")
    assert (done.returncode, done.stderr) == (0, "")
    assert started(folder) == ["sample"]
    assert folder.run("drill.due").returncode == 0
    assert folder.run("schedule.run").returncode == 0
    assert started(folder) == ["sample"]
    assert record(folder) == []


def test_a_drill_that_failed_is_not_started_again_before_its_grace_is_over(folder):
    folder.write("every: 7d\n" + BAD)
    assert folder.run("schedule.run").returncode == 1
    assert folder.run("schedule.run").returncode == 0
    assert started(folder) == ["sample"]
    assert record(folder) == [("missed", "sample")]
    folder.write("every: 7d\ngrace: 0s\n" + BAD)
    assert folder.run("schedule.run").returncode == 0
    assert started(folder) == ["sample"], "not within an hour, even without a grace"
    folder.write("every: 1s\ngrace: 0s\n" + BAD)
    until(lambda: "would start sample" in folder.run("schedule.run", "--dry").stdout)
    assert folder.run("schedule.run").returncode == 1
    assert started(folder) == ["sample", "sample"]


def test_a_drill_that_failed_before_its_time_is_due_and_not_repeated_by_the_timer(folder):
    folder.write("every: 30d\ngrace: 0s\n" + GOOD)
    assert folder.run("schedule.run").returncode == 0
    folder.write("every: 30d\ngrace: 0s\n" + BAD)
    assert folder.run("drill", "sample").returncode == 1
    (row,) = [one for one in json.loads(folder.run("drill.due", "--json").stdout)["rows"] if one["drill"]]
    assert row["state"] == "due"
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    project = Project(folder.root)
    assert list(scheduled.pending(project, "lab", tomorrow)) == [], "a person looks at it first"
    assert list(scheduled.pending(project, "lab", tomorrow + timedelta(days=29))) == ["sample"]


def test_a_suite_is_started_instead_of_its_drills(folder):
    for name in ("one", "two"):
        folder.write("every: 7d\n" + GOOD, name)
    (folder.root / "drills" / "all.yml").write_text("suite: all\ntitle: All\nevery: 7d\ndrills: [one, two]\n")
    assert folder.run("schedule.run").returncode == 0
    assert started(folder) == [None]
    assert folder.run("drill.due").returncode == 0


def test_outside_its_windows_a_drill_waits(folder):
    folder.write("every: 7d\nguard: {windows: [{from: '00:00', to: '00:01', zone: Etc/GMT+12}]}\n" + GOOD)
    folder.run("schedule.run")
    assert started(folder) == []
    assert record(folder) == [("missed", "sample")]


def test_a_run_that_could_not_begin_is_recorded_told_and_audited(folder):
    folder.write("every: 7d\nowner: nobody\n" + GOOD)
    with listening() as server:
        folder.environment["WAY"] = f"json://127.0.0.1:{server.server_address[1]}/"
        inventory = folder.root / "inventory" / "lab.yml"
        inventory.write_text(inventory.read_text() + "contacts: {oncall: {role: on call, notify: [!env WAY]}}\n")
        done = folder.run("schedule.run")
        assert done.returncode == 2
        assert "sample could not begin" in done.stderr
        said = {one["title"]: one["message"] for one in server.wait(2)}
    assert "nobody" in said["[any environment] drill sample: scheduled run could not begin"]
    assert record(folder) == [("not begun", "sample"), ("missed", "sample")]
    assert folder.run("schedule.run").returncode == 0
    assert record(folder) == [("not begun", "sample"), ("missed", "sample")]
    folder.run("audit", "--since", "2020-01-01", "--until", "2099-12-31", "--out", "audit")
    rows = json.loads((folder.root / "audit" / "audit.json").read_text())["missed"]
    assert [(row["kind"], row["drill"], row["source"]) for row in rows] == [
        ("not begun", "sample", "schedule.jsonl"),
        ("never passed", "sample", "schedule.jsonl"),
    ]
    assert "could not begin" in (folder.root / "audit" / "audit.html").read_text()


def test_an_inventory_that_cannot_be_read_is_told_of_too(folder):
    folder.write("every: 7d\n" + GOOD)
    done = folder.run("schedule.run", "--inventory", "nowhere")
    assert done.returncode == 2
    assert "sample could not begin: there is no inventory 'nowhere'" in done.stderr
    assert record(folder)[0] == ("not begun", "sample")


def test_the_heartbeat_is_sent_only_when_all_is_well(folder):
    folder.write("every: 7d\ngrace: 0s\n" + BAD)
    with listening() as server:
        folder.environment["BEAT"] = f"http://127.0.0.1:{server.server_address[1]}/ping"
        (folder.root / "drillbook.yml").write_text("heartbeat: !env BEAT\n")
        assert folder.run("schedule.run").returncode == 1
        assert server.got == []
        folder.write("every: 7d\ngrace: 0s\n" + GOOD)
        assert folder.run("drill", "sample").returncode == 0
        assert folder.run("schedule.run").returncode == 0
        assert [one["path"] for one in server.wait(1)] == ["/ping"]


def test_a_heartbeat_that_was_not_delivered_is_said_without_its_address(folder):
    folder.write("every: 7d\n" + GOOD)
    folder.environment["BEAT"] = "http://127.0.0.1:1/secret"
    (folder.root / "drillbook.yml").write_text("heartbeat: !env BEAT\n")
    done = folder.run("schedule.run")
    assert "the heartbeat was not delivered: the service cannot be reached" in done.stderr
    assert "secret" not in done.stderr


def test_a_heartbeat_whose_secret_is_not_set_is_told_before_anything_is_started(folder):
    folder.write("every: 7d\n" + GOOD)
    (folder.root / "drillbook.yml").write_text("heartbeat: !env NO_BEAT\n")
    said = "heartbeat of drillbook.yml: the environment variable NO_BEAT is not set"
    assert folder.run("schedule.run", "--dry").returncode == 2
    done = folder.run("schedule.run")
    assert (done.returncode, started(folder)) == (2, [])
    assert done.stderr.count(said) == 1, done.stderr
    assert ("not begun", "sample") in record(folder)
    checked = folder.run("drill.check", "sample")
    assert checked.returncode == 0, "a person can run it"
    assert f"a timer would start nothing: {said}" in " ".join(checked.stdout.split())
    assert folder.run("drill", "sample").returncode == 0


def test_settings_cannot_name_commands(folder):
    folder.write("every: 7d\n" + GOOD)
    (folder.root / "drillbook.yml").write_text("heartbeat: !command [touch, made]\n")
    done = folder.run("schedule.run")
    assert done.returncode == 2
    assert "drillbook.yml:1" in done.stderr
    assert not (folder.root / "made").exists()


def test_a_call_of_another_inventory_waits_and_one_of_the_same_does_nothing(folder):
    """The timers of two inventories fire at the same moment, and neither may miss its drills."""
    folder.write("every: 7d\n" + GOOD)
    shutil.copy(folder.root / "inventory" / "lab.yml", folder.root / "inventory" / "other.yml")
    with scheduled._alone(Project(folder.root), "other") as alone:
        assert alone
        assert folder.run("schedule.run", "--inventory", "other").returncode == 0
        waiting = folder.start("schedule.run", "--inventory", "lab", stderr=subprocess.PIPE)
        until(lambda: len(list((folder.root / "reports").glob(".schedule.lock-*"))) == 2)
        assert (waiting.poll(), started(folder)) == (None, [])
    assert waiting.communicate(timeout=60)[1] == b""
    assert waiting.returncode == 0
    assert started(folder) == ["sample"]


def test_a_signal_in_a_run_starts_no_other_drill(folder):
    waits = "touch DIR/there; until test -e DIR/go; do sleep 0.05; done"
    for name in ("one", "two"):
        folder.write("every: 7d\nrestore:\n" + step(["sh", "-c", waits]), name)
    tick = folder.start("schedule.run")
    until((folder.root / "there").exists)
    tick.terminate()
    until(lambda: tick.poll() is not None or len(list((folder.root / "reports").glob("*-two-*"))))
    (folder.root / "go").touch()
    assert tick.wait(60) == 4
    assert started(folder) == ["one"]


class Terminating(Handler):
    """Ends the sender with TERM before it gets an answer."""

    def took(self, body):
        self.server.tick.terminate()
        super().took(body)


def test_a_signal_while_the_contacts_are_notified_starts_no_other_drill(folder):
    for name in ("one", "two"):
        folder.write("every: 7d\n" + GOOD, name)
    with listening() as server:
        server.RequestHandlerClass = Terminating
        folder.environment["WAY"] = f"json://127.0.0.1:{server.server_address[1]}/"
        inventory = folder.root / "inventory" / "lab.yml"
        contact = "{role: on call, on: [end], notify: [!env WAY]}"
        inventory.write_text(inventory.read_text() + f"contacts: {{oncall: {contact}}}\n")
        server.tick = folder.start("schedule.run")
        assert server.tick.wait(60) == 0
        assert len(server.got) == 1
    assert started(folder) == ["one"]
