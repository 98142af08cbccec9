"""The service kinds `relay` and `tcp`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drillbook.sdk.service import Port, Service


def no_socket(address: str) -> str:
    """Return ``address``. Raises ValueError for the path of a Unix socket."""
    if address.startswith("/"):
        raise ValueError(
            f"{address} is a Unix socket and has no TCP port; to check a service of kind mariadb, postgres or redis at its "
            "socket, use `service.answers`"
        )
    return address


TcpAddress = Annotated[str, AfterValidator(no_socket)]


class Relay(Service):
    """A TCP relay or proxy on the path to another service.

    If it has a control file, drills can cut the path without root rights.
    """

    KEEPS_DATA = False
    kind: Literal["relay"] = "relay"
    address: TcpAddress = Field(
        default="127.0.0.1",
        description="Address of the relay, as seen from the controller, or from the host if `reach` is `ssh`.",
    )
    port: Port = Field(description="Port on which the relay listens.")
    reach: Literal["direct", "ssh"] = Field(
        default="direct",
        description=(
            "`direct`: the controller connects directly. `ssh`: it connects through the SSH connection to the host."
        ),
    )
    to: str = Field(
        description=("Name of the service behind the relay. This service must have the kind postgres, redis, http or s3.")
    )
    control: str = Field(
        default="",
        description=(
            "Path, on the host, of the control file that sets the relay's fault. While the file does not "
            "exist, the relay forwards all traffic. Empty: the relay cannot be controlled."
        ),
    )

    @property
    def lock_name(self) -> str:
        """Name of the lock by which a run reserves the relay. It is made of the kind and the port."""
        return f"{self.kind}-{self.port}"

    @property
    def leads_to(self) -> str:
        """Name of the service behind the relay."""
        return self.to

    @property
    def listens(self) -> tuple[str, int]:
        """Address and port of the relay."""
        return self.address, self.port


class Tcp(Service):
    """A server with any protocol.

    Drillbook knows only its address and its port, and checks that the port accepts connections.
    """

    KEEPS_DATA = False
    kind: Literal["tcp"] = "tcp"
    address: TcpAddress = Field(
        default="127.0.0.1",
        description="Address of the server, as seen from the controller, or from the host if `reach` is `ssh`.",
    )
    port: Port = Field(description="Port on which the server listens.")
    reach: Literal["direct", "ssh"] = Field(
        default="direct",
        description=(
            "`direct`: the controller connects directly. `ssh`: it connects through the SSH connection to the host."
        ),
    )

    @property
    def lock_name(self) -> str:
        """Name of the lock by which a run reserves the server.

        The name is that of the unit. For a server without a unit, it is made of the kind and the port.
        """
        return super().lock_name if self.unit else f"{self.kind}-{self.port}"

    @property
    def listens(self) -> tuple[str, int]:
        """Address and port of the server."""
        return self.address, self.port
