"""Faults of a network path that goes through a relay. A control file on the relay's host sets the fault.

These faults need neither root rights nor a packet filter. The actions have the same names as those in ``network.*``.
Toxiproxy has the same faults with the names ``timeout``, ``latency`` and ``reset_peer``.
"""

from __future__ import annotations

import socket
import time
from typing import Annotated, ClassVar

from pydantic import Field

from drillbook.errors import CouldNotVerify, HostError, NotReady, PlanError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Fault, Read, Undo, Write
from drillbook.sdk.host import printable
from drillbook.systems.linux.service import Relay
from drillbook.values import Duration

ServiceName = Annotated[str, Field(description="Name of a relay service of the inventory.")]

SILENCE_S = 1.5
"""Time, in seconds, to wait for an answer. A path without an answer after this time is regarded as cut."""
SETTLED_S = 6.0
# FILE LINE DRAFT: create the control file if there is none. A hard link makes it appear with its whole content at once.
_SET = """
umask 077
test "$(cat -- "$1" 2>/dev/null)" = "$2" && exit 0
rm -f -- "$3" && printf '%s\\n' "$2" > "$3" || exit 1
ln -- "$3" "$1" 2>/dev/null; made=$?
rm -f -- "$3"
test "$made" = 0 && exit 0
test -e "$1" && exit 3
exit 1
"""
# FILE RUN STEP: remove the control file if this run and step created it; an empty STEP means any step of the run.
_OPEN = """
rm -f -- "$1.new-$2"
test -e "$1" || exit 0
read -r kind milliseconds run step < "$1" || test -n "$kind" || exit 0
test "$run" = "$2" || exit 0
test -z "$3" || test "$step" = "$3" || exit 0
rm -f -- "$1"
"""


def _greeting(ctx: Context, relay: Relay) -> bytes:
    """Return a request that the service behind the relay answers.

    Raises PlanError if Drillbook knows no request for this kind of service.
    """
    behind = ctx.services.get(relay.to)
    if behind and behind.greeting:
        return behind.greeting
    described = f"of kind {getattr(behind, 'kind', '?')}" if behind else "not in the inventory"
    raise PlanError(
        f"the relay {relay.name!r} leads to {relay.to!r}, which is {described}: a test through the relay could not show a fault",
        hint="set `to` of the relay to a service of kind postgres, redis, http or s3",
    )


def exchange(ctx: Context, relay: Relay) -> tuple[str, float]:
    """Send a request through the relay, and wait for an answer.

    Return the outcome (``answers``, ``hangs``, ``reset``, ...) and the duration in seconds.
    """
    start = time.monotonic()
    try:
        with ctx.reach(relay) as where, socket.create_connection(where, timeout=SILENCE_S) as sock:
            sock.settimeout(max(0.01, min(SILENCE_S, ctx.deadline.remaining())))
            sock.sendall(_greeting(ctx, relay))
            how = "answers" if sock.recv(1) else "reset" if relay.reach == "ssh" else "closed"
    except TimeoutError:
        how = "hangs"
    except (ConnectionResetError, BrokenPipeError):
        how = "reset"
    except OSError as error:
        how = f"fails: {error.strerror or error}"
    return how, time.monotonic() - start


def in_force(ctx: Context, relay: Relay) -> list[str]:
    """Return the fields of the relay's control file: kind, milliseconds, run, step. The result is empty when no fault is
    set.
    """
    if not relay.control:
        return []
    try:
        return ctx.host.get(relay.control, limit=1000).decode("utf-8", "replace").split()
    except FileNotFoundError:
        return []


def healthy(ctx: Context, relay: Relay) -> float:
    """Send test requests through the relay until one of them is answered. Return the duration of that request in seconds.

    Raises NotReady when no request is answered in time.
    """
    until = time.monotonic() + SETTLED_S
    while True:
        how, seconds = exchange(ctx, relay)
        if how == "answers":
            return seconds
        if time.monotonic() > until:
            raise NotReady(
                f"{ctx.host.name}: {relay.to} does not answer through the relay {relay.name}: a test request {how}",
                hint=f"check that the relay on {relay.host} and {relay.to} are running",
            )
        ctx.deadline.wait(0.05)


def opened(ctx: Context, relay: Relay) -> float:
    """Wait until a test request through the relay is answered, and return its duration in seconds.

    Raises StepFailed when the relay is not open in time.
    """
    until = time.monotonic() + SETTLED_S
    while True:
        how, seconds = exchange(ctx, relay)
        left = in_force(ctx, relay)
        if how == "answers" and not left:
            return seconds
        if time.monotonic() > until or left:
            raise _not_open(relay, f"{relay.control} contains {' '.join(left)!r}" if left else f"a test request {how}")
        ctx.deadline.wait(0.05)


