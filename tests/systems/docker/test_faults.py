"""Faults of containers, each carried out as the runner does, on a real engine."""

import contextlib
import subprocess
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from docker.types import EndpointConfig

from drillbook.errors import Cancelled, NotReady, StepFailed
from drillbook.sdk.action import Undo
from drillbook.sdk.host import Deadline
from drillbook.systems.docker.actions.change import Connect, Exec, SetMemory, Start, Unpause
from drillbook.systems.docker.actions.faults import Disconnect, Kill, LimitMemory, Pause, Stop
from drillbook.systems.docker.endpoint import CONNECTS_MAC, Endpoint, lost, version
from drillbook.systems.docker.service import Container
from drillbook.values import Size
from tests.systems.refusals import refused_until


def asked(made, what):
    done = subprocess.run(["docker", "inspect", "--format", what, made.name], capture_output=True, text=True, check=True)
    return done.stdout.strip()


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


def test_a_command_in_a_paused_container_is_refused_and_does_not_hang(box):
    made, action = box.container(), Exec(service="box", argv=("true",))
    made.pause()
    with pytest.raises(StepFailed, match="is paused"):
        action.run(box.ctx())
    refused_until(lambda: action.ready(box.ctx()), "is paused before the drill, but it must run", made.unpause)
    action.run(box.ctx())


@pytest.fixture
def there(box):
    """Container on a network of IPv4 and IPv6 with all optional settings, and its settings there."""
    other = box.container()
    made = box.container(network_mode=(net := box.network("10.213.77.0/24", "fd00:d213:77::/64")).name)
    net.disconnect(made)
    net.connect(
        made,
        aliases=["cache", "cache.internal", "abcdef012345"],
        ipv4_address="10.213.77.77",
        ipv6_address="fd00:d213:77::77",
        links=[(other.name, "db")],
        link_local_ips=["169.254.77.77"],
        driver_opt={"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1"},
    )

    def placed():
        made.reload()
        told = made.attrs["NetworkSettings"]["Networks"][net.name]
        return {key: value for key, value in told.items() if key not in ("EndpointID", "DNSNames")}

    return net, made, placed


def test_disconnect_and_all_that_it_had_on_the_network_comes_back(box, there):
    net, made, placed = there
    before = placed()
    facts = box.cycle(
        Disconnect(service="box", network=net.name),
        lambda: net.name not in asked(made, "{{json .NetworkSettings.Networks}}") or pytest.fail("it is not"),
    )
    assert facts["aliases"] == ["cache", "cache.internal", "abcdef012345"], "no id of its own"
    assert placed() == before
    action = Connect(service="box", network=net.name, **Endpoint.of(made, net.name).params())
    net.disconnect(made)
    assert action.run(box.ctx())["connected"] is True
    assert placed() == before, "also where the host has no `docker`"


def test_a_mac_address_comes_back_or_is_refused(box):
    net, later, mac = box.network(), box.network(), "02:11:22:33:44:55"
    made = box.container(
        network=net.name, network_mode=None, networking_config={net.name: EndpointConfig("1.44", mac_address=mac)}
    )
    later.connect(made)
    fault, ctx = Disconnect(service="box", network=net.name), box.ctx()
    of_engine = Disconnect(service="box", network=later.name)
    assert of_engine.undo(ctx).kind == "commands", "the engine made that one itself"
    of_engine.ready(ctx)
    undo = fault.undo(ctx)
    assert (undo.action, undo.params["mac"]) == ("docker.connect", mac), "`docker network connect` could not give it"
    gives = version(box.client.api) >= CONNECTS_MAC
    with (
        contextlib.nullcontext()
        if gives
        else pytest.raises(
            NotReady, match=f"has a MAC address that was set on the network {net.name}; the undo could not restore this"
        )
    ):
        fault.ready(ctx)
    fault.inject(ctx)
    for _ in range(2):
        with (
            contextlib.nullcontext() if gives else pytest.raises(StepFailed, match=f"its MAC address is 02:42:.*, not {mac}")
        ):
            Connect(**undo.params).run(ctx)
    assert fault.active(ctx) is False


@pytest.mark.parametrize(
    ("api", "mac", "made_with", "known"),
    [
        ("1.45", "02:42:0a:00:00:05", "", ""),
        ("1.45", "02:42:0a:00:00:06", "", "02:42:0a:00:00:06"),
        ("1.45", "02:42:0a:00:00:05", "02:42:0A:00:00:05", "02:42:0a:00:00:05"),
        ("1.48", "d6:11:22:33:44:55", "", ""),
        ("1.48", "00:16:3e:33:44:55", "", "00:16:3e:33:44:55"),
        ("1.54", "d6:11:22:33:44:55", "d6:11:22:33:44:55", "d6:11:22:33:44:55"),
    ],
)
def test_which_mac_address_was_set(api, mac, made_with, known):
    told = {"NetworkSettings": {"Networks": {"n": {"MacAddress": mac, "IPAddress": "10.0.0.5", "GwPriority": 0}}}}
    client = SimpleNamespace(api=SimpleNamespace(_version=api))
    container = SimpleNamespace(attrs=told, id="0" * 64, client=client)
    endpoint = Endpoint.of(container, "n", made_with)
    assert endpoint.mac == known
    assert lost(container, "n", endpoint) == ("a MAC address that was set" if known and api < "1.54" else "")


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


def test_a_grace_longer_than_the_step_is_cut(box):
    box.container("sh", "-c", "trap '' TERM; while :; do sleep 1; done", init=False)
    assert Stop(service="box", grace="10m").inject(replace(box.ctx(), deadline=Deadline.after(20)))["exit"] == 137


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
