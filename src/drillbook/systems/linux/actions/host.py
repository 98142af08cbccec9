"""Actions that measure free disk space, inodes and memory of a host, and an action that finds processes killed for lack of
memory.

These actions only read.
"""

from __future__ import annotations

import re
import time
from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, NotReady
from drillbook.sdk.action import Context, Facts, Read
from drillbook.sdk.host import Output, printable
from drillbook.systems.linux.process_selection import as_root

Where = Annotated[str | None, Field(description="Service whose host is used when the step names no `hosts`.")]
MOST_MOUNTS = 50
MOST_LINES = 20
_UNREAL = ("tmpfs", "devtmpfs", "proc", "sysfs", "squashfs", "efivarfs", "cgroup", "none", "udev", "shm")
_MEMORY = ("tmpfs", "ramfs", "devtmpfs")
"""Types of file systems that are in memory. A file system is recognised by its type, and not by the name of its device."""
_KILL = re.compile(r"(?:Out of memory|Memory cgroup out of memory|oom-kill:|Killed process) ?(.*)")
# Print the kernel's log, with the first program that exists and may read it.
_KERNEL_LOG = """
dmesg 2>/dev/null && exit 0
journalctl -k -b --no-pager -q -o short-monotonic -n 5000 2>/dev/null && exit 0
exit 3
"""
_LOG_RIGHT = "install dmesg or journalctl, and allow the login user to read the kernel's log, or set `manager: {sudo: true}`"
_SINCE_BOOT = re.compile(r"^\[ *(\d+\.\d+)\]")
RECENT_S = 3600.0
DRIFT = 1e-4
"""Largest error of the times in the kernel's log, as a share of the host's uptime."""
_CGROUP = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory.current 2>/dev/null || true"


