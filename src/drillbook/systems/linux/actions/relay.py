"""A path to a service that goes through a relay, broken there: no root, no packet filter, one small file on the host.

The names are those of ``network.*``; Toxiproxy calls them ``timeout``, ``latency`` and ``reset_peer``.
"""

from __future__ import annotations

import socket
import time
from typing import Annotated, ClassVar

from pydantic import Field

from drillbook.errors import CouldNotVerify, NotReady, PlanError, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Fault, Read, Undo, Write
from drillbook.sdk.host import printable
from drillbook.systems.linux.service import Relay
from drillbook.values import Duration

ServiceName = Annotated[str, Field(description="Name of a relay service of the inventory.")]

SILENCE_S = 1.5
"""Seconds without an answer after which a path counts as cut."""
SETTLED_S = 6.0
# FILE LINE DRAFT: sets a fault only where none is; a hard link is made with its content or not at all.
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
# FILE RUN STEP: opens the path again when a fault of that run holds it; without STEP whichever step set it.
_OPEN = """
rm -f -- "$1.new-$2"
test -e "$1" || exit 0
read -r kind milliseconds run step < "$1" || test -n "$kind" || exit 0
test "$run" = "$2" || exit 0
test -z "$3" || test "$step" = "$3" || exit 0
rm -f -- "$1"
"""


def _greeting(ctx: Context, relay: Relay) -> bytes:
    """What the service behind answers to anybody. Raises PlanError for one that is not known to answer."""
    behind = ctx.services.get(relay.to)
    if behind and behind.greeting:
        return behind.greeting
    found = f"of kind {getattr(behind, 'kind', '?')}" if behind else "not in the inventory"
    raise PlanError(
        f"the relay {relay.name!r} leads to {relay.to!r}, which is {found}: nothing could be proven through it",
        hint="let `to` name a service of kind postgres, redis, http or s3",
    )


def exchange(ctx: Context, relay: Relay) -> tuple[str, float]:
    """One exchange through the relay: ``answers``, ``hangs``, ``reset`` or ``refused``, and its seconds."""
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
    """The words of the relay's control file: kind, milliseconds, run, step; none when the path is open."""
    if not relay.control:
        return []
    try:
        return ctx.host.get(relay.control, limit=1000).decode("utf-8", "replace").split()
    except FileNotFoundError:
        return []


def healthy(ctx: Context, relay: Relay) -> float:
    """Seconds of an exchange on the open path; a busy one is asked again. Raises NotReady when there is none."""
    until = time.monotonic() + SETTLED_S
    while True:
        how, seconds = exchange(ctx, relay)
        if how == "answers":
            return seconds
        if time.monotonic() > until:
            raise NotReady(
                f"{ctx.host.name}: {relay.to} does not answer through the relay {relay.name}, which {how}",
                hint=f"see whether the relay on {relay.host} and {relay.to} run",
            )
        ctx.deadline.wait(0.05)


def opened(ctx: Context, relay: Relay) -> float:
    """Seconds of the exchange that shows the path to be open, once it has had time to settle. Raises StepFailed."""
    until = time.monotonic() + SETTLED_S
    while True:
        how, seconds = exchange(ctx, relay)
        left = in_force(ctx, relay)
        if how == "answers" and not left:
            return seconds
        if time.monotonic() > until or left:
            raise _not_open(relay, f"{relay.control} says {' '.join(left)!r}" if left else f"an exchange {how}")
        ctx.deadline.wait(0.05)


def _not_open(relay: Relay, said: str, facts: Facts | None = None) -> StepFailed:
    return StepFailed(
        f"the path through {relay.name} is not open: {said}",
        facts=facts,
        findings=[finding("port-state", title=relay.name, wanted="open", measured=said)],
    )


