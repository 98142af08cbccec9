"""Work that every tool does: commands on all hosts, one after another on each host."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """``steps`` commands on each of ``hosts`` hosts; ``effect`` is read, write (a file, undone at the end), fault, or
    recovery (of faults after the controller was killed).
    """

    hosts: int
    steps: int
    effect: str = "read"
    delay_s: float = 0.0
    """Delay of the line in seconds, each way."""

    @property
    def name(self) -> str:
        line = f"-{2000 * self.delay_s:.0f}ms" if self.delay_s else ""
        return f"{self.hosts}x{self.steps}-{self.effect}{line}"

    @property
    def title(self) -> str:
        line = f" at {2000 * self.delay_s:.0f} ms round trip" if self.delay_s else ""
        kind = {"read": "reads", "write": "writes with undo"}.get(self.effect, "leased faults")
        after = ": recovery after the controller was killed" if self.effect == "recovery" else ""
        return f"{self.hosts} hosts x {self.steps} {kind}{line}{after}"

    def command(self, step: int) -> list[str]:
        """Command of the step; a write or a fault creates a file on the host's disk."""
        return ["true"] if self.effect == "read" else _sh(f'touch "$BENCH_DISK/made-{step}"')

    @property
    def breaks(self) -> bool:
        """True when the steps are faults with a proof."""
        return self.effect in ("fault", "recovery")

    def undo(self, step: int) -> list[str]:
        return _sh(f'rm -f "$BENCH_DISK/made-{step}"')

    def proof(self, step: int) -> list[str]:
        return _sh(f'test -e "$BENCH_DISK/made-{step}"')


def _sh(text: str) -> list[str]:
    return ["sh", "-c", text]


ALL = [
    Work(20, 20),
    Work(20, 100),
    Work(20, 500),
    Work(20, 20, delay_s=0.01),
    Work(20, 20, "write"),
    Work(20, 20, "fault"),
    Work(100, 1, "fault"),
    Work(500, 3),
    Work(500, 1, "fault"),
    Work(500, 1, "recovery"),
]
