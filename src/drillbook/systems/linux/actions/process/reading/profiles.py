"""Actions that inspect a running process: its stacks, its CPU profile, the growth of its memory, and its use of resources."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, PlanError, StepFailed
from drillbook.sdk.action import Context, Facts, Read
from drillbook.systems.linux import flamegraph, growth, spying, stacks
from drillbook.systems.linux.actions.process.naming import _Named
from drillbook.systems.linux.faultstate import SEEN
from drillbook.systems.linux.process_lookup import Found, need
from drillbook.systems.linux.process_selection import PID
from drillbook.systems.linux.ticks import load_of
from drillbook.values import Duration

Program = Annotated[str, Field(min_length=1, pattern=r"^[^-\x00]", description="Name or path of py-spy on the host.")]


def _present(action: _Named, ctx: Context) -> Found:
    """Return the running process that ``action`` selects. Raises CouldNotVerify when it does not exist."""
    try:
        return action._find(ctx)
    except NotReady as error:
        raise CouldNotVerify(error.message, hint=error.hint) from None


def _too_short(seconds: Duration) -> PlanError:
    return PlanError(
        f"the step's timeout is shorter than the observation of {seconds}", hint="set a longer `timeout` for the step"
    )


RAW_STACKS = ("--format", "raw", "--subprocesses", "--output", "/dev/stdout")
"""Options of py-spy that print the stacks of a process and its children."""


class Stacks(_Named, Read):
    """Show the stack of each thread of a Python process with py-spy. The process is neither restarted nor changed.

    The process is stopped for some milliseconds while py-spy reads the stacks. Local variables are not read.
    """

    CODE = "program"

    program: Program = "py-spy"

    def ready(self, ctx: Context) -> None:
        """Check that the host has py-spy. The process need not exist yet."""
        need(ctx, self.program)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``pid``, ``count`` (number of threads), ``threads``, ``stacks`` (evidence file with the stacks of all
        threads).

        Each item of ``threads`` has ``name``, ``active``, ``owns_gil`` and ``frames``. The innermost frame is the first.
        """
        process = _present(self, ctx)
        try:
            seen = stacks.threads(spying.spy(ctx, process, self.program, "dump", "--json", "--pid", PID))
        except (ValueError, AttributeError, TypeError):
            raise CouldNotVerify(
                f"{ctx.host.name}: the output of {self.program} is not a list of threads",
                hint="py-spy 0.4 or newer is needed",
            ) from None
        return {
            "pid": process.pid,
            "count": len(seen),
            "threads": stacks.shortened(seen),
            "stacks": ctx.evidence("stacks.txt", stacks.listing(seen)),
        }


