"""Connections of a container to a network: all that it had there comes back."""

import contextlib
from types import SimpleNamespace

import pytest
from docker.types import EndpointConfig

from drillbook.errors import NotReady, StepFailed
from drillbook.systems.docker.actions.change import Connect
from drillbook.systems.docker.actions.faults import Disconnect
from drillbook.systems.docker.endpoint import CONNECTS_MAC, Endpoint, lost, version
from tests.systems.docker.looking import asked


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
