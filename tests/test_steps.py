"""Steps on hosts of memory: several hosts, groups, attempts, deadlines, what is announced and what is saved."""

import json

import pytest

from drillbook.hosts.fake import Reply
from drillbook.journal import FILE
from drillbook.result import Verdict
from tests.machine.small import Disk, Small

FAULT = "inject:\n  - command.run: {argv: [make, it], effect: fault, undo: [mend, it], proof: [is, it]}\n    hosts: a\n"


@pytest.fixture
def small(tmp_path):
    return Small(tmp_path)


def run(*argv, hosts="a", **more):
    """One step of ``command.run``, as an item of a phase."""
    extra = "".join(f"    {key}: {json.dumps(value)}\n" for key, value in more.items())
    return f"  - command.run: {{argv: {json.dumps(argv)}}}\n    hosts: {hosts}\n{extra}"


def group(*steps):
    return "  - parallel:\n" + "".join(f"    {line}\n" for step in steps for line in step.splitlines())


@pytest.mark.parametrize("order", [("good", "bad"), ("bad", "good")])
def test_a_failed_member_of_a_group_ends_its_phase(small, order):
    """The backup is half a backup then: nothing may be broken."""
    small.hosts["a"].on("good", Reply(0))
    small.hosts["a"].on("bad", Reply(1))
    small.run("backup:\n" + group(*(run(word) for word in order)) + FAULT)
    assert small.result.verdict is Verdict.FAILED
    assert "make" not in small.acts()
    assert small.kinds("intent") == []


@pytest.mark.parametrize("failing", ["a", "b"])
def test_a_step_that_fails_on_any_of_its_hosts_failed(small, failing):
    for name, host in small.hosts.items():
        host.on("save", Reply(1 if name == failing else 0))
    small.run("backup:\n" + run("save", hosts="[a, b]") + FAULT)
    assert small.ended() == {("backup.1", name): "failed" if name == failing else "done" for name in ("a", "b")}
    assert "make" not in small.acts()


def test_an_intent_is_on_the_disk_before_its_step_acts(small, monkeypatch):
    disk = Disk(monkeypatch, small.folder / FILE)
    state = {"there": False}
    safe = []

    def act(call):
        safe.append(disk.safe)
        state["there"] = call.argv[0] == "make"
        return Reply(0)

    small.hosts["a"].on("make", act)
    small.hosts["a"].on("mend", act)
    small.hosts["a"].on("is", lambda call: Reply(0 if state["there"] else 1))
    assert small.run(FAULT) == []
    before, undoing = safe
    assert b'"kind":"run.started"' in before
    assert b'"kind":"intent"' in before
    assert b'"kind":"undo"' in undoing, "so is the beginning of its undo"
    assert b'"kind":"run.finished"' in disk.safe
