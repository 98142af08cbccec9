"""Settings of a container's connection to a network: its names, addresses, links and options.

The engine's fields are those of docs.docker.com/reference/api/engine ("EndpointSettings").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

CONNECTS_MAC = (1, 54)
"""First API version in which a request to connect a container can set the MAC address. Older engines ignore this
address.

Source: github.com/moby/moby/blob/master/api/docs/CHANGELOG.md, v1.54.
"""
DRAWS_MAC = (1, 48)
"""First API version in which engines choose a random MAC address. Older engines derive the MAC address from the IPv4
address.
"""
TELLS_MAC = "1.44"
"""API version to request from newer engines.

In this version, engines still report the MAC address that was set when a container was created.
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Settings of a container's connection to a network. ``mac`` is empty unless a user set a MAC address."""

    aliases: list[str] = field(default_factory=list)
    address: str = ""
    address6: str = ""
    link_local: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    mac: str = ""

    @classmethod
    def of(cls, container: Any, network: str, made_with: str = "") -> Endpoint:
        """Return the settings of the connection of ``container`` to ``network``.

        ``made_with``: MAC address that was set when the container was created.
        """
        there = container.attrs["NetworkSettings"]["Networks"][network]
        fixed = there.get("IPAMConfig") or {}
        # without the container's short id, which the engine adds itself
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
        """Return the options of ``docker network connect`` for these settings.

        The command has no option for the MAC address.
        """
        words = [word for alias in self.aliases for word in ("--alias", alias)]
        words += ["--ip", self.address] if self.address else []
        words += ["--ip6", self.address6] if self.address6 else []
        words += [word for ip in self.link_local for word in ("--link-local-ip", ip)]
        words += [word for link in self.links for word in ("--link", link)]
        words += [word for key, value in self.options.items() for word in ("--driver-opt", f"{key}={value}")]
        return tuple(words)

    def connect(self, network: Any, container: Any) -> None:
        """Connect ``container`` to ``network`` with these settings.

        ``network`` is an object of the Docker SDK. Raises the errors of the SDK.
        """
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
        """Return these settings as parameters of the action `docker.connect`."""
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
    """Return the version of the engine's API. ``api``: the APIClient of the Docker SDK."""
    major, _, minor = str(api._version).partition(".")
    return int(major), int(minor)


def made_with(container: Any) -> str:
    """Return the MAC address that a user set when the container was created, as the engine reports it. Return an empty
    text when no address was set.
    """
    api = container.client.api
    if version(api) < tuple(map(int, TELLS_MAC.split("."))):
        return str(container.attrs["Config"].get("MacAddress") or "")
    said = api._result(api._get(f"{api.base_url}/v{TELLS_MAC}/containers/{container.id}/json"), True)
    return str(said["Config"].get("MacAddress") or "")


def lost(container: Any, network: str, endpoint: Endpoint) -> str:
    """Return the names of the settings that would be lost when the container is disconnected and connected again.

    The result is empty if no setting would be lost.
    """
    there = container.attrs["NetworkSettings"]["Networks"][network]
    gives_mac = version(container.client.api) >= CONNECTS_MAC
    shown = {"a MAC address that was set": "" if gives_mac else endpoint.mac, "a gateway priority": there.get("GwPriority")}
    return " and ".join(what for what, value in shown.items() if value)


def _set_mac(there: dict[str, Any], made_with: str, api: tuple[int, int]) -> str:
    """Return the MAC address of a connection, or an empty text if the engine may have chosen this address.

    The API does not tell who chose an address. A user chose the address if the container was created with it. Any other
    address may be the choice of the engine if it has the form that the engine uses. Newer engines choose a random address, in
    which the second-lowest bit of the first byte is set (locally administered). Older engines derive the address from the IP
    address.
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
