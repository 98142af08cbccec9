"""Canaries that a drill declares, in whole runs on this machine: RPO and lost writes, a killed controller, and a check."""

import contextlib
import json
import sqlite3

import pytest

from drillbook.exits import Exit
from tests.program import Folder

CANARIES = """\
probes:
  - command.canary:
      host: controller
      write: [sh, -c, 'printf "%s\\n" "$1" >> DIR/lines', sh, "${record}"]
      read: [sh, -c, 'test ! -e DIR/lines || cat DIR/lines']
      remove: [sh, -c, 'test ! -e DIR/lines || sed -i "/drillbook-$1-/d" DIR/lines', sh, "${run}"]
      every: 50ms
      timeout: 1s
  - sql.canary: {driver: sqlite3, connect: {database: DIR/shop.db}, every: 50ms, timeout: 500ms}
"""
MORE = """sh, -c, 'until test "$(wc -l < DIR/lines)" -ge "$1"; do sleep 0.02; done', sh"""
UNSAVED = """sh, -c, 'until test "$(wc -l < DIR/lines)" -gt $(($(wc -l < DIR/saved) + 5)); do sleep 0.02; done'"""
LOSE = f"""\
backup:
  - command.run: {{argv: [{MORE}, "5"], effect: read}}
    hosts: controller
  - command.run: {{argv: [cp, DIR/lines, DIR/saved], effect: write}}
    hosts: controller
  - command.run: {{argv: [{UNSAVED}], effect: read}}
    hosts: controller
inject:
  - command.run:
      argv: [mv, DIR/lines, DIR/away]
      effect: fault
      undo: [sh, -c, "test ! -e DIR/away || cp DIR/saved DIR/lines; rm -f DIR/away"]
      proof: [test, -e, DIR/away]
    hosts: controller
restore:
  - command.run: {{argv: [sh, -c, "cp DIR/saved DIR/lines; rm DIR/away"], effect: write}}
    hosts: controller
"""


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def journal_of(folder):
    (path,) = folder.root.glob("reports/[0-9]*/journal.jsonl")
    return path


def events_of(folder):
    return [json.loads(line) for line in journal_of(folder).read_text().splitlines()]


def rows(folder):
    with contextlib.closing(sqlite3.connect(folder.root / "shop.db")) as shop:
        return shop.execute("SELECT name FROM sqlite_master").fetchall()


def test_writes_after_the_backup_are_counted_as_lost_and_nothing_stays(folder):
    folder.write(f"objectives: {{rpo: 10m}}\n{CANARIES}{LOSE}")
    done = folder.run("drill", "sample")
    result = folder.result()
    rpo = result["objectives"]["rpo"]
    events = events_of(folder)
    clocks = {(event.get("step"), event["kind"]): event["clock"] for event in events}
    copied = clocks["backup.2", "step.started"]
    lossy = [event for event in events if event["kind"] == "canary.writes" and event["data"]["probe"] == "probe.1"]
    acknowledged = [write[2] for event in lossy for write in event["data"]["acknowledged"]]
    saved = max(moment for moment in acknowledged if moment < copied)
    unsaved = clocks["inject.1", "done"] - saved
    assert 0 < rpo["measured_s"] <= unsaved + rpo["error_s"], "what was written before the copy began is in it"
    assert rpo["lost_writes"] >= 5
    assert rpo["acknowledged_writes"] > rpo["lost_writes"]
    assert [one["code"] for one in result["findings"]] == ["acknowledged-writes-lost"], done.stdout
    assert result["residue"] == []
    assert "drillbook-" not in (folder.root / "lines").read_text()
    assert rows(folder) == []


def test_a_recovery_after_a_killed_controller_reads_back_and_removes_what_the_canaries_wrote(folder):
    folder.write(f"""{CANARIES}verify:
  - command.run: {{argv: [{MORE}, "5"], effect: read}}
    hosts: controller
  - command.run: {{argv: [sh, -c, 'kill -9 $PPID; sleep 1'], effect: read}}
    hosts: controller
""")
    assert folder.run("drill", "sample").returncode != 0
    assert (folder.root / "lines").read_text().count("drillbook-") >= 5
    assert rows(folder) != []
    done = folder.run("drill.recover")
    assert done.returncode == 0, done.stdout + done.stderr
    counts = [event["data"]["count"] for event in events_of(folder) if event["kind"] == "canary.survivors"]
    assert len(counts) == 2
    assert min(counts) >= 1
    assert (folder.root / "lines").read_text() == ""
    assert rows(folder) == []


def test_a_check_tells_a_missing_driver_and_host_program_and_writes_nothing(folder):
    folder.write(CANARIES.replace("sqlite3", "no_such_driver").replace("read: [sh", "read: [no-such-program"))
    done = folder.run("drill.check", "sample")
    assert done.returncode == Exit.REFUSED, done.stdout
    assert "the driver 'no_such_driver' is not installed" in " ".join(done.stdout.split())
    assert "the program 'no-such-program' is not installed" in " ".join(done.stdout.split())
    assert not (folder.root / "lines").exists()


def test_an_unknown_host_is_found_in_the_file(folder):
    folder.write(CANARIES.replace("host: controller", "host: web-1"))
    done = folder.run("drill.plan", "sample")
    assert done.returncode == 2
    assert "sample.yml:6:13: there is no host 'web-1' in the inventory" in done.stderr + done.stdout
