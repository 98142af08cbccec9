"""Faults that exhaust resources of a host: CPU, memory or file descriptors. These faults are limited in size and in time."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

from pydantic import Field

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Place, Undo
from drillbook.systems.linux.fault_helper import Helper, Lasting
from drillbook.systems.linux.process_lookup import need
from drillbook.values import Duration, Size

LOOK_S = 0.5
"""Seconds between two readings of the CPU time used by the helper program."""
MEMORY_SHARE = 0.8
"""Largest share of the available memory that a fault may use."""
MEMORY_LEFT = 256 << 20
"""Bytes of available memory that must stay free."""
# PID...: print the CPU time of each process in clock ticks, one line each. Processes that have exited are left out.
_TIMES = """
for pid; do
  line=$(tr '\\n' ' ' 2>/dev/null < "/proc/$pid/stat") || continue
  set -- ${line##*) }
  echo "$((${12} + ${13}))"
done
"""
_RESIDENT = "for pid; do awk '/^VmRSS:/ { print $2 * 1024 }' \"/proc/$pid/status\"; done 2>/dev/null; :"
_OPEN = 'for pid; do ls "/proc/$pid/fd" | wc -l; done 2>/dev/null; :'


class _Using(Fault):
    """Base of faults in which a helper program uses up a resource. The helper ends when it is killed, or when its time is
    over.
    """

    PLACE = Place.HOSTS
    UNDO = ("commands",)

    for_: Lasting = Duration(300)

    def ready(self, ctx: Context) -> None:
        """Check that the host has the tools for the fault, and enough of the resource."""
        Helper(ctx).ready()
        self._enough(ctx)

    @abstractmethod
    def _enough(self, ctx: Context) -> None:
        """Raise NotReady if the fault would leave too little of the resource to the host."""

    def _still(self, ctx: Context) -> None:
        """Check once more, right before the injection, that the host has enough of the resource.

        Raises StepFailed when the host has too little.
        """
        try:
            self._enough(ctx)
        except NotReady as error:
            raise StepFailed(f"{error.message}; the fault was not injected") from None

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that kills the helper program, which releases the resource."""
        return Helper(ctx).undo()

    @abstractmethod
    def _used(self, ctx: Context, helper: Helper) -> bool:
        """Return True when a measurement shows that the helper program uses as much of the resource as the step declares."""

    def active(self, ctx: Context) -> bool:
        """Return True while a measurement shows that the helper program uses the resource.

        After the undo, return True while any process of the helper program remains.
        """
        helper = Helper(ctx)
        return bool(helper.pids()) and (helper.ended_badly() or self._used(ctx, helper))


def _numbers(ctx: Context, script: str, pids: list[int]) -> list[int]:
    """Run ``script``, which prints one number for each process in ``pids``, and return the numbers."""
    return [int(float(word)) for word in ctx.run("sh", "-c", script, "sh", *map(str, pids)).check().text.split()]


# COUNT: keep COUNT processor cores busy until the fault is over. Exit with 1 if a worker cannot be recorded.
_BURN = """
burn() { until over; do i=0; while test "$i" -lt 20000; do i=$((i + 1)); done; done; }
n=0
while test "$n" -lt "$1"; do
  burn &
  note $! worker || exit 1
  n=$((n + 1))
done
: > "$folder/ready" || exit 1
wait
"""


class Cpu(_Using):
    """Keep CPUs busy, as a runaway job does."""

    workers: Annotated[
        int,
        Field(ge=1, le=1024, description="Number of busy processes. It must not be larger than the number of processors."),
    ] = 1

    def _enough(self, ctx: Context) -> None:
        if not self.known("workers"):
            return
        there = int(ctx.run("sh", "-c", "nproc 2>/dev/null || getconf _NPROCESSORS_ONLN").check().text)
        if self.workers > there:
            raise NotReady(
                f"{ctx.host.name}: {self.workers} workers are more than the {there} processors of this host",
                hint=f"write `workers: {there}` or less",
            )

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``pids`` of the busy processes."""
        self._still(ctx)
        helper = Helper(ctx)
        helper.start(_BURN, self.for_, str(self.workers))
        return {"pids": helper.workers("worker")}

    def _used(self, ctx: Context, helper: Helper) -> bool:
        """Return True when every worker exists and used CPU time between two readings."""
        pids = helper.workers("worker")
        before = _numbers(ctx, _TIMES, pids)
        ctx.deadline.wait(LOOK_S)
        after = _numbers(ctx, _TIMES, pids)
        return len(before) == len(after) == self.workers and all(b > a for a, b in zip(before, after, strict=True))


# BYTES LEAST: fill BYTES bytes of memory, but stop when only LEAST KiB are available on the host.
_HOLD = """
bytes=$1 least=$2
feed() {
  left=$bytes
  while test "$left" -gt 0; do
    over && exit 0
    free=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
    test "$free" -gt "$least" || { echo "only $free KiB of memory are left: it goes no further" >&2; exit 1; }
    part=16777216
    test "$left" -ge "$part" || part=$left
    head -c "$part" /dev/zero
    left=$((left - part))
  done
  : > "$folder/ready" || exit 1
  until over; do sleep 1; done
}
feed | tail > /dev/null &
note $! worker || exit 1
wait
"""


class Memory(_Using):
    """Hold memory, as a program with a leak does. It never holds more than 80 % of the available memory.

    If the host runs out of memory, the kernel kills the process of this fault before other processes.
    """

    size: Annotated[Size, Field(ge=1 << 20, description="Amount of memory to hold, such as `512MiB`.")]

    def _enough(self, ctx: Context) -> None:
        if not self.known("size"):
            return
        said = ctx.run("awk", "/^MemAvailable:/ { print $2 }", "/proc/meminfo").check().text
        if not said.strip().isdigit():
            raise NotReady(f"{ctx.host.name}: /proc/meminfo contains no MemAvailable", hint="this needs Linux 3.14 or newer")
        available = int(said) << 10
        allowed = min(int(available * MEMORY_SHARE), available - MEMORY_LEFT)
        if self.size > allowed:
            raise NotReady(
                f"{ctx.host.name}: {self.size} is too much: {available >> 20}MiB of memory are available, and a part of "
                "them must stay free",
                hint=f"set `size` to at most {max(0, allowed >> 20)}MiB",
            )

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``pids``, a list with the pid of the process that holds the memory."""
        self._still(ctx)
        helper = Helper(ctx)
        helper.start(_HOLD, self.for_, str(int(self.size)), str(MEMORY_LEFT >> 11))
        return {"pids": helper.workers("worker")}

    def _used(self, ctx: Context, helper: Helper) -> bool:
        """Return True when the resident memory of the helper program, as the kernel reports it, is at least 95 % of `size`."""
        return sum(_numbers(ctx, _RESIDENT, helper.workers("worker"))) >= 0.95 * self.size


# FOLDER END COUNT: hold COUNT open files until FOLDER is gone, or until the host's uptime reaches END seconds.
_OPENER = """
import os, resource, sys, time
folder, end, count = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held = [os.open("/dev/null", os.O_RDONLY) for _ in range(count)]
os.close(os.open(folder + "/ready", os.O_WRONLY | os.O_CREAT, 0o600))
while os.path.isdir(folder) and float(open("/proc/uptime").read().split()[0]) < end:
    time.sleep(1)
"""
_DESCRIPTORS = 'exec python3 -c "$2" "$folder" "$end" "$1"'
# awk reads the file at once; a shell reads single bytes, and this kernel file returns its content only to the first read.
_FILES = 'echo "$(awk "{ print \\$1 - \\$2, \\$3 }" /proc/sys/fs/file-nr) $(ulimit -Hn)"'


class FileDescriptors(_Using):
    """Open many files of the host and keep them open, as a program that never closes its files does.

    For a single service, use `process.limit`.
    """

    count: Annotated[
        int,
        Field(
            ge=1,
            le=1 << 20,
            description="Number of files to keep open. At most half of the files that the host can still open.",
        ),
    ]

    def _enough(self, ctx: Context) -> None:
        need(ctx, "python3")
        if not self.known("count"):
            return
        used, most, own = ctx.run("sh", "-c", _FILES).check().text.split()
        left = (int(most) - int(used)) // 2
        if self.count > left:
            raise NotReady(
                f"{ctx.host.name}: {self.count} is more than half of the files that the kernel can still open",
                hint=f"set `count` to at most {max(0, left)}",
            )
        if own.isdigit() and self.count > int(own) - 64:
            raise NotReady(
                f"{ctx.host.name}: one process may have only {own} files open, which is too few to hold {self.count} more",
                hint=f"set `count` to at most {max(0, int(own) - 64)}, or raise the hard limit `nofile` of the user",
            )

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``pids``, a list with the pid of the process that holds the files."""
        self._still(ctx)
        helper = Helper(ctx)
        helper.start(_DESCRIPTORS, self.for_, str(self.count), _OPENER)
        return {"pids": helper.workers("main")}

    def _used(self, ctx: Context, helper: Helper) -> bool:
        """Return True when the helper program has at least `count` open files."""
        return sum(_numbers(ctx, _OPEN, helper.workers("main"))) >= self.count
