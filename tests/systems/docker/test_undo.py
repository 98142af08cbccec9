"""Undo of container faults on their host."""

import pytest

from drillbook.systems.docker.actions.change import Connect, SetMemory, Start, Unpause
from drillbook.systems.docker.actions.faults import Disconnect, Kill, LimitMemory, Pause, Stop
from drillbook.values import Size


@pytest.mark.parametrize(
    "fault",
    [Stop(service="box"), Kill(service="box"), Pause(service="box"), LimitMemory(service="box", to=Size(32 << 20))],
    ids=lambda one: one.name(),
)
def test_the_undo_of_a_fault_that_never_happened_changes_nothing(box, fault):
    box.container(mem_limit=64 << 20, memswap_limit=64 << 20)
    box.never(fault)


def test_where_the_host_has_no_docker_only_an_action_puts_back(box, monkeypatch):
    net = box.network()
    made = box.container(mem_limit=64 << 20, memswap_limit=64 << 20, network_mode=net.name)
    ctx = box.ctx()
    monkeypatch.setenv("PATH", "/nonexistent")
    undos = [
        fault.undo(ctx)
        for fault in (
            Stop(service="box"),
            Pause(service="box"),
            Disconnect(service="box", network=net.name),
            LimitMemory(service="box", to=Size(32 << 20)),
        )
    ]
    assert [undo.action for undo in undos] == ["docker.start", "docker.unpause", "docker.connect", "docker.set_memory"]
    kinds = {"docker.start": Start, "docker.unpause": Unpause, "docker.connect": Connect, "docker.set_memory": SetMemory}
    for fault, undo in (
        (Pause(service="box"), undos[1]),
        (Disconnect(service="box", network=net.name), undos[2]),
        (LimitMemory(service="box", to=Size(32 << 20)), undos[3]),
        (Stop(service="box"), undos[0]),
    ):
        fault.inject(ctx)
        assert fault.active(ctx) is True
        for _ in range(2):
            kinds[undo.action](**undo.params).run(ctx)
            assert fault.active(ctx) is False
    made.reload()
    assert made.attrs["HostConfig"]["Memory"] == 64 << 20
