"""The example `ansible-restore` on the lab: ansible-core restores the API's settings over SSH from the drill's archive."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from drillbook.journal.journal import FILE, read
from drillbook.judge.result import Verdict
from drillbook.systems.files.manifest import ZSTD, archive_name
from tests.examples import replaced
from tests.needs import need

PLAYBOOK = """\
- name: Restore the settings
  hosts: all
  gather_facts: false
  tasks:
    - name: Fetch the archive
      ansible.builtin.script:
        cmd: fetch.py {{ store }} {{ backup | split('#') | first }}/{{ archive }} {{ playbook_dir }}/{{ archive }}
        executable: "{{ ansible_playbook_python }}"
      delegate_to: localhost
    - name: Unpack the settings
      ansible.builtin.unarchive: {src: "{{ archive }}", dest: "{{ home }}"}
    - name: Start the API
      ansible.builtin.command: {argv: [supervisorctl, --configuration, "{{ manager }}", start, api]}
"""
FETCH = """\
import pathlib, sys
import boto3
_, store, uri, file = sys.argv
bucket, _, key = uri.removeprefix("s3://").partition("/")
names = ("aws_access_key_id", "aws_secret_access_key")
secrets = {name: pathlib.Path(path).read_text() for name, path in zip(names, (KEY, SECRET))}
boto3.client("s3", endpoint_url=store, region_name="us-east-1", **secrets).download_file(bucket, key, file)
"""
"""Runbook of a team. Only its inventory knows the lab. No connection outlives the playbook."""
HOST = """\
app-1 ansible_host=127.0.0.1 ansible_port={port} ansible_user={user} ansible_ssh_private_key_file={identity}
localhost ansible_connection=local
[all:vars]
ansible_ssh_args="-F none -o ControlMaster=no -o UserKnownHostsFile={known_hosts}"
ansible_remote_tmp={temporary}
ansible_python_interpreter={python}
"""


@pytest.fixture
def runbook(bench, tmp_path, monkeypatch):
    """Folder of the team with playbook and inventory, on a controller that has Ansible."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("ANSIBLE_HOME", str(tmp_path / "ansible"))
    for program in ("ansible-playbook", "ssh"):
        need(program)
    folder = tmp_path / "runbook"
    folder.mkdir()
    (folder / "restore-settings.yml").write_text(PLAYBOOK)
    key, secret = (repr(bench.value(f"secrets.{name}")) for name in ("s3_key", "s3_secret"))
    (folder / "fetch.py").write_text(FETCH.replace("KEY", key).replace("SECRET", secret))
    access = {name: bench.value(name) for name in ("user", "identity", "known_hosts")}
    given = {
        "store": bench.value("s3.endpoint"),
        "archive": archive_name(ZSTD if shutil.which("zstd") else None),
        "home": bench.value("home.app-1"),
        "manager": bench.value("manager.app-1"),
    }
    text = HOST.format(port=bench.value("ssh.app-1"), python=sys.executable, temporary=tmp_path / "tmp", **access)
    (folder / "hosts.ini").write_text(text + "".join(f"{name}={value}\n" for name, value in given.items()))
    return folder


@pytest.mark.long(15)
def test_a_playbook_restores_what_a_fault_lost(bench, runbook):
    """Only the folder of the playbook is replaced in the example."""
    settings = Path(str(bench.value("home.app-1"))) / "api.env"
    before, mode = settings.read_bytes(), settings.stat().st_mode
    path = bench.project.root / "drills" / "ansible-restore.yml"
    path.write_text(replaced("ansible-restore", ("/srv/runbook", str(runbook))))
    folder, view = bench.run(bench.made(path))
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, [one.message for one in view.steps])
    assert (settings.read_bytes(), settings.stat().st_mode) == (before, mode)
    assert view.result.residue == ()
    rto = view.result.objectives["rto"]
    assert (rto.met, rto.measured_s > 0) == (True, True)
    facts = {step.id: step.facts for step in view.result.steps}["restore.1"]
    assert (facts["exit"], facts["tasks"], facts["failed"]) == (0, 3, [])
    slowest = {one["task"].partition(": ")[2]: one["seconds"] for one in facts["slowest"]}
    assert sorted(slowest) == ["Fetch the archive", "Start the API", "Unpack the settings"]
    assert all(spent > 0 for spent in slowest.values())
    assert slowest["Fetch the archive"] + slowest["Unpack the settings"] < rto.measured_s, "the API cannot start before"
    events = read(folder / FILE).events
    (gone,) = [number for number, event in enumerate(events) if (event.kind, event.step) == ("undone", "inject.1")]
    (done,) = [number for number, event in enumerate(events) if (event.kind, event.step) == ("done", "restore.1")]
    assert gone > done
    assert {fault.step: fault.ended for fault in view.result.faults}["inject.1"] == "put back: restored"
