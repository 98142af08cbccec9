"""Action that captures the headers of TCP packets on a host's network, for a limited time and up to a limited size."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from drillbook.errors import CouldNotVerify, NotReady, PlanError
from drillbook.sdk.action import Context, Facts, Read
from drillbook.sdk.service import Http, Service
from drillbook.systems.linux import capturing
from drillbook.systems.linux.actions.network.fields import Peer
from drillbook.systems.linux.packets import Capture as Packets
from drillbook.values import Duration, Size

Seconds = Annotated[Duration, Field(ge=1, le=60, description="Maximum duration of the capture, such as `10s`.")]
Bytes = Annotated[Size, Field(ge=4096, le=16 << 20, description="Maximum size of the capture.")]


class Capture(Read):
    """Capture the TCP packets of a port. Count connections, refused and unanswered connections, and retransmissions.

    tcpdump runs as root. Commands on the host limit how long tcpdump runs and how much it writes. Only headers are stored,
    and never the payload. Times in the capture are from the host's clock.
    """

    TIMEOUT = 90.0

    service: Annotated[
        str | None,
        Field(
            description=(
                "Service whose port is captured on its host. `port` of the step replaces the service's port, and "
                "`hosts` of the step replaces the service's host."
            )
        ),
    ] = None
    port: Annotated[
        int | None,
        Field(
            ge=1,
            le=65535,
            description="TCP port to capture, as source port or as target port. Default: the port of the service.",
        ),
    ] = None
    peer: Annotated[Peer | None, Field(description="Capture only packets from or to this address or network.")] = None
    interface: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,30}$", description="Network interface.")] = "any"
    seconds: Seconds = Duration(10.0)
    size: Bytes = Size(4 << 20)

    @model_validator(mode="after")
    def _some_port(self) -> Self:
        if self.service is None and self.port is None:
            raise ValueError("select the traffic by `service` or `port`")
        return self

    def ready(self, ctx: Context) -> None:
        """Check that the inventory or the step gives the port, that the host has the programs `tcpdump` and `timeout`, and
        that this user has the right to capture packets.
        """
        if self.known("service") and self.known("port"):
            self._port(ctx)
        if not capturing.present(ctx):
            raise NotReady(f"{ctx.host.name}: `tcpdump` or `timeout` is not installed", hint="install tcpdump and coreutils")
        try:
            if self.known("interface"):
                capturing.must_open(ctx, self.interface)
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``packets``, ``bytes``, ``flags`` (numbers: ``syn``, ``syn_ack``, ``fin``, ``rst``), ``connections``.

        ``connections`` is the number of connections that began during the capture. ``refused`` and ``unanswered`` are the
        numbers of refused and of unanswered connections. ``retransmissions`` is the number of packets that were sent again,
        and ``other`` the number of packets that are not TCP. ``dropped`` is the number of packets that the kernel lost, or
        null when this number is unknown. If the kernel lost packets, the other numbers may be too small. ``ended`` is the
        limit that ended the capture, ``time`` or ``size``. ``port`` is the captured port, and ``capture`` is the evidence
        file in pcap format.
        """
        if ctx.deadline.remaining() < self.seconds:
            raise PlanError(
                f"the step's timeout is shorter than the capture of {self.seconds}",
                hint="set a longer `timeout` for the step",
            )
        port = self._port(ctx)
        with ctx.evidence_stream("capture.pcap") as (writer, file):
            packets = Packets(writer)
            how = capturing.capture(
                ctx,
                packets,
                seconds=float(self.seconds),
                size=int(self.size),
                interface=self.interface,
                expression=self._expression(port),
            )
        return {"port": port, **packets.facts(), **how, "capture": file}

    def _port(self, ctx: Context) -> int:
        """Return the port to capture. Raises NotReady when it is unknown."""
        if self.port is not None:
            return self.port
        service = ctx.service(str(self.service), Service)
        if isinstance(service, Http):
            parts = urlsplit(service.url)
            return parts.port or (443 if parts.scheme == "https" else 80)
        if service.own_port is None:
            said = f"is reached by its Unix socket {service.socket}" if service.socket else "has no port in the inventory"
            raise NotReady(f"the service {self.service!r} {said}", hint="set `port` of the step")
        return service.own_port

    def _expression(self, port: int) -> str:
        """Return a filter expression in the syntax of pcap-filter(7). It is built only from numbers and addresses."""
        if self.peer is None:
            return f"tcp port {port}"
        return f"tcp port {port} and net {ipaddress.ip_network(self.peer)}"
