"""Changes of containers: commands in them, and their networks."""

import threading
from dataclasses import replace

import pytest

from drillbook.errors import Cancelled, NotReady, StepFailed
from drillbook.sdk.action import Undo
from drillbook.sdk.host import Deadline
from drillbook.systems.docker.actions.change import Connect, Exec
from tests.systems.refusals import refused_until


def test_a_command_in_a_paused_container_is_refused_and_does_not_hang(box):
    made, action = box.container(), Exec(service="box", argv=("true",))
    made.pause()
    with pytest.raises(StepFailed, match="is paused"):
        action.run(box.ctx())
    refused_until(lambda: action.ready(box.ctx()), "is paused before the drill, but it must run", made.unpause)
    action.run(box.ctx())


def test_a_command_that_does_not_end_is_left_at_the_deadline_or_at_a_stop(box):
    box.container()
    never = Exec(service="box", argv=("sleep", "600"))
    ctx = box.ctx()
    with pytest.raises(TimeoutError):
        never.run(replace(ctx, deadline=Deadline.after(3)))
    cancel = threading.Event()
    threading.Timer(1, cancel.set).start()
    with pytest.raises(Cancelled):
        never.run(replace(ctx, deadline=Deadline.after(60, cancel)))


def test_a_command_that_prints_without_end_does_not_fill_the_memory(box):
    box.container()
    facts = Exec(service="box", argv=("sh", "-c", "head -c 20000000 /dev/zero | tr '\\0' x; echo end; echo err >&2")).run(
        box.ctx()
    )
    assert facts["stdout"].endswith("xend")
    assert len(facts["stdout"]) < 4100
    assert facts["stderr"] == "err"


def test_commands_in_a_container(box):
    made = box.container()
    run = Exec(service="box", argv=("sh", "-c", "echo out; echo err >&2; exit 3"), exit=(3,)).run(box.ctx())
    assert run == {"exit": 3, "stdout": "out", "stderr": "err", "effect": "read"}
    with pytest.raises(StepFailed, match="ended with status 3"):
        Exec(service="box", argv=("sh", "-c", "exit 3")).run(box.ctx())
    write = Exec(service="box", argv=("touch", "/tmp/made"), effect="write", undo=("rm", "-f", "/tmp/made"), user="drill")
    undo = write.undo(box.ctx())
    write.run(box.ctx())
    assert made.exec_run(["stat", "-c", "%U", "/tmp/made"]).output.strip() == b"drill"
    box.undo(undo)
    assert made.exec_run(["test", "-e", "/tmp/made"]).exit_code == 1
    assert Exec(service="box", argv=("true",)).undo(box.ctx()) == Undo.nothing("the drill declares no undo for this command")


def test_a_network_that_is_absent_refuses_a_connection(box):
    made = box.container()
    action = Connect(service="box", network="drillbook-test-absent")
    with pytest.raises(StepFailed, match="network drillbook-test-absent not found"):
        action.run(box.ctx())
    with pytest.raises(NotReady, match="network drillbook-test-absent not found") as refusal:
        action.ready(box.ctx())
    assert refusal.value.hint
    Connect(service="box", network=next(iter(made.attrs["NetworkSettings"]["Networks"]))).ready(box.ctx())
