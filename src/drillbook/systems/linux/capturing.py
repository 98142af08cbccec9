"""Captures packets on a host with tcpdump. Commands on the host limit the time and the size of the capture. So the capture
ends even if the controller dies.
"""

from __future__ import annotations

import re

from drillbook.errors import CouldNotVerify
from drillbook.sdk.action import Context, Facts
from drillbook.sdk.answer_limits import Limited
from drillbook.sdk.host import printable
from drillbook.systems.linux.packets import Capture
from drillbook.systems.linux.process_selection import as_root

_PATH = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH"
# 176 bytes of each packet include even the longest headers; the parser drops content after the headers. SECONDS BYTES
# INTERFACE FILTER: `timeout` limits the time and `head` the size, even when nobody reads the output any more.
_CAPTURE = (
    _PATH
    + """
command -v tcpdump >/dev/null || exit 127
{ timeout -k 3 -s INT "$1" tcpdump -i "$3" -n -p -U -s 176 -w - "$4"; echo "status $?" >&2; } | head -c "$2"
"""
)


def present(ctx: Context) -> bool:
    """Return True when the host has the programs `tcpdump` and `timeout`."""
    return ctx.run(*as_root(ctx), "sh", "-c", f"{_PATH}; command -v tcpdump >/dev/null && command -v timeout >/dev/null").ok


def must_open(ctx: Context, interface: str) -> None:
    """Check that tcpdump can open the interface. Nothing is captured. Raises CouldNotVerify when tcpdump cannot open it,
    for example because the user lacks the right.
    """
    script = f'{_PATH}; exec timeout -k 1 10 tcpdump -i "$1" -p -d tcp'
    output = ctx.run(*as_root(ctx), "sh", "-c", script, "sh", interface)
    if not output.ok:
        raise _not_captured(ctx, output.stderr.decode("utf-8", "replace"))


def _not_captured(ctx: Context, said: str) -> CouldNotVerify:
    if re.search(r"permission|not permitted", said, re.IGNORECASE):
        return CouldNotVerify(
            f"{ctx.host.name}: this user may not capture packets",
            hint=("log in as root, or allow sudo without a password and set `manager: {sudo: true}` for the host"),
        )
    return CouldNotVerify(
        f"{ctx.host.name}: tcpdump could not capture: {printable(said, limit=300).strip()}",
        hint="check `interface`; the command `tcpdump -D` on the host lists the interfaces",
    )


def capture(ctx: Context, into: Capture, *, seconds: float, size: int, interface: str, expression: str) -> Facts:
    """Run tcpdump for ``seconds`` seconds, or until it has written ``size`` bytes. The output is written to ``into``.

    Facts: ``ended`` (``time`` or ``size``), ``dropped`` (number of packets that the kernel lost, or None when tcpdump did not
    report it). Raises CouldNotVerify when tcpdump is missing, or when this user has no right to capture packets.
    """
    sink = Limited(into, f"{ctx.host.name}: the capture of tcpdump", size)
    output = ctx.run(*as_root(ctx), "sh", "-c", _CAPTURE, "sh", f"{seconds:g}", str(size), interface, expression, sink=sink)
    said = output.stderr.decode("utf-8", "replace")
    if output.exit == 127:
        raise CouldNotVerify(f"{ctx.host.name}: tcpdump is not installed", hint="install the package `tcpdump` on the host")
    ended = re.search(r"^status (\d+)$", said, re.MULTILINE)
    if into.broken or ended is None or (ended[1] not in ("0", "124") and output.stdout_bytes < size):
        raise _not_captured(ctx, said)
    lost = re.search(r"^(\d+) packets? dropped by kernel", said, re.MULTILINE)
    return {"ended": "time" if output.stdout_bytes < size else "size", "dropped": int(lost[1]) if lost else None}
