"""A container's place on a network: names, addresses, links and options there, as it is and as it was before.

What the engine tells is that of docs.docker.com/reference/api/engine ("EndpointSettings").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

CONNECTS_MAC = (1, 54)
"""The API from which an engine gives a container that it connects the MAC address that is asked for; it ignored that before
(github.com/moby/moby/blob/master/api/docs/CHANGELOG.md, v1.54)."""
DRAWS_MAC = (1, 48)
"""The API from which engines draw a MAC address by lot; before they made it of the IPv4 address."""
TELLS_MAC = "1.44"
"""An API in which every newer engine still tells the MAC address that a container was made with."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What was asked for when a container was connected to a network; ``mac`` is empty when nobody set one."""

    aliases: list[str] = field(default_factory=list)
    address: str = ""
    address6: str = ""
    link_local: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    mac: str = ""

    @classmethod
    def of(cls, container: Any, network: str, made_with: str = "") -> Endpoint:
        """That of ``container`` on ``network``; ``made_with`` is the MAC address that the container was made with."""
        there = container.attrs["NetworkSettings"]["Networks"][network]
        fixed = there.get("IPAMConfig") or {}
        # The engine adds the container's short id by itself.
        aliases = [alias for alias in there.get("Aliases") or [] if alias != container.id[:12]]
        return cls(
            aliases,
            fixed.get("IPv4Address") or "",
            fixed.get("IPv6Address") or "",
            list(fixed.get("LinkLocalIPs") or []),
            list(there.get("Links") or []),
            dict(there.get("DriverOpts") or {}),
            _set_mac(there, made_with, version(container.client.api)),
        )

    def options_of_docker(self) -> tuple[str, ...]:
        """The options of ``docker network connect`` for all but the MAC address, for which it has none."""
        words = [word for alias in self.aliases for word in ("--alias", alias)]
        words += ["--ip", self.address] if self.address else []
        words += ["--ip6", self.address6] if self.address6 else []
        words += [word for one in self.link_local for word in ("--link-local-ip", one)]
        words += [word for link in self.links for word in ("--link", link)]
        words += [word for key, value in self.options.items() for word in ("--driver-opt", f"{key}={value}")]
        return tuple(words)

    def connect(self, network: Any, container: Any) -> None:
        """Connect ``container`` so. ``network`` is the SDK's; raises what it raises."""
        links = [tuple(link.split(":", 1)) for link in self.links]
        network.connect(
            container,
            aliases=self.aliases or None,
            ipv4_address=self.address or None,
            ipv6_address=self.address6 or None,
            link_local_ips=self.link_local or None,
            links=links or None,
            driver_opt=self.options or None,
            mac_address=self.mac or None,
        )

    def params(self) -> dict[str, Any]:
        """The parameters of `docker.connect`."""
        return {
            "aliases": self.aliases,
            "address": self.address,
            "address6": self.address6,
            "link_local": self.link_local,
            "links": self.links,
            "options": self.options,
            "mac": self.mac,
        }


def version(api: Any) -> tuple[int, int]:
    """The API that an engine speaks; ``api`` is the SDK's APIClient."""
    major, _, minor = str(api._version).partition(".")
    return int(major), int(minor)


def made_with(container: Any) -> str:
    """The MAC address that a container was made with; empty: none. Asks its engine."""
    api = container.client.api
    if version(api) < tuple(map(int, TELLS_MAC.split("."))):
        return str(container.attrs["Config"].get("MacAddress") or "")
    said = api._result(api._get(f"{api.base_url}/v{TELLS_MAC}/containers/{container.id}/json"), True)
    return str(said["Config"].get("MacAddress") or "")


def lost(container: Any, network: str, endpoint: Endpoint) -> str:
    """What of its place on a network a container would not get back; empty: it gets all back."""
    there = container.attrs["NetworkSettings"]["Networks"][network]
    gives_mac = version(container.client.api) >= CONNECTS_MAC
    shown = {"a MAC address that was set": "" if gives_mac else endpoint.mac, "a gateway priority": there.get("GwPriority")}
    return " and ".join(what for what, value in shown.items() if value)


def _set_mac(there: dict[str, Any], made_with: str, api: tuple[int, int]) -> str:
    """The MAC address on a network when it was set there: an engine does not tell it from one that it made itself.

    One that the engine drew is locally administered (its second-lowest bit is set), so another was set; one of a container
    connected later that looks drawn is not known to be set.
    """
    mac = str(there.get("MacAddress") or "")
    if not mac or mac.lower() == made_with.lower():
        return mac
    if api >= DRAWS_MAC:
        return "" if int(mac[:2], 16) & 2 else mac
    of_address = (
        mac.startswith("02:42:")
        if not there.get("IPAddress")
        else (mac == "02:42:" + IPv4Address(there["IPAddress"]).packed.hex(":"))
    )
    return "" if of_address else mac
