"""What a host has left: disk, inodes, memory, and whom the kernel killed for it. Looks only."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError
from drillbook.sdk.action import Context, Facts, Read
from drillbook.sdk.host import printable
from drillbook.systems.linux.target import as_root

Where = Annotated[str | None, Field(description="A service: its host is looked at, where the step names no `hosts`.")]
MOST_MOUNTS = 50
MOST_LINES = 20
_UNREAL = ("tmpfs", "devtmpfs", "proc", "sysfs", "squashfs", "efivarfs", "cgroup", "none", "udev", "shm")
_MEMORY = ("tmpfs", "ramfs", "devtmpfs")
"""Types of file systems in memory, whatever device they were mounted by."""
_KILL = re.compile(r"(?:Out of memory|Memory cgroup out of memory|oom-kill:|Killed process) ?(.*)")
# The kernel's own log, by whatever tool may read it.
_KERNEL_LOG = """
dmesg 2>/dev/null && exit 0
journalctl -k -b --no-pager -q -o short-monotonic -n 5000 2>/dev/null && exit 0
exit 3
"""
_SINCE_BOOT = re.compile(r"^\[ *(\d+\.\d+)\]")
RECENT_S = 3600.0
_CGROUP = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory.current 2>/dev/null || true"


class Disk(Read):
    """Use of a host's file systems: bytes and inodes, as `df` shows them.

    Without a `path` those in memory (tmpfs), which hold no service's data, are left out.
    """

    service: Where = None
    path: Annotated[str | None, Field(pattern=r"^/", description="Only the file system that holds this path.")] = None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``filesystems`` (``mount device bytes free_bytes used_percent inodes_percent read_only``), ``fullest``,
        ``used_percent`` and ``free_bytes`` of the one with the least left, ``inodes_percent`` of the one with the fewest
        inodes left: of those that services write to, which are neither read-only nor below `/boot`.
        """
        only = ("--", self.path) if self.path else ()
        blocks = ctx.run("env", "LC_ALL=C", "df", "-P", "-k", *only)
        inodes = ctx.run("env", "LC_ALL=C", "df", "-P", "-i", *only)
        nodes = {row[5]: _percent(row[4]) for row in _rows(inodes.text)}
        rows = map(str.split, ctx.run("cat", "/proc/mounts").text.splitlines())
        mounts = {_mount(row[1]): row for row in rows if len(row) > 3}
        fixed = {mount for mount, row in mounts.items() if "ro" in row[3].split(",")}
        memory = {mount for mount, row in mounts.items() if row[2] in _MEMORY}
        found = [
            {
                "mount": printable(row[5], limit=200),
                "device": printable(row[0], limit=200),
                "bytes": int(row[1]) * 1024,
                "free_bytes": int(row[3]) * 1024,
                "used_percent": _percent(row[4]),
                "inodes_percent": nodes.get(row[5], 0),
                "read_only": row[5] in fixed,
            }
            for row in _rows(blocks.text)
            if self.path or not (row[0] in _UNREAL or row[5] in memory)
        ][:MOST_MOUNTS]
        if not found:
            blocks.check()
            raise CouldNotVerify(f"{ctx.host.name}: `df` shows no file system", hint="name a `path` that is on the disk")
        kept = [one for one in found if not one["read_only"] and not f"{one['mount']}/".startswith("/boot/")] or found
        worst = max(kept, key=lambda one: (one["used_percent"], -int(str(one["free_bytes"]))))
        return {
            "filesystems": found,
            "fullest": worst["mount"],
            "used_percent": worst["used_percent"],
            "free_bytes": worst["free_bytes"],
            "inodes_percent": max(int(str(one["inodes_percent"])) for one in kept),
        }


def _rows(text: str) -> list[list[str]]:
    """Lines of `df -P` as their six columns; a mount point may hold spaces."""
    rows = [line.split(None, 5) for line in text.splitlines()[1:]]
    return [row for row in rows if len(row) == 6 and row[1].isdigit() and row[3].isdigit()]


def _mount(text: str) -> str:
    """A mount point of /proc/mounts, where blanks and backslashes are written in octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _percent(text: str) -> int:
    return int(text.rstrip("%")) if text.rstrip("%").isdigit() else 0


class Memory(Read):
    """How much memory a host has left, and how much of its own limit (cgroup) is used."""

    service: Where = None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``total_bytes available_bytes used_percent swap_bytes swap_free_bytes limit_bytes limit_used_bytes``."""
        text = ctx.run("cat", "/proc/meminfo").check().text
        values = {name: int(number) * 1024 for name, number in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
        if not values.get("MemTotal"):
            raise CouldNotVerify(f"{ctx.host.name}: /proc/meminfo tells no total")
        total, free = values["MemTotal"], values.get("MemAvailable", values.get("MemFree", 0))
        limit = [int(word) for word in ctx.run("sh", "-c", _CGROUP).text.split() if word.isdigit()]
        return {
            "total_bytes": total,
            "available_bytes": free,
            "used_percent": round(100 * (1 - free / total), 1),
            "swap_bytes": values.get("SwapTotal", 0),
            "swap_free_bytes": values.get("SwapFree", 0),
            "limit_bytes": limit[0] if len(limit) == 2 else None,
            "limit_used_bytes": limit[1] if len(limit) == 2 else None,
        }


class OomKills(Read):
    """Whether the kernel killed processes because memory ran out: its counter since boot, and its log where it may be read.

    The counter is `oom_kill` of /proc/vmstat (Linux 4.13 and later, proc_vmstat); it counts kills in memory cgroups too.
    """

    service: Where = None
    process: Annotated[str, Field(description="Only kills whose line in the log holds this text; empty: all.")] = ""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``kills`` (since boot; null: the kernel does not count), ``log_read``, ``events`` (lines, newest last),
        ``recent`` (those whose own time, in seconds since boot, lies within the last hour).
        """
        counter = re.search(r"^oom_kill (\d+)$", ctx.run("cat", "/proc/vmstat").text, re.MULTILINE)
        try:
            log = ctx.run(*as_root(ctx), "sh", "-c", _KERNEL_LOG)
        except HostError as error:
            raise CouldNotVerify(error.message) from error
        if counter is None and not log.ok:
            raise CouldNotVerify(
                f"{ctx.host.name}: neither /proc/vmstat nor the kernel's log tells of kills",
                hint="let the user read the kernel's log, or set `manager: {sudo: true}`",
            )
        lines = [printable(line, limit=300) for line in log.text.splitlines() if _KILL.search(line)] if log.ok else []
        events = [line for line in lines if self.process in line][-MOST_LINES:]
        return {
            "kills": int(counter[1]) if counter else None,
            "log_read": log.ok,
            "events": events,
            "recent": _recent(events, ctx.run("cat", "/proc/uptime").text),
        }


def _recent(events: list[str], uptime: str) -> list[str]:
    """Lines of the last hour: both times count from the host's boot. A line that tells no time may be old."""
    now = re.match(r"\d+\.\d+", uptime)
    return [line for line in events if now and (at := _SINCE_BOOT.match(line)) and float(now[0]) - float(at[1]) <= RECENT_S]