class _Broken(Fault):
    """What the faults of a relay share: one file, made only where none is, removed only where it is this step's."""

    KIND: ClassVar[str]
    UNDO = ("commands",)

    service: ServiceName

    @property
    def _milliseconds(self) -> int:
        return 0

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``control`` (the file), ``mode``, ``milliseconds``."""
        relay = ctx.service(self.service, Relay)
        line = f"{self.KIND} {self._milliseconds} {ctx.run_id} {ctx.step}"
        output = ctx.run("sh", "-c", _SET, "sh", relay.control, line, f"{relay.control}.new-{ctx.run_id}")
        if output.exit == 3:
            raise StepFailed(f"{ctx.host.name}: {relay.control} is there already: {' '.join(in_force(ctx, relay))}")
        output.check()
        return {"control": relay.control, "mode": self.KIND, "milliseconds": self._milliseconds}

    def ready(self, ctx: Context) -> None:
        """The path must be open and work, and its control file be ours to make."""
        relay = ctx.service(self.service, Relay)
        _greeting(ctx, relay)
        if not relay.control:
            raise NotReady(
                f"the relay {relay.name!r} takes no orders: it has no `control` in the inventory",
                hint="`path.cut` breaks its path by the packet filter of its host",
            )
        if found := in_force(ctx, relay):
            raise NotReady(
                f"{ctx.host.name}: the path through {relay.name} is broken already: {' '.join(found)}",
                hint=f"`invoke drill.recover` for a run that died; if nobody needs it: rm {relay.control}",
            )
        folder = relay.control.rpartition("/")[0] or "."
        if not ctx.run("sh", "-c", 'test -d "$1" && test -w "$1"', "sh", folder).ok:
            user = ctx.host.target.user or "the SSH user"
            raise NotReady(
                f"{ctx.host.name}: {folder} is no folder that {user} may write to",
                hint="check `control` of the relay in the inventory, and that the relay runs",
            )
        healthy(ctx, relay)

    def undo(self, ctx: Context) -> Undo:
        """Remove the file if it is this step's."""
        relay = ctx.service(self.service, Relay)
        return Undo.by_commands(("sh", "-c", _OPEN, "sh", relay.control, ctx.run_id, ctx.step))

    def active(self, ctx: Context) -> bool:
        """True when the fault is set and an exchange shows it; False when it is not set and one is answered."""
        relay = ctx.service(self.service, Relay)
        until = time.monotonic() + SETTLED_S
        while True:
            shown, said = self._shows(ctx, relay)
            found = in_force(ctx, relay)
            mine = found[2:4] == [ctx.run_id, ctx.step]
            if mine and shown:
                return True
            if not mine and said == "answers" and not shown:
                return False
            if time.monotonic() > until:
                state = f"says {' '.join(found)!r}" if found else "is not there"
                raise CouldNotVerify(f"the path through {relay.name} {said}, while {relay.control} {state}")
            ctx.deadline.wait(0.05)

    def _shows(self, ctx: Context, relay: Relay) -> tuple[bool, str]:
        """Does an exchange behave as this fault makes it? And how it was."""
        raise NotImplementedError


class Drop(_Broken):
    """Let nothing pass, as when packets vanish: connections hang, new ones too, and all go on when the path opens."""

    KIND = "drop"

    def _shows(self, ctx: Context, relay: Relay) -> tuple[bool, str]:
        how, _ = exchange(ctx, relay)
        return how == "hangs", how


class Reset(_Broken):
    """Reset every connection and each new one, as a firewall or a crashing proxy does."""

    KIND = "reset"

    def _shows(self, ctx: Context, relay: Relay) -> tuple[bool, str]:
        how, _ = exchange(ctx, relay)
        return how == "reset", how


class Delay(_Broken):
    """Let every answer come later, as on a congested or a far path."""

    KIND = "delay"

    service: ServiceName
    by: Annotated[Duration, Field(description="How much later, `20ms` to `1s`.")]

    @property
    def _milliseconds(self) -> int:
        return round(float(self.by) * 1000)

    def ready(self, ctx: Context) -> None:
        """As the others; and the delay must stand out from the path as it is."""
        if self.known("by") and not 20 <= self._milliseconds <= 1000:
            raise NotReady(f"a delay of {self.by} can be injected, but not proven: 20ms to 1s can")
        super().ready(ctx)
        seconds = min(healthy(ctx, ctx.service(self.service, Relay)) for _ in range(3))
        if self.known("by") and seconds > float(self.by) / 2:
            raise NotReady(
                f"the path through {self.service} takes {seconds:.3f} s already: {self.by} would not stand out",
                hint="let the delay be several times what the path takes",
            )

    def _shows(self, ctx: Context, relay: Relay) -> tuple[bool, str]:
        """Three exchanges: one may be slow by chance, one that is quicker than the delay cannot have been delayed."""
        for _ in range(3):
            how, seconds = exchange(ctx, relay)
            if how != "answers" or seconds < float(self.by):
                return False, how
        return True, "answers"


class Open(Write):
    """Open the path again after a fault that this run has set; another run's is left alone."""

    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``control``, ``was`` (the line that was in force), ``seconds`` of the exchange that proves it open."""
        relay = ctx.service(self.service, Relay)
        was = in_force(ctx, relay)
        if relay.control:
            ctx.run("sh", "-c", _OPEN, "sh", relay.control, ctx.run_id, "").check()
        return {"control": relay.control, "was": " ".join(was), "seconds": round(opened(ctx, relay), 6)}

    def undo(self, ctx: Context) -> Undo:
        """An open path is what is wanted."""
        return Undo.nothing("an open path is the wanted state")


class Status(Read):
    """See whether a relay's path is open and answers; if not, in which mode the relay is, and who has set it."""

    service: ServiceName
    exchange: Annotated[bool, Field(description="False: only the mode is read, nothing is sent through it.")] = True

    def run(self, ctx: Context) -> Facts:
        """Facts: ``control`` (the file that says how), ``mode`` (``open`` without one), ``by`` (run and step, where a drill
        has set it), ``how`` an exchange went, its ``seconds`` (null: none). Fails when a fault is set or nothing answers.
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
            said = f"{relay.control} says {' '.join(left)!r}; " if left else ""
            said += f"an exchange {how}" if self.exchange else "no exchange was tried"
            raise _not_open(relay, said, facts)
        return facts
