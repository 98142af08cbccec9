"""ansible.playbook as the phase restore, with the real ansible-core on this machine: its facts, failures and refusals.

`tests/e2e/test_own_playbook.py` restores what a fault lost.
"""

import os
import sys
from pathlib import Path

import pytest

from drillbook.judge.result import Verdict
from drillbook.sdk.action import find
from tests.engine.test_runner import HOSTS, Bench
from tests.needs import need
from tests.systems.ground import path_without
from tests.systems.refusals import refused_until

PLAY = """\
- name: Restore
  hosts: all
  gather_facts: false
  tasks:
    - name: Put the file back
      ansible.builtin.copy: {content: "{{ word }}", dest: "DIR/page"}
    - name: Only in January
      ansible.builtin.command: "true"
      when: false
    - name: Check the end
      ansible.builtin.command: "test {{ word }} != wrong"
      changed_when: false
"""
STEP = """\
restore:
  - ansible.playbook:
      playbook: DIR/restore.yml
      effect: write
      inventory: ["localhost,"]
      arguments: [--connection, local]
      env: {ANSIBLE_HOME: DIR/ansible, ANSIBLE_LOCALHOST_WARNING: "false"}
      variables: {word: WORD}
    hosts: controller
"""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    need("ansible-playbook")
    made = Bench(tmp_path)
    (tmp_path / "restore.yml").write_text(PLAY.replace("DIR", str(tmp_path)))
    return made


def run(bench, word="back", more=""):
    text = STEP.replace("DIR", str(bench.root)).replace("WORD", word)
    return bench.run(text.replace("      effect", f"{more}      effect"))


def test_a_playbook_is_measured_task_by_task(bench):
    view = run(bench)
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert (bench.root / "page").read_text() == "back"
    facts = view.result.steps[0].facts
    assert facts["hosts"] == {"localhost": {"ok": 2, "skipped": 1, "failed": 0}}
    assert (facts["exit"], facts["tasks"], facts["failed"]) == (0, 3, [])
    slowest = {one["task"]: one["seconds"] for one in facts["slowest"]}
    assert sorted(slowest) == ["Restore: Check the end", "Restore: Put the file back"]
    assert all(spent > 0 for spent in slowest.values())
    assert "PLAY RECAP" in (bench.folder / facts["evidence"]["file"]).read_text()


def test_a_failed_task_is_named_with_its_host(bench):
    view = run(bench, "wrong")
    assert view.result.verdict is Verdict.FAILED
    assert "tasks failed: Restore: Check the end on localhost" in view.steps[0].message
    assert view.result.steps[0].facts["hosts"]["localhost"] == {"ok": 1, "skipped": 1, "failed": 1}


def test_a_mistake_in_the_playbook_is_said_as_ansible_says_it(bench):
    (bench.root / "restore.yml").write_text("- hosts: all\n  tusks: []\n")
    view = run(bench)
    assert view.result.verdict is Verdict.FAILED
    assert "tusks" in view.steps[0].message
    assert view.result.steps[0].facts["tasks"] is None


def test_tags_limit_what_runs(bench):
    assert run(bench, more="      tags: [none]\n").result.verdict is Verdict.PASSED
    assert not (bench.root / "page").exists()


def test_a_secret_reaches_the_playbook_and_nothing_else(bench, monkeypatch):
    monkeypatch.setenv("WORD", "s3cr3t-w0rd")
    text = HOSTS.replace("SCRATCH", str(bench.root / "scratch"))
    cache = "cache: {kind: redis, host: controller, port: 1, password: !env WORD}, "
    (bench.root / "hosts.yml").write_text(text.replace("services: {", f"services: {{{cache}"))
    from drillbook.inventory import inventory

    bench.inventory = inventory.load(bench.root / "hosts.yml")
    view = run(bench, "'{{ services.cache.password }}'")
    assert view.result.verdict is Verdict.PASSED, view.result.reason
    assert (bench.root / "page").read_text() == "s3cr3t-w0rd"
    for path in (path for path in bench.folder.rglob("*") if path.is_file()):
        assert b"s3cr3t-w0rd" not in path.read_bytes(), path
    assert not list((bench.root / "scratch").rglob("vars.json"))


def test_a_missing_playbook_refuses_the_drill(bench):
    kept = (bench.root / "restore.yml").rename(bench.root / "kept.yml")
    view = run(bench)
    assert view.result.verdict is Verdict.REFUSED
    assert "the playbook" in view.result.findings[0].measured
    assert "restore.yml cannot be read" in view.result.findings[0].measured
    kept.rename(bench.root / "restore.yml")
    assert run(bench).result.verdict is Verdict.PASSED


def test_a_host_without_ansible_is_told(ground, tmp_path, monkeypatch):
    (ground.root / "restore.yml").write_text("[]\n")
    playbook = find("ansible.playbook").model_validate({"playbook": f"{ground.root}/restore.yml", "effect": "write"})
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    ansible = need("ansible-playbook")
    folder = Path(path_without(tmp_path / "bin"))
    monkeypatch.setenv("PATH", str(folder))
    refused_until(
        lambda: playbook.ready(ground.ctx()),
        "the program 'ansible-playbook' is not installed",
        lambda: (folder / "ansible-playbook").symlink_to(ansible),
    )
