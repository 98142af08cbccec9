"""Check of the arguments that select the peer of a network path: a service, or an address and a port."""

from __future__ import annotations


def mistake(to: str | None, address: str | None, port: int | None) -> str:
    """Return the reason why the arguments `to`, `address` and `port` of a step select no peer. The result is empty if they
    select a peer.
    """
    if to is not None:
        extra = " and ".join(f"`{name}`" for name, value in (("address", address), ("port", port)) if value is not None)
        return f"both `to` and {extra} are set: set either `to`, or `address` and `port`" if extra else ""
    if address is not None and port is not None:
        return ""
    if address is not None:
        return "`address` needs `port`"
    return "`port` needs `address`" if port is not None else "no peer is selected: set `to`, or set `address` and `port`"