def _not_open(relay: Relay, said: str, facts: Facts | None = None) -> StepFailed:
    return StepFailed(
        f"the path through {relay.name} is not open: {said}",
        facts=facts,
        findings=[finding("port-state", title=relay.name, wanted="open", measured=said)],
    )


class _Broken(Fault):
    """Base class of the faults that a relay's control file sets.

    A step fails if the control file already exists. Otherwise it creates the file. Only the undo of the same step removes
    the file.
    """

    KIND: ClassVar[str]
    OTHERWISE: ClassVar[str] = ""
    """Text at the end of the hint for a relay without a control file. The text names another action that has the same
    effect. It is empty if there is no such action.
    """
    UNDO = ("commands",)

    service: ServiceName

    @property
    def _milliseconds(self) -> int:
        return 0

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``control`` (path of the relay's control file), ``mode`` (kind of the fault), ``milliseconds`` (length of
        the delay, 0 for other faults).
        """
        relay = ctx.service(self.service, Relay)
        line = f"{self.KIND} {self._milliseconds} {ctx.run_id} {ctx.step}"
        output = ctx.run("sh", "-c", _SET, "sh", relay.control, line, f"{relay.control}.new-{ctx.run_id}")
        if output.exit == 3:
            raise StepFailed(f"{ctx.host.name}: {relay.control} already exists: {' '.join(in_force(ctx, relay))}")
        output.check()
        return {"control": relay.control, "mode": self.KIND, "milliseconds": self._milliseconds}

    def ready(self, ctx: Context) -> None:
        """Check that the path is open and works, and that the control file can be created."""
        relay = ctx.service(self.service, Relay)
        _greeting(ctx, relay)
        if not relay.control:
            raise NotReady(
                f"the relay {relay.name!r} cannot be controlled: it has no `control` in the inventory",
                hint=f"set `control` of the relay in the inventory{self.OTHERWISE}",
            )
        if words := in_force(ctx, relay):
            raise NotReady(
                f"{ctx.host.name}: the path through {relay.name} is already broken: {' '.join(words)}",
                hint=f"if an earlier run died, run `invoke drill.recover`; if nobody needs the file, remove it: rm {relay.control}",
            )
        folder = relay.control.rpartition("/")[0] or "."
        if not ctx.run("sh", "-c", 'test -d "$1" && test -w "$1"', "sh", folder).ok:
            user = ctx.host.target.user or "the SSH user"
            raise NotReady(
                f"{ctx.host.name}: {folder} is not a folder that {user} may write to",
                hint="check `control` of the relay in the inventory, and that the relay runs",
            )
        healthy(ctx, relay)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that removes the control file if this step created it."""
        relay = ctx.service(self.service, Relay)
        return Undo.by_commands(("sh", "-c", _OPEN, "sh", relay.control, ctx.run_id, ctx.step))

    def active(self, ctx: Context) -> bool:
        """Return True when the fault is set and a test request shows its effect.

        Return False when the fault is not set and a test request is answered.
        """
        relay = ctx.service(self.service, Relay)
        until = time.monotonic() + SETTLED_S
        while True:
            shown, said = self._shows(ctx, relay)
            words = in_force(ctx, relay)
            mine = words[2:4] == [ctx.run_id, ctx.step]
            if mine and shown:
                return True
            if not mine and said == "answers" and not shown:
                return False
            if time.monotonic() > until:
                state = f"contains {' '.join(words)!r}" if words else "does not exist"
                raise CouldNotVerify(f"the path through {relay.name} {said}, while {relay.control} {state}")
            ctx.deadline.wait(0.05)

    def _shows(self, ctx: Context, relay: Relay) -> tuple[bool, str]:
        """Send a test request through the relay. Return a flag and the outcome of the request. The flag is True when the
        request shows the effect of the fault.
        """
        raise NotImplementedError


class Drop(_Broken):
    """Make the relay forward nothing, as if packets were lost. Connections hang, and continue when the path opens again."""

    KIND = "drop"
    OTHERWISE = ", or use `path.cut`, which then cuts the path by the packet filter of the relay's host"

    def _shows(self, ctx: Context, relay: Relay) -> tuple[bool, str]:
        how, _ = exchange(ctx, relay)
        return how == "hangs", how


class Reset(_Broken):
    """Make the relay reset every existing and new connection, as a firewall or a crashing proxy does."""

    KIND = "reset"

    def _shows(self, ctx: Context, relay: Relay) -> tuple[bool, str]:
        how, _ = exchange(ctx, relay)
        return how == "reset", how


