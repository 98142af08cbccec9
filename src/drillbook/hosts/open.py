"""Creates a host from its description in the inventory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from drillbook.errors import UsageError
from drillbook.hosts.local import LocalHost
from drillbook.hosts.ssh.gateway import GATEWAYS, Gateway
from drillbook.sdk.host import Host, Target

if TYPE_CHECKING:
    from drillbook.hosts.ssh.host import SshHost


def open_host(target: Target, *, targets: Mapping[str, Target], ssh_config: str = "") -> Host:
    """Create the host that ``target`` describes. The connection is opened when the host is first used.

    ``targets``: all hosts of the inventory, among them the gateway of ``target``. ``ssh_config``: file to read instead of
    ~/.ssh/config. Hosts behind the same gateway share one connection to this gateway. The connection is closed together with
    the last of these hosts.

    Raises UsageError in three cases: the gateway is unknown, the gateway is this machine, or the gateways form a cycle.
    """
    if target.local:
        return LocalHost(target=target)
    return _ssh_host(target, targets, ssh_config, (target.name,))


def _ssh_host(target: Target, targets: Mapping[str, Target], ssh_config: str, path: tuple[str, ...]) -> SshHost:
    from drillbook.hosts.ssh.host import SshHost  # noqa: PLC0415  loads the SSH client

    return SshHost(target, gateway=_gateway(target, targets, ssh_config, path), ssh_config=ssh_config)


def _gateway(
    target: Target, targets: Mapping[str, Target], ssh_config: str, path: tuple[str, ...]
) -> Gateway[SshHost] | None:
    from drillbook.hosts.ssh.login import proxy_jumps  # noqa: PLC0415  loads the SSH client

    if not target.gateway:
        return _jumps(tuple(proxy_jumps(target, ssh_config)), ssh_config)
    name = target.gateway
    through = targets.get(name)
    if through is None:
        raise UsageError(f"{target.name}: its gateway {name} is not a host in the inventory")
    if through.local:
        raise UsageError(f"{target.name}: its gateway {name} is this machine; omit `gateway`")
    if name in path:
        raise UsageError(f"the gateways form a cycle: {' -> '.join([*path, name])}")
    return GATEWAYS.join((through, ssh_config), lambda: _ssh_host(through, targets, ssh_config, (*path, name)))


def _jumps(jumps: tuple[Target, ...], ssh_config: str) -> Gateway[SshHost] | None:
    """Create the gateway for ProxyJump: the last host in ``jumps``, reached through the hosts before it.

    Returns None when ``jumps`` is empty.
    """
    from drillbook.hosts.ssh.host import SshHost  # noqa: PLC0415  loads the SSH client

    if not jumps:
        return None
    *before, last = jumps

    def make() -> SshHost:
        return SshHost(last, gateway=_jumps(tuple(before), ssh_config), ssh_config=ssh_config)

    return GATEWAYS.join((jumps, ssh_config), make)
