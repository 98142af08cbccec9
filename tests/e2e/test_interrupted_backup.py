"""A controller that is killed during a backup: the recovery removes all traces of the backup."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from drillbook.sdk.action import Write, find, known_names
from tests.e2e.test_objects import store
from tests.needs import need

BUCKET = "dr-backups"
DYING = """
import os, signal, sys
from drillbook.sdk.store import Store
from drillbook.cli.program import main

begin = Store.begin

def dying(self, key):
    begin(self, key)
    os.kill(os.getpid(), signal.SIGKILL)

Store.begin = dying
sys.argv = ["drillbook", "drill", sys.argv[1]]
main()
"""


def uploads(bench):
    return [one["Key"] for one in store(bench).list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]


def test_a_recovery_drops_the_upload_of_a_killed_controller(bench):
    done = subprocess.run(
        [sys.executable, "-c", DYING, "vectors-diverged"],
        cwd=bench.project.root,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DRILLBOOK_LAB": str(bench.lab)},
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    folder = next(path.parent for path in bench.project.reports.glob("*/journal.jsonl"))
    assert [key.partition("/")[0] for key in uploads(bench)] == [folder.name], "what a killed controller leaves"
    assert bench.recover(folder) == []
    assert uploads(bench) == []
    assert bench.recover(folder) == [], "recovering twice does no harm"


def test_every_action_that_uploads_a_backup_drops_what_it_began():
    whole_objects_alone = {"s3.copy"}
    taking = {name for name in known_names() if issubclass(find(name), Write) and "to" in find(name).model_fields}
    assert {name for name in taking if find(name).interrupted is Write.interrupted} == whole_objects_alone
    assert len(taking) > len(whole_objects_alone)


def jobs(lab):
    """Pids of the pgBackRest processes that back up the lab's database."""
    config = f"--config={lab}/db-1/pgbackrest/pgbackrest.conf".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if config in words and b"backup" in words and words[0].endswith(b"pgbackrest"):
            found.append(int(path.parent.name))
    return found


def goes_on(job, repository):
    """Let a stopped job continue as soon as its repository was removed, or after some seconds."""
    until = time.monotonic() + 5
    while repository.exists() and time.monotonic() < until:
        time.sleep(0.01)
    for pid in job:
        os.kill(pid, signal.SIGCONT)


def test_a_recovery_ends_the_job_of_a_killed_controller(bench):
    need("pgbackrest")
    repository = Path(bench.value("pgbackrest.repository"))
    controller = subprocess.Popen(
        [sys.executable, "-m", "drillbook.cli", "drill", "rehearse-wal"],
        cwd=bench.project.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "DRILLBOOK_LAB": str(bench.lab)},
    )
    until = time.monotonic() + 120
    while not (running := jobs(bench.lab)) and controller.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    controller.kill()
    controller.wait()
    assert running, "no backup began"
    folder = next(path.parent for path in bench.project.reports.glob("*/journal.jsonl"))
    for pid in running:
        os.kill(pid, signal.SIGSTOP)
    slow = threading.Thread(target=goes_on, args=(running, repository))
    slow.start()
    assert bench.recover(folder) == []
    slow.join()
    assert jobs(bench.lab) == []
    assert not repository.exists()
    assert bench.recover(folder) == [], "recovering twice does no harm"
