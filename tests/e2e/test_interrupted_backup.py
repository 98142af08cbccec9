"""A controller that is killed while it takes a backup: its recovery leaves no upload that takes space unseen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from drillbook.sdk.action import Write, find, known_names
from tests.e2e.test_objects import store

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
