"""What passes on a host's network: a bounded capture of the headers of TCP packets."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from drillbook.errors import NotReady, PlanError
from drillbook.sdk.action import Context, Facts, Read
from drillbook.sdk.service import Http, Service
from drillbook.systems.linux import capturing
from drillbook.systems.linux.actions.network.fields import Peer
from drillbook.systems.linux.packets import Capture as Packets
from drillbook.values import Duration, Size

Seconds = Annotated[Duration, Field(ge=1, le=60, description="How long at most, such as `10s`.")]
Bytes = Annotated[Size, Field(ge=4096, le=16 << 20, description="How much at most.")]


class Capture(Read):
    """Watch the TCP packets of a port for a while: who is refused, reset or not answered, and what is sent again.

    By tcpdump, as root, bounded on the host in time and size. Only headers are kept, never what the packets carry.
    Times in the capture are those of the host's clock.
    """

    TIMEOUT = 90.0

    service: Annotated[
        str | None,
        Field(description="Service whose port is meant, on its host; with `port` or step `hosts` it names only the host."),
    ] = None
    port: Annotated[int | None, Field(ge=1, le=65535, description="TCP port of either side; none: the service's.")] = None
    peer: Annotated[Peer | None, Field(description="Only packets from or to this address or network.")] = None
    interface: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,30}$", description="Network interface.")] = "any"
    seconds: Seconds = Duration(10.0)
    size: Bytes = Size(4 << 20)

    @model_validator(mode="after")
    def _some_port(self) -> Self:
        if self.service is None and self.port is None:
            raise ValueError("name the traffic: `service` or `port`")
        return self

    def ready(self, ctx: Context) -> None:
        """tcpdump must be on the host, and the port known."""
        if self.known("service") and self.known("port"):
            self._port(ctx)
        if not capturing.present(ctx):
            raise NotReady(f"{ctx.host.name}: tcpdump or timeout is not there", hint="install tcpdump and coreutils")

    def run(self, ctx: Context) -> Facts:
        """Facts: ``packets bytes``, ``flags`` (``syn syn_ack fin rst``), ``connections`` that began, of them ``refused`` and
        ``unanswered``; ``retransmissions``, ``other``; ``ended`` (``time`` or ``size``), ``dropped`` (packets that the
        kernel lost, by which the counts may be too small; null where unknown), ``port``, ``capture`` (evidence, pcap).
        """
        if ctx.deadline.remaining() < self.seconds:
            raise PlanError(f"the step's timeout is shorter than {self.seconds} of capture", hint="lengthen its `timeout`")
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
        """The port that is meant. Raises NotReady."""
        if self.port is not None:
            return self.port
        service = ctx.service(str(self.service), Service)
        if isinstance(service, Http):
            parts = urlsplit(service.url)
            return parts.port or (443 if parts.scheme == "https" else 80)
        port = getattr(service, "port", None)
        if not isinstance(port, int):
            raise NotReady(f"the service {self.service!r} has no port in the inventory", hint="give the step a `port`")
        return port

    def _expression(self, port: int) -> str:
        """The filter in the language of pcap-filter(7); it holds numbers only."""
        if self.peer is None:
            return f"tcp port {port}"
        return f"tcp port {port} and net {ipaddress.ip_network(self.peer)}"