class Disk(Read):
    """Read the free and the used space of a host's file systems with `df`, in bytes and in inodes.

    Without `path`, file systems in memory (tmpfs) are left out, because they hold no data of services.
    """

    service: Where = None
    path: Annotated[
        str | None,
        Field(pattern=r"^/", description="Path on the host. Only the file system that contains this path is examined."),
    ] = None

    def ready(self, ctx: Context) -> None:
        """Check that `df` can examine the path."""
        if not (path := self.if_known("path")):
            return
        tried = ctx.run("env", "LC_ALL=C", "df", "-P", "-k", "--", path)
        if not tried.ok:
            said = printable(tried.stderr, limit=200).strip()
            ctx.lacking(
                NotReady(
                    f"{ctx.host.name}: `df` cannot examine {path}: {said}",
                    hint="correct `path`, or run as a user who may enter its folder",
                )
            )

    def run(self, ctx: Context) -> Facts:
        """Facts: ``filesystems``, ``fullest`` (mount point), ``used_percent`` and ``free_bytes`` of the fullest file system.

        Each of ``filesystems`` has ``mount``, ``device``, ``bytes``, ``free_bytes``, ``used_percent``, ``inodes_percent``
        and ``read_only``. The separate fact ``inodes_percent`` is the share of used inodes on the file system where
        this share is largest. File systems that are read-only, or below `/boot`, appear only in ``filesystems``.
        """
        only = ("--", self.path) if self.path else ()
        blocks = ctx.run("env", "LC_ALL=C", "df", "-P", "-k", *only)
        inodes = ctx.run("env", "LC_ALL=C", "df", "-P", "-i", *only)
        nodes = {row[5]: _percent(row[4]) for row in _rows(inodes.text)}
        rows = map(str.split, ctx.run("cat", "/proc/mounts").text.splitlines())
        mounts = {_mount(row[1]): row for row in rows if len(row) > 3}
        fixed = {mount for mount, row in mounts.items() if "ro" in row[3].split(",")}
        memory = {mount for mount, row in mounts.items() if row[2] in _MEMORY}
        disks = [
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
        if not disks:
            blocks.check()
            raise CouldNotVerify(f"{ctx.host.name}: `df` shows no file system", hint="set `path`")
        kept = [disk for disk in disks if not disk["read_only"] and not f"{disk['mount']}/".startswith("/boot/")] or disks
        worst = max(kept, key=lambda disk: (disk["used_percent"], -int(str(disk["free_bytes"]))))
        return {
            "filesystems": disks,
            "fullest": worst["mount"],
            "used_percent": worst["used_percent"],
            "free_bytes": worst["free_bytes"],
            "inodes_percent": max(int(str(disk["inodes_percent"])) for disk in kept),
        }


def _rows(text: str) -> list[list[str]]:
    """Split the lines of `df -P` into six columns. A mount point, which is the last column, may contain spaces."""
    rows = [line.split(None, 5) for line in text.splitlines()[1:]]
    return [row for row in rows if len(row) == 6 and row[1].isdigit() and row[3].isdigit()]


def _mount(text: str) -> str:
    """Decode a mount point from /proc/mounts, in which blanks and backslashes are octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _percent(text: str) -> int:
    return int(text.rstrip("%")) if text.rstrip("%").isdigit() else 0


class Memory(Read):
    """Read the free memory of a host, and how much of the memory limit of its control group (cgroup) is used."""

    service: Where = None

    def run(self, ctx: Context) -> Facts:
        """Facts: ``total_bytes available_bytes used_percent swap_bytes swap_free_bytes limit_bytes limit_used_bytes``.

        ``limit_bytes`` is the memory limit of the host's control group, and ``limit_used_bytes`` is the used part of it.
        """
        text = ctx.run("cat", "/proc/meminfo").check().text
        values = {name: int(number) * 1024 for name, number in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
        if not values.get("MemTotal"):
            raise CouldNotVerify(f"{ctx.host.name}: /proc/meminfo contains no MemTotal")
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
    """Find processes that the kernel killed for lack of memory.

    Reads the kernel's counter of such kills, and the kernel's log if possible.

    The counter is `oom_kill` of /proc/vmstat (Linux 4.13 and later, proc_vmstat). It counts kills since the boot, including
    those in memory cgroups.
    """

    service: Where = None
    process: Annotated[
        str, Field(description="Report only kills whose line in the log contains this text. Empty: all kills.")
    ] = ""

    def run(self, ctx: Context) -> Facts:
        """Facts: ``kills`` (number since boot; null when the kernel does not count), ``log_read``, ``events``, ``recent``.

        ``log_read`` is true when the kernel's log could be read. ``events`` are the lines of the log about kills,
        newest last. ``recent`` contains the ``events`` of the last hour, judged by the time (seconds since boot) in the
        line. In a diagnosis during a drill, ``recent`` contains only the events since the disruption.
        """
        counter, log = self._counter(ctx), self._log(ctx)
        if counter is None and not log.ok:
            raise CouldNotVerify(
                f"{ctx.host.name}: neither /proc/vmstat nor the kernel's log can show killed processes", hint=_LOG_RIGHT
            )
        lines = [printable(line, limit=300) for line in log.text.splitlines() if _KILL.search(line)] if log.ok else []
        events = [line for line in lines if self.process in line][-MOST_LINES:]
        return {
            "kills": int(counter[1]) if counter else None,
            "log_read": log.ok,
            "events": events,
            "recent": _recent(events, ctx.run("cat", "/proc/uptime").text, ctx.evidence_since),
        }

    def ready(self, ctx: Context) -> None:
        """Check that the user has the right to read the kernel's log. Without the log, the action only counts kills."""
        if not self._log(ctx).ok:
            ctx.unsure(f"lines about killed processes in the kernel's log, which cannot be read: {_LOG_RIGHT}")

    def _counter(self, ctx: Context) -> re.Match[str] | None:
        return re.search(r"^oom_kill (\d+)$", ctx.run("cat", "/proc/vmstat").text, re.MULTILINE)

    def _log(self, ctx: Context) -> Output:
        try:
            return ctx.run(*as_root(ctx), "sh", "-c", _KERNEL_LOG)
        except HostError as error:
            raise CouldNotVerify(error.message) from error


def _recent(events: list[str], uptime: str, since: float | None) -> list[str]:
    """Return the lines in ``events`` that are from the last hour, and not older than ``since``.

    Each line begins with its time, in seconds since boot. A line without a time is left out. ``since`` is a time on the
    controller's monotonic clock.
    """
    now = re.match(r"\d+\.\d+", uptime)
    if not now:
        return []
    up = float(now[0])
    most = RECENT_S if since is None else min(RECENT_S, time.monotonic() - since + up * DRIFT)
    return [line for line in events if (at := _SINCE_BOOT.match(line)) and up - float(at[1]) <= most]
