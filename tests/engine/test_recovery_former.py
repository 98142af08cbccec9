"""Recovery of a run that an older version began, without the guarded folder, and whose controller was killed in the middle.

`tests/golden/former` contains the journal and the target in their state then, with four active faults; temporary
files were in `drillbook-RUN.STEP` of the host's `scratch`, and leases and locks in `drillbook` there.
"""

import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.hosts.local import LocalHost
from drillbook.plan.plan import digest_of
from drillbook.sdk.host import Target
from tests.attestation.forging import chained
from tests.program import Folder
from tests.systems.postgres.site import Site, programs

GOLDEN = Path(__file__).parents[1] / "golden" / "former"
RUN = "20261127T221645.086Z-sample-053c"
WHERE, PROCESS = "/tmp/oldrun/proj", "8390 3018869"
"""Folder of the run, and pid and start time of the process that it paused; the test replaces them by its own."""


RECEIVING = "20261127T223805.830Z-sample-798a"
"""Another run, killed while it received the log of a PostgreSQL server; the server's port, and its folder."""
PORT, ELSEWHERE = "37793", "/var/tmp/oldpg/w"


def state_of(child):
    return Path(f"/proc/{child.pid}/stat").read_text().rpartition(") ")[2].split()


@pytest.fixture
def paused():
    child = subprocess.Popen(["sleep", "3000"])
    child.send_signal(signal.SIGSTOP)
    os.waitpid(child.pid, os.WUNTRACED)
    yield child
    child.kill()
    child.wait()


@pytest.fixture
def former(tmp_path, paused, monkeypatch):
    """Project and target in the state in which they were left."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    root = tmp_path / "project"
    root.mkdir()
    made = Folder(root)
    started = f"{paused.pid} {state_of(paused)[19]}"

    def here(text):
        return text.replace(WHERE, str(root)).replace(PROCESS, started)

    for name, text in json.loads((GOLDEN / "target.json").read_text()).items():
        path = root / name
        for folder in [*reversed(path.relative_to(root).parents)][1:]:
            (root / folder).mkdir(mode=0o700, exist_ok=True)
        path.write_text(here(text))
    (root / "app.pid").write_text(f"{paused.pid}\n")
    journal(root / "reports" / RUN, here((GOLDEN / "journal.jsonl").read_text()))
    return made


def journal(run, text):
    """Journal of a run, with hashes that match ``text``."""
    events = [json.loads(line) for line in text.splitlines()]
    events[0]["data"]["plan_digest"] = digest_of(events[0]["data"]["plan"])
    run.mkdir(parents=True)
    (run / "journal.jsonl").write_bytes(chained(events))


def test_it_is_recovered_whole(former, paused):
    root = former.root
    assert state_of(paused)[0] == "T"
    done = former.run("drill.recover", RUN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all changes of the run are undone" in done.stdout
    assert ((root / "etc" / "config").read_text(), (root / "etc" / "gone").read_text()) == ("right\n", "here\n")
    assert sorted(one.name for one in (root / "etc").iterdir()) == ["config", "gone"]
    assert state_of(paused)[0] in "SR"
    assert not (root / "broken").exists()
    assert [one for one in (root / "scratch").rglob("*") if one.is_file()] == [], "nothing of that run is left"
    result = json.loads((root / "reports" / RUN / "result.json").read_text())
    assert (result["verdict"], result["residue"], result["exit"]) == ("aborted", [], 4)
    again = former.run("drill.recover")
    assert again.returncode == 0, again.stdout + again.stderr


def test_what_an_undo_has_to_know_is_found_where_it_lay(tmp_path, monkeypatch):
    """Files in the run's folder identify the receiver of the log; without them it would continue, and be reported as
    ended.
    """
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    root = tmp_path / "project"
    (root / "scratch").mkdir(parents=True)
    host = LocalHost("controller", target=Target(name="controller", local=True, scratch=str(root / "scratch")))
    site = Site(root, None, programs(root / "bin"), host)
    primary = site.place("primary", host="controller", database="postgres")
    primary.create()
    primary.start()
    try:
        ctx = replace(site.context(run=RECEIVING), former=frozenset({"controller"}), services={"primary": primary.service})
        receiver = site.run("postgres.stream_wal", ctx=ctx, service="primary")["pid"]
        assert (root / "scratch" / f"drillbook-{RECEIVING}" / "wal-primary.pid").exists()
        text = (
            (GOLDEN / "receiving.jsonl").read_text().replace(ELSEWHERE, str(root)).replace(PORT, str(primary.service.port))
        )
        made = Folder(root)
        journal(root / "reports" / RECEIVING, text)
        done = made.run("drill.recover", RECEIVING)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "all changes of the run are undone" in done.stdout
        assert not Path(f"/proc/{receiver}").exists()
        assert [one for one in (root / "scratch").rglob("*") if one.is_file()] == []
    finally:
        primary.destroy()
