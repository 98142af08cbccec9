"""Faults of containers, each carried out as the runner does, on a real engine."""

from dataclasses import replace

import pytest

from drillbook.sdk.host import Deadline
from drillbook.systems.docker.actions.faults import Disconnect, Kill, LimitMemory, Pause, Stop
from drillbook.systems.docker.service import Container
from drillbook.values import Size
from tests.systems.docker.looking import asked
from tests.systems.refusals import refused_until


def test_stop(box):
    made = box.container(restart_policy={"Name": "always"})
    facts = box.cycle(Stop(service="box"), lambda: asked(made, "{{.State.Status}}") == "exited" or pytest.fail("it is not"))
    assert facts["exit"] == 143
    assert asked(made, "{{.State.Running}}") == "true"


def test_kill(box):
    made = box.container(restart_policy={"Name": "always"})
    facts = box.cycle(Kill(service="box"), lambda: asked(made, "{{.State.Status}}") == "exited" or pytest.fail("it is not"))
    assert facts["exit"] == 137
    assert asked(made, "{{.State.Running}}") == "true"


@pytest.mark.parametrize(
    "fault",
    [Stop(service="box"), Kill(service="box"), LimitMemory(service="box", to=Size(32 << 20))],
    ids=lambda one: one.name(),
)
def test_a_container_that_is_gone_once_it_ends_is_refused(box, fault):
    limits = {"mem_limit": 64 << 20, "memswap_limit": 64 << 20}
    box.container(**limits, auto_remove=True)
    refused_until(lambda: fault.ready(box.ctx()), "was created with --rm", lambda: box.container(**limits))


def test_pause_leaves_connections_hanging(box):
    made = box.container()
    box.cycle(Pause(service="box"), lambda: asked(made, "{{.State.Status}}") == "paused" or pytest.fail("it is not"))
    assert asked(made, "{{.State.Status}}") == "running"


def test_a_container_that_does_not_exist_is_told(box):
    box.services = {"box": Container(name="box", host="here", container="drillbook-test-gone")}
    fault, said = Pause(service="box"), "there is no container 'drillbook-test-gone'"
    refused_until(lambda: fault.ready(box.ctx()), said, box.container)


def test_a_container_without_a_network_of_its_own_cannot_be_disconnected(box):
    net, other = box.network(), box.container()
    box.container(network_mode=f"container:{other.id}")
    fault, own = Disconnect(service="box", network=net.name), {"network": net.name, "network_mode": None}
    refused_until(lambda: fault.ready(box.ctx()), "shares the network of another container", lambda: box.container(**own))


def test_a_container_that_is_not_on_the_network(box):
    net, made = box.network(), box.container(network_mode="bridge")
    fault = Disconnect(service="box", network=net.name)
    refused_until(lambda: fault.ready(box.ctx()), f"is not on the network '{net.name}'", lambda: net.connect(made))


def test_limit_memory_and_what_dies_of_it_runs_again(box):
    grow = (
        "import os, time\nkept = []\nwhile True:\n"
        "    kept.append(bytearray(1 << 20)) if len(kept) < 60 and os.path.exists('/tmp/grow') else None\n    time.sleep(0.01)"
    )
    made = box.container("python3", "-c", grow, mem_limit=256 << 20, memswap_limit=256 << 20, init=False)
    fault = LimitMemory(service="box", to=Size(32 << 20))
    ctx = box.ctx()
    fault.ready(ctx)
    undo = fault.undo(ctx)
    assert fault.inject(ctx) == {"container": made.name, "was_bytes": 256 << 20, "limit_bytes": 32 << 20}
    assert fault.active(ctx) is True
    made.exec_run(["touch", "/tmp/grow"])
    box.until(lambda: asked(made, "{{.State.OOMKilled}} {{.State.Running}}") == "true false", 60)
    for _ in range(2):
        box.undo(undo)
        assert fault.active(ctx) is False
        assert asked(made, "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}") == f"{256 << 20} {256 << 20}"
        assert asked(made, "{{.State.Running}}") == "true"


def test_a_container_without_a_limit_cannot_be_given_one(box):
    made, fault = box.container(), LimitMemory(service="box", to=Size(32 << 20))

    def limited(size):
        made.update(mem_limit=size << 20, memswap_limit=size << 20)

    refused_until(lambda: fault.ready(box.ctx()), "an engine cannot remove a limit", lambda: limited(64))
    limited(16)
    refused_until(lambda: fault.ready(box.ctx()), "not between 6MiB and the 16777216 bytes that", lambda: limited(64))


def test_a_grace_longer_than_the_step_is_cut(box):
    box.container("sh", "-c", "trap '' TERM; while :; do sleep 1; done", init=False)
    assert Stop(service="box", grace="10m").inject(replace(box.ctx(), deadline=Deadline.after(20)))["exit"] == 137
