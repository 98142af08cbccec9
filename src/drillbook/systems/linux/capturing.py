"""A packet capture on a host by tcpdump, bounded in time and size by commands of the host, so that it ends by itself."""

from __future__ import annotations

import re

from drillbook.errors import CouldNotVerify
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.answers import Limited
from drillbook.sdk.host import printable
from drillbook.systems.linux.packets import Capture
from drillbook.systems.linux.target import as_root

_PATH = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH"
# 176 bytes of each packet: room for the longest headers; what is behind them is dropped here.
# SECONDS BYTES INTERFACE FILTER: `timeout` ends it in time, `head` when it is large, also when nobody reads any more.
_CAPTURE = (
    _PATH
    + """
command -v tcpdump >/dev/null || exit 127
{ timeout -k 3 -s INT "$1" tcpdump -i "$3" -n -p -U -s 176 -w - "$4"; echo "status $?" >&2; } | head -c "$2"
"""
)


def present(ctx: Context) -> bool:
    """Is tcpdump on the host?"""
    return ctx.run(*as_root(ctx), "sh", "-c", f"{_PATH}; command -v tcpdump >/dev/null && command -v timeout >/dev/null").ok


def capture(ctx: Context, into: Capture, *, seconds: float, size: int, interface: str, expression: str) -> Facts:
    """Feed ``into`` from tcpdump for ``seconds``, or until it gave ``size`` bytes.

    Facts: ``ended`` (``time`` or ``size``), ``dropped`` (packets that the kernel lost; None where tcpdump did not say).
    Raises CouldNotVerify when tcpdump is not there, or may not capture.
    """
    sink = Limited(into, f"{ctx.host.name}: what tcpdump captures", size)
    output = ctx.run(*as_root(ctx), "sh", "-c", _CAPTURE, "sh", f"{seconds:g}", str(size), interface, expression, sink=sink)
    said = output.stderr.decode("utf-8", "replace")
    if output.exit == 127:
        raise CouldNotVerify(f"{ctx.host.name}: there is no tcpdump", hint="install it on the host (package `tcpdump`)")
    if re.search(r"permission|not permitted", said, re.IGNORECASE):
        raise CouldNotVerify(
            f"{ctx.host.name}: packets may not be captured",
            hint=("log in as root, or allow sudo without a password and set `manager: {sudo: true}` for the host"),
        )
    ended = re.search(r"^status (\d+)$", said, re.MULTILINE)
    if into.broken or ended is None or (ended[1] not in ("0", "124") and output.stdout_bytes < size):
        raise CouldNotVerify(
            f"{ctx.host.name}: tcpdump could not capture: {printable(said, limit=300).strip()}",
            hint="check `interface`: `tcpdump -D` on the host lists them",
        )
    lost = re.search(r"^(\d+) packets? dropped by kernel", said, re.MULTILINE)
    return {"ended": "time" if output.stdout_bytes < size else "size", "dropped": int(lost[1]) if lost else None}