class Profile(_Named, Read):
    """Profile the CPU time of a Python process and its children with py-spy. The evidence is a flame graph.

    Only threads that py-spy considers running are sampled. Each sample stops the process for some milliseconds.
    """

    TIMEOUT = 900.0
    CODE = "program"

    seconds: Annotated[Duration, Field(ge=1, le=600, description="Duration of the sampling, such as `10s`.")] = Duration(
        10.0
    )
    rate: Annotated[int, Field(ge=1, le=1000, description="Samples per second.")] = 100
    program: Program = "py-spy"

    def ready(self, ctx: Context) -> None:
        """Check that the host has py-spy. The process need not exist yet."""
        need(ctx, self.program)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``pid``, ``samples`` (number of samples), ``seconds``, ``rate``, ``busiest`` (a function, or null when none
        ran), ``functions``, ``flamegraph``.

        ``seconds`` and ``rate`` are the parameters of the step. Each item of ``functions`` has ``function``,
        ``samples``, ``share``, ``low``, ``high`` and ``with_calls``. ``share`` is the share of the samples in which the
        function itself ran. ``low`` and ``high`` are its 95 % interval. ``with_calls`` is the share in which the
        function, or a function that it called, ran. ``flamegraph`` is the evidence file (SVG).
        """
        if ctx.deadline.remaining() < self.seconds:
            raise _too_short(self.seconds)
        process = _present(self, ctx)
        samples = stacks.collapsed(
            spying.spy(
                ctx,
                process,
                self.program,
                "record",
                "--pid",
                PID,
                "--duration",
                str(round(self.seconds)),
                "--rate",
                str(self.rate),
                *RAW_STACKS,
            )
        )
        count, rows = sum(samples.values()), stacks.functions(samples)
        title = f"process {process.pid} on {ctx.host.name}: {count} samples in {self.seconds}"
        return {
            "pid": process.pid,
            "samples": count,
            "seconds": float(self.seconds),
            "rate": self.rate,
            "busiest": rows[0]["function"] if rows else None,
            "functions": rows,
            "flamegraph": ctx.evidence("flamegraph.svg", flamegraph.svg(samples, title)),
        }


class MemoryProfile(_Named, Read):
    """Measure how fast the memory of one process grows. The measured memory is the resident set that the kernel reports."""

    TIMEOUT = 900.0

    seconds: Annotated[Duration, Field(ge=1, le=600, description="Duration of the measurement, such as `10s`.")] = Duration(
        10.0
    )
    samples: Annotated[int, Field(ge=3, le=600, description="Number of readings during the measurement.")] = 20

    def run(self, ctx: Context) -> Facts:
        """Facts: ``pid``, ``rss_bytes`` at the end, ``rss_first_bytes``, ``rss_max_bytes``, ``growth_bytes_per_s``.

        ``growth_error`` is half the 95 % interval of the growth. ``grows`` is true when the whole interval is above zero.
        ``samples`` is the number of readings, and ``seconds`` is the time between the first and the last reading.
        """
        if ctx.deadline.remaining() < self.seconds:
            raise _too_short(self.seconds)
        process = _present(self, ctx)
        seen = spying.resident(ctx, process, SEEN, self.samples, self.seconds / (self.samples - 1))
        return {"pid": process.pid, **growth.summary(seen)}


# PID: print the status of a process, the number of its open files, and their limit. Exit with 3 if there is no such process.
_USAGE = """
cat "/proc/$1/status" || exit 3
echo "fds: $(ls "/proc/$1/fd" | wc -l)"
awk '/^Max open files/ { print "limit: " $4 }' "/proc/$1/limits"
"""
# SECONDS: print twice, SECONDS apart, the host's uptime, and for every process its pid, its parent, and its CPU ticks in
# user and in kernel mode (fields 4, 14 and 15 of /proc/PID/stat, proc_pid_stat(5)). A name may contain spaces and brackets:
# the last bracket ends the name.
_TICKS = """
read_all() {
  read -r up rest < /proc/uptime; echo "at $up"
  cat /proc/[0-9]*/stat 2>/dev/null | awk '{ pid = $1; sub(/^.*\\) /, ""); print pid, $2, $12 + $13 }'
}
echo "hz $(getconf CLK_TCK)"
read_all; sleep "$1"; read_all
"""


class Usage(_Named, Read):
    """Measure the resources that one process uses: its memory, threads and open files, and CPU time including its children.

    The kernel reports the figures at one moment (/proc/PID/status). The share of CPU time is measured over `seconds`.
    """

    seconds: Annotated[Duration, Field(ge=0, le=60, description="Duration of the CPU measurement. 0: no measurement.")] = (
        Duration(0)
    )

    def ready(self, ctx: Context) -> None:
        """Check that the host has the program getconf if CPU time is measured. getconf prints the unit of the kernel's CPU
        times.
        """
        super().ready(ctx)
        if self.known("seconds") and self.seconds:
            need(ctx, "getconf")

    def run(self, ctx: Context) -> Facts:
        """Facts: ``pid rss_bytes peak_rss_bytes swap_bytes threads open_files open_files_limit open_files_percent``.

        Three more facts are about the process together with its descendants: ``processes`` (number of these processes),
        ``cpu_percent`` (share of one core) and ``cpu_error`` (error of that share). The last two are null when they were not
        measured.
        """
        try:
            process = self._find(ctx)
        except NotReady as error:
            raise StepFailed(error.message) from error
        pid, output = process.pid, process.run(ctx, "sh", "-c", _USAGE, "sh", PID)
        values = dict(line.split(":", 1) for line in output.text.splitlines() if ":" in line)
        words = {name: text.split()[0] for name, text in values.items() if text.split()}
        if not output.ok or "VmRSS" not in words:
            raise CouldNotVerify(
                f"{ctx.host.name}: the resource use of process {pid} cannot be read",
                hint="run as the user of the process, or set `manager: {sudo: true}` for the host",
            )
        files, limit = int(words.get("fds", "0")), words.get("limit", "")
        return {
            "pid": pid,
            "rss_bytes": int(words["VmRSS"]) * 1024,
            "peak_rss_bytes": int(words.get("VmHWM", "0")) * 1024,
            "swap_bytes": int(words.get("VmSwap", "0")) * 1024,
            "threads": int(words["Threads"]),
            "open_files": files,
            "open_files_limit": int(limit) if limit.isdigit() else None,
            "open_files_percent": round(100 * files / int(limit), 1) if limit.isdigit() and int(limit) else None,
            **self._busy(ctx, process),
        }

    def _busy(self, ctx: Context, process: Found) -> Facts:
        if not self.seconds:
            return {"processes": None, "cpu_percent": None, "cpu_error": None}
        if ctx.deadline.remaining() < self.seconds:
            raise _too_short(self.seconds)
        output = ctx.run("sh", "-c", _TICKS, "sh", f"{float(self.seconds):.3f}")
        try:
            return load_of(process.pid, output.text)
        except (ValueError, IndexError):
            raise CouldNotVerify(
                f"{ctx.host.name}: the CPU time of process {process.pid} cannot be read",
                hint="the process may have exited meanwhile",
            ) from None