class Delay(_Broken):
    """Make the relay delay every answer, as a congested or a long path does."""

    KIND = "delay"

    service: ServiceName
    by: Annotated[Duration, Field(description="Delay of the data, from `20ms` to `1s`.")]

    @property
    def _milliseconds(self) -> int:
        return round(float(self.by) * 1000)

    def ready(self, ctx: Context) -> None:
        """Make the checks that all relay faults have in common. Check also that the delay is clearly longer than the time
        of a normal answer."""
        if self.known("by") and not 20 <= self._milliseconds <= 1000:
            raise NotReady(f"a delay of {self.by} cannot be verified", hint="set `by` to a value from 20ms to 1s")
        super().ready(ctx)
        seconds = min(healthy(ctx, ctx.service(self.service, Relay)) for _ in range(3))
        if self.known("by") and seconds > float(self.by) / 2:
            raise NotReady(
                (
                    f"the path through {self.service} takes {seconds:.3f} s without the fault, so a delay of {self.by} "
                    "could not be detected"
                ),
                hint="choose a delay that is several times as long as a normal answer takes",
            )

    def _shows(self, ctx: Context, relay: Relay) -> tuple[bool, str]:
        """Send up to three test requests, because a single request may be slow by chance. Return False as soon as one of them
        is faster than the delay, and True when all three take at least as long as the delay. The second value is the outcome of
        the last request.
        """
        for _ in range(3):
            how, seconds = exchange(ctx, relay)
            if how != "answers" or seconds < float(self.by):
                return False, how
        return True, "answers"


class Open(Write):
    """Open the network path through a relay again after a fault of this run. Faults of other runs are not touched."""

    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``control`` (path of the relay's control file), ``was`` (content of this file before the step removed it),
        ``seconds`` (duration of a test request after that).
        """
        relay = ctx.service(self.service, Relay)
        was = in_force(ctx, relay)
        if relay.control:
            ctx.run("sh", "-c", _OPEN, "sh", relay.control, ctx.run_id, "").check()
        return {"control": relay.control, "was": " ".join(was), "seconds": round(opened(ctx, relay), 6)}

    def ready(self, ctx: Context) -> None:
        """Check that the user has the right to read the control file, and that a test request is known for the kind of service
        behind the relay. The check sends no request.
        """
        _greeting(ctx, relay := ctx.service(self.service, Relay))
        _need_control(ctx, relay)

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing, because the path should stay open."""
        return Undo.nothing("an open path is the wanted state")


class Status(Read):
    """Show the state of a relay: the fault that is set, the run that set it, and whether the path is open and answers."""

    service: ServiceName
    exchange: Annotated[
        bool, Field(description="True: also send a test request through the relay. False: only read the control file.")
    ] = True

    def run(self, ctx: Context) -> Facts:
        """Facts: ``control`` (path of the control file), ``mode``, ``by``, ``how``, ``seconds``.

        ``mode`` is the kind of the fault, or `open` when no fault is set. ``by`` is the run and the step that set the fault.
        ``how`` is the outcome of a test request. ``seconds`` is its duration, or null when no request was sent. The step
        fails when a fault is set, or when there is no answer.
        """
        relay = ctx.service(self.service, Relay)
        left = [printable(word, limit=100) for word in in_force(ctx, relay)]
        how, seconds = exchange(ctx, relay) if self.exchange else ("not tried", None)
        facts: Facts = {
            "control": relay.control,
            "mode": left[0] if left else "open",
            "by": " ".join(left[2:4]),
            "how": how,
            "seconds": seconds and round(seconds, 6),
        }
        if left or how not in ("answers", "not tried"):
            said = f"{relay.control} contains {' '.join(left)!r}; " if left else ""
            said += f"a test request {how}" if self.exchange else "no test request was sent"
            raise _not_open(relay, said, facts)
        return facts

    def ready(self, ctx: Context) -> None:
        """Check that the user has the right to read the control file, and that a test request is known for the kind of service
        behind the relay. The check sends no request.
        """
        relay = ctx.service(self.service, Relay)
        if self.if_known("exchange"):
            _greeting(ctx, relay)
        _need_control(ctx, relay)


def _need_control(ctx: Context, relay: Relay) -> None:
    """Raise NotReady when the control file of a relay exists, and the user has no right to read it."""
    try:
        in_force(ctx, relay)
    except (HostError, OSError) as error:
        ctx.lacking(
            NotReady(
                f"{ctx.host.name}: the control file {relay.control} of the relay {relay.name} cannot be read: {error}",
                hint="check `control` of the relay in the inventory, and the rights on its folder",
            )
        )
